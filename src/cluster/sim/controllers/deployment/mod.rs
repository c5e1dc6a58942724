//! The Deployment controller: rollouts by ReplicaSets, their history, scaling, pausing, progress.
//!
//! Not modelled: `deprecated.deployment.rollback.to` (kubectl's undo patches the template itself).

mod dump;
mod rolling;
pub mod sets;
mod status;

use super::pods::{self, is_controlled_by};
use super::selector::selects;
use super::{Loop, Outcome, enqueue};
use crate::cluster::sim::store::{Change, Key, Kind};
use crate::cluster::sim::world::World;
use crate::object::{Json, Object};

/// A Deployment's numbers, percentages resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    replicas: i64,
    surge: i64,
    unavailable: i64,
    rolling: bool,
}

impl Plan {
    fn of(deployment: &Object) -> Plan {
        let replicas = deployment.spec().get("replicas").as_i64().unwrap_or(1);
        let strategy = deployment.spec().get("strategy");
        if strategy.get("type").text() == "Recreate" {
            return Plan { replicas, surge: 0, unavailable: 0, rolling: false };
        }
        let rolling = strategy.get("rollingUpdate");
        let surge = scaled(rolling.get("maxSurge"), replicas, true);
        let mut unavailable = scaled(rolling.get("maxUnavailable"), replicas, false);
        // Rounding can leave no room at all; Kubernetes then lets one pod be unavailable.
        if surge == 0 && unavailable == 0 {
            unavailable = 1;
        }
        let unavailable = if replicas == 0 { 0 } else { unavailable.min(replicas) };
        Plan { replicas, surge, unavailable, rolling: true }
    }

    fn most(self) -> i64 {
        self.replicas + self.surge
    }
}

/// A whole number, or a percentage of `total` rounded up or down.
pub fn scaled(value: &Json, total: i64, up: bool) -> i64 {
    if let Some(number) = value.as_i64() {
        return number;
    }
    let percent = value.text().strip_suffix('%').and_then(|p| p.parse::<i64>().ok()).unwrap_or(0);
    let product = percent.saturating_mul(total);
    if up { product.saturating_add(99).div_euclid(100) } else { product.div_euclid(100) }
}

/// Puts the Deployments that a ReplicaSet concerns on the queue.
pub fn on_replica_set(world: &mut World, change: &Change) {
    let mut owned = false;
    for rs in [&change.before, &change.after].into_iter().flatten() {
        if let Some(owner) = rs.controller().filter(|o| o.get("kind").text() == "Deployment") {
            owned = true;
            enqueue(world, Loop::Deployment, Key::new(Kind::DEPLOYMENT, rs.namespace(), owner.get("name").text()));
        }
    }
    let Some(orphan) = change.after.as_ref().filter(|rs| !owned && rs.controller().is_none()) else { return };
    let adopters: Vec<Key> = world
        .store
        .list_keyed(Kind::DEPLOYMENT, Some(orphan.namespace()))
        .filter(|(_, d)| selects(d.spec().get("selector"), orphan.meta().get("labels")))
        .map(|(key, _)| key.clone())
        .collect();
    for key in adopters {
        enqueue(world, Loop::Deployment, key);
    }
}

/// A Deployment that recreates goes on once the last of its old pods is gone.
pub fn on_pod(world: &mut World, change: &Change) {
    let (Some(pod), None) = (&change.before, &change.after) else { return };
    let Some(owner) = pod.controller().filter(|o| o.get("kind").text() == "ReplicaSet") else { return };
    let rs = Key::new(Kind::REPLICA_SET, pod.namespace(), owner.get("name").text());
    let Some(name) = world.store.get(&rs).and_then(Object::controller).map(|o| o.get("name").text().to_owned()) else { return };
    let key = Key::new(Kind::DEPLOYMENT, pod.namespace(), name);
    let Some(deployment) = world.store.get(&key).filter(|d| !Plan::of(d).rolling) else { return };
    let sets = world.store.list_claimable(Kind::REPLICA_SET, pod.namespace(), deployment.uid());
    let sets = sets.filter(|rs| is_controlled_by(rs, deployment.uid()));
    let uids: Vec<&str> = sets.map(Object::uid).collect();
    let pods = world.store.list(Kind::POD, Some(pod.namespace()));
    let left = pods.filter_map(Object::controller).any(|owner| uids.contains(&owner.get("uid").text()));
    if !left {
        enqueue(world, Loop::Deployment, key);
    }
}

