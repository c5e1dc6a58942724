//! The ReplicaSet controller, and the ReplicationController's, which is the same one: as many pods as asked for.
//!
//! Not modelled: expectations (the store is read directly, so a controller always sees its own writes).

use super::conditions::{with_condition, without_condition};
use super::pods::{self, Maker, is_controlled_by, is_namespace_terminating};
use super::selector::{is_subset, selects};
use super::{Loop, Outcome, enqueue, enqueue_after};
use crate::cluster::ApiError;
use crate::cluster::sim::store::{Change, Key, Kind};
use crate::cluster::sim::world::World;
use crate::object;
use crate::object::{Json, Object};
use std::time::Duration;

/// Pods created or deleted at most in one synchronisation.
const BURST: usize = 500;

/// The two kinds that this controller serves.
#[derive(Clone, Copy)]
struct Flavor {
    kind: Kind,
    name: &'static str,
    queue: Loop,
    controller: &'static str,
}

const FLAVORS: [Flavor; 2] = [
    Flavor { kind: Kind::REPLICA_SET, name: "ReplicaSet", queue: Loop::ReplicaSet, controller: "replicaset-controller" },
    Flavor {
        kind: Kind::REPLICATION_CONTROLLER,
        name: "ReplicationController",
        queue: Loop::ReplicationController,
        controller: "replication-controller",
    },
];

/// The set as the controller sees it: a ReplicationController's plain selector becomes a label selector.
fn normalized(set: &Object) -> Object {
    let mut set = set.clone();
    if set.kind() == "ReplicationController" {
        let labels = set.spec().get("selector").clone();
        set.set_at(&["spec", "selector"], object! { "matchLabels" => labels });
    }
    set
}

/// Puts the sets that a pod concerns on the queue.
pub fn on_pod(world: &mut World, change: &Change) {
    let sides = [&change.before, &change.after];
    let mut owned = false;
    for pod in sides.into_iter().flatten() {
        let Some(owner) = pod.controller() else { continue };
        owned = true;
        if let Some(flavor) = FLAVORS.iter().find(|f| f.name == owner.get("kind").text()) {
            enqueue(world, flavor.queue, Key::new(flavor.kind, pod.namespace(), owner.get("name").text()));
        }
    }
    if let Some(ready) = change.after.as_ref().filter(|p| pods::is_ready(p) && !change.before.as_ref().is_some_and(pods::is_ready)) {
        watch_availability(world, ready);
    }
    let Some(orphan) = change.after.as_ref().filter(|pod| !owned && !pod.is_terminating()) else { return };
    for flavor in FLAVORS {
        let adopters: Vec<Key> = world
            .store
            .list_keyed(flavor.kind, Some(orphan.namespace()))
            .filter(|(_, set)| selects(normalized(set).spec().get("selector"), orphan.meta().get("labels")))
            .map(|(key, _)| key.clone())
            .collect();
        for key in adopters {
            enqueue(world, flavor.queue, key);
        }
    }
}

fn watch_availability(world: &mut World, pod: &Object) {
    let Some(owner) = pod.controller() else { return };
    let Some(flavor) = FLAVORS.iter().find(|f| f.name == owner.get("kind").text()) else { return };
    let key = Key::new(flavor.kind, pod.namespace(), owner.get("name").text());
    let least = world.store.get(&key).and_then(|rs| rs.spec().get("minReadySeconds").as_i64()).unwrap_or(0);
    if let Some(seconds) = u64::try_from(least).ok().filter(|s| *s > 0) {
        enqueue_after(world, flavor.queue, key, Duration::from_secs(seconds) + Duration::from_secs(1));
    }
}

/// Brings one set closer to what it asks for.
pub fn sync(world: &mut World, key: &Key) -> Outcome {
    let Some(flavor) = FLAVORS.iter().find(|f| f.kind == key.kind) else { return Ok(()) };
    let Some(rs) = world.store.get(key).map(normalized) else { return Ok(()) };
    let active = pods::claim(world, &rs)?;
    let failure = if rs.is_terminating() { None } else { manage(world, &rs, &active, flavor.controller).err() };
    let status = status(world, &rs, &active, failure.as_ref());
    let written = if status == *rs.status() { rs } else { world.set_status(key, |s| *s = status)? };
    if let Some(error) = failure {
        return Err(error);
    }
    let least = written.spec().get("minReadySeconds").as_i64().unwrap_or(0);
    if let Some(at) = pods::next_available(&active, least, world.now).filter(|_| least > 0) {
        enqueue_after(world, flavor.queue, key.clone(), at - world.now);
    }
    Ok(())
}

