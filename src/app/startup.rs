//! Start-up as a state machine without I/O: effects out, outcomes in.
//!
//! Whoever runs a program asks [`Startup::next`] what to do and reports how it went. The simulator and a program that plays
//! services on a real cluster share it, so both fail, write and exit alike.

use super::catalog::Instance;
use super::program::{Failure, Start};
use super::template::LogLine;
use crate::time::SimTime;
use arcstr::ArcStr;
use std::collections::VecDeque;

/// How often a line is repeated at most, whatever the command line says.
const ROUNDS_MAX: u64 = 100_000;

/// Where a program is between its start and its serving.
#[derive(Clone, Debug, Default)]
pub struct Startup {
    /// The step that comes next.
    at: usize,
    /// Lines that are written before anything else.
    lines: VecDeque<LogLine>,
    /// The text of the error that is being handled.
    error: ArcStr,
    /// The exit code once the lines are written.
    exit: Option<i32>,
    /// How often the present line was repeated.
    round: u64,
    /// Whether the pause before its next round is over.
    rested: bool,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Write this line; `{error}`, or `{n}` in one that is repeated, is the text.
    Write(LogLine, ArcStr),
    /// Do the step of [`super::Program::start`] at this place and report its outcome.
    Do(usize),
    /// Nothing is left: the program serves.
    Serve,
    /// End with this code.
    Exit(i32),
}

/// How a step went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Well, or there was nothing to report.
    Done,
    /// Nobody answered, or not in time; the error's text.
    Unreachable(ArcStr),
    /// The other side refused; the error's text.
    Denied(ArcStr),
    /// The connection broke.
    Lost,
}

impl Startup {
    /// What to do next, given how the last effect went.
    pub fn next(&mut self, instance: &Instance, outcome: Outcome) -> Effect {
        if outcome != Outcome::Done {
            self.fail(instance, outcome);
        }
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Effect::Write(line, self.error.clone());
            }
            if let Some(code) = self.exit {
                return Effect::Exit(code);
            }
            let at = self.at;
            let Some(step) = instance.program.start.get(at) else { return Effect::Serve };
            self.at += 1;
            match step {
                Start::Log(line) => self.lines.push_back(line.clone()),
                Start::Exit(code) => self.exit = Some(*code),
                Start::ExitWith(setting) => self.exit = Some(instance.setting(*setting).parse().unwrap_or(0)),
                Start::Repeat(repeat) => {
                    let times = repeat.times.map(|s| instance.setting(s).parse().unwrap_or(0).min(ROUNDS_MAX));
                    if times.is_some_and(|times| self.round >= times) {
                        self.round = 0;
                        continue;
                    }
                    self.at = at;
                    if self.round > 0 && !self.rested && !repeat.every.is_zero() {
                        self.rested = true;
                        return Effect::Do(at);
                    }
                    self.rested = false;
                    self.round += 1;
                    self.error = self.round.to_string().into();
                    self.lines.push_back(repeat.line.clone());
                }
                Start::Serve => return Effect::Serve,
                Start::Need(need) if need.settings.iter().all(|s| instance.setting(*s).is_empty()) => {
                    self.take(&need.on_failure, ArcStr::new());
                }
                Start::Need(_) => {}
                _ => return Effect::Do(at),
            }
        }
    }

    /// Whether every step is behind it.
    pub fn is_done(&self, instance: &Instance) -> bool {
        self.lines.is_empty() && self.exit.is_none() && self.at >= instance.program.start.len()
    }

    fn fail(&mut self, instance: &Instance, outcome: Outcome) {
        let Some(step) = self.at.checked_sub(1).and_then(|at| instance.program.start.get(at)) else { return };
        let none = Failure::default();
        let (failure, error) = match (step, outcome) {
            (Start::Dial(dial), Outcome::Unreachable(error)) => (&dial.on_unreachable, error),
            (Start::Dial(dial), Outcome::Denied(error)) => (&dial.on_denied, error),
            (Start::Query(query), Outcome::Denied(error)) => (&query.on_denied, error),
            (Start::Query(query), Outcome::Lost | Outcome::Unreachable(_)) => (&query.on_lost, arcstr::literal!("EOF")),
            (Start::Seed(seed), Outcome::Denied(error)) => (&seed.on_denied, error),
            (Start::Seed(seed), Outcome::Lost | Outcome::Unreachable(_)) => (&seed.on_denied, arcstr::literal!("EOF")),
            (Start::Resolve(resolve), Outcome::Unreachable(error)) => (&resolve.on_failure, error),
            (Start::Register(register), Outcome::Unreachable(error) | Outcome::Denied(error)) => (&register.on_failure, error),
            _ => (&none, ArcStr::new()),
        };
        self.take(failure, error);
    }

    fn take(&mut self, failure: &Failure, error: ArcStr) {
        if failure.again {
            self.at = self.at.saturating_sub(1);
        }
        self.lines.extend(failure.lines.iter().cloned());
        self.error = error;
        self.exit = failure.exit;
    }
}

