//! What a script sees of time and chance: pinned to the episode's clock and seed.
//!
//! Builtins that the interpreter would answer from the host's clock or randomness (`date`, `sleep`, `timeout`, `mktemp`, `shuf`, and
//! where a script asks them for it, `sort -R` and `jq`'s `now`), and variables (`$RANDOM`, `$SECONDS`, what `time` prints).

use super::bash::{Post, build, interpret, request, result};
use super::vfs::normal;
use super::{Finished, Request, timed_command};
use crate::rng::{Key, Stream};
use crate::time::SimTime;
use bashkit::{Bash, Builtin, BuiltinContext, ExecOptions, ExecResult, async_trait};
use std::sync::{Arc, Mutex, PoisonError};

/// The pinned builtins of one interpreter.
pub(super) fn builtins(post: &Post, script: &str) -> Vec<(&'static str, Box<dyn Builtin>)> {
    let stream = |purpose| Mutex::new(Key::new(post.seed).part(purpose).stream());
    let mut pinned: Vec<(&'static str, Box<dyn Builtin>)> = vec![
        ("date", Box::new(Date(post.clone()))),
        ("ls", Box::new(Asked("ls", post.clone()))),
        ("sleep", Box::new(Asked("sleep", post.clone()))),
        ("timeout", Box::new(Timeout(post.clone()))),
        ("mktemp", Box::new(MakeTemporary(stream("mktemp")))),
        ("shuf", Box::new(Shuffle(stream("shuf")))),
    ];
    if script.contains("sort") && (script.contains("-R") || script.contains("--random")) {
        pinned.push(("sort", Box::new(RandomSort(post.seed))));
    }
    if script.contains("jq") && script.contains("now") {
        pinned.push(("jq", Box::new(Jq(post.clone()))));
    }
    pinned
}

/// The script with `SECONDS` and `SRANDOM` under names that are plain variables; the interpreter computes the original ones itself.
pub fn rename_clock_variables(script: &str) -> String {
    if !script.contains("SECONDS") && !script.contains("SRANDOM") {
        return script.to_owned();
    }
    let mut out = String::with_capacity(script.len());
    let mut word = String::new();
    for c in script.chars().chain(['\0']) {
        if c.is_ascii_alphanumeric() || c == '_' {
            word.push(c);
            continue;
        }
        out.push_str(match word.as_str() {
            "SECONDS" => "SHELL_SECONDS",
            "SRANDOM" => "SHELL_RANDOM",
            other => other,
        });
        word.clear();
        out.push(c);
    }
    out.pop();
    out
}

/// Assignments that come before a script.
pub fn prologue(seed: u64, now: SimTime) -> String {
    let mut stream = Key::new(seed).part("variables").stream();
    format!(
        "RANDOM={}; SHELL_RANDOM={}; SHELL_SECONDS=0; SHELL_SECONDS_SET=0; SHELL_START={}; EPOCHSECONDS={}; EPOCHREALTIME={}; TIMEFORMAT='{}'",
        stream.below(32_768),
        stream.below(1 << 32),
        now.as_nanos(),
        now.as_secs(),
        real_time(now),
        time_format(0.0)
    )
}

fn real_time(now: SimTime) -> String {
    format!("{}.{:06}", now.as_secs(), now.as_nanos() % 1_000_000_000 / 1000)
}

/// What `time` prints when `seconds` have passed since the script began.
fn time_format(seconds: f64) -> String {
    let minutes = (seconds / 60.0) as u64;
    format!("\nreal\t{minutes}m{:.3}s\nuser\t0m0.000s\nsys\t0m0.000s", seconds - minutes as f64 * 60.0)
}

