//! The `mongo` shell in a simulated container: how it reaches a server, and that server.

use super::Session;
use crate::app::mongo::{Connection, Database, Keep, Options, Trouble, converse, scripts};
use crate::app::{Behaviour, Credentials, Instance};
use crate::cluster::sim::history::RunId;
use crate::cluster::sim::network::{self, Reach, Transport};
use crate::cluster::sim::programs::mongo as store;
use crate::cluster::sim::world::World;
use crate::shell::{Finished, Request, Vfs, vfs};
use crate::time::SimTime;
use arcstr::ArcStr;
use std::sync::Arc;
use std::time::Duration;

/// How long it takes the shell to start and connect.
const START: Duration = Duration::from_millis(120);

/// A server of the simulated cluster.
struct Simulated<'w> {
    world: &'w mut World,
    run: RunId,
}

impl Keep for Simulated<'_> {
    fn data(&self) -> Arc<Database> {
        store::database(self.world, self.run)
    }

    fn change<R>(&mut self, edit: impl FnOnce(&mut Database) -> R) -> R {
        store::change(self.world, self.run, edit)
    }

    fn demands_authentication(&self) -> bool {
        store::demands_authentication(self.world, self.run)
    }

    fn host(&self) -> ArcStr {
        self.world.history.run(self.run).map(|r| r.launch.pod.clone()).unwrap_or_default()
    }

    fn now(&self) -> SimTime {
        self.world.now
    }

    fn uuid(&mut self) -> ArcStr {
        self.world.draw("mongo-user").uuid().into()
    }
}

/// Runs `mongo`.
pub fn mongo(session: &mut Session<'_>, request: &Request, files: &mut Vfs) -> Finished {
    let options = match Options::read(&request.args) {
        Ok(options) => options,
        Err(message) => return Finished::fail(1, message),
    };
    if let Some(printed) = options.printed_alone() {
        return Finished::ok(printed);
    }
    session.spend(START);
    let mut out = options.banner();
    let (host, port) = options.place();
    let who = options.credentials();
    match connect(session, (who.as_ref(), options.tls), &host, port) {
        Err(trouble) => {
            out.push_str(&trouble.text(&host, port));
            Finished { exit_code: 1, ..Finished::ok(out) }
        }
        Ok(run) => {
            out.push_str(&options.greeting(&session.world.draw("mongo-session").uuid()));
            let scripts = scripts(&options, &request.stdin, &|path| Some(files.read(&vfs::normal(&request.cwd, path)).ok()?.to_vec()));
            let local = matches!(host.as_str(), "127.0.0.1" | "localhost");
            let open = session.open;
            let mut connection = Connection { keep: Simulated { world: &mut *session.world, run }, who, local, open };
            let (text, code, slept) = converse(&mut connection, options.database.as_deref().unwrap_or("test"), scripts);
            session.spend(slept);
            out.push_str(&text);
            Finished { exit_code: code, ..Finished::ok(out) }
        }
    }
}

fn connect(session: &mut Session<'_>, (who, tls): (Option<&Credentials>, bool), host: &str, port: u16) -> Result<RunId, Trouble> {
    let run = if session.open {
        session.run
    } else {
        let connection = network::connect(session.world, &session.origin(), host, port, Transport::Tcp, session.run.0);
        match (&connection.reach, connection.run()) {
            (Reach::Peer(_), Some(run)) if speaks(session, run, tls) => run,
            (Reach::Peer(_), _) => return Err(Trouble::NotMongo),
            (Reach::Refused, _) => return Err(Trouble::Refused(connection.address.clone())),
            (Reach::Silence, _) => {
                session.spend(Duration::from_secs(127));
                return Err(Trouble::TimedOut);
            }
            _ => return Err(Trouble::NoName),
        }
    };
    match who {
        Some(who) if !store::knows(session.world, run, who) => Err(Trouble::Denied),
        _ => Ok(run),
    }
}

/// Whether it is a MongoDB that talks with clients that use TLS, or do not.
fn speaks(session: &Session<'_>, run: RunId, tls: bool) -> bool {
    let talks = |i: Arc<Instance>| i.program.behaviour == Behaviour::Mongo && i.requires_tls() == tls;
    crate::cluster::sim::programs::instance(session.world, run).is_some_and(talks)
}
