//! Scripts in containers: `sh -c`, script files, and tools that the shell brings along.
//!
//! With the feature `bash` the interpreter behind [`crate::shell`] runs them; without it [`super::plain`] does. What the two
//! print about their own errors is worded as the image's shell words it.

use super::Session;
use crate::app::Shell as Kind;
use crate::shell::{Finished, Request, Vfs};
use std::collections::BTreeMap;
use std::time::Duration;

/// Tools that a shell's interpreter brings along and an image may lack.
const BROUGHT_ALONG: &[&str] = &[
    "apk",
    "apt",
    "apt-get",
    "awk",
    "bash",
    "bc",
    "column",
    "comm",
    "cmp",
    "diff",
    "dig",
    "egrep",
    "fgrep",
    "file",
    "find",
    "gzip",
    "hexdump",
    "host",
    "hostname",
    "iconv",
    "jq",
    "ldd",
    "less",
    "lsof",
    "make",
    "man",
    "md5sum",
    "more",
    "nl",
    "od",
    "openssl",
    "perl",
    "pgrep",
    "pidof",
    "pip",
    "pkill",
    "psql",
    "python",
    "python3",
    "rev",
    "sed",
    "sha256sum",
    "socat",
    "split",
    "ss",
    "strace",
    "strings",
    "tac",
    "tar",
    "tcpdump",
    "telnet",
    "top",
    "tree",
    "vi",
    "vim",
    "vmstat",
    "watch",
    "xargs",
    "xxd",
    "zcat",
];

/// Programs of the applications that scripts may call by name.
const PROGRAMS: &[&str] = &[
    "consul",
    "frontend",
    "geo",
    "memcached",
    "mongod",
    "nginx",
    "profile",
    "rate",
    "recommendation",
    "redis-server",
    "reservation",
    "search",
    "user",
];

