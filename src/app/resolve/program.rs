//! A program: its settings, steps, operations and handlers.

use super::super::answer::Documents;
use super::super::clients::Clients;
use super::super::error::DataError;
use super::super::program::{
    Behaviour, Cpu, Failure, FilePath, Handler, Listen, Memory, OnTerm, Operation, Port, Program, Protocol, Setting, Source as From, Span,
};
use super::super::template::{LogFormat, LogLine, Template};
use super::super::written::{self, Or};
use super::{Source, reply, start, step};
use arcstr::ArcStr;
use std::sync::Arc;
use std::time::Duration;
use toml::Spanned;

/// What the parts of one program are resolved against.
pub(super) struct Scope<'a> {
    pub source: &'a Source<'a>,
    pub documents: &'a Documents,
    pub settings: &'a [Setting],
    pub format: LogFormat,
}

/// Values that every line of a program may name, besides its settings and the time.
const BUILT_IN: &[&str] = &["pod", "pod_ip", "namespace", "node", "uuid", "error", "address", "keys", "n"];

/// Resolves a program.
pub(super) fn resolve(
    source: &Source<'_>,
    name: &str,
    written: &Spanned<written::Program>,
    documents: &Arc<Documents>,
) -> Result<Program, DataError> {
    let span = written.span();
    let written = written.as_ref();
    let formats =
        [("plain", LogFormat::Plain), ("zerolog", LogFormat::Zerolog), ("go", LogFormat::GoStandard), ("boost", LogFormat::Boost)];
    let format = written.log.as_ref().map_or(Ok(LogFormat::Plain), |word| source.word("log format", word, &formats))?;
    let settings = written.settings.iter().map(|(name, s)| setting(source, name, s)).collect::<Result<Vec<_>, _>>()?;
    let scope = Scope { source, documents, settings: &settings, format };
    let hangs_up = written.hangs_up.as_ref().map(|line| scope.any_line(line)).transpose()?;
    let behaviour = written.behaviour.as_ref().map_or(Ok(Behaviour::Service), |word| source.word("behaviour", word, BEHAVIOURS))?;
    let memory = memory(source, written, span)?;
    let cpu = written.cpu.as_ref().map_or(Ok(Cpu::default()), |c| cpu(source, c))?;
    let operations = written.operation.iter().map(|o| operation(&scope, o)).collect::<Result<_, _>>()?;
    let handlers = written.http.iter().map(|h| handler(&scope, h)).collect::<Result<_, _>>()?;
    let steps = written.start.iter().map(|s| start::resolve(&scope, s)).collect::<Result<_, _>>()?;
    Ok(Program {
        name: name.into(),
        service: written.service.as_deref().unwrap_or(name).into(),
        behaviour,
        start: steps,
        operations,
        handlers,
        memory,
        cpu,
        on_term: on_term(source, written.on_term.as_ref())?,
        cancels: written.cancels,
        pool: written.pool.map(|slots| slots.max(1)),
        hangs_up,
        clients: written.clients.as_ref().map_or(Ok(Clients::Go), |word| source.word("clients", word, CLIENTS))?,
        hop: Span { mean_ms: written.hop_ms.unwrap_or(0.0), cv: written.hop_cv.unwrap_or(0.0) },
        documents: documents.clone(),
        settings,
    })
}

const BEHAVIOURS: &[(&str, Behaviour)] = &[
    ("service", Behaviour::Service),
    ("mongo", Behaviour::Mongo),
    ("memcached", Behaviour::Memcached),
    ("consul", Behaviour::Consul),
    ("jaeger", Behaviour::Jaeger),
    ("redis", Behaviour::Redis),
    ("pause", Behaviour::Pause),
];

const CLIENTS: &[(&str, Clients)] = &[("go", Clients::Go), ("thrift", Clients::Thrift), ("lua", Clients::Lua)];

const PROTOCOLS: &[(&str, Protocol)] = &[
    ("http", Protocol::Http),
    ("grpc", Protocol::Grpc),
    ("thrift", Protocol::Thrift),
    ("mongo", Protocol::Mongo),
    ("memcached", Protocol::Memcached),
    ("redis", Protocol::Redis),
    ("postgres", Protocol::Postgres),
    ("dns", Protocol::Dns),
    ("raw", Protocol::Raw),
];

