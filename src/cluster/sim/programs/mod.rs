//! What runs in containers: start-up, listeners, exits, and the state of the stores.
//!
//! A process is a run of a container with its [`Instance`]: [`start`] walks it through the steps of its program (`starting`),
//! [`signal`] says how it takes SIGTERM, and it ends by `kubelet::exited`. Stores keep state: MongoDB on the volume that is
//! mounted at `/data/db`, Consul and memcached in the memory of the process.
//!
//! Not modelled: CPU that start-up takes, two processes of a pod that want the same port.

pub mod consul;
mod jaeger;
pub mod mongo;
mod starting;

use super::digest::Digest;
use super::history::{Launch, RunId};
use super::world::{Event, World};
use super::{kubelet, network};
use crate::app::consul::Registry;
use crate::app::mongo::Database;
use crate::app::{Access, Behaviour, Credentials, Instance, OnTerm, Outcome, Startup};
use crate::cluster::{HttpReply, HttpRequest};
use crate::shell::Vfs;
use crate::time::SimTime;
use arcstr::ArcStr;
use imbl::OrdMap;
use std::sync::Arc;
use std::time::Duration;

/// State that lives with the world.
#[derive(Clone, Debug, Default)]
pub struct State {
    processes: OrdMap<RunId, Process>,
    databases: OrdMap<ArcStr, Arc<Database>>,
    registries: OrdMap<RunId, Registry>,
    /// Files of containers in which something was changed by hand.
    files: OrdMap<RunId, Arc<Vfs>>,
}

impl State {
    /// Takes what the programs hold into a digest. What an instance is follows from how its run was launched.
    pub fn digest(&self, digest: &mut Digest) {
        for (run, process) in &self.processes {
            digest.number(run.0);
            digest.debug(&(&process.startup, process.token, process.doing, process.dialling));
        }
        for (volume, database) in &self.databases {
            digest.text(volume);
            digest.debug(&(database.initialised, database.ids, &database.users));
            for (name, collections) in &database.databases {
                digest.text(name);
                for (name, collection) in collections {
                    digest.text(name);
                    digest.list(&collection.documents);
                }
            }
        }
        digest.debug(&self.registries);
        for (run, files) in &self.files {
            digest.number(run.0);
            digest.files(files);
        }
    }
}

/// A process that has not ended.
#[derive(Clone, Debug)]
struct Process {
    instance: Arc<Instance>,
    startup: Startup,
    /// Rises with everything that the process does; work for an older value is void.
    token: u64,
    /// The step that is being done.
    doing: usize,
    /// Since when, and until when, it tries to dial.
    dialling: Option<(SimTime, SimTime)>,
}

/// Work on the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// A step is done; go on.
    Go {
        /// Whose.
        run: RunId,
        /// The process's token when this was put on the queue.
        token: u64,
        /// How the step went.
        outcome: Outcome,
    },
    /// Dial again.
    Attempt {
        /// Who.
        run: RunId,
        /// The process's token when this was put on the queue.
        token: u64,
    },
    /// The process ends.
    End {
        /// Which.
        run: RunId,
        /// Exit code.
        code: i32,
    },
}

/// Does a piece of work that is due.
pub fn handle(world: &mut World, work: Work) {
    let current = |world: &World, run, token| world.programs.processes.get(&run).is_some_and(|p| p.token == token);
    match work {
        Work::Go { run, token, outcome } if current(world, run, token) => starting::advance(world, run, outcome),
        Work::Attempt { run, token } if current(world, run, token) => starting::attempt(world, run),
        Work::End { run, code } if world.programs.processes.contains_key(&run) => kubelet::exited(world, run, code),
        Work::Go { .. } | Work::Attempt { .. } | Work::End { .. } => {}
    }
}

/// A container's process starts.
pub fn start(world: &mut World, run: RunId) {
    let Some(instance) = resolve(world, run) else { return };
    let behaviour = instance.program.behaviour;
    let process = Process { instance, startup: Startup::default(), token: 0, doing: 0, dialling: None };
    world.programs.processes.insert(run, process);
    let mut stream = world.draw("spawn");
    let mut delay = Duration::from_micros(1_500 + stream.below(5_000));
    match behaviour {
        Behaviour::Mongo => delay += mongo::prepare(world, run),
        Behaviour::Consul => {
            world.programs.registries.insert(run, Registry::default());
        }
        _ => {}
    }
    let work = Work::Go { run, token: 0, outcome: Outcome::Done };
    world.schedule(world.now + delay, Event::Program(work));
}

/// A signal that a process gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM.
    Terminate,
    /// SIGKILL.
    Kill,
}

/// How a process ends on a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// How long that takes.
    pub after: Duration,
    /// Exit code.
    pub code: i32,
}

