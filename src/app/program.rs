//! A [`Program`]: how one executable behaves in a container, as resolved from data.
//!
//! Start-up is a list of steps ([`Start`]); serving is a set of operations ([`Operation`], called over gRPC) and handlers
//! ([`Handler`], HTTP), each a tree of steps ([`Step`]). Names and templates were checked when the data was read, so nothing
//! here can refer to what does not exist.

use super::answer::{Body, Documents};
use super::clients::Clients;
use super::template::{LogLine, Template};
use arcstr::ArcStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How one executable behaves.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its name in the data.
    pub name: ArcStr,
    /// Its name in traces.
    pub service: ArcStr,
    /// What it is, beyond the steps below.
    pub behaviour: Behaviour,
    /// Named values that it reads when it starts.
    pub settings: Vec<Setting>,
    /// What it does from its start to serving, in order.
    pub start: Vec<Start>,
    /// Operations that others call.
    pub operations: Vec<Arc<Operation>>,
    /// HTTP handlers; the first that fits answers.
    pub handlers: Vec<Arc<Handler>>,
    /// Memory that it needs.
    pub memory: Memory,
    /// CPU time that it needs.
    pub cpu: Cpu,
    /// What it does on SIGTERM.
    pub on_term: OnTerm,
    /// The libraries with which it calls others.
    pub clients: Clients,
    /// What it writes when it hangs up on a client that does not speak its way; `{address}` is the client's.
    pub hangs_up: Option<LogLine>,
    /// Whether it drops work whose caller no longer waits: servers that pass their callers' contexts on do.
    pub cancels: bool,
    /// Workers: the most requests that it works on at once; others wait for one. `None` for any number.
    pub pool: Option<u32>,
    /// How long one hop of a call from this program takes beyond the callee's own time.
    pub hop: Span,
    /// Documents of the application that it belongs to, by name.
    pub documents: Arc<Documents>,
}

impl Program {
    /// The program behind every tool of the userland: it runs its command line and exits with its code.
    pub fn command() -> Arc<Program> {
        static COMMAND: OnceLock<Arc<Program>> = OnceLock::new();
        let program = || {
            Arc::new(Program {
                name: arcstr::literal!("command"),
                service: ArcStr::new(),
                behaviour: Behaviour::Command,
                settings: Vec::new(),
                start: Vec::new(),
                operations: Vec::new(),
                handlers: Vec::new(),
                memory: Memory { start: 1 << 20, working: 2 << 20, ..Memory::default() },
                cpu: Cpu::default(),
                on_term: OnTerm::Ignore,
                clients: Clients::Go,
                hangs_up: None,
                cancels: false,
                pool: None,
                hop: Span::ZERO,
                documents: Arc::default(),
            })
        };
        COMMAND.get_or_init(program).clone()
    }

    /// The operation called `name`.
    pub fn operation(&self, name: &str) -> Option<&Arc<Operation>> {
        self.operations.iter().find(|o| o.name == name)
    }

    /// The handler that answers a request, and whether its method fits.
    pub fn handler(&self, method: &str, path: &str) -> Option<&Arc<Handler>> {
        let fits = |h: &&Arc<Handler>| h.path == path || (!h.exact && h.path.ends_with('/') && path.starts_with(h.path.as_str()));
        let allowed = |h: &&Arc<Handler>| h.methods.is_empty() || h.methods.iter().any(|m| m == method);
        self.handlers.iter().filter(fits).find(allowed)
    }

    /// The place of a setting in [`Program::settings`].
    pub fn setting(&self, name: &str) -> Option<usize> {
        self.settings.iter().position(|s| s.name == name)
    }
}

/// What a program is, beyond its steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Nothing beyond its steps.
    Service,
    /// MongoDB: users, roles, databases on the volume under `/data/db`.
    Mongo,
    /// memcached: keys in memory, no authentication.
    Memcached,
    /// Consul: registrations in memory, HTTP API.
    Consul,
    /// Jaeger, all in one: spans in memory, HTTP API.
    Jaeger,
    /// Redis or Valkey: keys in memory.
    Redis,
    /// Runs a command of the userland (a shell, `sleep`, `curl`) and exits with its code.
    Command,
    /// Waits for a signal and does nothing else.
    Pause,
}

