//! A program being played: what it holds while its process lives.

use super::balancer::Balancer;
use super::line::Line;
use super::metrics::Metrics;
use super::place::{self, Place};
use super::spans::Tracer;
use super::stores::Pools;
use crate::app::{Behaviour, Effect, Instance, OnTerm, Outcome, StartError, Startup};
use crate::rng::Stream;
use crate::time::SimTime;
use arcstr::ArcStr;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;

/// A program being played.
pub struct Role {
    /// Where.
    pub place: Place,
    /// What.
    pub instance: Instance,
    /// The identity of the process.
    pub uuid: ArcStr,
    /// The host's name.
    pub host: ArcStr,
    /// What it counts.
    pub metrics: Metrics,
    /// Who gets its spans.
    pub tracer: Tracer,
    /// What it knows of the services that it follows, by name.
    pub balancers: Mutex<BTreeMap<ArcStr, Arc<Balancer>>>,
    /// Connections to MongoDB that were opened at start-up, by setting.
    pub sessions: Mutex<BTreeMap<usize, Arc<Line>>>,
    /// Connections to other stores and to programs at fixed addresses.
    pub pools: Pools,
    /// What it holds, if it is a store.
    pub state: State,
    random: Mutex<Stream>,
    ends: mpsc::UnboundedSender<i32>,
    _ballast: Vec<u8>,
}

/// Memory that this program takes whatever it plays.
const OWN_MEMORY: usize = 3 << 20;

/// What stores hold while they run.
#[derive(Default)]
#[allow(missing_docs, reason = "one for each kind of store")]
pub struct State {
    pub mongo: super::mongod::State,
    pub memcached: super::memcached::State,
    pub redis: super::redis::State,
    pub consul: super::consul::State,
    pub jaeger: super::jaeger::State,
}

/// The lock's content, whatever happened to others that held it.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Role {
    /// Writes a line.
    pub fn write(&self, line: &str) {
        self.place.write(line);
    }

    /// The present instant.
    pub fn now(&self) -> SimTime {
        place::now()
    }

    /// Draws something at random.
    pub fn draw<T>(&self, what: impl FnOnce(&mut Stream) -> T) -> T {
        what(&mut locked(&self.random))
    }

    /// Ends the process.
    pub fn exit(&self, code: i32) {
        // The process may be ending already.
        let _ = self.ends.send(code);
    }

    /// The value of a place in one of its lines that is none of its settings.
    pub fn value(&self, name: &str, error: &ArcStr) -> Option<ArcStr> {
        Some(match name {
            "pod" => self.host.clone(),
            "pod_ip" => self.place.address.clone(),
            "namespace" => self.place.namespace(),
            "node" => self.place.env.get("NODE_NAME").cloned().unwrap_or_default(),
            "uuid" => self.uuid.clone(),
            "error" | "n" => error.clone(),
            _ => return None,
        })
    }
}

/// Plays the program of a place until it ends; its exit code.
///
/// # Errors
/// When there is no such program, or the system gives no runtime.
pub fn play(place: Place) -> Result<i32, String> {
    let instance = place.instance().map_err(|error| match error {
        StartError::NoImage => format!("{}: no such image", place.image),
        StartError::NoCommand => "no command specified".to_owned(),
        StartError::NotFound(name) => format!("exec: \"{name}\": executable file not found in $PATH"),
    })?;
    let behaviour = instance.program.behaviour;
    if behaviour == Behaviour::Command {
        return Err(super::tools::exec(&instance));
    }
    if behaviour == Behaviour::Consul && instance.argv.get(1).is_none_or(|word| word != "agent") {
        return Ok(super::tools::consul(&instance.argv));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    if place.is_container()
        && let Some(command) = super::tools::unwrapped(&place, &instance)
    {
        let (role, _) = Role::new(place.clone(), instance.clone());
        if behaviour == Behaviour::Mongo {
            runtime.block_on(super::mongod::prepare(&Arc::new(role)));
        }
        // When the program cannot be put in the entry point's place, the entry point plays it.
        super::tools::replace(command);
    }
    let code = runtime.block_on(run(place, instance));
    runtime.shutdown_background();
    Ok(code)
}

async fn run(place: Place, instance: Instance) -> i32 {
    let (role, mut ended) = Role::new(place, instance);
    let role = Arc::new(role);
    take_signals(&role);
    let killed = role.clone();
    tokio::spawn(async move {
        killed.place.kill.notified().await;
        killed.exit(137);
    });
    role.tracer.start(&role.place);
    let starting = role.clone();
    tokio::spawn(async move { start(&starting).await });
    ended.recv().await.unwrap_or(0)
}

/// Memory that the program would need and this one does not, so that limits mean what they mean for the program.
fn ballast(place: &Place, instance: &Instance) -> Vec<u8> {
    let needed = usize::try_from(instance.program.memory.start).unwrap_or(0).saturating_sub(OWN_MEMORY);
    // Written to, or the kernel would not count it.
    if place.is_container() { vec![1; needed] } else { Vec::new() }
}

impl Role {
    /// A program that is about to start, and where its exit code comes from.
    fn new(place: Place, instance: Instance) -> (Role, mpsc::UnboundedReceiver<i32>) {
        let (ends, ended) = mpsc::unbounded_channel();
        let mut random = place::randomness();
        let uuid: ArcStr = random.uuid().into();
        let ballast = ballast(&place, &instance);
        let host = place.host();
        let tracer = Tracer::new(&place, &instance, (&host, random.bits()));
        let role = Role {
            metrics: Metrics::new(place::now()),
            tracer,
            balancers: Mutex::default(),
            sessions: Mutex::default(),
            pools: Pools::default(),
            state: State::default(),
            random: Mutex::new(random),
            place,
            instance,
            uuid,
            host,
            ends,
            _ballast: ballast,
        };
        (role, ended)
    }
}

/// Takes SIGTERM as the program does.
fn take_signals(role: &Arc<Role>) {
    if !role.place.signals || role.instance.program.on_term == OnTerm::Ignore {
        return;
    }
    let role = role.clone();
    tokio::spawn(async move {
        let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else { return };
        terminate.recv().await;
        match role.instance.program.on_term {
            OnTerm::Default(code) => role.exit(code),
            OnTerm::Graceful { code, after } => {
                tokio::time::sleep(after).await;
                role.exit(code);
            }
            OnTerm::Ignore => {}
        }
    });
}

/// Walks through the start-up.
async fn start(role: &Arc<Role>) {
    if role.instance.program.behaviour == Behaviour::Mongo {
        super::mongod::prepare(role).await;
    }
    let (mut startup, mut outcome) = (Startup::default(), Outcome::Done);
    loop {
        match startup.next(&role.instance, outcome) {
            Effect::Write(line, error) => {
                let text = role.instance.render(&line, role.now(), &|name| role.value(name, &error));
                role.write(&text);
                outcome = Outcome::Done;
            }
            Effect::Do(at) => {
                let Some(step) = role.instance.program.start.get(at) else { return };
                outcome = super::start::perform(role, step).await;
            }
            Effect::Serve => return,
            Effect::Exit(code) => {
                role.exit(code);
                return;
            }
        }
    }
}
