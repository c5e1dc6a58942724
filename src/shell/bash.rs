//! The interpreter behind the shell: bashkit, polled by hand.
//!
//! A command of the table becomes a builtin that files its request in a [`Post`] and yields; [`run`] takes the request out,
//! serves it, and polls on. bashkit arms tokio timers, so the polls happen inside the context of a runtime whose timers are never
//! driven: no wall clock reaches a script. `sh -c` and `eval` are parsed on a blocking thread of that runtime; the poll loop parks
//! until it wakes, and what it returns does not depend on when.

use super::pinned;
use super::{CommandRequest, Commands, FileError, Files, HOME, Metadata, Node, OUTPUT_BYTES_MAX, Shell, ShellOutput};
use crate::time::SimTime;
use bashkit::{Bash, Builtin, BuiltinContext, DirEntry, ExecResult, ExecutionLimits, FileSystem, FileSystemExt, FileType, async_trait};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// What a script asks of the table of commands.
#[derive(Clone)]
pub(super) enum Ask {
    /// Run a command.
    Run(CommandRequest),
    /// Let time pass.
    Sleep(Duration),
    /// What time is it.
    Now,
}

/// What is answered.
#[derive(Clone)]
pub(super) enum Answer {
    /// A command's output.
    Ran(ShellOutput),
    /// Whether all of the time passed.
    Slept(bool),
    /// The present instant.
    Now(SimTime),
}

/// Where requests are filed and answers are put.
#[derive(Default)]
struct Slot {
    asked: Option<Ask>,
    answered: Option<Answer>,
}

/// The way from builtins to the table of commands.
#[derive(Clone, Default)]
pub(super) struct Post(Arc<Mutex<Slot>>);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Post {
    /// Files a request and waits for the answer.
    pub(super) async fn ask(&self, ask: Ask) -> Answer {
        locked(&self.0).asked = Some(ask);
        std::future::poll_fn(|_| locked(&self.0).answered.take().map_or(Poll::Pending, Poll::Ready)).await
    }
}

struct TableCommand {
    name: String,
    post: Post,
}

#[async_trait]
impl Builtin for TableCommand {
    async fn execute(&self, context: BuiltinContext<'_>) -> bashkit::Result<ExecResult> {
        let mut argv = vec![self.name.clone()];
        argv.extend(context.args.iter().cloned());
        let stdin = context.stdin_bytes().unwrap_or_default().to_vec();
        let cwd = context.cwd.to_string_lossy().into_owned();
        match self.post.ask(Ask::Run(CommandRequest { argv, stdin, cwd })).await {
            Answer::Ran(output) => Ok(result(output)),
            _ => Ok(ExecResult::err(String::new(), 1)),
        }
    }
}

pub(super) fn result(output: ShellOutput) -> ExecResult {
    ExecResult { stdout: output.stdout.into(), stderr: output.stderr.into(), exit_code: output.exit_code, ..ExecResult::default() }
}

/// Builtins of the interpreter that no ordinary machine has, or that would tell of the host.
const LEFT_OUT: &[&str] = &[
    "http", "log", "json", "csv", "tomlq", "semver", "template", "retry", "verify", "assert", "dotenv", "vi", "vim", "nano", "more",
    "less", "sudo", "busybox", "pr", "users", "who", "pgrep", "pkill", "git", "ssh", "scp", "sftp", "curl", "wget", "parallel", "patch",
    "ulimit", "bc", "yq", "rg", "zip", "unzip", "numfmt", "nproc", "df", "du", "flock", "python", "python3", "watch",
];

/// Runs a script in the interpreter.
pub(super) fn run(shell: &mut Shell, script: &str, commands: &mut dyn Commands) -> ShellOutput {
    let files = Arc::new(Mutex::new(std::mem::replace(&mut shell.files, Files::new(commands.now()))));
    let post = Post::default();
    let output = {
        let _context = runtime().enter();
        let mut bash = build(shell, &files, &post, commands);
        let script = script.replace("SRANDOM", "RANDOM"); // the interpreter takes $SRANDOM from the operating system
        let seeded = format!("RANDOM={}", shell.stream("random", 0).below(32768));
        drive(bash.exec(&seeded), &post, &files, commands).and_then(|_| drive(bash.exec(&script), &post, &files, commands))
    };
    shell.files = locked(&files).clone();
    match output {
        Ok(done) => {
            ShellOutput { stdout: done.stdout.as_bytes().to_vec(), stderr: done.stderr.as_bytes().to_vec(), exit_code: done.exit_code }
        }
        Err(error) => failure(&error),
    }
}