fn wanted(rs: &Object) -> usize {
    usize::try_from(rs.spec().get("replicas").as_i64().unwrap_or(1)).unwrap_or(0)
}

fn manage(world: &mut World, rs: &Object, active: &[Object], controller: &str) -> Outcome {
    let maker = Maker { controller, owner: rs };
    let wanted = wanted(rs);
    if active.len() < wanted {
        return create(world, &maker, (wanted - active.len()).min(BURST));
    }
    let surplus = (active.len() - wanted).min(BURST);
    let mut doomed = active.to_vec();
    if surplus > 0 && surplus < doomed.len() {
        let related = related_pods(world, rs);
        pods::sort_for_deletion(&mut doomed, &related, world.now);
    }
    let outcomes: Vec<Outcome> = doomed.iter().take(surplus).map(|pod| maker.delete(world, pod)).collect();
    outcomes.into_iter().collect()
}

/// Creates pods in batches of 1, 2, 4 …, and stops after a batch with a failure, so that a quota is not hammered.
fn create(world: &mut World, maker: &Maker, count: usize) -> Outcome {
    let template = maker.owner.spec().get("template").clone();
    let (mut left, mut batch) = (count, 1);
    while left > 0 {
        let size = batch.min(left);
        let mut failure = None;
        for _ in 0..size {
            let pod = maker.from_template(&template);
            match maker.create(world, pod) {
                Err(error) if !is_namespace_terminating(&error) => failure = Some(error),
                _ => {}
            }
        }
        if let Some(error) = failure {
            return Err(error);
        }
        left -= size;
        batch *= 2;
    }
    Ok(())
}

/// Pods of every ReplicaSet with the same controller.
fn related_pods(world: &World, rs: &Object) -> Vec<Object> {
    let Some(owner) = rs.controller().map(|c| c.get("uid").text()) else { return Vec::new() };
    let siblings = world.store.list_claimable(Kind::REPLICA_SET, rs.namespace(), owner).filter(|s| is_controlled_by(s, owner));
    let selectors: Vec<Json> = siblings.map(|s| s.spec().get("selector").clone()).collect();
    let selected = move |pod: &Object| selectors.iter().any(|selector| selects(selector, pod.meta().get("labels")));
    world.store.list_by(Kind::POD, Some(rs.namespace()), selected).map(|(_, pod)| pod.clone()).collect()
}

fn status(world: &World, rs: &Object, active: &[Object], failure: Option<&ApiError>) -> Json {
    let least = rs.spec().get("minReadySeconds").as_i64().unwrap_or(0);
    let template = rs.spec().at(&["template", "metadata", "labels"]);
    let labeled = active.iter().filter(|p| is_subset(template, p.meta().get("labels"))).count();
    let ready = active.iter().filter(|p| pods::is_ready(p)).count();
    let available = active.iter().filter(|p| pods::is_available(p, least, world.now)).count();
    let mut status = object! { "replicas" => active.len(), "observedGeneration" => rs.generation() };
    for (field, count) in [("fullyLabeledReplicas", labeled), ("readyReplicas", ready), ("availableReplicas", available)] {
        if count > 0 {
            status.set(field, count);
        }
    }
    let old = rs.status().get("conditions");
    let conditions = match failure {
        Some(error) if old.find("type", "ReplicaFailure").is_none() => {
            let reason = if active.len() < wanted(rs) { "FailedCreate" } else { "FailedDelete" };
            with_condition(
                old,
                object! {
                    "type" => "ReplicaFailure", "status" => "True", "reason" => reason, "message" => error.message.as_str(),
                    "lastTransitionTime" => world.now.rfc3339(),
                },
            )
        }
        Some(_) => old.clone(),
        None => without_condition(old, "ReplicaFailure"),
    };
    if !conditions.is_empty() {
        status.set("conditions", conditions);
    }
    status
}