impl Instance {
    /// A line as the program writes it at `now`: its settings and what `value` knows fill the places.
    pub fn render(&self, line: &LogLine, now: SimTime, value: &dyn Fn(&str) -> Option<ArcStr>) -> String {
        line.render(now, &|name| {
            if let Some(setting) = name.strip_suffix(".fixed6") {
                let number: f64 = self.named(setting)?.parse().unwrap_or(0.0);
                return Some(format!("{number:.6}").into());
            }
            self.named(name).cloned().or_else(|| value(name))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Catalog;
    use std::collections::BTreeMap;

    fn instance(image: &str, argv: &[&str]) -> Instance {
        let argv: Vec<ArcStr> = argv.iter().map(|a| (*a).into()).collect();
        Catalog::embedded().instance(image, &argv, &BTreeMap::new(), &BTreeMap::new()).expect("starts")
    }

    /// Runs a start-up in which every step goes as `outcome` says; shows lines without colours, steps by kind, and the end.
    fn transcript(instance: &Instance, outcome: &dyn Fn(&Start) -> Outcome) -> Vec<String> {
        let (mut startup, mut last, mut shown) = (Startup::default(), Outcome::Done, Vec::new());
        let colours = regex::Regex::new("\u{1b}\\[[0-9]+m").expect("valid");
        loop {
            match startup.next(instance, std::mem::replace(&mut last, Outcome::Done)) {
                Effect::Write(line, error) => {
                    let value = |name: &str| Some(if name == "error" { error.clone() } else { name.to_uppercase().into() });
                    let text = instance.render(&line, SimTime::ZERO, &value);
                    shown.push(colours.replace_all(&text, "").into_owned());
                }
                Effect::Do(at) => last = outcome(&instance.program.start[at]),
                Effect::Serve => return shown,
                Effect::Exit(code) => {
                    shown.push(format!("exit {code}"));
                    return shown;
                }
            }
        }
    }

    #[test]
    fn geo_starts_as_measured() {
        let lines = transcript(&instance("yinfangchen/hotelreservation:latest", &["geo"]), &|_| Outcome::Done);
        let expect = [
            r#"{"level":"info","time":"1970-01-01T00:00:00Z","message":"TLS disabled."}"#,
            r#"{"level":"info","time":"1970-01-01T00:00:00Z","message":"Set global log level: info"}"#,
            r#"{"level":"info","time":"1970-01-01T00:00:00Z","message":"Tune: setGCPercent to 100"}"#,
            "1970-01-01T00:00:00Z INF cmd/geo/main.go:23 > Reading config...",
            "1970-01-01T00:00:00Z INF cmd/geo/main.go:36 > Read database URL: mongodb-geo:27017",
            "1970-01-01T00:00:00Z INF cmd/geo/main.go:37 > Initializing DB connection...",
            "1970-01-01T00:00:00Z INF cmd/geo/db.go:33 > New session successfull...",
            "1970-01-01T00:00:00Z INF cmd/geo/db.go:35 > Generating test data...",
            "1970-01-01T00:00:00Z INF cmd/geo/main.go:40 > Successfull",
            "1970-01-01T00:00:00Z INF cmd/geo/main.go:45 > Read target port: 8083",
            "1970-01-01T00:00:00Z INF cmd/geo/main.go:46 > Read consul address: consul:8500",
            "1970-01-01T00:00:00Z INF cmd/geo/main.go:47 > Read jaeger address: jaeger:6831",
            "1970-01-01T00:00:00Z INF cmd/geo/main.go:55 > Initializing jaeger agent [service name: geo | host: jaeger:6831]...",
            "1970-01-01T00:00:00Z INF tracing/tracer.go:26 > Jaeger client: adjusted sample ratio 0.010000",
            "1970-01-01T00:00:00Z INF cmd/geo/main.go:61 > Jaeger agent initialized",
            "1970-01-01T00:00:00Z INF cmd/geo/main.go:63 > Initializing consul agent [host: consul:8500]...",
            "1970-01-01T00:00:00Z INF cmd/geo/main.go:68 > Consul agent initialized",
            "1970-01-01T00:00:00Z INF cmd/geo/main.go:79 > Starting server...",
            "1970-01-01T00:00:00Z INF registry/registry.go:91 > Trying to register service [ name: srv-geo, id: UUID, address: POD_IP:8083 ]",
            "1970-01-01T00:00:00Z INF services/geo/server.go:110 > Successfully registered in consul",
        ];
        assert_eq!(lines, expect);
    }

    /// The end of a transcript in which the first step for which `fails` holds goes wrong.
    fn check(image: &str, program: &str, wrong: (fn(&Start) -> bool, Outcome), expect: &[&str]) {
        let (fails, outcome) = wrong;
        let lines = transcript(&instance(image, &[program]), &|step| if fails(step) { outcome.clone() } else { Outcome::Done });
        let tail: Vec<_> = lines.iter().map(|l| l.lines().next().unwrap_or("").trim_start_matches("1970-01-01T00:00:00Z ")).collect();
        assert_eq!(tail[tail.len() - expect.len()..], *expect, "{program}");
    }

    #[test]
    fn faults_end_as_measured() {
        let dial: fn(&Start) -> bool = |s| matches!(s, Start::Dial(_));
        let query: fn(&Start) -> bool = |s| matches!(s, Start::Query(_));
        let register: fn(&Start) -> bool = |s| matches!(s, Start::Register(_));
        let resolve: fn(&Start) -> bool = |s| matches!(s, Start::Resolve(_));
        let latest = "yinfangchen/hotelreservation:latest";
        let unreachable = |text: &str| Outcome::Unreachable(text.into());
        check(
            "yinfangchen/geo:app3",
            "geo",
            (dial, unreachable("no reachable servers")),
            &[
                "INF cmd/geo/main.go:36 > Read database URL: mongodb-geo:27777",
                "INF cmd/geo/main.go:37 > Initializing DB connection...",
                "PNC cmd/geo/db.go:30 > no reachable servers",
                "panic: no reachable servers",
                "exit 2",
            ],
        );
        let refused = "server returned error on SASL authentication step: Authentication failed.";
        check(
            latest,
            "rate",
            (dial, Outcome::Denied(refused.into())),
            &[
                "PNC cmd/rate/db.go:40 > server returned error on SASL authentication step: Authentication failed.",
                "panic: server returned error on SASL authentication step: Authentication failed.",
                "exit 2",
            ],
        );
        let denied = r#"not authorized on geo-db to execute command { count: "geo", query: { hotelId: "1" }, $db: "geo-db" }"#;
        check(
            latest,
            "geo",
            (query, Outcome::Denied(denied.into())),
            &[
                "INF cmd/geo/db.go:33 > New session successfull...",
                "INF cmd/geo/db.go:35 > Generating test data...",
                r#"FTL cmd/geo/db.go:39 > not authorized on geo-db to execute command { count: "geo", query: { hotelId: "1" }, $db: "geo-db" }"#,
                "exit 1",
            ],
        );
        let error = "dial tcp 10.96.3.4:8500: connect: connection refused";
        check(
            latest,
            "profile",
            (register, unreachable(error)),
            &[
                r#"FTL cmd/profile/main.go:86 > failed register: Put "http://consul:8500/v1/agent/service/register": dial tcp 10.96.3.4:8500: connect: connection refused"#,
                "exit 1",
            ],
        );
        let error = "lookup memcached-rate on 10.96.0.10:53: no such host";
        check(latest, "rate", (resolve, unreachable(error)), &["panic: lookup memcached-rate on 10.96.0.10:53: no such host", "exit 2"]);
        // A wrong binary is just another program.
        check(latest, "geo", (|_| false, Outcome::Done), &["INF services/geo/server.go:110 > Successfully registered in consul"]);
        check(
            "postgres:16",
            "docker-entrypoint.sh",
            (|_| false, Outcome::Done),
            &["Error: Database is uninitialized and superuser password is not specified.", "exit 1"],
        );
    }
}
