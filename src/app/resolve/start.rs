//! A step of start-up: one verb and what belongs to it.

use super::super::error::DataError;
use super::super::program::{Access, Credentials, Dial, Follow, Need, Protocol, Query, Register, Repeat, Resolve, Seed, Span, Start};
use super::super::template::Template;
use super::super::written::{self, Or};
use super::program::Scope;
use arcstr::ArcStr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use toml::Spanned;

/// Resolves one step.
pub(super) fn resolve(scope: &Scope<'_>, written: &Spanned<Or<written::Start>>) -> Result<Start, DataError> {
    let span = written.span();
    let step = match written.as_ref() {
        Or::Text(text) => return scope.line(scope.format, text, span).map(Start::Log),
        Or::Table(step) => step,
    };
    let verbs = [
        step.json.is_some() || step.plain.is_some() || step.go.is_some(),
        step.sleep_ms.is_some(),
        step.need.is_some(),
        step.resolve.is_some(),
        step.dial.is_some(),
        step.query.is_some(),
        step.seed.is_some(),
        step.listen.is_some(),
        step.register.is_some(),
        step.follow.is_some(),
        step.serve.is_some(),
        step.exit.is_some(),
        step.exit_with.is_some(),
        step.repeat.is_some(),
    ];
    if verbs.iter().filter(|v| **v).count() != 1 {
        let verbs = "a line, sleep_ms, need, resolve, dial, query, seed, listen, register, follow, serve, exit, exit_with, repeat";
        return Err(scope.source.error(span, format!("a step of start-up has exactly one of: {verbs}")));
    }
    if let Some(names) = &step.need {
        let settings = names.iter().map(|name| scope.setting(name)).collect::<Result<_, _>>()?;
        Ok(Start::Need(Need { settings, on_failure: scope.failure(step.failed.as_ref())? }))
    } else if let Some(target) = &step.resolve {
        Ok(Start::Resolve(Resolve { target: scope.setting(target)?, on_failure: scope.failure(step.failed.as_ref())? }))
    } else if let Some(target) = &step.dial {
        dial(scope, step, target)
    } else if let Some(target) = &step.query {
        query(scope, step, target)
    } else if let Some(target) = &step.seed {
        seed(scope, step, target, span)
    } else if let Some(name) = &step.register {
        register(scope, step, name, span)
    } else if let Some(name) = &step.follow {
        follow(scope, step, name, span)
    } else if let Some(ports) = &step.listen {
        ports.iter().map(|p| scope.listen(p)).collect::<Result<_, _>>().map(Start::Listen)
    } else if let Some(mean_ms) = step.sleep_ms {
        Ok(Start::Sleep(Span { mean_ms, cv: step.cv.unwrap_or(0.0) }))
    } else if let Some(code) = step.exit {
        Ok(Start::Exit(code))
    } else if let Some(code) = &step.exit_with {
        scope.setting(code).map(Start::ExitWith)
    } else if let Some(line) = &step.repeat {
        repeat(scope, step, line)
    } else if step.serve.is_some() {
        Ok(Start::Serve)
    } else {
        scope.other_line(&[&step.json, &step.plain, &step.go], span).map(Start::Log)
    }
}

fn repeat(scope: &Scope<'_>, step: &written::Start, line: &written::Text) -> Result<Start, DataError> {
    let times = step.times.as_ref().map(|name| scope.setting(name)).transpose()?;
    let every = seconds(step.every_ms.map(|ms| ms / 1e3), 0.0);
    if times.is_none() && every.is_zero() {
        return Err(scope.source.error(line.span(), "a line that is repeated for ever needs `every_ms`"));
    }
    Ok(Start::Repeat(Repeat { line: scope.line(scope.format, line.as_ref(), line.span())?, times, every }))
}

fn seconds(value: Option<f64>, default: f64) -> Duration {
    Duration::from_nanos((value.unwrap_or(default).max(0.0) * 1e9) as u64)
}