/// One synchronisation: the Deployment as it stands after the writes so far, and its ReplicaSets.
struct Sync {
    key: Key,
    deployment: Object,
    plan: Plan,
    /// The ReplicaSet with the Deployment's own template.
    new: Option<Object>,
    /// All others, oldest first.
    old: Vec<Object>,
}

/// Brings one Deployment closer to what it asks for.
pub fn sync(world: &mut World, key: &Key) -> Outcome {
    let Some(deployment) = world.store.get(key).cloned() else { return Ok(()) };
    let sets = owned_sets(world, &deployment)?;
    let plan = Plan::of(&deployment);
    let (new, old) = sets::split(&deployment, sets);
    let mut sync = Sync { key: key.clone(), deployment, plan, new, old };
    if sync.deployment.is_terminating() {
        sync.adopt_revision(world)?;
        return sync.write_status(world);
    }
    sync.note_pause(world)?;
    let paused = sync.deployment.spec().get("paused").is_true();
    sync.adopt_revision(world)?;
    if paused || sync.is_scaling() {
        sync.scale(world)?;
        if paused {
            sync.clean_up(world)?;
        }
        return sync.write_status(world);
    }
    if plan.rolling { sync.roll(world) } else { sync.recreate(world) }
}

/// ReplicaSets that the Deployment controls, after adoption and release, oldest first.
fn owned_sets(world: &mut World, deployment: &Object) -> Result<Vec<Object>, crate::cluster::ApiError> {
    let selector = deployment.spec().get("selector").clone();
    let candidates: Vec<Object> =
        world.store.list_claimable(Kind::REPLICA_SET, deployment.namespace(), deployment.uid()).cloned().collect();
    let mut owned = Vec::new();
    for rs in candidates {
        match (rs.controller().is_some(), selects(&selector, rs.meta().get("labels"))) {
            (true, true) => owned.push(rs),
            (false, true) if !deployment.is_terminating() => {
                owned.push(pods::adopt(world, Key::of(Kind::REPLICA_SET, &rs), deployment)?);
            }
            _ => {}
        }
    }
    owned.sort_by(|a, b| a.created_at().cmp(&b.created_at()).then_with(|| a.name().cmp(b.name())));
    Ok(owned)
}

fn replicas(set: &Object) -> i64 {
    set.spec().get("replicas").as_i64().unwrap_or(1)
}

fn status_of(set: &Object, field: &str) -> i64 {
    set.status().get(field).as_i64().unwrap_or(0)
}

impl Sync {
    fn all(&self) -> impl Iterator<Item = &Object> {
        self.old.iter().chain(self.new.as_ref())
    }

    fn total(&self) -> i64 {
        self.all().map(replicas).sum()
    }

    fn available(&self) -> i64 {
        self.all().map(|s| status_of(s, "availableReplicas")).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_round_as_kubernetes_does() {
        let check = |surge: &str, unavailable: &str, replicas: i64, expect: (i64, i64)| {
            let text = format!(
                r#"{{"spec":{{"replicas":{replicas},"strategy":{{"type":"RollingUpdate","rollingUpdate":{{"maxSurge":{surge},"maxUnavailable":{unavailable}}}}}}}}}"#
            );
            let plan = Plan::of(&Object(Json::parse(&text).expect("json")));
            assert_eq!((plan.surge, plan.unavailable), expect, "{text}");
        };
        check(r#""25%""#, r#""25%""#, 1, (1, 0));
        check(r#""25%""#, r#""25%""#, 4, (1, 1));
        check(r#""25%""#, r#""25%""#, 10, (3, 2));
        check("0", r#""1%""#, 2, (0, 1));
        check("2", "0", 0, (2, 0));
        check("0", "5", 3, (0, 3));
    }
}
