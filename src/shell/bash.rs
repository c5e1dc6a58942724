//! The interpreter behind the shell: bashkit, polled by hand.
//!
//! A command of the host becomes a builtin that files its request in a [`Post`] and yields; [`run`] takes the request out, serves
//! it, and polls on. bashkit arms tokio timers, so the polls happen inside the context of a runtime whose timers are never driven:
//! no wall clock reaches a script. `sh -c` and `eval` are parsed on a blocking thread of that runtime; the poll loop parks until it
//! wakes, and what it returns does not depend on when. A script whose time is over is cancelled at its next request.

use super::pinned;
use super::vfs::{Kind, Node, normal};
use super::{FileError, Finished, HOME, Host, Outcome, Request, Stopped, Vfs, environment, serve};
use crate::time::SimTime;
use bashkit::{Bash, Builtin, BuiltinContext, DirEntry, ExecResult, ExecutionLimits, FileSystem, FileSystemExt, FileType, async_trait};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// Bytes of standard output, and of standard error, that a script may print; what comes after is dropped.
const OUTPUT_BYTES_MAX: usize = 10 * 1024 * 1024;

/// Bytes of a script; a longer one is refused. Below the size at which the interpreter would parse on a thread.
const SCRIPT_BYTES_MAX: usize = 16 * 1024;

/// What pins a script.
pub(super) struct Settings {
    /// Seed of its random draws.
    pub(super) seed: u64,
    /// When its time is over.
    deadline: SimTime,
}

impl Settings {
    /// The settings of one script.
    pub(super) fn new(seed: u64, deadline: SimTime) -> Self {
        Settings { seed, deadline }
    }
}

/// Where requests are filed and answers are put.
#[derive(Default)]
struct Slot {
    asked: Option<Request>,
    answered: Option<(Finished, SimTime)>,
}

