//! The driver of start-up: does the steps that [`crate::app::Startup`] asks for, in virtual time.
//!
//! Waiting costs nothing: a dial that finds nobody puts its deadline on the queue and is looked at again when the network
//! changes, at the next instant at which the program would have tried.

use super::{Process, Work, consul, host_name, launch, mongo, uuid};
use crate::app::consul::Registration;
use crate::app::{Behaviour, Dial, Effect, Outcome, Protocol, Query, Register, Seed, Start};
use crate::cluster::sim::history::RunId;
use crate::cluster::sim::kubelet;
use crate::cluster::sim::network::{self, Connection, Origin, Reach, Socket, Transport, Wire};
use crate::cluster::sim::world::{Event, World};
use crate::time::SimTime;
use arcstr::ArcStr;
use std::sync::Arc;
use std::time::Duration;

/// How long Go's HTTP client waits for a connection.
const HTTP_DIAL: Duration = Duration::from_secs(30);

/// Goes on with a start-up after a step.
pub(super) fn advance(world: &mut World, run: RunId, mut outcome: Outcome) {
    loop {
        let Some(process) = edit(world, run) else { return };
        let instance = process.instance.clone();
        match process.startup.next(&instance, outcome) {
            Effect::Write(line, error) => {
                let text = instance.render(&line, world.now, &values(world, run, error));
                world.history.write(run, world.now, text);
                outcome = Outcome::Done;
            }
            Effect::Do(at) => {
                process.doing = at;
                let Some(step) = instance.program.start.get(at) else { return };
                match perform(world, run, step) {
                    Some(result) => outcome = result,
                    None => return,
                }
            }
            Effect::Serve => {
                serve(world, run);
                return;
            }
            Effect::Exit(code) => {
                kubelet::exited(world, run, code);
                return;
            }
        }
    }
}

/// Values of the places in a process's lines that are not its settings.
fn values(world: &World, run: RunId, error: ArcStr) -> impl Fn(&str) -> Option<ArcStr> + use<> {
    let (launch, uuid) = (launch(world, run), uuid(world, run));
    move |name| {
        let launch = launch.as_ref()?;
        Some(match name {
            "pod" => host_name(launch),
            "pod_ip" => launch.pod_ip.clone(),
            "namespace" => launch.namespace.clone(),
            "node" => launch.node.clone(),
            "uuid" => uuid.clone(),
            "error" | "n" => error.clone(),
            _ => return None,
        })
    }
}

/// Changes a process; what was on the queue for it before is void.
fn edit(world: &mut World, run: RunId) -> Option<&mut Process> {
    let process = world.programs.processes.get_mut(&run)?;
    process.token += 1;
    Some(process)
}

/// Goes on after a while.
fn later(world: &mut World, run: RunId, after: Duration, outcome: Outcome) -> Option<Outcome> {
    let token = world.programs.processes.get(&run)?.token;
    world.schedule(world.now + after, Event::Program(Work::Go { run, token, outcome }));
    None
}

/// Does a step; `None` when its outcome comes later.
fn perform(world: &mut World, run: RunId, step: &Start) -> Option<Outcome> {
    match step {
        Start::Sleep(span) => {
            let after = span.draw(&mut world.draw("start-sleep"));
            later(world, run, after, Outcome::Done)
        }
        Start::Repeat(repeat) => later(world, run, repeat.every, Outcome::Done),
        Start::Resolve(resolve) => {
            let (host, _) = address(world, run, resolve.target)?;
            let found = network::dns::lookup(world, &origin(world, run), &host);
            match found {
                Ok(_) => Some(Outcome::Done),
                Err(_) => Some(Outcome::Unreachable(format!("lookup {host} on {}:53: no such host", network::dns::SERVER).into())),
            }
        }
        Start::Dial(dial) => begin_dial(world, run, dial),
        Start::Query(query) => ask(world, run, query),
        Start::Seed(seed) => write_documents(world, run, seed),
        Start::Listen(ports) => {
            for listen in ports {
                open(world, run, listen);
            }
            Some(Outcome::Done)
        }
        Start::Register(register) => enrol(world, run, register),
        Start::Follow(follow) => {
            let (host, port) = address(world, run, follow.registry)?;
            network::follow(world, run, (&host, port), Arc::clone(follow));
            Some(Outcome::Done)
        }
        Start::Log(_) | Start::Need(_) | Start::Serve | Start::Exit(_) | Start::ExitWith(_) => Some(Outcome::Done),
    }
}

fn serve(world: &mut World, run: RunId) {
    if let Some(process) = edit(world, run)
        && process.instance.program.behaviour == Behaviour::Command
    {
        crate::cluster::sim::exec::run_command(world, run);
    }
}

/// Where a process's calls come from.
fn origin(world: &World, run: RunId) -> Origin {
    launch(world, run).map_or(Origin::Workstation, |l| Origin::pod(&l.namespace, &l.pod))
}

