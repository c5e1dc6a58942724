//! Builtins that the interpreter would answer from the host's clock or randomness: `date`, `sleep`, `timeout`, `mktemp`, `shuf`.

use super::bash::{Post, build, interpret, request, result};
use super::vfs::normal;
use super::{Finished, Request, timed_command};
use crate::rng::{Key, Stream};
use bashkit::{Bash, Builtin, BuiltinContext, ExecResult, async_trait};
use std::sync::{Arc, Mutex, PoisonError};

/// The pinned builtins of one interpreter.
pub(super) fn builtins(post: &Post) -> Vec<(&'static str, Box<dyn Builtin>)> {
    let stream = |purpose| Mutex::new(Key::new(post.seed).part(purpose).stream());
    vec![
        ("date", Box::new(Date(post.clone()))),
        ("sleep", Box::new(Sleep(post.clone()))),
        ("timeout", Box::new(Timeout(post.clone()))),
        ("mktemp", Box::new(MakeTemporary(stream("mktemp")))),
        ("shuf", Box::new(Shuffle(stream("shuf")))),
    ]
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
        let epoch = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let script = format!("date {}", quoted(context.args));
        Bash::builder().fs(context.fs.clone()).fixed_epoch(epoch).build().exec(&script).await
    }
}

/// `sleep`, in the episode's time.
struct Sleep(Post);

#[async_trait]
impl Builtin for Sleep {
    async fn execute(&self, context: BuiltinContext<'_>) -> bashkit::Result<ExecResult> {
        Ok(result(self.0.ask(request("sleep", &context)).await.0))
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
        let mut bash = build(context.fs.clone(), &post, now, &context.cwd.to_string_lossy());
        let ran = interpret(&mut bash, &[&quoted(command)], &printed).await;
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