fn failure(error: &bashkit::Error) -> ShellOutput {
    let text = error.to_string();
    let text = text.strip_prefix("parse error: ").unwrap_or(&text);
    let line = if text.starts_with("bash:") { format!("{text}\n") } else { format!("bash: {text}\n") };
    ShellOutput::failure(line, 2)
}

fn build(shell: &Shell, files: &Arc<Mutex<Files>>, post: &Post, commands: &dyn Commands) -> Bash {
    let limits = ExecutionLimits {
        timeout: Duration::from_secs(u64::MAX / 4),
        parser_timeout: Duration::from_secs(u64::MAX / 4),
        max_commands: 20_000,
        max_loop_iterations: 10_000,
        max_total_loop_iterations: 100_000,
        max_stdout_bytes: OUTPUT_BYTES_MAX,
        max_stderr_bytes: OUTPUT_BYTES_MAX,
        max_live_intermediate_bytes: 16 * OUTPUT_BYTES_MAX as u64,
        max_aggregate_input_bytes: 64 * OUTPUT_BYTES_MAX as u64,
        ..ExecutionLimits::default()
    };
    let mut builder = Bash::builder()
        .fs(Arc::new(FileView(Arc::clone(files))))
        .limits(limits)
        .concurrent_jobs(false)
        .username("operator")
        .hostname("workstation")
        .cwd(HOME)
        .env("HOME", HOME)
        .env("USER", "operator")
        .env("SHELL", "/bin/bash")
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LANG", "C.UTF-8")
        .fixed_epoch(i64::try_from(commands.now().as_secs()).unwrap_or(i64::MAX))
        .builtin_filter(|name| !LEFT_OUT.contains(&name));
    for name in commands.names() {
        builder = builder.builtin(name.clone(), Box::new(TableCommand { name, post: post.clone() }));
    }
    for (name, builtin) in pinned::builtins(shell, post) {
        builder = builder.builtin(name, builtin);
    }
    builder.build()
}

/// Polls a future to its end, serving what it files on the way.
fn drive<T>(future: impl Future<Output = T>, post: &Post, files: &Arc<Mutex<Files>>, commands: &mut dyn Commands) -> T {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        let asked = locked(&post.0).asked.take();
        match asked {
            Some(ask) => {
                let answer = serve(ask, files, commands);
                locked(&post.0).answered = Some(answer);
            }
            None => std::thread::park(),
        }
    }
}

fn serve(ask: Ask, files: &Arc<Mutex<Files>>, commands: &mut dyn Commands) -> Answer {
    let answer = match ask {
        Ask::Run(request) => Answer::Ran(commands.run(&mut locked(files), &request)),
        Ask::Sleep(span) => Answer::Slept(commands.sleep(span)),
        Ask::Now => Answer::Now(commands.now()),
    };
    locked(files).set_now(commands.now());
    answer
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// A runtime that exists for its context alone: nothing is ever spawned on it and its timers are never driven.
fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .max_blocking_threads(2)
            .build()
            .expect("a current-thread runtime without I/O needs nothing from the system that could be refused")
    })
}

/// The shell's files as the interpreter sees them.
struct FileView(Arc<Mutex<Files>>);

fn path_text(path: &Path) -> String {
    Files::absolute("/", &path.to_string_lossy())
}

fn io_error(error: FileError) -> bashkit::Error {
    use std::io::ErrorKind;
    let kind = match error {
        FileError::NotFound => ErrorKind::NotFound,
        FileError::Exists => ErrorKind::AlreadyExists,
        FileError::IsFolder => ErrorKind::IsADirectory,
        FileError::NotFolder => ErrorKind::NotADirectory,
        FileError::NotEmpty => ErrorKind::DirectoryNotEmpty,
        FileError::NoSpace => ErrorKind::StorageFull,
        FileError::LinkLoop => ErrorKind::Other,
    };
    std::io::Error::new(kind, error.to_string()).into()
}

#[expect(clippy::disallowed_types, reason = "the interpreter's type for file times; the value is the episode's")]
fn system_time(at: SimTime) -> std::time::SystemTime {
    std::time::SystemTime::UNIX_EPOCH + Duration::from_nanos(at.as_nanos())
}