/// Brings the variables about time up to date after a command of the host.
#[expect(clippy::disallowed_types, reason = "the interpreter's own table of variables; looked up by name only")]
pub fn clock_variables(variables: &mut std::collections::HashMap<String, String>, now: SimTime) {
    let number = |name: &str| variables.get(name).and_then(|text| text.parse::<u64>().ok());
    let start = SimTime::from_nanos(number("SHELL_START").unwrap_or(now.as_nanos()));
    let elapsed = now.since(start);
    // A script may have set SECONDS itself; it counts on from there.
    let (shown, set) = (number("SHELL_SECONDS").unwrap_or(0), number("SHELL_SECONDS_SET").unwrap_or(0));
    let base = i128::from(shown) - i128::from(set);
    let base = base + variables.get("SHELL_SECONDS_BASE").and_then(|text| text.parse::<i128>().ok()).unwrap_or(0);
    let seconds = (i128::from(elapsed.as_secs()) + base).max(0);
    for (name, value) in [
        ("SHELL_SECONDS", seconds.to_string()),
        ("SHELL_SECONDS_SET", seconds.to_string()),
        ("SHELL_SECONDS_BASE", base.to_string()),
        ("EPOCHSECONDS", now.as_secs().to_string()),
        ("EPOCHREALTIME", real_time(now)),
        ("TIMEFORMAT", time_format(elapsed.as_secs_f64())),
    ] {
        variables.insert(name.to_owned(), value);
    }
}

fn draw<T>(stream: &Mutex<Stream>, act: impl FnOnce(&mut Stream) -> T) -> T {
    act(&mut stream.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A request that does nothing and whose answer tells the time.
fn nothing() -> Request {
    Request { name: "sleep".to_owned(), args: vec!["0".to_owned()], ..Request::default() }
}

fn quoted(words: &[String]) -> String {
    words.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect::<Vec<_>>().join(" ")
}

/// `date`, at the episode's present instant, by an interpreter of its own whose clock stands there.
struct Date(Post);

#[async_trait]
impl Builtin for Date {
    async fn execute(&self, context: BuiltinContext<'_>) -> bashkit::Result<ExecResult> {
        let (_, now) = self.0.ask(nothing()).await;
        clock_variables(context.variables, now);
        let epoch = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let script = format!("date {}", quoted(context.args));
        Bash::builder().fs(context.fs.clone()).fixed_epoch(epoch).build().exec(&script).await
    }
}

/// A command that the shell itself serves: `sleep` in the episode's time, `ls` of the episode's files.
struct Asked(&'static str, Post);

#[async_trait]
impl Builtin for Asked {
    async fn execute(&self, context: BuiltinContext<'_>) -> bashkit::Result<ExecResult> {
        let (finished, now) = self.1.ask(request(self.0, &context)).await;
        clock_variables(context.variables, now);
        Ok(result(finished))
    }
}

/// `timeout`, in the episode's time: a command of the host gets an earlier deadline, anything else an interpreter of its own that
/// has one.
struct Timeout(Post);

#[async_trait]
impl Builtin for Timeout {
    async fn execute(&self, context: BuiltinContext<'_>) -> bashkit::Result<ExecResult> {
        let (limit, command) = match timed_command(context.args) {
            Ok(timed) => timed,
            Err(message) => return Ok(result(Finished::fail(125, message))),
        };
        if command.first().is_some_and(|name| self.0.serves(name) || name == "sleep") {
            return Ok(result(self.0.ask(request("timeout", &context)).await.0));
        }
        let (_, now) = self.0.ask(nothing()).await;
        let post = self.0.inner(limit.map_or(self.0.deadline, |limit| now + limit));
        let printed = Arc::default();
        let script = quoted(command);
        let mut bash = build(context.fs.clone(), &post, now, &context.cwd.to_string_lossy(), &script);
        let ran = interpret(&mut bash, &[&prologue(self.0.seed, now), &script], &printed).await;
        match ran {
            Err(_) if post.expired() => {
                let (stdout, stderr) = std::mem::take(&mut *printed.lock().unwrap_or_else(PoisonError::into_inner));
                Ok(result(Finished { stdout: stdout.into_bytes(), stderr: stderr.into_bytes(), exit_code: 124 }))
            }
            ran => ran,
        }
    }
}

/// `mktemp [-d] [-u] [-q] [-t] [-p DIR] [TEMPLATE]`.
struct MakeTemporary(Mutex<Stream>);

#[async_trait]
impl Builtin for MakeTemporary {
    async fn execute(&self, context: BuiltinContext<'_>) -> bashkit::Result<ExecResult> {
        let (mut folder, mut dry, mut parent, mut template) = (false, false, None, None);
        let mut words = context.args.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "-d" | "--directory" => folder = true,
                "-u" | "--dry-run" => dry = true,
                "-q" | "--quiet" => {}
                "-t" => parent = parent.or(Some("/tmp".to_owned())),
                "-p" => parent = words.next().cloned(),
                other if other.starts_with("--tmpdir=") => parent = Some(other["--tmpdir=".len()..].to_owned()),
                other if other.starts_with('-') => return Ok(ExecResult::err(format!("mktemp: invalid option -- '{}'\n", &other[1..]), 1)),
                other => template = Some(other.to_owned()),
            }
        }
        if template.is_none() {
            parent = parent.or(Some("/tmp".to_owned()));
        }
        let template = template.unwrap_or_else(|| "tmp.XXXXXXXXXX".to_owned());
        let Some(name) = draw(&self.0, |stream| filled(&template, stream)) else {
            return Ok(ExecResult::err(format!("mktemp: too few X's in template '{template}'\n"), 1));
        };
        let printed = parent.map_or(name.clone(), |parent| format!("{}/{name}", parent.trim_end_matches('/')));
        let path = normal(&context.cwd.to_string_lossy(), &printed);
        if !dry {
            let path = std::path::Path::new(&path);
            let made = if folder { context.fs.mkdir(path, false).await } else { context.fs.write_file(path, b"").await };
            if made.is_err() {
                let what = if folder { "directory" } else { "file" };
                return Ok(ExecResult::err(
                    format!("mktemp: failed to create {what} via template '{printed}': No such file or directory\n"),
                    1,
                ));
            }
        }
        Ok(ExecResult::ok(format!("{printed}\n")))
    }
}

/// The template with its last run of X's drawn; `None` when that run is shorter than three.
fn filled(template: &str, stream: &mut Stream) -> Option<String> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let end = template.rfind('X')? + 1;
    let start = template[..end].trim_end_matches('X').len();
    let drawn: String = (start..end).map(|_| ALPHABET[stream.below(ALPHABET.len() as u64) as usize] as char).collect();
    (end - start >= 3).then(|| format!("{}{drawn}{}", &template[..start], &template[end..]))
}