/// A named value that a program reads when it starts.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Name, for templates.
    pub name: ArcStr,
    /// Where it may come from; the first that has it wins.
    pub sources: Vec<Source>,
    /// The value when no source has it.
    pub default: ArcStr,
}

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A field of a JSON or YAML file in the container (mounted, else baked).
    File {
        /// The file.
        path: FilePath,
        /// The field: names joined by dots.
        key: ArcStr,
        /// The field with the port, when the setting is an address of two fields.
        port: Option<ArcStr>,
        /// The setting's value when the field is there, in place of the field's own.
        value: Option<ArcStr>,
    },
    /// An environment variable.
    Env(ArcStr),
    /// The argument at this place after the command's name, from 1.
    Argument(usize),
    /// A command-line flag, `--port` (with `=VALUE` or the next argument).
    Flag(ArcStr),
    /// A value of its own when a flag without value is given.
    Switch {
        /// The flag.
        flag: ArcStr,
        /// The setting's value then.
        value: ArcStr,
    },
}

/// Which file a setting is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilePath {
    /// The one at this absolute path.
    Fixed(ArcStr),
    /// The one that a command-line flag names.
    Flag(ArcStr),
}

/// A random time: lognormal with a mean and a coefficient of variation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// Mean, in milliseconds.
    pub mean_ms: f64,
    /// Standard deviation over mean.
    pub cv: f64,
}

impl Span {
    /// Nothing.
    pub const ZERO: Span = Span { mean_ms: 0.0, cv: 0.0 };

    /// Draws a time.
    pub fn draw(&self, stream: &mut crate::rng::Stream) -> Duration {
        let ms = if self.cv == 0.0 || self.mean_ms == 0.0 { self.mean_ms } else { stream.lognormal(self.mean_ms, self.cv) };
        Duration::from_nanos((ms * 1e6) as u64)
    }
}

/// A step between a program's start and its serving.
#[derive(Clone, Debug)]
pub enum Start {
    /// Writes a line.
    Log(LogLine),
    /// Writes a line again and again.
    Repeat(Repeat),
    /// Lets time pass.
    Sleep(Span),
    /// Ends when none of several settings has a value.
    Need(Need),
    /// Looks up the host of an address, once.
    Resolve(Resolve),
    /// Opens a connection and authenticates.
    Dial(Dial),
    /// Asks a store that was dialled.
    Query(Query),
    /// Writes documents that are not there yet to a store that was dialled.
    Seed(Seed),
    /// Opens its ports.
    Listen(Vec<Listen>),
    /// Registers itself in Consul.
    Register(Register),
    /// From now on it finds the instances of a service in Consul and keeps connections to them.
    Follow(Arc<Follow>),
    /// Serves until it is ended.
    Serve,
    /// Ends by itself.
    Exit(i32),
    /// Ends by itself with the code that a setting holds.
    ExitWith(usize),
}

/// Writes a line again and again; `{n}` in it counts from 1.
#[derive(Clone, Debug)]
pub struct Repeat {
    /// The line.
    pub line: LogLine,
    /// The setting that says how often; `None` for ever.
    pub times: Option<usize>,
    /// The pause between two lines.
    pub every: Duration,
}

/// Ends when none of several settings has a value.
#[derive(Clone, Debug)]
pub struct Need {
    /// The settings.
    pub settings: Vec<usize>,
    /// None has a value.
    pub on_failure: Failure,
}

/// Looks up the host of an address.
#[derive(Clone, Debug)]
pub struct Resolve {
    /// The setting with `host:port`.
    pub target: usize,
    /// The name does not resolve.
    pub on_failure: Failure,
}

/// Opens a connection to a store.
#[derive(Clone, Debug)]
pub struct Dial {
    /// The setting with `host:port`.
    pub target: usize,
    /// What it speaks.
    pub protocol: Protocol,
    /// For how long it tries.
    pub timeout: Duration,
    /// How much longer it takes to notice that the time is over.
    pub overrun: Span,
    /// The pause between two tries.
    pub retry: Duration,
    /// Who it says it is.
    pub credentials: Option<Credentials>,
    /// Nobody answered in time.
    pub on_unreachable: Failure,
    /// The store refused the credentials.
    pub on_denied: Failure,
}

/// Who a client says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// User.
    pub user: ArcStr,
    /// Password.
    pub password: ArcStr,
    /// The database that holds the user.
    pub database: ArcStr,
}

/// What a client wants to do in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Read documents.
    Read,
    /// Read and write documents.
    Write,
}

