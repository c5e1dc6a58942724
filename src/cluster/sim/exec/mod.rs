//! Programs run by `kubectl exec`, and the command lines of containers that run a tool.
//!
//! A [`Session`] is a process in a container: it sees the container's files, environment and network, and spends time that the
//! caller lets pass afterwards. What is run must be in the image; scripts go through the shell, whose commands come back here.
//!
//! Not modelled: time passes after a program, not inside it, so a script that sleeps sees the cluster as it was at its start;
//! terminals; users other than the container's.

mod busybox;
mod consul;
mod container;
mod fetch;
mod ls;
mod mongo;
#[cfg(not(feature = "bash"))]
mod plain;
mod redis;
mod script;
mod system;
#[cfg(not(feature = "bash"))]
mod texts;

use super::history::{Launch, RunId};
use super::network::{self, Origin, Transport};
use super::programs;
use super::store::{Key, Kind};
use super::world::{Event, World};
use crate::app::{Executable, Image};
use crate::cluster::client::{self, Client, Net};
use crate::cluster::{ApiError, ConnectError, ExecOutput, ExecRequest, HttpOrigin, HttpReply, HttpRequest};
use crate::shell::{Finished, Host, Request, Vfs};
use crate::time::SimTime;
use arcstr::ArcStr;
use std::sync::Arc;
use std::time::Duration;

/// Longest that a program runs; what would go on longer is cut there.
const LONGEST: Duration = Duration::from_secs(600);

/// A process in a container.
pub(super) struct Session<'w> {
    /// The world.
    pub world: &'w mut World,
    /// The container's run.
    pub run: RunId,
    /// What the container was started with.
    pub launch: Arc<Launch>,
    /// Its image.
    pub image: Arc<Image>,
    /// Time spent so far.
    pub spent: Duration,
    /// When it has to end, in time spent.
    pub limit: Duration,
    /// Whether the MongoDB server of this container serves its own scripts before it serves others.
    pub open: bool,
    /// The shell that runs the present script.
    shell_name: String,
    /// What the next script reads.
    input: Vec<u8>,
    /// How deep scripts are nested.
    depth: usize,
    /// Commands that a script gets from here.
    names: Vec<&'static str>,
}

/// Runs a program in a container.
///
/// # Errors
/// When the container cannot be found or does not run.
pub fn exec(world: &mut World, request: &ExecRequest) -> Result<ExecOutput, ApiError> {
    let run = target(world, request)?;
    let Some(mut session) = Session::new(world, run) else {
        return Err(ApiError::new(500, "InternalError", "Internal error occurred: unable to upgrade connection: container not found"));
    };
    let found = container::files(&session);
    let mut files = found.clone();
    let finished = session.start(&request.argv, request.stdin.clone(), &mut files).map_err(|why| not_started(session.world, &why))?;
    container::keep(&mut session, found, files);
    let took = session.spent.max(Duration::from_millis(1));
    Ok(ExecOutput { stdout: finished.stdout, stderr: finished.stderr, exit_code: finished.exit_code, took })
}

/// The run that a request means.
fn target(world: &World, request: &ExecRequest) -> Result<RunId, ApiError> {
    let key = Key::new(Kind::POD, request.namespace.clone(), request.pod.clone());
    let Some(pod) = world.store.get(&key) else {
        return Err(ApiError::not_found(world.store.resource(Kind::POD), &request.pod));
    };
    let spec = pod.spec();
    if spec.get("nodeName").text().is_empty() {
        return Err(ApiError::new(400, "BadRequest", format!("pod {} does not have a host assigned", request.pod)));
    }
    let name = match &request.container {
        Some(name) if ["containers", "initContainers", "ephemeralContainers"].iter().all(|f| spec.get(f).find("name", name).is_none()) => {
            let text = format!("container {name} is not valid for pod {}", request.pod);
            return Err(ApiError::new(400, "BadRequest", text));
        }
        Some(name) => name.clone(),
        None => spec.get("containers").nth(0).get("name").text().into(),
    };
    let alive = |r: &&super::history::ContainerRun| r.end.is_none() && r.launch.pod_uid == pod.uid() && r.launch.container == name;
    let found = world.history.runs().rev().find(alive).map(|r| r.id);
    let text = format!("Internal error occurred: unable to upgrade connection: container not found (\"{name}\")");
    found.ok_or_else(|| ApiError::new(500, "InternalError", text))
}

/// What the kubelet says about a program that the container runtime could not start.
fn not_started(world: &mut World, why: &str) -> ApiError {
    let id: String = {
        let mut stream = world.draw("exec-id");
        (0..4).map(|_| format!("{:016x}", stream.bits())).collect()
    };
    let text = "Internal error occurred: Internal error occurred: error executing command in container: failed to exec in container: failed \
                to start exec";
    let text = format!("{text} \"{id}\": OCI runtime exec failed: exec failed: unable to start container process: {why}: unknown");
    ApiError::new(500, "InternalError", text)
}

