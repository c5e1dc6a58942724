//! The disruption controller: how many pods of a PodDisruptionBudget may go at present.

use super::deployment::scaled;
use super::pods::{is_active, is_finished, is_ready};
use super::selector::selects;
use super::{Loop, Outcome, enqueue};
use crate::cluster::sim::store::{Change, Key, Kind};
use crate::cluster::sim::world::World;
use crate::object;
use crate::object::{Json, Object};
use std::collections::BTreeSet;

/// Puts the budgets that a change concerns on the queue.
pub fn on_change(world: &mut World, change: &Change) {
    if change.key.kind == Kind::PDB {
        return enqueue(world, Loop::Disruption, change.key.clone());
    }
    let state = |p: &Object| (is_ready(p), is_active(p), p.meta().get("labels").clone());
    if change.before.as_ref().map(state) == change.after.as_ref().map(state) {
        return;
    }
    let sides: Vec<&Object> = change.before.iter().chain(change.after.iter()).collect();
    let budgets = world.store.list_keyed(Kind::PDB, Some(&change.key.namespace));
    let concerned = budgets.filter(|(_, b)| sides.iter().any(|p| selects(b.spec().get("selector"), p.meta().get("labels"))));
    let keys: Vec<Key> = concerned.map(|(key, _)| key.clone()).collect();
    for key in keys {
        enqueue(world, Loop::Disruption, key);
    }
}

/// How many pods the controllers of `pods` ask for; pods without one count as themselves.
fn expected(world: &World, pods: &[Object]) -> i64 {
    let mut seen = BTreeSet::new();
    let mut sum = 0;
    for pod in pods {
        let Some(owner) = pod.controller() else {
            sum += 1;
            continue;
        };
        if !seen.insert(owner.get("uid").text().to_owned()) {
            continue;
        }
        let kind = match owner.get("kind").text() {
            "ReplicaSet" => Kind::REPLICA_SET,
            "StatefulSet" => Kind::STATEFUL_SET,
            _ => {
                sum += 1;
                continue;
            }
        };
        let Some(set) = world.store.get(&Key::new(kind, pod.namespace(), owner.get("name").text())) else { continue };
        let deployment = set.controller().filter(|c| c.get("kind").text() == "Deployment");
        let counted = match deployment {
            Some(d) if seen.insert(d.get("uid").text().to_owned()) => {
                world.store.get(&Key::new(Kind::DEPLOYMENT, pod.namespace(), d.get("name").text()))
            }
            Some(_) => None,
            None => Some(set),
        };
        sum += counted.and_then(|o| o.spec().get("replicas").as_i64()).unwrap_or(0);
    }
    sum
}

/// Brings one budget's status up to date.
pub fn sync(world: &mut World, key: &Key) -> Outcome {
    let Some(budget) = world.store.get(key).cloned() else { return Ok(()) };
    let selector = budget.spec().get("selector");
    let chosen = |p: &&Object| selects(selector, p.meta().get("labels"));
    let pods: Vec<Object> = world.store.list(Kind::POD, Some(&key.namespace)).filter(chosen).cloned().collect();
    let least = budget.spec().get("minAvailable");
    let most = budget.spec().get("maxUnavailable");
    let live: Vec<Object> = pods.iter().filter(|p| !is_finished(p)).cloned().collect();
    let (expected, desired) = if !most.is_null() {
        let expected = expected(world, &live);
        (expected, (expected - scaled(most, expected, true)).max(0))
    } else if let Some(number) = least.as_i64() {
        (i64::try_from(live.len()).unwrap_or(i64::MAX), number)
    } else {
        let expected = expected(world, &live);
        (expected, scaled(least, expected, true))
    };
    let healthy = i64::try_from(live.iter().filter(|p| is_ready(p) && !p.is_terminating()).count()).unwrap_or(i64::MAX);
    let allowed = if expected > 0 { (healthy - desired).max(0) } else { 0 };
    let (status, reason) = if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    let before =
        budget.condition("DisruptionAllowed").filter(|c| c.get("status").text() == status).map(|c| c.get("lastTransitionTime").clone());
    let condition = object! {
        "type" => "DisruptionAllowed", "status" => status, "reason" => reason, "message" => "", "observedGeneration" => budget.generation(),
        "lastTransitionTime" => before.unwrap_or_else(|| Json::from(world.now.rfc3339())),
    };
    let mut status = object! {
        "currentHealthy" => healthy, "desiredHealthy" => desired, "disruptionsAllowed" => allowed, "expectedPods" => expected,
        "observedGeneration" => budget.generation(), "conditions" => Json::from(vec![condition]),
    };
    if !budget.status().get("disruptedPods").is_null() {
        status.set("disruptedPods", budget.status().get("disruptedPods"));
    }
    world.set_status(key, |s| *s = status)?;
    Ok(())
}