fn metadata(from: &Metadata) -> bashkit::Metadata {
    let (file_type, size) = match &from.node {
        Node::File(content) => (FileType::File, content.len() as u64),
        Node::Folder => (FileType::Directory, 4096),
        Node::Link(target) => (FileType::Symlink, target.len() as u64),
    };
    let time = system_time(from.modified);
    bashkit::Metadata { file_type, size, mode: from.mode, modified: time, created: time }
}

impl FileView {
    fn with<T>(&self, act: impl FnOnce(&mut Files) -> Result<T, FileError>) -> bashkit::Result<T> {
        act(&mut locked(&self.0)).map_err(io_error)
    }
}

impl FileSystemExt for FileView {}

#[async_trait]
impl FileSystem for FileView {
    async fn read_file(&self, path: &Path) -> bashkit::Result<Vec<u8>> {
        self.with(|files| files.read(&path_text(path)).map(|content| content.to_vec()))
    }
    async fn write_file(&self, path: &Path, content: &[u8]) -> bashkit::Result<()> {
        self.with(|files| files.write(&path_text(path), content))
    }
    async fn append_file(&self, path: &Path, content: &[u8]) -> bashkit::Result<()> {
        self.with(|files| {
            let path = path_text(path);
            let mut whole = match files.read(&path) {
                Ok(old) => old.to_vec(),
                Err(FileError::NotFound) => Vec::new(),
                Err(error) => return Err(error),
            };
            whole.extend_from_slice(content);
            files.write(&path, &whole)
        })
    }
    async fn mkdir(&self, path: &Path, recursive: bool) -> bashkit::Result<()> {
        self.with(|files| {
            let path = path_text(path);
            if recursive {
                files.make_folders(&path);
                return files.list(&path).map(|_| ());
            }
            files.make_folder(&path)
        })
    }
    async fn remove(&self, path: &Path, recursive: bool) -> bashkit::Result<()> {
        self.with(|files| files.remove(&path_text(path), recursive))
    }
    async fn stat(&self, path: &Path) -> bashkit::Result<bashkit::Metadata> {
        self.with(|files| files.stat(&path_text(path)).map(|m| metadata(&m)))
    }
    async fn lstat(&self, path: &Path) -> bashkit::Result<bashkit::Metadata> {
        self.with(|files| files.lstat(&path_text(path)).map(|m| metadata(&m)))
    }
    async fn read_dir(&self, path: &Path) -> bashkit::Result<Vec<DirEntry>> {
        let entries = self.with(|files| files.list(&path_text(path)))?;
        Ok(entries.into_iter().map(|(name, m)| DirEntry { name, metadata: metadata(&m) }).collect())
    }
    async fn exists(&self, path: &Path) -> bashkit::Result<bool> {
        Ok(locked(&self.0).stat(&path_text(path)).is_ok())
    }
    async fn rename(&self, from: &Path, to: &Path) -> bashkit::Result<()> {
        self.with(|files| files.rename(&path_text(from), &path_text(to)))
    }
    async fn copy(&self, from: &Path, to: &Path) -> bashkit::Result<()> {
        self.with(|files| {
            let content = files.read(&path_text(from))?;
            files.write(&path_text(to), &content)
        })
    }
    async fn symlink(&self, target: &Path, link: &Path) -> bashkit::Result<()> {
        self.with(|files| files.link(&target.to_string_lossy(), &path_text(link)))
    }
    async fn read_link(&self, path: &Path) -> bashkit::Result<PathBuf> {
        self.with(|files| match files.lstat(&path_text(path))?.node {
            Node::Link(target) => Ok(PathBuf::from(target)),
            _ => Err(FileError::NotFound),
        })
    }
    async fn chmod(&self, path: &Path, mode: u32) -> bashkit::Result<()> {
        self.with(|files| files.set_mode(&path_text(path), mode))
    }
    #[expect(clippy::disallowed_types, reason = "the interpreter's type for file times")]
    async fn set_modified_time(&self, path: &Path, _time: std::time::SystemTime) -> bashkit::Result<()> {
        // `touch` passes the host's present time; the file system's own is the episode's.
        self.with(|files| {
            let now = files.now();
            files.set_modified(&path_text(path), now)
        })
    }
}
