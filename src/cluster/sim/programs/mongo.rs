//! MongoDB's state: users and roles, databases and documents, on the volume under `/data/db`.
//!
//! A volume outlives pods, so what was done to it stays; scripts in `/docker-entrypoint-initdb.d` run on an empty one only.
//!
//! What it holds and answers is [`crate::app::mongo`]'s.
//!
//! Not modelled: replica sets, TLS, storage engine and journal; files of collections, and what a server still knows whose files are deleted.

use crate::app::mongo::{Database, INITIALISED};
use crate::app::{Access, Credentials, Seed};
use crate::cluster::sim::exec;
use crate::cluster::sim::history::RunId;
use crate::cluster::sim::network;
use crate::cluster::sim::world::World;
use crate::object::Json;
use arcstr::ArcStr;
use std::sync::Arc;
use std::time::Duration;

/// The identity of the storage of a server.
fn storage(world: &World, run: RunId) -> ArcStr {
    let mounted = super::launch(world, run).and_then(|l| l.data.get("/data/db").cloned());
    mounted.unwrap_or_else(|| format!("container/{}", run.0).into())
}

/// The files that every server keeps on its volume, once it has been initialised.
pub fn files(world: &World, storage: &ArcStr) -> &'static [&'static str] {
    const FILES: &[&str] = &[
        "WiredTiger",
        "WiredTiger.lock",
        "WiredTiger.turtle",
        "WiredTiger.wt",
        "WiredTigerHS.wt",
        "_mdb_catalog.wt",
        "mongod.lock",
        "sizeStorer.wt",
        "storage.bson",
    ];
    if world.programs.databases.get(storage).is_some_and(|database| database.initialised) { FILES } else { &[] }
}

/// Its files were deleted.
pub fn forget(world: &mut World, storage: &ArcStr) {
    world.programs.databases.remove(storage);
    network::review(world);
}

/// What a server holds.
pub fn database(world: &World, run: RunId) -> Arc<Database> {
    world.programs.databases.get(&storage(world, run)).cloned().unwrap_or_default()
}

/// Changes what a server holds. Whoever may be let in or kept out by it finds out.
pub fn change<R>(world: &mut World, run: RunId, edit: impl FnOnce(&mut Database) -> R) -> R {
    let storage = storage(world, run);
    let database = world.programs.databases.entry(storage).or_default();
    let result = edit(Arc::make_mut(database));
    network::review(world);
    result
}

/// Whether a server demands that clients say who they are.
pub fn demands_authentication(world: &World, run: RunId) -> bool {
    super::instance(world, run).is_some_and(|i| i.named("auth").is_some_and(|a| !a.is_empty()))
}

/// Whether a server accepts credentials. They are checked whether or not it demands any.
pub fn knows(world: &World, run: RunId, who: &Credentials) -> bool {
    database(world, run).knows(who)
}

/// Whether a client may do something in a database; `command` is the command as the error quotes it.
///
/// # Errors
/// MongoDB's text.
pub fn access(world: &World, run: RunId, who: Option<&Credentials>, what: (&str, Access), command: &str) -> Result<(), ArcStr> {
    database(world, run).access(demands_authentication(world, run), who, what, command)
}

/// The documents that a seed would write: those whose key is not there yet.
pub(super) fn missing(world: &World, run: RunId, seed: &Seed, documents: &[Json]) -> Vec<Json> {
    database(world, run).missing(seed, documents)
}

/// Writes documents.
pub(super) fn insert(world: &mut World, run: RunId, database: &str, collection: &str, documents: Vec<Json>) {
    change(world, run, |held| {
        let target = held.collection_mut(database, collection);
        Arc::make_mut(&mut target.documents).extend(documents);
    });
}

/// Runs the scripts of an empty volume; returns how long that takes.
pub(super) fn prepare(world: &mut World, run: RunId) -> Duration {
    let Some(launch) = super::launch(world, run) else { return Duration::ZERO };
    let fresh = !database(world, run).initialised;
    if !fresh {
        return Duration::ZERO;
    }
    change(world, run, Database::initialise);
    let through_entry_point = launch.argv.first().is_some_and(|a| a.ends_with("docker-entrypoint.sh"));
    let scripts: Vec<_> = launch.files.iter().filter(|(path, _)| path.starts_with("/docker-entrypoint-initdb.d/")).collect();
    if !through_entry_point || scripts.is_empty() {
        return Duration::ZERO;
    }
    // A server without authentication, reachable from within only, for the scripts.
    let mut took = Duration::from_millis(1_100);
    for (path, _) in scripts {
        if path.ends_with(".sh") || path.ends_with(".js") {
            took += exec::initialise(world, run, path, took);
        }
    }
    let at = world.now + took;
    for line in INITIALISED {
        world.history.write(run, at, line);
    }
    took + Duration::from_millis(150)
}
