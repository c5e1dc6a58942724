//! The agent's shell: scripts over a virtual file system and a table of commands. It knows no cluster.
//!
//! A plain command goes straight to the [`Host`]; anything else is run by the interpreter behind the feature `bash`, whose
//! commands file requests that [`Shell::run`] serves through the same host. Files last as long as the episode; the working
//! directory and variables do not. Time is the host's: `sleep` and `timeout` wait on it, nothing waits on a real clock.

mod listing;
mod simple;
pub mod vfs;

#[cfg(feature = "bash")]
mod bash;
#[cfg(feature = "bash")]
mod pinned;
#[cfg(all(test, feature = "bash"))]
mod scripts;

use crate::time::SimTime;
use simple::Shape;
use std::collections::BTreeMap;
use std::time::Duration;
pub use vfs::{FileError, Vfs};

/// Home folder and first working directory of the agent.
pub const HOME: &str = "/root";

/// A command to run: what the shell asks of its host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// Name of the command.
    pub name: String,
    /// Its arguments, without the name.
    pub args: Vec<String>,
    /// What it reads.
    pub stdin: Vec<u8>,
    /// Working directory.
    pub cwd: String,
    /// Exported variables.
    pub env: BTreeMap<String, String>,
    /// When it has to stop waiting.
    pub deadline: SimTime,
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Finished {
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// Exit code.
    pub exit_code: i32,
}

impl Finished {
    /// Success with this output.
    pub fn ok(stdout: impl Into<Vec<u8>>) -> Self {
        Finished { stdout: stdout.into(), ..Finished::default() }
    }

    /// Failure with this message.
    pub fn fail(exit_code: i32, stderr: impl Into<Vec<u8>>) -> Self {
        Finished { stderr: stderr.into(), exit_code, ..Finished::default() }
    }
}

/// The world outside the shell: its commands and its clock.
pub trait Host {
    /// Whether there is a command of this name.
    fn has(&self, name: &str) -> bool;
    /// Runs a command.
    fn run(&mut self, request: &Request, files: &mut Vfs) -> Finished;
    /// Names of the commands, sorted.
    fn names(&self) -> &[&'static str];
    /// The present instant.
    fn now(&self) -> SimTime;
    /// Lets time pass.
    fn sleep(&mut self, until: SimTime);
}

/// How a script ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Exit code of the last command.
    pub exit_code: i32,
    /// Why it was stopped before its end, if it was.
    pub stopped: Option<Stopped>,
}

/// Why a script was stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// Its time was over.
    TimedOut,
    /// It exceeded a limit; the text says which.
    Limit(String),
}

/// A shell: its files, and the seed of its random draws.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shell {
    /// The file system.
    pub files: Vfs,
    seed: u64,
    /// Scripts run so far; every script draws from streams of its own.
    scripts: u64,
}

/// Programs a workstation has in `/usr/bin`, besides the host's commands; for `ls` and `which`.
const PROGRAMS: &[&str] = &[
    "awk",
    "base64",
    "basename",
    "bash",
    "bc",
    "cat",
    "chmod",
    "cp",
    "cut",
    "date",
    "diff",
    "dirname",
    "echo",
    "egrep",
    "env",
    "expr",
    "false",
    "find",
    "grep",
    "head",
    "id",
    "jq",
    "ls",
    "md5sum",
    "mkdir",
    "mktemp",
    "mv",
    "od",
    "printf",
    "pwd",
    "readlink",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "sh",
    "sha256sum",
    "shuf",
    "sleep",
    "sort",
    "stat",
    "tail",
    "tee",
    "test",
    "timeout",
    "touch",
    "tr",
    "true",
    "uname",
    "uniq",
    "wc",
    "which",
    "whoami",
    "xargs",
    "yes",
];