fn time(mean_ms: Option<f64>, cv: Option<f64>) -> Span {
    Span { mean_ms: mean_ms.unwrap_or(0.0), cv: cv.unwrap_or(0.0) }
}

fn text(value: Option<&String>) -> ArcStr {
    value.map(ArcStr::from).unwrap_or_default()
}

/// The credentials of a step, when it names a user.
pub(super) fn credentials(user: Option<&String>, password: Option<&String>, database: Option<&String>) -> Option<Credentials> {
    let database = database.map_or_else(|| arcstr::literal!("admin"), ArcStr::from);
    user.map(|user| Credentials { user: user.into(), password: text(password), database })
}

/// What a step needs to be allowed to do.
pub(super) fn access(scope: &Scope<'_>, word: Option<&written::Text>) -> Result<Access, DataError> {
    let choices = [("read", Access::Read), ("write", Access::Write)];
    word.map_or(Ok(Access::Read), |word| scope.source.word("access", word, &choices))
}

fn dial(scope: &Scope<'_>, step: &written::Start, target: &written::Text) -> Result<Start, DataError> {
    Ok(Start::Dial(Dial {
        target: scope.setting(target)?,
        protocol: step.protocol.as_ref().map_or(Ok(Protocol::Raw), |word| scope.protocol(word))?,
        timeout: seconds(step.timeout_s, 10.0),
        overrun: time(step.overrun_ms, step.cv),
        retry: seconds(step.retry_ms.map(|ms| ms / 1e3), 0.5),
        credentials: credentials(step.user.as_ref(), step.password.as_ref(), step.database.as_ref()),
        on_unreachable: scope.failure(step.unreachable.as_ref())?,
        on_denied: scope.failure(step.denied.as_ref())?,
    }))
}

fn query(scope: &Scope<'_>, step: &written::Start, target: &written::Text) -> Result<Start, DataError> {
    Ok(Start::Query(Query {
        target: scope.setting(target)?,
        database: text(step.database.as_ref()),
        collection: text(step.collection.as_ref()),
        needs: access(scope, step.needs.as_ref())?,
        command: step.command.as_ref().map(|c| Template::parse(c.as_ref())).unwrap_or_default(),
        time: time(step.time_ms, step.cv),
        on_denied: scope.failure(step.denied.as_ref())?,
        on_lost: scope.failure(step.lost.as_ref())?,
    }))
}

fn seed(scope: &Scope<'_>, step: &written::Start, target: &written::Text, span: Range<usize>) -> Result<Start, DataError> {
    let Some(documents) = &step.documents else { return Err(scope.source.error(span, "`documents` is missing")) };
    Ok(Start::Seed(Seed {
        target: scope.setting(target)?,
        database: text(step.database.as_ref()),
        collection: text(step.collection.as_ref()),
        documents: scope.documents(documents)?,
        key: text(step.key.as_ref()),
        each_insert: time(step.insert_ms, step.cv),
        each_lookup: time(step.lookup_ms, step.cv),
        on_denied: scope.failure(step.denied.as_ref())?,
    }))
}

fn register(scope: &Scope<'_>, step: &written::Start, name: &written::Text, span: Range<usize>) -> Result<Start, DataError> {
    let Some(port) = &step.port else { return Err(scope.source.error(span, "`port` is missing")) };
    Ok(Start::Register(Register {
        registry: scope.needed(step.registry.as_ref(), "in", span)?,
        name: name.as_ref().into(),
        port: scope.port(port)?,
        on_failure: scope.failure(step.failed.as_ref())?,
    }))
}

fn follow(scope: &Scope<'_>, step: &written::Start, name: &written::Text, span: Range<usize>) -> Result<Start, DataError> {
    Ok(Start::Follow(Arc::new(Follow {
        registry: scope.needed(step.registry.as_ref(), "in", span)?,
        name: name.as_ref().into(),
        on_failure: step.failed_line.as_ref().map(|line| scope.any_line(line)).transpose()?,
        retry: seconds(step.retry_ms.map(|ms| ms / 1e3), 1.0),
    })))
}