fn setting(source: &Source<'_>, name: &str, written: &written::Setting) -> Result<Setting, DataError> {
    let mut sources: Vec<From> = Vec::new();
    sources.extend(written.flag.as_ref().map(|flag| From::Flag(flag.into())));
    let in_file = written.config.is_some() || written.file.is_some();
    match (&written.switch, &written.value) {
        (Some(flag), Some(value)) => sources.push(From::Switch { flag: flag.into(), value: value.into() }),
        (None, None) => {}
        (None, Some(_)) if in_file => {}
        _ => return Err(DataError::file(source.path, format!("setting `{name}` has only one of switch and value"))),
    }
    sources.extend(written.argument.map(From::Argument));
    sources.extend(written.env.as_ref().map(|env| From::Env(env.into())));
    let file = |text: &written::Text, path: FilePath| match &written.key {
        Some(key) => Ok(From::File {
            path,
            key: key.into(),
            port: written.port.as_ref().map(ArcStr::from),
            value: written.value.as_ref().map(ArcStr::from),
        }),
        None => Err(source.error(text.span(), format!("setting `{name}` names a file but no key in it"))),
    };
    if let Some(flag) = &written.config {
        sources.push(file(flag, FilePath::Flag(flag.as_ref().into()))?);
    }
    if let Some(path) = &written.file {
        sources.push(file(path, FilePath::Fixed(path.as_ref().into()))?);
    }
    Ok(Setting { name: name.into(), sources, default: written.default.as_str().into() })
}

fn memory(source: &Source<'_>, written: &written::Program, span: std::ops::Range<usize>) -> Result<Memory, DataError> {
    let bytes = |mib: f64| (mib * 1024.0 * 1024.0) as u64;
    let given = &written.memory_mib;
    let memory = Memory {
        start: bytes(given.start),
        working: bytes(given.working),
        load: bytes(given.load),
        cache: bytes(given.cache),
        request: bytes(given.request),
        leak_request: written.leak.request,
        leak_second: written.leak.second,
    };
    if memory.start == 0 || memory.working < memory.start {
        return Err(source.error(span, "memory_mib: start must be positive and working at least as much"));
    }
    Ok(memory)
}

fn cpu(source: &Source<'_>, written: &Spanned<written::Cpu>) -> Result<Cpu, DataError> {
    let (span, given) = (written.span(), written.as_ref());
    let cpu = Cpu {
        idle_m: given.idle_m,
        request_ms: given.request_ms,
        wake_ms: given.wake_ms,
        calls: given.calls.unwrap_or(Cpu::default().calls),
    };
    if [cpu.idle_m, cpu.request_ms, cpu.wake_ms].iter().any(|ms| !ms.is_finite() || *ms < 0.0) || !(0.0..=1.0).contains(&cpu.calls) {
        return Err(source.error(span, "cpu: idle_m, request_ms and wake_ms must not be negative, calls is from 0 to 1"));
    }
    Ok(cpu)
}

/// CPU milliseconds of one request, where they are given.
pub(super) fn cpu_ms(source: &Source<'_>, written: Option<&Spanned<f64>>) -> Result<Option<f64>, DataError> {
    match written {
        Some(ms) if !ms.as_ref().is_finite() || *ms.as_ref() < 0.0 => Err(source.error(ms.span(), "cpu_ms must not be negative")),
        _ => Ok(written.map(|ms| *ms.as_ref())),
    }
}

fn on_term(source: &Source<'_>, written: Option<&Spanned<written::OnTerm>>) -> Result<OnTerm, DataError> {
    let Some(spanned) = written else { return Ok(OnTerm::Default(143)) };
    let written = spanned.as_ref();
    match (written.ignore, written.exit, written.after_ms) {
        (true, None, None) => Ok(OnTerm::Ignore),
        (false, Some(code), None) => Ok(OnTerm::Default(code)),
        (false, code, Some(ms)) => Ok(OnTerm::Graceful { code: code.unwrap_or(0), after: Duration::from_millis(ms) }),
        _ => Err(source.error(spanned.span(), "on_term has either ignore, or exit and perhaps after_ms")),
    }
}

fn operation(scope: &Scope<'_>, written: &written::Operation) -> Result<Arc<Operation>, DataError> {
    let steps = written.steps.iter().map(|s| step::resolve(scope, s)).collect::<Result<_, _>>()?;
    let cpu_ms = cpu_ms(scope.source, written.cpu_ms.as_ref())?;
    let span = written.span.as_ref().map(ArcStr::from);
    Ok(Arc::new(Operation { name: written.name.as_str().into(), span, cpu_ms, steps }))
}