/// Host and port of a setting; one that holds none is an empty host.
fn address(world: &World, run: RunId, setting: usize) -> Option<(ArcStr, u16)> {
    let instance = &world.programs.processes.get(&run)?.instance;
    let (host, port) = instance.address(setting).unwrap_or(("", 0));
    Some((host.into(), port))
}

fn connect(world: &World, run: RunId, setting: usize) -> Option<(Connection, ArcStr)> {
    let (host, port) = address(world, run, setting)?;
    let connection = network::connect(world, &origin(world, run), &host, port, Transport::Tcp, run.0);
    Some((connection, host))
}

/// What is spoken on a socket.
fn wire(protocol: Protocol) -> Wire {
    match protocol {
        Protocol::Http => Wire::Http { tls: false },
        Protocol::Grpc => Wire::Grpc,
        Protocol::Thrift => Wire::Other(arcstr::literal!("thrift")),
        Protocol::Mongo => Wire::Mongo { tls_required: false },
        Protocol::Memcached => Wire::Memcached,
        Protocol::Redis => Wire::Other(arcstr::literal!("redis")),
        Protocol::Postgres => Wire::Other(arcstr::literal!("postgres")),
        Protocol::Dns => Wire::Other(arcstr::literal!("dns")),
        Protocol::Raw => Wire::Other(arcstr::literal!("raw")),
    }
}

fn open(world: &mut World, run: RunId, listen: &crate::app::Listen) {
    let Some(process) = world.programs.processes.get(&run) else { return };
    let Some(port) = process.instance.port(&listen.port) else { return };
    let transport = if listen.udp { Transport::Udp } else { Transport::Tcp };
    let wire = match wire(listen.protocol) {
        Wire::Mongo { .. } => Wire::Mongo { tls_required: process.instance.requires_tls() },
        other => other,
    };
    let socket = Socket { port, transport, wire, loopback_only: false };
    network::listen(world, run, socket);
}

fn begin_dial(world: &mut World, run: RunId, dial: &Dial) -> Option<Outcome> {
    let now = world.now;
    let overrun = dial.overrun.draw(&mut world.draw("dial-overrun"));
    let deadline = now + dial.timeout + overrun;
    world.programs.processes.get_mut(&run)?.dialling = Some((now, deadline));
    if let Some(peer) = answering(world, run, dial) {
        return dialled(world, run, dial, peer);
    }
    hang_up(world, run, dial);
    let error = no_dial(world, run, dial)?;
    later(world, run, deadline - now, Outcome::Unreachable(error))
}

/// Whoever listens and does not understand the client says so in its own log.
fn hang_up(world: &mut World, run: RunId, dial: &Dial) {
    let Some((connection, _)) = connect(world, run, dial.target) else { return };
    let (Some(peer), Some(client)) = (connection.run(), launch(world, run)) else { return };
    let Some(instance) = world.programs.processes.get(&peer).map(|process| process.instance.clone()) else { return };
    if let Some(line) = &instance.program.hangs_up {
        let port = 32_768 + world.draw("hang-up").below(28_000);
        let known = values(world, peer, ArcStr::new());
        let text = instance.render(line, world.now, &|name| match name {
            "address" => Some(format!("{}:{port}", client.pod_ip).into()),
            _ => known(name),
        });
        world.history.write(peer, world.now, text);
    }
}

/// How a dial fails that finds nobody to talk to.
fn no_dial(world: &World, run: RunId, dial: &Dial) -> Option<ArcStr> {
    let clients = world.programs.processes.get(&run)?.instance.program.clients;
    let (connection, host) = connect(world, run, dial.target)?;
    Some(clients.unreachable(dial.protocol, connection.not_open().as_ref(), &host, connection.port))
}

/// The process that answers a dial and speaks its protocol.
fn answering(world: &World, run: RunId, dial: &Dial) -> Option<RunId> {
    let (connection, _) = connect(world, run, dial.target)?;
    let Some(network::Peer::Process { run: peer, socket, .. }) = connection.peer() else { return None };
    socket.wire.answers(dial.protocol).then_some(*peer)
}

fn dialled(world: &mut World, run: RunId, dial: &Dial, peer: RunId) -> Option<Outcome> {
    world.programs.processes.get_mut(&run)?.dialling = None;
    let after = Duration::from_micros(4_000 + world.draw("dial").below(9_000));
    let outcome = match &dial.credentials {
        Some(who) if dial.protocol == Protocol::Mongo && !mongo::knows(world, peer, who) => {
            Outcome::Denied(crate::app::mongo::AUTHENTICATION_FAILED)
        }
        _ => Outcome::Done,
    };
    edit(world, run);
    later(world, run, after, outcome)
}

/// The dial step that a process is at.
fn dial_of(world: &World, run: RunId) -> Option<Dial> {
    let process = world.programs.processes.get(&run)?;
    match process.instance.program.start.get(process.doing)? {
        Start::Dial(dial) => Some(dial.clone()),
        _ => None,
    }
}