/// Asks a store.
#[derive(Clone, Debug)]
pub struct Query {
    /// The setting of the dialled store.
    pub target: usize,
    /// Database.
    pub database: ArcStr,
    /// Collection.
    pub collection: ArcStr,
    /// What the user must be allowed to do.
    pub needs: Access,
    /// The command as the store's error quotes it.
    pub command: Template,
    /// How long it takes.
    pub time: Span,
    /// The store refused.
    pub on_denied: Failure,
    /// The connection is gone.
    pub on_lost: Failure,
}

/// Writes documents that are not there yet.
#[derive(Clone, Debug)]
pub struct Seed {
    /// The setting of the dialled store.
    pub target: usize,
    /// Database.
    pub database: ArcStr,
    /// Collection.
    pub collection: ArcStr,
    /// The documents' name in the app's data.
    pub documents: ArcStr,
    /// The field by which it looks whether a document is there.
    pub key: ArcStr,
    /// Time for each document that is written.
    pub each_insert: Span,
    /// Time for each document that is looked up.
    pub each_lookup: Span,
    /// The store refused.
    pub on_denied: Failure,
}

/// What a program does when a step fails: lines, then its end or another try.
#[derive(Clone, Debug, Default)]
pub struct Failure {
    /// Lines; `{error}` is the error's text.
    pub lines: Vec<LogLine>,
    /// Exit code; `None` goes on as if nothing had happened.
    pub exit: Option<i32>,
    /// Whether it does the step again instead, for ever.
    pub again: bool,
}

/// A port that is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The port, or the setting that holds it.
    pub port: Port,
    /// What is spoken on it.
    pub protocol: Protocol,
    /// UDP instead of TCP.
    pub udp: bool,
}

/// A port, fixed or configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// This one.
    Fixed(u16),
    /// That of a setting (a number, or the port of `host:port`).
    Setting(usize),
}

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Protocol {
    Http,
    Grpc,
    Thrift,
    Mongo,
    Memcached,
    Redis,
    Postgres,
    Dns,
    /// Bytes that nobody interprets.
    Raw,
}

/// Registers the program in Consul.
#[derive(Clone, Debug)]
pub struct Register {
    /// The setting with Consul's `host:port`.
    pub registry: usize,
    /// Service name.
    pub name: ArcStr,
    /// The setting with the port.
    pub port: Port,
    /// Consul could not be reached or refused.
    pub on_failure: Failure,
}

/// Follows the instances of a service.
#[derive(Clone, Debug)]
pub struct Follow {
    /// The setting with Consul's `host:port`.
    pub registry: usize,
    /// Service name.
    pub name: ArcStr,
    /// Written at each attempt that fails; it retries for ever. `{error}` is the error's text.
    pub on_failure: Option<LogLine>,
    /// The pause between attempts.
    pub retry: Duration,
}

/// An operation that others call.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Full name, `/geo.Geo/Nearby`.
    pub name: ArcStr,
    /// The server span's name, where it is another.
    pub span: Option<ArcStr>,
    /// CPU milliseconds of one request, in place of [`Cpu::request_ms`].
    pub cpu_ms: Option<f64>,
    /// What it does.
    pub steps: Vec<Step>,
}

impl Operation {
    /// The server span's name.
    pub fn span_name(&self) -> &ArcStr {
        self.span.as_ref().unwrap_or(&self.name)
    }
}

/// An HTTP handler.
#[derive(Clone, Debug)]
pub struct Handler {
    /// Methods; empty for any.
    pub methods: Vec<ArcStr>,
    /// Path; one that ends in `/` stands for everything below it, unless `exact` is set.
    pub path: ArcStr,
    /// Whether only the path itself fits.
    pub exact: bool,
    /// Name of the server span, `HTTP {method} {path}`; `None` when it is not traced.
    pub span: Option<Template>,
    /// What is checked before the steps.
    pub checks: Vec<Check>,
    /// What it does.
    pub steps: Vec<Step>,
    /// CPU milliseconds of one request, in place of [`Cpu::request_ms`].
    pub cpu_ms: Option<f64>,
    /// What it answers.
    pub reply: Reply,
    /// Status when a step fails.
    pub error_status: u16,
    /// The body then, with `{error}` for the error's text; `None` for the text alone.
    pub error_body: Option<Template>,
}

/// A check of a request's parameters.
#[derive(Clone, Debug)]
pub struct Check {
    /// What must hold.
    pub rule: Rule,
    /// Status when it does not.
    pub status: u16,
    /// Body then.
    pub body: ArcStr,
}