impl Shell {
    /// A shell with a home folder and the programs of a workstation.
    pub fn new(now: SimTime, seed: u64, commands: &[&str]) -> Self {
        let mut files = Vfs::new(now);
        for folder in [HOME, "/tmp", "/etc", "/usr/bin", "/dev", "/var/tmp"] {
            let _ = files.make_folder(folder, true);
        }
        let _ = files.set_mode(HOME, 0o700);
        let _ = files.set_mode("/tmp", 0o1777);
        let _ = files.link("usr/bin", "/bin");
        for (path, text) in [
            ("/etc/hostname", "workstation\n"),
            ("/etc/hosts", "127.0.0.1\tlocalhost\n127.0.1.1\tworkstation\n"),
            (
                "/etc/os-release",
                "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nID=debian\n",
            ),
            ("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n"),
            ("/etc/group", "root:x:0:\n"),
        ] {
            let _ = files.write(path, text.as_bytes());
        }
        for program in PROGRAMS.iter().chain(commands) {
            let path = format!("/usr/bin/{program}");
            let _ = files.write(&path, format!("#!/bin/sh\nexec {program} \"$@\"\n").as_bytes());
            let _ = files.set_mode(&path, 0o755);
        }
        Shell { files, seed, scripts: 0 }
    }

    /// The same machine, switched on at `now`: its files are as old as they were, its draws are others.
    #[must_use]
    pub fn started(&self, now: SimTime, seed: u64) -> Self {
        let mut shell = Shell { files: self.files.clone(), seed, scripts: 0 };
        shell.files.now = now;
        shell
    }

    /// A digest of its files and of what it will draw.
    pub fn digest(&self) -> u64 {
        let mut key = crate::rng::Key::new(self.seed).number(self.scripts);
        for (path, node) in self.files.iter() {
            let content: &[u8] = match &node.kind {
                vfs::Kind::File(content) => content,
                vfs::Kind::Folder => &[],
                vfs::Kind::Link(target) => target.as_bytes(),
            };
            key = key.part(path).number(u64::from(node.mode)).number(node.modified.as_nanos()).bytes(content);
        }
        key.value()
    }

    /// The same shell with another seed; for an episode of its own.
    pub fn reseed(&mut self, seed: u64) {
        self.seed = seed;
    }

    /// Runs a script until it ends or `deadline` has come.
    pub fn run(&mut self, script: &str, host: &mut dyn Host, deadline: SimTime) -> Outcome {
        self.scripts += 1;
        self.files.now = host.now();
        match simple::shape(script) {
            Shape::Empty => Outcome::default(),
            Shape::OpenQuote(quote, line) => open_quote(quote, line),
            Shape::Plain(words) => match self.plain(&words, host, deadline) {
                Some(outcome) => outcome,
                None => self.interpret(script, host, deadline),
            },
            Shape::Script => self.interpret(script, host, deadline),
        }
    }

    /// A plain command of the host; `None` when the interpreter has to run it.
    fn plain(&mut self, words: &[String], host: &mut dyn Host, deadline: SimTime) -> Option<Outcome> {
        let (name, args) = words.split_first()?;
        let ours = matches!(name.as_str(), "ls" | "sleep" | "timeout");
        if !ours && !host.has(name) {
            return None;
        }
        if name == "timeout" && !timed_command(args).is_ok_and(|(_, command)| command.first().is_some_and(|c| host.has(c) || c == "sleep"))
        {
            return None;
        }
        let request =
            Request { name: name.clone(), args: args.to_vec(), stdin: Vec::new(), cwd: HOME.to_owned(), env: environment(), deadline };
        let finished = serve(host, &request, &mut self.files);
        let timed_out = host.now() >= deadline && (name == "sleep" || finished.exit_code != 0);
        Some(Outcome {
            stdout: String::from_utf8_lossy(&finished.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&finished.stderr).into_owned(),
            exit_code: finished.exit_code,
            stopped: timed_out.then_some(Stopped::TimedOut),
        })
    }

    #[cfg(feature = "bash")]
    fn interpret(&mut self, script: &str, host: &mut dyn Host, deadline: SimTime) -> Outcome {
        let seed = crate::rng::Key::new(self.seed).part("shell").number(self.scripts).value();
        bash::run(&mut self.files, script, host, &bash::Settings::new(seed, deadline))
    }