/// Names of the commands that a script gets from the session: its tools, and those that the image lacks.
pub(super) fn names(session: &Session<'_>) -> Vec<&'static str> {
    let lacking = BROUGHT_ALONG.iter().copied().filter(|name| !session.image.has(name));
    let mut all: Vec<&'static str> = super::TOOLS.iter().map(|(name, _)| *name).chain(lacking).collect();
    all.extend(PROGRAMS.iter().copied().filter(|name| session.image.has(name)));
    all.sort_unstable();
    all.dedup();
    all
}

/// What the shell exports by itself, on a workstation.
pub(super) fn workstation_environment() -> BTreeMap<String, String> {
    crate::shell::environment()
}

/// What a shell says about a command that is not there.
pub(super) fn unknown(session: &Session<'_>, name: &str) -> Finished {
    Finished::fail(
        127,
        match session.shell_name.as_str() {
            "bash" => format!("bash: line 1: {name}: command not found\n"),
            shell if session.image.shell == Some(Kind::Ash) => format!("{shell}: {name}: not found\n"),
            shell => format!("{shell}: 1: {name}: not found\n"),
        },
    )
}

/// Runs `sh` and its kin: `-c SCRIPT`, a file, or what it reads.
pub(super) fn shell(session: &mut Session<'_>, request: &Request, files: &mut Vfs) -> Finished {
    let mut words = request.args.iter();
    let (mut inline, mut rest) = (false, Vec::new());
    for word in words.by_ref() {
        if rest.is_empty() && word.starts_with('-') && word.len() > 1 && !word.starts_with("--") {
            inline |= word.contains('c');
        } else if !(rest.is_empty() && word.starts_with("--")) {
            rest.push(word.clone());
        }
    }
    let (text, args) = match (inline, rest.split_first()) {
        (true, None) => return Finished::fail(2, format!("{0}: -c: option requires an argument\n", request.name)),
        (true, Some((script, args))) => (script.clone(), args.get(1..).unwrap_or(&[]).to_vec()),
        (false, Some((path, args))) => match files.read(&crate::shell::vfs::normal(&request.cwd, path)) {
            Ok(content) => (String::from_utf8_lossy(&content).into_owned(), args.to_vec()),
            Err(_) if request.name == "bash" => return Finished::fail(127, format!("bash: {path}: No such file or directory\n")),
            Err(_) => return Finished::fail(2, format!("{0}: 0: cannot open {path}: No such file\n", request.name)),
        },
        (false, None) => (String::from_utf8_lossy(&request.stdin).into_owned(), Vec::new()),
    };
    // A script that is read leaves nothing to its commands.
    session.input = if inline || !rest.is_empty() { request.stdin.clone() } else { Vec::new() };
    run(session, &request.name, (&text, &args), files)
}

/// Runs a script in a shell of this name.
pub(super) fn run(session: &mut Session<'_>, shell: &str, (text, args): (&str, &[String]), files: &mut Vfs) -> Finished {
    let outer = std::mem::replace(&mut session.shell_name, shell.to_owned());
    let is_bash = matches!(shell, "bash" | "zsh");
    session.depth += 1;
    let finished = if session.depth > 8 {
        Finished::fail(126, format!("{shell}: scripts are nested too deeply\n"))
    } else if let Some(refused) = dash_refuses(text, shell).filter(|_| !is_bash && session.image.shell != Some(Kind::Ash)) {
        refused
    } else {
        let (text, lost) = sockets(session, text, is_bash);
        let finished = interpret(session, &text, args, files);
        worded(session, finished, &lost)
    };
    session.depth -= 1;
    session.shell_name = outer;
    finished
}

/// What dash says about syntax that only bash has.
fn dash_refuses(text: &str, shell: &str) -> Option<Finished> {
    text.contains("<<<").then(|| Finished::fail(2, format!("{shell}: 1: Syntax error: redirection unexpected\n")))
}

/// A `/dev/tcp` that leads nowhere: the path that stands for it, and what bash says.
type Lost = Vec<(String, String)>;

/// Tries every `/dev/tcp/HOST/PORT` of a script and puts a path in its place that behaves alike.
fn sockets(session: &mut Session<'_>, text: &str, is_bash: bool) -> (String, Lost) {
    let (mut out, mut lost, mut rest) = (String::new(), Lost::new(), text);
    while let Some(at) = rest.find("/dev/tcp/") {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let end = from.find(|c: char| c.is_whitespace() || matches!(c, ';' | '&' | '|' | ')' | '"' | '\'' | '`')).unwrap_or(from.len());
        let (path, after) = from.split_at(end);
        let (host, port) = path.trim_start_matches("/dev/tcp/").split_once('/').unwrap_or(("", ""));
        let stand_in = format!("/dev/null/{}", lost.len());
        match port.parse::<u16>() {
            Ok(port) if is_bash => {
                use crate::cluster::sim::network::Reach;
                match session.connect(host, port).reach {
                    Reach::Peer(_) => out.push_str("/dev/null"),
                    Reach::Refused => {
                        out.push_str(&stand_in);
                        lost.push((stand_in, format!("bash: connect: Connection refused\nbash: line 1: {path}: Connection refused")));
                    }
                    Reach::Silence => {
                        session.spend(Duration::from_secs(127));
                        out.push_str(&stand_in);
                        lost.push((stand_in, format!("bash: connect: Connection timed out\nbash: line 1: {path}: Connection timed out")));
                    }
                    Reach::NoName | Reach::NoResolver => {
                        out.push_str(&stand_in);
                        lost.push((stand_in, format!("bash: {host}: Name or service not known\nbash: line 1: {path}: Invalid argument")));
                    }
                }
            }
            _ => {
                out.push_str(&stand_in);
                let shell = session.shell_name.clone();
                lost.push((stand_in, format!("{shell}: 1: cannot create {path}: Directory nonexistent")));
            }
        }
        rest = after;
    }
    out.push_str(rest);
    (out, lost)
}

/// Errors of the interpreter in the words of the image's shell.
fn worded(session: &Session<'_>, mut finished: Finished, lost: &Lost) -> Finished {
    if finished.stderr.is_empty() {
        return finished;
    }
    let shell = session.shell_name.clone();
    let ash = session.image.shell == Some(Kind::Ash);
    let text = String::from_utf8_lossy(&finished.stderr).into_owned();
    let mut out = String::new();
    for line in text.lines().map(|l| l.split(". Did you mean").next().unwrap_or(l)) {
        if let Some((_, said)) = lost.iter().find(|(path, _)| line.contains(path.as_str())) {
            out.push_str(said);
        } else if let Some(rest) = line.strip_prefix("bash: ") {
            let (number, rest) = match rest.strip_prefix("line ").and_then(|r| r.split_once(": ")) {
                Some((number, rest)) => (number, rest),
                None => ("1", rest),
            };
            match (shell.as_str(), rest.strip_suffix(": command not found")) {
                ("bash", _) => out.push_str(&format!("bash: line {number}: {rest}")),
                (name, Some(command)) if ash => out.push_str(&format!("{name}: {command}: not found")),
                (name, Some(command)) => out.push_str(&format!("{name}: {number}: {command}: not found")),
                (name, None) if ash => out.push_str(&format!("{name}: {rest}")),
                (name, None) => out.push_str(&format!("{name}: {number}: {rest}")),
            }
        } else if let Some(said) = unreadable(line).filter(|_| ash) {
            out.push_str(&said);
        } else {
            out.push_str(line);
        }
        out.push('\n');
    }
    finished.stderr = out.into_bytes();
    finished
}

/// What BusyBox' `cat` says where coreutils' says this.
fn unreadable(line: &str) -> Option<String> {
    let (path, why) = line.trim_end().strip_prefix("cat: ")?.rsplit_once(": ")?;
    (!path.starts_with("can't open ")).then(|| format!("cat: can't open '{path}': {why}"))
}

/// A word in quotes.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Runs a tool that the session has no code for: the shell brings it along, or nobody does.
pub(super) fn tool(session: &mut Session<'_>, request: &Request, files: &mut Vfs) -> Finished {
    let words: Vec<String> = std::iter::once(&request.name).chain(&request.args).map(|w| quoted(w)).collect();
    let mut line = words.join(" ");
    if !request.stdin.is_empty() {
        let _ = files.write(INPUT, &request.stdin);
        line.push_str(" < ");
        line.push_str(INPUT);
    }
    let outer = std::mem::replace(&mut session.shell_name, "bash".to_owned());
    let mut finished = interpret(session, &line, &[], files);
    session.shell_name = outer;
    let _ = files.remove(INPUT, false);
    // The program is in the image, so nobody would say that it is not; what is missing is a model of it.
    if finished.exit_code == 127 && String::from_utf8_lossy(&finished.stderr).contains("command not found") {
        finished = Finished::fail(126, format!("{}: this simulation has no model of this program\n", request.name));
    }
    if session.image.shell == Some(Kind::Ash) && request.name == "cat" {
        let text = String::from_utf8_lossy(&finished.stderr).into_owned();
        finished.stderr =
            text.lines().map(|line| unreadable(line).unwrap_or_else(|| line.to_owned()) + "\n").collect::<String>().into_bytes();
    }
    finished
}

/// Where a script's standard input lies while it runs.
const INPUT: &str = "/tmp/.input";

#[cfg(feature = "bash")]
fn interpret(session: &mut Session<'_>, text: &str, args: &[String], files: &mut Vfs) -> Finished {
    use crate::shell::{Host, Shell};
    let seed =
        crate::rng::Key::new(session.world.seed).part("container-shell").number(session.run.0).number(session.world.now.as_nanos()).value();
    let now = Host::now(session);
    let mut prelude = String::new();
    for (name, value) in session.environment() {
        if text.contains(name.as_str()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            prelude.push_str(&format!("export {name}={}; ", quoted(&value)));
        }
    }
    prelude.push_str(&format!("cd {}; ", quoted(&session.image.workdir)));
    if !args.is_empty() {
        let words: Vec<String> = args.iter().map(|a| quoted(a)).collect();
        prelude.push_str(&format!("set -- {}; ", words.join(" ")));
    }
    let mut shell = Shell::new(now, seed, &[]);
    shell.files = std::mem::replace(files, Vfs::new(now));
    let input = std::mem::take(&mut session.input);
    let fed = !input.is_empty() && shell.files.write(INPUT, &input).is_ok();
    let text = if fed { format!("{{ {text}\n}} < {INPUT}") } else { text.to_owned() };
    let deadline = session.world.now + session.limit;
    let outcome = shell.run(&format!("{prelude}{text}"), session, deadline);
    if fed {
        let _ = shell.files.remove(INPUT, false);
    }
    *files = std::mem::replace(&mut shell.files, Vfs::new(now));
    Finished { stdout: outcome.stdout.into_bytes(), stderr: outcome.stderr.into_bytes(), exit_code: outcome.exit_code }
}

#[cfg(not(feature = "bash"))]
fn interpret(session: &mut Session<'_>, text: &str, args: &[String], files: &mut Vfs) -> Finished {
    super::plain::run(session, text, args, files)
}