/// What must hold for parameters.
#[derive(Clone, Debug)]
pub enum Rule {
    /// Each of them is given and not empty.
    Present(Vec<ArcStr>),
    /// The parameter is one of these.
    OneOf(ArcStr, Vec<ArcStr>),
    /// Each of them looks like a pattern in which `9` stands for any digit (`9999-99-99`).
    Like(Vec<ArcStr>, ArcStr),
}

impl Rule {
    /// Whether the rule holds for a query's parameters.
    pub fn holds(&self, parameter: &dyn Fn(&str) -> Option<String>) -> bool {
        match self {
            Rule::Present(names) => names.iter().all(|n| parameter(n).is_some_and(|v| !v.is_empty())),
            Rule::OneOf(name, values) => parameter(name).is_some_and(|v| values.iter().any(|x| *x == v)),
            Rule::Like(names, pattern) => names.iter().all(|n| parameter(n).is_some_and(|v| is_like(&v, pattern))),
        }
    }
}

fn is_like(text: &str, pattern: &str) -> bool {
    let digit_or_same = |(c, p): (char, char)| if p == '9' { c.is_ascii_digit() } else { c == p };
    text.len() == pattern.len() && text.chars().zip(pattern.chars()).all(digit_or_same)
}

/// What a handler answers when its steps succeeded.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Status.
    pub status: u16,
    /// Headers, in order.
    pub headers: Vec<(ArcStr, ArcStr)>,
    /// Body.
    pub body: Body,
}

/// A step of an operation.
#[derive(Clone, Debug)]
pub enum Step {
    /// Works for a while on the CPU.
    Compute(Span),
    /// Calls an operation of another program.
    Call(Call),
    /// Asks a store.
    Store(StoreCall),
    /// Does several things at once and waits for all.
    Parallel(Vec<Vec<Step>>),
}

/// A call of an operation.
#[derive(Clone, Debug)]
pub struct Call {
    /// Whom it calls.
    pub to: Callee,
    /// The operation.
    pub operation: ArcStr,
    /// Name of the client span; `None` when it is not traced.
    pub span: Option<ArcStr>,
    /// For how long it waits for the answer; `None` for ever.
    pub timeout: Option<Duration>,
    /// How often it tries again.
    pub retries: u32,
    /// Connections: the most of these calls that a process has under way at once; others wait for one. `None` for any number.
    pub pool: Option<u32>,
    /// What it does when the call fails.
    pub on_error: OnError,
}

/// Whom a call goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Callee {
    /// An instance of a service that is registered in Consul and followed since start-up.
    Registered {
        /// The setting with Consul's `host:port`.
        registry: usize,
        /// Service name.
        name: ArcStr,
    },
    /// The `host:port` of a setting.
    Address(usize),
}

/// A request to a store.
#[derive(Clone, Debug)]
pub struct StoreCall {
    /// The setting with the store's `host:port`.
    pub target: usize,
    /// What is spoken.
    pub protocol: Protocol,
    /// Database and collection, for stores that have them.
    pub collection: Option<(ArcStr, ArcStr)>,
    /// What the user must be allowed to do.
    pub needs: Access,
    /// Who asks; `None` for stores without authentication.
    pub credentials: Option<Credentials>,
    /// Name of the client span; `None` when it is not traced.
    pub span: Option<ArcStr>,
    /// Tags of the span, besides `span.kind`.
    pub tags: Vec<(ArcStr, ArcStr)>,
    /// How long the store takes, the way there included.
    pub time: Span,
    /// CPU milliseconds that it costs the store, in place of the store's own [`Cpu::request_ms`].
    pub cpu_ms: Option<f64>,
    /// Connections: the most of these requests that a process has under way at once; others wait for one. `None` for any number.
    pub pool: Option<u32>,
    /// For a cache: what happens when it does not have the key.
    pub miss: Option<Miss>,
    /// What it does when the request fails. `{error}` is the error's text.
    pub on_error: OnError,
}

/// What happens on a cache miss.
#[derive(Clone, Debug)]
pub struct Miss {
    /// How many different keys exist.
    pub keys: f64,
    /// How many of them one request asks for.
    pub per_request: f64,
    /// How long an entry is kept; `None` until it is evicted.
    pub ttl: Option<Duration>,
    /// What is done for each key that is missing, all at once.
    pub steps: Vec<Step>,
}

/// What a program does when a call fails.
#[derive(Clone, Debug)]
pub struct OnError {
    /// A line it writes; `{error}` is the error's text.
    pub log: Option<LogLine>,
    /// The line in its place when there was no connection.
    pub unconnected: Option<LogLine>,
    /// And then.
    pub then: Then,
}