/// `shuf [-e] [-r] [-n COUNT] [-i LOW-HIGH] [FILE | WORD…]`.
struct Shuffle(Mutex<Stream>);

#[async_trait]
impl Builtin for Shuffle {
    async fn execute(&self, context: BuiltinContext<'_>) -> bashkit::Result<ExecResult> {
        let (mut echo, mut repeat, mut count, mut range, mut rest) = (false, false, None, None, Vec::new());
        let mut words = context.args.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "-e" | "--echo" => echo = true,
                "-r" | "--repeat" => repeat = true,
                "-n" => count = words.next().and_then(|n| n.parse::<usize>().ok()),
                "-i" => range = words.next().cloned(),
                other if other.starts_with("-n") => count = other[2..].parse().ok(),
                other if other.starts_with("-i") => range = Some(other[2..].to_owned()),
                other => rest.push(other.to_owned()),
            }
        }
        let lines: Vec<String> = if let Some(range) = range {
            match range.split_once('-').and_then(|(low, high)| Some((low.parse::<u64>().ok()?, high.parse::<u64>().ok()?))) {
                Some((low, high)) if high.saturating_sub(low) < 1_000_000 => (low..=high).map(|n| n.to_string()).collect(),
                _ => return Ok(ExecResult::err(format!("shuf: invalid input range: '{range}'\n"), 1)),
            }
        } else if echo {
            rest
        } else if let Some(file) = rest.first().filter(|f| *f != "-") {
            let path = normal(&context.cwd.to_string_lossy(), file);
            match context.fs.read_file(std::path::Path::new(&path)).await {
                Ok(content) => String::from_utf8_lossy(&content).lines().map(str::to_owned).collect(),
                Err(_) => return Ok(ExecResult::err(format!("shuf: {file}: No such file or directory\n"), 1)),
            }
        } else {
            context.stdin_text_lossy().unwrap_or_default().lines().map(str::to_owned).collect()
        };
        let drawn = draw(&self.0, |stream| shuffled(lines, count, repeat, stream));
        Ok(ExecResult::ok(drawn.iter().map(|line| format!("{line}\n")).collect::<String>()))
    }
}