/// The way from the builtins of one interpreter to the host.
#[derive(Clone)]
pub(super) struct Post {
    slot: Arc<Mutex<Slot>>,
    /// When the interpreter's time is over.
    pub(super) deadline: SimTime,
    /// Set when that time has come: the interpreter stops at its next command.
    cancel: Arc<OnceLock<Arc<AtomicBool>>>,
    /// Names of the host's commands.
    names: Arc<Vec<&'static str>>,
    /// Seed of random draws.
    pub(super) seed: u64,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Post {
    /// Files a request, waits for the answer, and returns it with the present instant.
    pub(super) async fn ask(&self, mut request: Request) -> (Finished, SimTime) {
        request.deadline = self.deadline;
        locked(&self.slot).asked = Some(request);
        let answer = std::future::poll_fn(|_| locked(&self.slot).answered.take().map_or(Poll::Pending, Poll::Ready)).await;
        if answer.1 >= self.deadline {
            self.expire();
        }
        answer
    }

    fn expire(&self) {
        if let Some(cancel) = self.cancel.get() {
            cancel.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the interpreter was cancelled because its time was over.
    pub(super) fn expired(&self) -> bool {
        self.cancel.get().is_some_and(|cancel| cancel.load(Ordering::Relaxed))
    }

    /// The same way to the host for an interpreter inside, whose time is over earlier.
    pub(super) fn inner(&self, deadline: SimTime) -> Post {
        Post { deadline: deadline.min(self.deadline), cancel: Arc::default(), ..self.clone() }
    }

    /// Whether `name` is a command of the host.
    pub(super) fn serves(&self, name: &str) -> bool {
        self.names.contains(&name)
    }
}

struct HostCommand {
    name: &'static str,
    post: Post,
}

#[async_trait]
impl Builtin for HostCommand {
    async fn execute(&self, context: BuiltinContext<'_>) -> bashkit::Result<ExecResult> {
        let (finished, now) = self.post.ask(request(self.name, &context)).await;
        pinned::clock_variables(context.variables, now);
        Ok(result(finished))
    }
}

/// The request of a builtin's context; its deadline is set when it is filed.
pub(super) fn request(name: &str, context: &BuiltinContext<'_>) -> Request {
    Request {
        name: name.to_owned(),
        args: context.args.to_vec(),
        stdin: context.stdin_bytes().unwrap_or_default().to_vec(),
        cwd: context.cwd.to_string_lossy().into_owned(),
        env: context.env.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        deadline: SimTime::ZERO,
    }
}

pub(super) fn result(output: Finished) -> ExecResult {
    ExecResult { stdout: output.stdout.into(), stderr: output.stderr.into(), exit_code: output.exit_code, ..ExecResult::default() }
}

/// Builtins of the interpreter that no ordinary machine has, that would tell of the host, or that read its clock or randomness.
const LEFT_OUT: &[&str] = &[
    "dd", "fc", "free", "glob", "history", "hostid", "make", "man", "openssl", "uptime", "uuidgen", "http", "log", "json", "csv", "tomlq",
    "semver", "template", "retry", "verify", "assert", "dotenv", "vi", "vim", "nano", "more", "less", "sudo", "busybox", "pr", "users",
    "who", "pgrep", "pkill", "git", "ssh", "scp", "sftp", "curl", "wget", "parallel", "patch", "ulimit", "bc", "yq", "rg", "zip", "unzip",
    "numfmt", "nproc", "df", "du", "flock", "python", "python3", "watch",
];

/// What a script printed so far.
type Printed = Arc<Mutex<(String, String)>>;

/// Runs a script in the interpreter.
pub(super) fn run(files: &mut Vfs, script: &str, host: &mut dyn Host, settings: &Settings) -> Outcome {
    if script.len() > SCRIPT_BYTES_MAX {
        let text = format!("the script has {} bytes; at most {SCRIPT_BYTES_MAX} are run at once: write it to files in parts", script.len());
        return Outcome { stderr: format!("bash: {text}\n"), exit_code: 126, stopped: Some(Stopped::Limit(text)), ..Outcome::default() };
    }
    let shared = Arc::new(Mutex::new(std::mem::replace(files, Vfs::new(host.now()))));
    let post = Post {
        slot: Arc::default(),
        deadline: settings.deadline,
        cancel: Arc::default(),
        names: Arc::new(host.names().to_vec()),
        seed: settings.seed,
    };
    let view: Arc<dyn FileSystem> = Arc::new(FileView { files: Arc::clone(&shared), seed: settings.seed });
    let printed = Printed::default();
    let outcome = {
        let _context = runtime().enter();
        let script = pinned::rename_clock_variables(script);
        let mut bash = build(view, &post, host.now(), HOME, &script);
        let seeded = pinned::prologue(settings.seed, host.now());
        let ran = drive(interpret(&mut bash, &[&seeded, &script], &printed), &post, &shared, host);
        outcome(ran, &post, &printed)
    };
    *files = locked(&shared).clone();
    outcome
}

/// Runs scripts one after the other; what they print is collected on the way, so that a cancelled script's output is kept.
pub(super) async fn interpret(bash: &mut Bash, scripts: &[&str], printed: &Printed) -> bashkit::Result<ExecResult> {
    let mut last = ExecResult::default();
    for script in scripts {
        let collect = Arc::clone(printed);
        let callback = Box::new(move |out: &bashkit::StreamData, err: &bashkit::StreamData| {
            let mut printed = locked(&collect);
            printed.0.push_str(&out.text_lossy());
            printed.1.push_str(&err.text_lossy());
        });
        last = bash.exec_streaming(script, callback).await?;
    }
    Ok(last)
}

fn outcome(ran: bashkit::Result<ExecResult>, post: &Post, printed: &Printed) -> Outcome {
    let timed_out = post.expired().then_some(Stopped::TimedOut);
    let (stdout, mut stderr) = std::mem::take(&mut *locked(printed));
    match ran {
        Ok(done) => {
            let text = |data: &bashkit::StreamData| data.text_lossy().into_owned();
            let cut = (done.stdout_truncated || done.stderr_truncated)
                .then(|| Stopped::Limit(format!("only the first {OUTPUT_BYTES_MAX} bytes of its output are kept")));
            Outcome { stdout: text(&done.stdout), stderr: text(&done.stderr), exit_code: done.exit_code, stopped: timed_out.or(cut) }
        }
        Err(_) if timed_out.is_some() => Outcome { stdout, stderr, exit_code: 124, stopped: timed_out },
        Err(bashkit::Error::ResourceLimit(limit)) => {
            let text = limit.to_string();
            stderr.push_str(&format!("bash: {text}\n"));
            Outcome { stdout, stderr, exit_code: 137, stopped: Some(Stopped::Limit(text)) }
        }
        Err(error) => {
            let text = error.to_string();
            let text = text.strip_prefix("parse error: ").unwrap_or(&text);
            stderr.push_str(&if text.starts_with("bash:") { format!("{text}\n") } else { format!("bash: {text}\n") });
            Outcome { stdout, stderr, exit_code: 2, stopped: None }
        }
    }
}

/// An interpreter over `files` for `script`, whose commands reach the host by `post`.
pub(super) fn build(files: Arc<dyn FileSystem>, post: &Post, now: SimTime, cwd: &str, script: &str) -> Bash {
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
        .fs(files)
        .rootfs(false) // its files are stamped with the host's clock
        .limits(limits)
        .concurrent_jobs(false)
        .username("root")
        .hostname("workstation")
        .cwd(cwd)
        .fixed_epoch(i64::try_from(now.as_secs()).unwrap_or(i64::MAX))
        .builtin_filter(|name| !LEFT_OUT.contains(&name));
    for (key, value) in environment() {
        builder = builder.env(key, value);
    }
    for name in post.names.iter().copied() {
        builder = builder.builtin(name, Box::new(HostCommand { name, post: post.clone() }));
    }
    for (name, builtin) in pinned::builtins(post, script) {
        builder = builder.builtin(name, builtin);
    }
    let bash = builder.build();
    let _ = post.cancel.set(bash.cancellation_token());
    bash
}

/// Polls a future to its end, serving what it files on the way.
fn drive<T>(future: impl Future<Output = T>, post: &Post, files: &Arc<Mutex<Vfs>>, host: &mut dyn Host) -> T {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        let asked = locked(&post.slot).asked.take();
        match asked {
            Some(request) => {
                let finished = serve(host, &request, &mut locked(files));
                locked(files).now = host.now();
                locked(&post.slot).answered = Some((finished, host.now()));
            }
            None => std::thread::park(),
        }
    }
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

/// The shell's files as the interpreter sees them, and the devices.
struct FileView {
    files: Arc<Mutex<Vfs>>,
    /// Fills `/dev/urandom`.
    seed: u64,
}

/// What a device reads as; `None` for any other path.
fn device(path: &str, seed: u64) -> Option<Vec<u8>> {
    match path {
        "/dev/null" => Some(Vec::new()),
        "/dev/zero" => Some(vec![0; 1 << 20]),
        "/dev/urandom" | "/dev/random" => {
            let mut stream = crate::rng::Key::new(seed).part(path).stream();
            Some((0..1024).flat_map(|_| stream.bits().to_le_bytes()).collect())
        }
        _ => None,
    }
}

fn is_device(path: &str) -> bool {
    matches!(path, "/dev/null" | "/dev/zero" | "/dev/urandom" | "/dev/random")
}

fn path_text(path: &Path) -> String {
    normal("/", &path.to_string_lossy())
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
        FileError::Loop | FileError::Invalid => ErrorKind::Other,
    };
    std::io::Error::new(kind, error.to_string()).into()
}

#[expect(clippy::disallowed_types, reason = "the interpreter's type for file times; the value is the episode's")]
fn system_time(at: SimTime) -> std::time::SystemTime {
    std::time::SystemTime::UNIX_EPOCH + Duration::from_nanos(at.as_nanos())
}

fn metadata(node: &Node) -> bashkit::Metadata {
    let file_type = match node.kind {
        Kind::File(_) => FileType::File,
        Kind::Folder => FileType::Directory,
        Kind::Link(_) => FileType::Symlink,
    };
    let time = system_time(node.modified);
    bashkit::Metadata { file_type, size: node.size(), mode: node.mode, modified: time, created: time }
}

impl FileView {
    fn with<T>(&self, act: impl FnOnce(&mut Vfs) -> Result<T, FileError>) -> bashkit::Result<T> {
        act(&mut locked(&self.files)).map_err(io_error)
    }
}

impl FileSystemExt for FileView {}

#[async_trait]
impl FileSystem for FileView {
    async fn read_file(&self, path: &Path) -> bashkit::Result<Vec<u8>> {
        let path = path_text(path);
        match device(&path, self.seed) {
            Some(content) => Ok(content),
            None => self.with(|files| files.read(&path).map(|content| content.to_vec())),
        }
    }
    async fn write_file(&self, path: &Path, content: &[u8]) -> bashkit::Result<()> {
        let path = path_text(path);
        if is_device(&path) { Ok(()) } else { self.with(|files| files.write(&path, content)) }
    }
    async fn append_file(&self, path: &Path, content: &[u8]) -> bashkit::Result<()> {
        let path = path_text(path);
        if is_device(&path) { Ok(()) } else { self.with(|files| files.append(&path, content)) }
    }
    async fn mkdir(&self, path: &Path, recursive: bool) -> bashkit::Result<()> {
        self.with(|files| files.make_folder(&path_text(path), recursive))
    }
    async fn remove(&self, path: &Path, recursive: bool) -> bashkit::Result<()> {
        self.with(|files| files.remove(&path_text(path), recursive))
    }
    async fn stat(&self, path: &Path) -> bashkit::Result<bashkit::Metadata> {
        let path = path_text(path);
        self.with(|files| {
            if is_device(&path) {
                return Ok(metadata(&Node { kind: Kind::File(Arc::default()), mode: 0o666, modified: files.now }));
            }
            let path = files.follow(&path)?;
            files.entry(&path).map(metadata).ok_or(FileError::NotFound)
        })
    }
    async fn lstat(&self, path: &Path) -> bashkit::Result<bashkit::Metadata> {
        self.with(|files| files.entry(&path_text(path)).map(metadata).ok_or(FileError::NotFound))
    }
    async fn read_dir(&self, path: &Path) -> bashkit::Result<Vec<DirEntry>> {
        self.with(|files| {
            let path = files.follow(&path_text(path))?;
            let entries = files.list(&path)?;
            Ok(entries.into_iter().map(|(name, node)| DirEntry { name: name.to_string(), metadata: metadata(node) }).collect())
        })
    }
    async fn exists(&self, path: &Path) -> bashkit::Result<bool> {
        let path = path_text(path);
        let files = locked(&self.files);
        Ok(is_device(&path) || files.follow(&path).is_ok_and(|path| files.entry(&path).is_some()))
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
        self.with(|files| match files.entry(&path_text(path)).map(|node| &node.kind) {
            Some(Kind::Link(target)) => Ok(PathBuf::from(target.as_str())),
            _ => Err(FileError::NotFound),
        })
    }
    async fn chmod(&self, path: &Path, mode: u32) -> bashkit::Result<()> {
        self.with(|files| files.set_mode(&path_text(path), mode))
    }
    #[expect(clippy::disallowed_types, reason = "the interpreter's type for file times")]
    async fn set_modified_time(&self, path: &Path, _time: std::time::SystemTime) -> bashkit::Result<()> {
        // `touch` passes the host's present time; the file system's own is the episode's.
        self.with(|files| files.touch(&path_text(path)))
    }
}