/// How a process takes a signal; `None` when it ignores it. The caller ends it then.
pub fn signal(world: &mut World, run: RunId, signal: Signal) -> Option<Exit> {
    let process = world.programs.processes.get(&run)?;
    match (signal, process.instance.program.on_term) {
        (Signal::Kill, _) => Some(Exit { after: Duration::from_millis(1), code: 137 }),
        (Signal::Terminate, OnTerm::Default(code)) => Some(Exit { after: Duration::from_millis(2), code }),
        (Signal::Terminate, OnTerm::Graceful { code, after }) => Some(Exit { after, code }),
        (Signal::Terminate, OnTerm::Ignore) => None,
    }
}

/// A process has ended: what it held in memory and its sockets are gone.
pub fn ended(world: &mut World, run: RunId) {
    world.programs.processes.remove(&run);
    world.programs.registries.remove(&run);
    world.programs.files.remove(&run);
    network::closed(world, run);
}

/// Memory that a process needs, in bytes; with a lower limit it is killed.
pub fn memory(world: &World, run: RunId) -> u64 {
    world.programs.processes.get(&run).map_or(0, |p| p.instance.program.memory.working)
}

/// What a process needs of memory.
pub fn needs(world: &World, run: RunId) -> Option<crate::app::Memory> {
    world.programs.processes.get(&run).map(|process| process.instance.program.memory)
}

/// A call that processes wait for may go differently now.
pub fn on_network_change(world: &mut World) {
    starting::try_again(world);
}

/// The program of a run, with its settings; of past runs too.
pub fn instance(world: &World, run: RunId) -> Option<Arc<Instance>> {
    match world.programs.processes.get(&run) {
        Some(process) => Some(process.instance.clone()),
        None => resolve(world, run),
    }
}

fn resolve(world: &World, run: RunId) -> Option<Arc<Instance>> {
    let launch = &world.history.any_run(run)?.launch;
    world.catalog.instance(&launch.image, &launch.argv, &launch.env, &launch.files).ok().map(Arc::new)
}

/// Whether a process is past its start-up.
pub fn is_serving(world: &World, run: RunId) -> bool {
    world.programs.processes.get(&run).is_some_and(|p| p.startup.is_done(&p.instance))
}

/// The addresses (`IP:port`) under which instances of a service are registered in the memory of a Consul run.
pub fn registrations(world: &World, consul: RunId, service: &str) -> Vec<ArcStr> {
    world.programs.registries.get(&consul).map(|r| r.addresses(service)).unwrap_or_default()
}

/// Whether a store lets a client do something in a collection; the error is the store's own text.
///
/// # Errors
/// When it refuses the credentials or they lack the right.
pub fn access(world: &World, store: RunId, who: Option<&Credentials>, what: (&str, &str), needs: Access) -> Result<(), ArcStr> {
    let (database, collection) = what;
    let verb = if needs == Access::Read { "find" } else { "insert" };
    mongo::access(world, store, who, (database, needs), &format!("{{ {verb}: \"{collection}\", $db: \"{database}\" }}"))
}

/// The answer of a program with an HTTP API of its own (Consul, Jaeger); `None` when the run has none. A write takes effect.
pub fn http(world: &mut World, run: RunId, request: &HttpRequest) -> Option<HttpReply> {
    let instance = instance(world, run)?;
    match instance.program.behaviour {
        Behaviour::Consul => Some(consul::http(world, run, request)),
        Behaviour::Jaeger => Some(jaeger::http(world, run, request)),
        _ => None,
    }
}

/// A request makes a process write `lines` and end with `code`.
pub fn crash(world: &mut World, run: RunId, lines: &[String], code: i32) {
    if world.programs.processes.contains_key(&run) {
        for line in lines {
            world.history.write(run, world.now, line.as_str());
        }
        world.schedule(world.now, Event::Program(Work::End { run, code }));
    }
}

/// The files of a container, when something in it was changed by hand.
pub(super) fn kept_files(world: &World, run: RunId) -> Option<Arc<Vfs>> {
    world.programs.files.get(&run).cloned()
}

/// Keeps the files of a container for the next process in it.
pub(super) fn keep_files(world: &mut World, run: RunId, files: Arc<Vfs>) {
    world.programs.files.insert(run, files);
}

/// What a run was started with.
fn launch(world: &World, run: RunId) -> Option<Arc<Launch>> {
    world.history.run(run).map(|r| r.launch.clone())
}

/// The identity under which an instance registers itself, and the like: drawn once for a run.
fn uuid(world: &World, run: RunId) -> ArcStr {
    crate::rng::Key::new(world.seed).part("process-uuid").number(run.0).stream().uuid().into()
}

/// The host name of a run's pod, as its processes see it.
fn host_name(launch: &Launch) -> ArcStr {
    launch.env.get("HOSTNAME").cloned().unwrap_or_else(|| launch.pod.clone())
}

impl State {
    /// Gives registrations the names of an episode.
    pub(in crate::cluster::sim) fn rename(&mut self, names: &super::rename::Renaming) {
        super::rename::each(&mut self.registries, |registry| registry.rename(&|text| names.text(text)));
    }
}