fn shuffled(mut lines: Vec<String>, count: Option<usize>, repeat: bool, stream: &mut Stream) -> Vec<String> {
    if repeat && !lines.is_empty() {
        return (0..count.unwrap_or(1).min(100_000)).map(|_| lines[stream.below(lines.len() as u64) as usize].clone()).collect();
    }
    for last in (1..lines.len()).rev() {
        lines.swap(last, stream.below(last as u64 + 1) as usize);
    }
    lines.truncate(count.unwrap_or(usize::MAX));
    lines
}

/// `jq`, with `now` at the episode's present instant, by an interpreter of its own.
struct Jq(Post);

#[async_trait]
impl Builtin for Jq {
    async fn execute(&self, context: BuiltinContext<'_>) -> bashkit::Result<ExecResult> {
        let (_, now) = self.0.ask(nothing()).await;
        let args: Vec<String> = context.args.iter().map(|arg| replace_word(arg, "now", &real_time(now))).collect();
        let options = ExecOptions::new().stdin(context.stdin_bytes().unwrap_or_default().to_vec());
        let mut bash = Bash::builder().fs(context.fs.clone()).rootfs(false).cwd(context.cwd.as_path()).build();
        bash.exec_with_options(&format!("jq {}", quoted(&args)), options).await
    }
}

fn replace_word(text: &str, word: &str, by: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let joins = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '$' | '"'));
        let whole = !joins(rest[..at].chars().next_back()) && !joins(rest[at + word.len()..].chars().next());
        out.push_str(&rest[..at]);
        out.push_str(if whole { by } else { word });
        rest = &rest[at + word.len()..];
    }
    out + rest
}

/// `sort -R [-u] [FILE]`: a shuffle that keeps equal lines together. Other options of such a script's sorts are not looked at.
struct RandomSort(u64);

#[async_trait]
impl Builtin for RandomSort {
    async fn execute(&self, context: BuiltinContext<'_>) -> bashkit::Result<ExecResult> {
        let short = |arg: &String, letter: char| arg.starts_with('-') && !arg.starts_with("--") && arg.contains(letter);
        let random = context.args.iter().any(|arg| arg == "--random-sort" || short(arg, 'R'));
        let text = match context.args.iter().find(|arg| !arg.starts_with('-')) {
            Some(file) => {
                let path = normal(&context.cwd.to_string_lossy(), file);
                match context.fs.read_file(std::path::Path::new(&path)).await {
                    Ok(content) => String::from_utf8_lossy(&content).into_owned(),
                    Err(_) => return Ok(ExecResult::err(format!("sort: cannot read: {file}: No such file or directory\n"), 2)),
                }
            }
            None => context.stdin_text_lossy().unwrap_or_default().into_owned(),
        };
        let mut lines: Vec<&str> = text.lines().collect();
        if random {
            lines.sort_by_key(|line| Key::new(self.0).part("sort -R").part(line).value());
        } else {
            lines.sort_unstable();
        }
        if context.args.iter().any(|arg| short(arg, 'u')) {
            lines.dedup();
        }
        Ok(ExecResult::ok(lines.iter().map(|line| format!("{line}\n")).collect::<String>()))
    }
}
