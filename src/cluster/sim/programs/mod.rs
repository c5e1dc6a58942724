//! What runs in containers: start-up, listeners, exits.

use super::history::RunId;
use super::world::World;
use crate::app::{Access, Credentials, Instance};
use crate::cluster::{HttpReply, HttpRequest};
use arcstr::ArcStr;
use std::sync::Arc;

/// State that lives with the world.
#[derive(Clone, Debug, Default)]
pub struct State {}

/// Work on the queue.
#[derive(Clone, Debug)]
pub enum Work {}

/// Does a piece of work that is due.
pub fn handle(_world: &mut World, work: Work) {
    match work {}
}

/// The program of a run, with its settings; of past runs too.
pub fn instance(world: &World, run: RunId) -> Option<Arc<Instance>> {
    let launch = &world.history.run(run)?.launch;
    world.catalog.instance(&launch.image, &launch.argv, &launch.env, &launch.files).ok().map(Arc::new)
}

/// The addresses (`IP:port`) under which instances of a service are registered in the memory of a Consul run.
pub fn registrations(_world: &World, _consul: RunId, _service: &str) -> Vec<ArcStr> {
    Vec::new()
}

/// Whether a store lets a client do something in a collection; the error is the store's own text.
///
/// # Errors
/// When it refuses the credentials or they lack the right.
pub fn access(_world: &World, _store: RunId, _who: Option<&Credentials>, _what: (&str, &str), _needs: Access) -> Result<(), ArcStr> {
    Ok(())
}

/// The answer of a program with an HTTP API of its own (Consul, Jaeger); `None` when the run has none. A write takes effect.
pub fn http(_world: &mut World, _run: RunId, _request: &HttpRequest) -> Option<HttpReply> {
    None
}

/// A request makes a process write `lines` and end with `code`.
pub fn crash(_world: &mut World, _run: RunId, _lines: &[String], _code: i32) {}