/// Tries a dial again.
pub(super) fn attempt(world: &mut World, run: RunId) {
    let Some(dial) = dial_of(world, run) else { return };
    if let Some(peer) = answering(world, run, &dial) {
        dialled(world, run, &dial, peer);
    }
}

/// Dials that wait get another attempt where there is now somebody to talk to.
pub(super) fn try_again(world: &mut World) {
    let waiting: Vec<_> = world.programs.processes.iter().filter_map(|(run, p)| Some((*run, p.token, p.dialling?))).collect();
    for (run, token, (since, deadline)) in waiting {
        let Some(dial) = dial_of(world, run) else { continue };
        if answering(world, run, &dial).is_some() {
            let at = next_attempt(since, dial.retry, world.now);
            if at < deadline {
                world.schedule(at, Event::Program(Work::Attempt { run, token }));
            }
        }
    }
}

/// The first instant from `now` on at which a program tries that began at `since` and pauses for `retry`.
fn next_attempt(since: SimTime, retry: Duration, now: SimTime) -> SimTime {
    let (passed, step) = ((now - since).as_nanos(), retry.as_nanos().max(1_000_000));
    let rounds = passed.div_ceil(step);
    since + Duration::from_nanos(u64::try_from(rounds * step).unwrap_or(u64::MAX))
}

/// The credentials with which a process dialled a store.
fn credentials(world: &World, run: RunId, setting: usize) -> Option<crate::app::Credentials> {
    let process = world.programs.processes.get(&run)?;
    process.instance.program.start.iter().find_map(|step| match step {
        Start::Dial(dial) if dial.target == setting => dial.credentials.clone(),
        _ => None,
    })
}

fn ask(world: &mut World, run: RunId, query: &Query) -> Option<Outcome> {
    let after = query.time.draw(&mut world.draw("start-query"));
    let who = credentials(world, run, query.target);
    let outcome = match connect(world, run, query.target)?.0.run() {
        None => Outcome::Lost,
        Some(store) => {
            let command = query.command.fill(&|_| None);
            match mongo::access(world, store, who.as_ref(), (&query.database, query.needs), &command) {
                Ok(()) => Outcome::Done,
                Err(text) => Outcome::Denied(text),
            }
        }
    };
    later(world, run, after, outcome)
}

fn write_documents(world: &mut World, run: RunId, seed: &Seed) -> Option<Outcome> {
    let who = credentials(world, run, seed.target);
    let Some(store) = connect(world, run, seed.target)?.0.run() else { return Some(Outcome::Lost) };
    let documents = world.programs.processes.get(&run)?.instance.program.documents.get(&seed.documents).cloned()?;
    let missing = mongo::missing(world, store, seed, &documents);
    let mut stream = world.draw("start-seed");
    let time = |span: crate::app::Span, times: usize, stream: &mut _| span.draw(stream) * u32::try_from(times).unwrap_or(u32::MAX);
    let after = time(seed.each_lookup, documents.len(), &mut stream) + time(seed.each_insert, missing.len(), &mut stream);
    if missing.is_empty() {
        return later(world, run, after, Outcome::Done);
    }
    let command = format!("{{ insert: \"{}\", $db: \"{}\" }}", seed.collection, seed.database);
    let allowed = mongo::access(world, store, who.as_ref(), (&seed.database, crate::app::Access::Write), &command);
    match allowed {
        Err(text) => later(world, run, after, Outcome::Denied(text)),
        Ok(()) => {
            mongo::insert(world, store, &seed.database, &seed.collection, missing);
            later(world, run, after, Outcome::Done)
        }
    }
}

fn enrol(world: &mut World, run: RunId, register: &Register) -> Option<Outcome> {
    let (connection, host) = connect(world, run, register.registry)?;
    let process = world.programs.processes.get(&run)?;
    let (port, launch) = (process.instance.port(&register.port).unwrap_or(0), launch(world, run)?);
    let mut stream = world.draw("register");
    let after = Duration::from_micros(2_000 + stream.below(4_000));
    if let Some(registry) = connection.run().filter(|peer| world.programs.registries.contains_key(peer)) {
        let registration = Registration { id: uuid(world, run), name: register.name.clone(), address: launch.pod_ip.clone(), port };
        consul::register(world, registry, registration);
        return later(world, run, after, Outcome::Done);
    }
    let after = if connection.reach == Reach::Silence { HTTP_DIAL } else { after };
    let error = connection.dial_error(&host, "i/o timeout").unwrap_or_else(|| "EOF".to_owned());
    later(world, run, after, Outcome::Unreachable(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_keep_to_the_program_s_rhythm() {
        let at = |ms: u64| SimTime::from_nanos(ms * 1_000_000);
        let check = |since, retry, now, expect| {
            assert_eq!(next_attempt(at(since), Duration::from_millis(retry), at(now)), at(expect));
        };
        check(100, 500, 100, 100);
        check(100, 500, 101, 600);
        check(100, 500, 2_099, 2_100);
        check(100, 500, 2_100, 2_100);
    }
}
