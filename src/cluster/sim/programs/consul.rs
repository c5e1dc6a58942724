//! Consul's memory in a simulated process, and its HTTP API.

use crate::app::consul::{Asked, Registration, log_line};
use crate::cluster::sim::history::RunId;
use crate::cluster::sim::network;
use crate::cluster::sim::world::World;
use crate::cluster::{HttpReply, HttpRequest};
use std::time::Duration;

/// Registers an instance; one with the same id is replaced.
pub fn register(world: &mut World, consul: RunId, registration: Registration) {
    let Some(registry) = world.programs.registries.get_mut(&consul) else { return };
    let line = registry.register(registration);
    changed(world, consul, &line);
}

fn changed(world: &mut World, consul: RunId, line: &str) {
    world.history.write(consul, world.now, log_line(world.now, "INFO", line));
    network::review(world);
}

/// Answers an HTTP request.
pub(super) fn http(world: &mut World, consul: RunId, request: &HttpRequest) -> HttpReply {
    let mut registry = world.programs.registries.get(&consul).cloned().unwrap_or_default();
    let host = super::launch(world, consul).map(|l| super::host_name(&l)).unwrap_or_default();
    let asked = Asked { method: &request.method, path: &request.path, body: &request.body };
    let answer = registry.answer(asked, &host, &super::uuid(world, consul));
    if let Some(line) = &answer.change {
        world.programs.registries.insert(consul, registry);
        changed(world, consul, line);
    }
    let (status, headers, body) = (answer.status, answer.headers, answer.body.into_bytes());
    HttpReply { status, headers, body, took: Duration::from_micros(600), peer: (String::new(), 0) }
}