fn handler(scope: &Scope<'_>, written: &written::Http) -> Result<Arc<Handler>, DataError> {
    Ok(Arc::new(Handler {
        methods: written.methods.iter().map(ArcStr::from).collect(),
        path: written.path.as_str().into(),
        exact: written.exact,
        span: written.span.as_ref().map(|text| Template::parse(text.as_ref())),
        checks: written.check.iter().map(|c| reply::check(scope, c)).collect::<Result<_, _>>()?,
        steps: written.steps.iter().map(|s| step::resolve(scope, s)).collect::<Result<_, _>>()?,
        cpu_ms: cpu_ms(scope.source, written.cpu_ms.as_ref())?,
        reply: reply::resolve(scope, &written.reply)?,
        error_status: written.error_status.unwrap_or(500),
        error_body: written.error_body.as_deref().map(Template::parse),
    }))
}

impl Scope<'_> {
    /// The place of the setting that a text names.
    pub fn setting(&self, name: &written::Text) -> Result<usize, DataError> {
        let at = self.settings.iter().position(|s| s.name == name.as_ref().as_str());
        at.ok_or_else(|| self.source.unknown("setting", name, self.settings.iter().map(|s| s.name.as_str())))
    }

    /// A required setting; `span` is where it is missing.
    pub fn needed(&self, name: Option<&written::Text>, what: &str, span: std::ops::Range<usize>) -> Result<usize, DataError> {
        match name {
            Some(name) => self.setting(name),
            None => Err(self.source.error(span, format!("`{what}` is missing"))),
        }
    }

    pub fn protocol(&self, word: &written::Text) -> Result<Protocol, DataError> {
        self.source.word("protocol", word, PROTOCOLS)
    }

    /// The documents that a text names.
    pub fn documents(&self, name: &written::Text) -> Result<ArcStr, DataError> {
        match self.documents.get_key_value(name.as_ref().as_str()) {
            Some((key, _)) => Ok(key.clone()),
            None => Err(self.source.unknown("documents", name, self.documents.keys().map(ArcStr::as_str))),
        }
    }

    /// A line, whose values must be known.
    pub fn line(&self, format: LogFormat, text: &str, span: std::ops::Range<usize>) -> Result<LogLine, DataError> {
        let line = LogLine::new(format, text);
        let known = |name: &str| {
            let name = name.strip_suffix(".fixed6").unwrap_or(name);
            BUILT_IN.contains(&name) || self.settings.iter().any(|s| s.name == name)
        };
        if let Some(wrong) = line.names().find(|n| !known(n)) {
            let names = BUILT_IN.iter().copied().chain(self.settings.iter().map(|s| s.name.as_str()));
            return Err(self.source.error(span, format!("unknown value `{{{wrong}}}` in a line")).suggest(wrong, names));
        }
        Ok(line)
    }

    /// A line as a text in the program's own format, or in another.
    pub fn any_line(&self, written: &Spanned<Or<written::Line>>) -> Result<LogLine, DataError> {
        match written.as_ref() {
            Or::Text(text) => self.line(self.format, text, written.span()),
            Or::Table(line) => self.other_line(&[&line.json, &line.plain, &line.go], written.span()),
        }
    }

    /// A line in exactly one of the formats JSON, plain, Go.
    pub fn other_line(&self, texts: &[&Option<written::Text>; 3], span: std::ops::Range<usize>) -> Result<LogLine, DataError> {
        let formats = [LogFormat::ZerologJson, LogFormat::Plain, LogFormat::GoStandard];
        let given: Vec<_> = texts.iter().zip(formats).filter_map(|(text, format)| Some((text.as_ref()?, format))).collect();
        match &given[..] {
            [(text, format)] => self.line(*format, text.as_ref(), text.span()),
            _ => Err(self.source.error(span, "a line has exactly one of: json, plain, go")),
        }
    }

    pub fn failure(&self, written: Option<&written::Failure>) -> Result<Failure, DataError> {
        let Some(written) = written else { return Ok(Failure::default()) };
        let lines = written.log.iter().map(|l| self.any_line(l)).collect::<Result<_, _>>()?;
        Ok(Failure { lines, exit: written.exit, again: written.again })
    }

    /// A port: a number, or the name of a setting.
    pub fn port(&self, written: &Spanned<toml::Value>) -> Result<Port, DataError> {
        let wrong = || self.source.error(written.span(), "a port is a number from 1 to 65535, or the name of a setting");
        match written.as_ref() {
            toml::Value::Integer(n) => u16::try_from(*n).ok().filter(|n| *n > 0).map(Port::Fixed).ok_or_else(wrong),
            toml::Value::String(name) => self.setting(&Spanned::new(written.span(), name.clone())).map(Port::Setting),
            _ => Err(wrong()),
        }
    }

    pub fn listen(&self, written: &written::Listen) -> Result<Listen, DataError> {
        Ok(Listen { port: self.port(&written.port)?, protocol: self.protocol(&written.protocol)?, udp: written.udp })
    }
}