impl<'w> Session<'w> {
    fn new(world: &'w mut World, run: RunId) -> Option<Self> {
        let launch = world.history.run(run)?.launch.clone();
        let image = world.catalog.image(&launch.image)?;
        let mut session = Session {
            world,
            run,
            launch,
            image,
            spent: Duration::ZERO,
            limit: LONGEST,
            open: false,
            shell_name: "sh".to_owned(),
            input: Vec::new(),
            depth: 0,
            names: Vec::new(),
        };
        session.names = script::names(&session);
        Some(session)
    }

    /// Starts a program; the error is what the container runtime says when it cannot.
    fn start(&mut self, argv: &[String], stdin: Vec<u8>, files: &mut Vfs) -> Result<Finished, String> {
        self.spend(Duration::from_millis(35));
        let Some((name, args)) = argv.split_first() else { return Err("exec: \"\": executable file not found in $PATH".to_owned()) };
        if self.image.executable(name).is_none() {
            return self.file(name, args, files);
        }
        let request = Request {
            name: name.rsplit('/').next().unwrap_or(name).to_owned(),
            args: args.to_vec(),
            stdin,
            cwd: self.image.workdir.to_string(),
            env: self.environment(),
            deadline: self.world.now + self.limit,
        };
        Ok(self.invoke(&request, files))
    }

    /// Runs a file as a script, by its first line.
    fn file(&mut self, name: &str, args: &[String], files: &mut Vfs) -> Result<Finished, String> {
        if !name.contains('/') {
            return Err(format!("exec: {name:?}: executable file not found in $PATH"));
        }
        let Some(node) = files.follow(name).ok().and_then(|p| files.entry(&p).cloned()) else {
            return Err(format!("exec: {name:?}: stat {name}: no such file or directory"));
        };
        let Ok(text) = files.read(name) else { return Err(format!("exec: {name:?}: permission denied")) };
        if node.mode & 0o111 == 0 {
            return Err(format!("exec: {name:?}: permission denied"));
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        if !text.starts_with("#!") {
            return Err(format!("exec: {name:?}: exec format error"));
        }
        let shell = if text.lines().next().is_some_and(|l| l.ends_with("bash")) { "bash" } else { "sh" };
        Ok(script::run(self, shell, (&text, args), files))
    }

    /// Runs a program that is in the image.
    fn invoke(&mut self, request: &Request, files: &mut Vfs) -> Finished {
        if let Some(Executable::Program(program)) = self.image.executable(&request.name) {
            let program = program.name.clone();
            return system::program(self, &program, request, files);
        }
        match request.name.as_str() {
            "sh" | "bash" | "ash" | "dash" | "zsh" => script::shell(self, request, files),
            "nslookup" if self.is_busybox() && !self.image.has("dig") => busybox::nslookup(self, request, files),
            "nc" if self.is_busybox() => busybox::nc(self, request, files),
            "wget" if self.is_busybox() => busybox::wget(self, request, files),
            name => match tool(name) {
                Some(run) => run(self, request, files),
                None => script::tool(self, request, files),
            },
        }
    }

    /// Whether the image's tools are BusyBox' applets.
    fn is_busybox(&self) -> bool {
        self.image.has("ash")
    }

    /// The environment of the container's processes.
    pub fn environment(&self) -> std::collections::BTreeMap<String, String> {
        let mut env: std::collections::BTreeMap<String, String> =
            self.launch.env.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        env.entry("HOME".to_owned())
            .or_insert_with(|| if self.image.uid == 0 { "/root".to_owned() } else { self.image.workdir.to_string() });
        env
    }

    /// Spends time.
    pub fn spend(&mut self, time: Duration) {
        self.spent = self.spent.saturating_add(time).min(self.limit);
    }

    /// Where its calls come from.
    pub fn origin(&self) -> Origin {
        Origin::pod(&self.launch.namespace, &self.launch.pod)
    }

    /// Who reaches what over the network.
    fn http_origin(&self) -> HttpOrigin {
        HttpOrigin::Pod { namespace: self.launch.namespace.clone(), pod: self.launch.pod.clone() }
    }

    /// Connects to a port; says how far it gets.
    pub fn connect(&self, host: &str, port: u16) -> network::Connection {
        network::connect(self.world, &self.origin(), host, port, Transport::Tcp, self.run.0)
    }
}

impl Net for Session<'_> {
    fn now(&self) -> SimTime {
        self.world.now + self.spent
    }
    fn wait(&mut self, until: SimTime) {
        let left = until.since(Net::now(self));
        self.spend(left);
    }
    fn http(&mut self, request: &HttpRequest) -> Result<HttpReply, ConnectError> {
        let from = self.http_origin();
        super::http::http(self.world, &from, request)
    }
    fn resolve(&mut self, host: &str) -> Result<Vec<ArcStr>, ConnectError> {
        let missing = |_| ConnectError::NameNotFound { host: host.to_owned() };
        network::dns::lookup(self.world, &self.origin(), host).map_err(missing)
    }
    fn full_name(&self, host: &str) -> String {
        let origin = self.origin();
        let known = |name: &String| matches!(network::dns::query(self.world, &origin, name), network::dns::Answer::Records(_));
        network::dns::candidates(self.world, &origin, host).into_iter().find(known).unwrap_or_else(|| host.to_owned())
    }
}