    #[cfg(not(feature = "bash"))]
    fn interpret(&mut self, _script: &str, host: &mut dyn Host, _deadline: SimTime) -> Outcome {
        let stderr = format!(
            "this build runs plain commands only ({}): pipes, sequences, variables and other programs need the feature `bash`\n",
            host.names().join(", ")
        );
        Outcome { stderr, exit_code: 127, ..Outcome::default() }
    }
}

/// Runs a request: the commands about time here, all others by the host.
fn serve(host: &mut dyn Host, request: &Request, files: &mut Vfs) -> Finished {
    files.now = host.now();
    match request.name.as_str() {
        "ls" => listing::ls(request, files, host.now()),
        "sleep" => sleep(host, request),
        "timeout" => match timed_command(&request.args) {
            Ok((limit, command)) => {
                let until = limit.map_or(request.deadline, |limit| request.deadline.min(host.now() + limit));
                let (name, args) = command.split_first().map_or((String::new(), &[][..]), |(name, args)| (name.clone(), args));
                let inner = Request { name, args: args.to_vec(), deadline: until, ..request.clone() };
                let mut finished = serve(host, &inner, files);
                if host.now() >= until && (inner.name == "sleep" || finished.exit_code != 0) {
                    finished.exit_code = 124;
                }
                finished
            }
            Err(message) => Finished::fail(125, message),
        },
        _ => host.run(request, files),
    }
}

/// `sleep`: the sum of its arguments, on the host's clock, at most until the deadline.
fn sleep(host: &mut dyn Host, request: &Request) -> Finished {
    if request.args.is_empty() {
        return Finished::fail(1, "sleep: missing operand\nTry 'sleep --help' for more information.\n");
    }
    let mut total = Duration::ZERO;
    for arg in &request.args {
        match duration(arg) {
            Some(span) => total = total.saturating_add(span),
            None => {
                let message = format!("sleep: invalid time interval \u{2018}{arg}\u{2019}\nTry 'sleep --help' for more information.\n");
                return Finished::fail(1, message);
            }
        }
    }
    host.sleep((host.now() + total).min(request.deadline));
    Finished::default()
}

/// A span as `sleep` and `timeout` read it: a number with an optional `s`, `m`, `h` or `d`.
pub fn duration(text: &str) -> Option<Duration> {
    if matches!(text, "inf" | "infinity") {
        return Some(Duration::from_secs(u64::from(u32::MAX)));
    }
    let (number, unit) = match text.char_indices().last()? {
        (at, 's') => (&text[..at], 1.0),
        (at, 'm') => (&text[..at], 60.0),
        (at, 'h') => (&text[..at], 3600.0),
        (at, 'd') => (&text[..at], 86_400.0),
        _ => (text, 1.0),
    };
    let plain = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == '.');
    let seconds = number.parse::<f64>().ok().filter(|_| plain)? * unit;
    Some(Duration::from_secs_f64(seconds.min(f64::from(u32::MAX))))
}

/// Takes `timeout`'s own arguments off: the limit (`None` for 0, which is no limit) and the command.
///
/// # Errors
/// What `timeout` prints about wrong arguments.
fn timed_command(args: &[String]) -> Result<(Option<Duration>, &[String]), String> {
    let mut rest = args;
    while let Some((first, after)) = rest.split_first() {
        rest = match first.as_str() {
            "-s" | "-k" | "--signal" | "--kill-after" => after.get(1..).unwrap_or(&[]),
            "--" => {
                rest = after;
                break;
            }
            option if option.starts_with('-') && option.len() > 1 => after,
            _ => break,
        };
    }
    let usage = "Try 'timeout --help' for more information.\n";
    match rest.split_first() {
        Some((limit, command)) if !command.is_empty() => match duration(limit) {
            Some(span) => Ok((Some(span).filter(|span| !span.is_zero()), command)),
            None => Err(format!("timeout: invalid time interval \u{2018}{limit}\u{2019}\n{usage}")),
        },
        _ => Err(format!("timeout: missing operand\n{usage}")),
    }
}