impl OnError {
    /// Passes the error on and writes nothing.
    pub fn fail() -> Self {
        OnError { log: None, unconnected: None, then: Then::Fail }
    }
}

/// How a program goes on after a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Its own operation fails with the same error.
    Fail,
    /// It goes on as if the call had succeeded.
    Ignore,
    /// The process ends with this exit code.
    Exit(i32),
}

/// Memory that a program needs, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Memory {
    /// Just after its start; with a lower limit it is killed at once.
    pub start: u64,
    /// Under load.
    pub working: u64,
    /// What buffers and connections add under load, outside of the program's own memory.
    pub load: u64,
    /// Pages of files that it keeps using.
    pub cache: u64,
    /// What a request takes while it is in progress.
    pub request: u64,
    /// What it never gives back of every request.
    pub leak_request: u64,
    /// What it never gives back of every second, whether anybody asks it for anything or not.
    pub leak_second: u64,
}

impl Memory {
    /// Whether what it needs depends on how long it runs or on how much is going on.
    pub fn grows(&self) -> bool {
        self.request > 0 || self.leak_request > 0 || self.leak_second > 0
    }
}

/// CPU time that a program needs.
///
/// A request costs `request_ms`, and at low rates more: idle threads and cores have to be woken for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cpu {
    /// When nobody asks it for anything, in thousandths of a core.
    pub idle_m: f64,
    /// What a request costs at high rates, in milliseconds.
    pub request_ms: f64,
    /// What it costs more when the process is idle otherwise, in milliseconds.
    pub wake_ms: f64,
    /// The share of a request's cost that goes into the calls that it makes, in equal parts; those that are not made are saved.
    pub calls: f64,
}

impl Default for Cpu {
    fn default() -> Self {
        Cpu { idle_m: 0.0, request_ms: 0.0, wake_ms: 0.0, calls: 0.5 }
    }
}

impl Cpu {
    /// Requests per second over which wake-ups become rare.
    const WAKES: f64 = 50.0;

    /// CPU milliseconds of one request when the process gets `rate` requests a second. `own` is the cost of the operation where it has one;
    /// wake-ups cost in proportion then.
    pub fn request(&self, rate: f64, own: Option<f64>) -> f64 {
        let cost = self.request_ms + self.wake_ms * libm::exp(-rate.max(0.0) / Self::WAKES);
        match own {
            Some(own) if self.request_ms > 0.0 => cost * own / self.request_ms,
            Some(own) => own + cost,
            None => cost,
        }
    }
}

/// What a program does on SIGTERM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnTerm {
    /// The default action: it ends at once; the exit code is that of the signal (143), or what the runtime reports.
    Default(i32),
    /// It shuts down in order and exits with this code after a while.
    Graceful {
        /// Exit code.
        code: i32,
        /// How long that takes.
        after: Duration,
    },
    /// It has no handler and is process 1, so the signal is dropped.
    Ignore,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_cost_more_when_they_are_rare() {
        let cpu = Cpu { idle_m: 0.1, request_ms: 0.5, wake_ms: 0.75, ..Cpu::default() };
        let check = |rate: f64, own: Option<f64>, expect: f64| {
            assert!((cpu.request(rate, own) - expect).abs() < 1e-3, "{rate} {own:?}: {}", cpu.request(rate, own));
        };
        check(0.0, None, 1.25);
        check(50.0, None, 0.7759);
        check(1e6, None, 0.5);
        check(1e6, Some(0.1), 0.1);
        check(0.0, Some(0.1), 0.25);
        assert_eq!(Cpu::default().request(3.0, Some(0.2)), 0.2);
    }

    #[test]
    fn rules_of_parameters() {
        let query = |name: &str| match name {
            "inDate" => Some("2015-04-09".to_owned()),
            "require" => Some("rate".to_owned()),
            "empty" => Some(String::new()),
            _ => None,
        };
        let check = |rule: Rule, expect: bool| assert_eq!(rule.holds(&query), expect, "{rule:?}");
        check(Rule::Present(vec!["inDate".into()]), true);
        check(Rule::Present(vec!["inDate".into(), "outDate".into()]), false);
        check(Rule::Present(vec!["empty".into()]), false);
        check(Rule::OneOf("require".into(), vec!["dis".into(), "rate".into()]), true);
        check(Rule::OneOf("require".into(), vec!["dis".into()]), false);
        check(Rule::Like(vec!["inDate".into()], "9999-99-99".into()), true);
        check(Rule::Like(vec!["require".into()], "9999".into()), false);
    }
}