impl Host for Session<'_> {
    fn has(&self, name: &str) -> bool {
        self.names.contains(&name)
    }
    fn run(&mut self, request: &Request, files: &mut Vfs) -> Finished {
        if self.image.has(&request.name) { self.invoke(request, files) } else { script::unknown(self, &request.name) }
    }
    fn names(&self) -> &[&'static str] {
        &self.names
    }
    fn now(&self) -> SimTime {
        self.world.now + self.spent
    }
    fn sleep(&mut self, until: SimTime) {
        Net::wait(self, until);
    }
}

/// A tool of the userland.
type Tool = fn(&mut Session<'_>, &Request, &mut Vfs) -> Finished;

fn networked(session: &mut Session<'_>, request: &Request, files: &mut Vfs, run: fn(&mut Client<'_>) -> Finished) -> Finished {
    session.spend(Duration::from_millis(5));
    run(&mut Client { net: session, request, files })
}

/// Tools that look at the container and the network, sorted by name.
const TOOLS: &[(&str, Tool)] = &[
    ("curl", |s, r, f| networked(s, r, f, client::curl)),
    ("dig", |s, r, f| networked(s, r, f, client::dig)),
    ("env", system::env),
    ("fetch", |s, r, f| networked(s, r, f, fetch::fetch)),
    ("free", system::free),
    ("getent", |s, r, f| networked(s, r, f, client::getent)),
    ("host", |s, r, f| networked(s, r, f, client::host)),
    ("hostname", system::hostname),
    ("id", system::id),
    ("kill", system::kill),
    ("ls", ls::ls),
    ("mongo", mongo::mongo),
    ("nc", |s, r, f| networked(s, r, f, client::nc)),
    ("netstat", system::netstat),
    ("nproc", system::nproc),
    ("nslookup", |s, r, f| networked(s, r, f, client::nslookup)),
    ("ping", |s, r, f| networked(s, r, f, client::ping)),
    ("printenv", system::printenv),
    ("ps", system::ps),
    ("redis-cli", redis::cli),
    ("ss", system::ss),
    ("uname", system::uname),
    ("uptime", system::uptime),
    ("valkey-cli", redis::cli),
    ("wget", |s, r, f| networked(s, r, f, client::wget)),
    ("which", ls::which),
    ("whoami", system::whoami),
];

fn tool(name: &str) -> Option<Tool> {
    TOOLS.iter().find(|(n, _)| *n == name).map(|(_, run)| *run)
}

/// Runs the command line of a container whose program is a tool of the userland: its output becomes the log, its exit code the
/// container's.
pub(super) fn run_command(world: &mut World, run: RunId) {
    let Some(argv) = programs::instance(world, run).map(|i| i.argv.iter().map(ToString::to_string).collect::<Vec<_>>()) else { return };
    let Some(mut session) = Session::new(world, run) else { return };
    session.limit = Duration::from_secs(30 * 24 * 3600);
    let found = container::files(&session);
    let mut files = found.clone();
    let finished = session.start(&argv, Vec::new(), &mut files).unwrap_or_else(|why| Finished::fail(127, format!("{why}\n")));
    let (spent, limit) = (session.spent, session.limit);
    container::keep(&mut session, found, files);
    let at = world.now + spent.min(Duration::from_secs(2));
    let text = [finished.stdout, finished.stderr].concat();
    for line in String::from_utf8_lossy(&text).lines() {
        world.history.write(run, at, line);
    }
    if spent < limit {
        let code = finished.exit_code;
        world.schedule(world.now + spent, Event::Program(programs::Work::End { run, code }));
    }
}

/// Runs an initialisation script of a MongoDB container, `after` its start; returns how long that takes.
pub(super) fn initialise(world: &mut World, run: RunId, path: &str, after: Duration) -> Duration {
    let at = world.now + after;
    world.history.write(run, at, format!("/usr/local/bin/docker-entrypoint.sh: running {path}"));
    let Some(mut session) = Session::new(world, run) else { return Duration::ZERO };
    session.open = true;
    let mut files = container::files(&session);
    let finished = if path.ends_with(".js") {
        let args = vec!["--quiet".to_owned(), path.to_owned()];
        session.invoke(&Request { name: "mongo".to_owned(), args, ..Request::default() }, &mut files)
    } else {
        let text = files.read(path).map(|t| String::from_utf8_lossy(&t).into_owned()).unwrap_or_default();
        script::run(&mut session, "bash", (&text, &[]), &mut files)
    };
    let spent = session.spent;
    for line in String::from_utf8_lossy(&[finished.stdout, finished.stderr].concat()).lines() {
        world.history.write(run, at + spent, line);
    }
    spent
}