/// What a shell exports to its commands.
pub(crate) fn environment() -> BTreeMap<String, String> {
    let pairs = [
        ("HOME", HOME),
        ("HOSTNAME", "workstation"),
        ("LANG", "C.UTF-8"),
        ("LOGNAME", "root"),
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("PWD", HOME),
        ("SHELL", "/bin/bash"),
        ("TERM", "dumb"),
        ("USER", "root"),
    ];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn open_quote(quote: char, line: usize) -> Outcome {
    Outcome {
        stderr: format!("bash: -c: line {line}: unexpected EOF while looking for matching `{quote}'\n"),
        exit_code: 2,
        ..Outcome::default()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A host with two commands and a clock.
    pub struct TestHost {
        pub clock: SimTime,
    }

    impl Host for TestHost {
        fn has(&self, name: &str) -> bool {
            self.names().contains(&name)
        }
        fn run(&mut self, request: &Request, files: &mut Vfs) -> Finished {
            match request.name.as_str() {
                "args" => Finished::ok(format!("{:?}\n", request.args)),
                "input" => Finished::ok(request.stdin.clone()),
                "show" => match request.args.first().map(|path| files.read(&vfs::normal(&request.cwd, path))) {
                    Some(Ok(content)) => Finished::ok(content.to_vec()),
                    _ => Finished::fail(1, "show: no such file\n"),
                },
                _ => {
                    self.clock = request.deadline;
                    Finished::fail(1, "gave up waiting\n")
                }
            }
        }
        fn names(&self) -> &[&'static str] {
            &["args", "input", "show", "wait-long"]
        }
        fn now(&self) -> SimTime {
            self.clock
        }
        fn sleep(&mut self, until: SimTime) {
            self.clock = self.clock.max(until);
        }
    }

    pub fn run_all(scripts: &[&str]) -> (Vec<Outcome>, f64) {
        let mut host = TestHost { clock: SimTime::from_secs(1_767_225_600) };
        let start = host.clock;
        let mut shell = Shell::new(host.clock, 7, &["args"]);
        let outcomes = scripts
            .iter()
            .map(|script| {
                let deadline = host.clock + Duration::from_secs(30);
                shell.run(script, &mut host, deadline)
            })
            .collect();
        (outcomes, host.clock.since(start).as_secs_f64())
    }

    #[test]
    fn plain_commands_need_no_interpreter() {
        let (outcomes, took) = run_all(&["args a 'b c'", "sleep 2.5", "sleep x", "timeout 3 sleep 10", "timeout 5 wait-long", "args \"a"]);
        assert_eq!(outcomes[0].stdout, "[\"a\", \"b c\"]\n");
        assert_eq!(outcomes[2].stderr, "sleep: invalid time interval \u{2018}x\u{2019}\nTry 'sleep --help' for more information.\n");
        assert_eq!((outcomes[3].exit_code, &outcomes[3].stopped), (124, &None));
        assert_eq!((outcomes[4].exit_code, outcomes[4].stderr.as_str()), (124, "gave up waiting\n"));
        assert_eq!(outcomes[5].stderr, "bash: -c: line 1: unexpected EOF while looking for matching `\"'\n");
        assert!((took - 10.5).abs() < 1e-9, "{took}");
    }

    #[test]
    fn the_deadline_ends_everything() {
        let (outcomes, took) = run_all(&["sleep 100", "wait-long"]);
        assert_eq!(outcomes[0].stopped, Some(Stopped::TimedOut));
        assert_eq!(outcomes[1].stopped, Some(Stopped::TimedOut));
        assert!((took - 60.0).abs() < 1e-9, "{took}");
    }

    #[cfg(not(feature = "bash"))]
    #[test]
    fn scripts_need_the_feature() {
        let (outcomes, _) = run_all(&["args a | cat"]);
        assert_eq!(outcomes[0].exit_code, 127);
        assert!(outcomes[0].stderr.contains("feature `bash`"), "{}", outcomes[0].stderr);
    }
}
