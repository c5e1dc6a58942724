//! What controllers of pods share: pods from templates, which pods count, and which go first.

use super::events::{self, Severity, Source};
use super::identity;
use super::selector::selects;
use crate::cluster::sim::store::{Key, Kind};
use crate::cluster::sim::world::World;
use crate::cluster::{ApiError, Propagation};
use crate::object;
use crate::object::{Json, Object};
use crate::time::SimTime;
use std::cmp::Ordering;
use std::time::Duration;

/// Longest name of an object.
const NAME_LONGEST: usize = 253;

/// Whether a pod counts as a replica: not finished, not being deleted.
pub fn is_active(pod: &Object) -> bool {
    !is_finished(pod) && !pod.is_terminating()
}

/// Whether a pod has come to its end.
pub fn is_finished(pod: &Object) -> bool {
    matches!(pod.status().get("phase").text(), "Succeeded" | "Failed")
}

/// Whether the pod's `Ready` condition is true.
pub fn is_ready(pod: &Object) -> bool {
    pod.condition("Ready").is_some_and(|c| c.get("status").text() == "True")
}

/// Since when the pod is ready.
pub fn ready_since(pod: &Object) -> Option<SimTime> {
    let ready = pod.condition("Ready").filter(|c| c.get("status").text() == "True")?;
    SimTime::parse_rfc3339(ready.get("lastTransitionTime").text())
}

/// Whether a pod has been ready for `min_ready_s` seconds.
pub fn is_available(pod: &Object, min_ready_s: i64, now: SimTime) -> bool {
    let least = Duration::from_secs(u64::try_from(min_ready_s).unwrap_or(0));
    ready_since(pod).is_some_and(|since| least.is_zero() || since + least <= now)
}

/// When the first of the ready pods that are not available yet becomes so.
pub fn next_available<'a>(pods: impl IntoIterator<Item = &'a Object>, min_ready_s: i64, now: SimTime) -> Option<SimTime> {
    let least = Duration::from_secs(u64::try_from(min_ready_s).unwrap_or(0));
    pods.into_iter().filter_map(ready_since).map(|since| since + least).filter(|at| *at > now).min()
}

/// Whether `object` is controlled by the object with this uid.
pub fn is_controlled_by(object: &Object, uid: &str) -> bool {
    object.controller().is_some_and(|owner| owner.get("uid").text() == uid)
}

/// The owner reference by which `owner` controls its dependents.
pub fn controller_reference(owner: &Object) -> Json {
    object! {
        "apiVersion" => owner.get("apiVersion"), "kind" => owner.get("kind"), "name" => owner.name(), "uid" => owner.uid(),
        "controller" => true, "blockOwnerDeletion" => true,
    }
}

/// A controller that makes pods.
pub struct Maker<'a> {
    /// Its service account, `replicaset-controller`; also the name under which it reports events.
    pub controller: &'a str,
    /// The object it works for.
    pub owner: &'a Object,
}

impl Maker<'_> {
    /// The pod that a template describes, before it is created.
    pub fn from_template(&self, template: &Json) -> Json {
        let mut metadata = object! {
            "generateName" => pod_prefix(self.owner.name()),
            "ownerReferences" => Json::from(vec![controller_reference(self.owner)]),
        };
        for field in ["labels", "annotations", "finalizers"] {
            let value = template.at(&["metadata", field]);
            if !value.is_empty() {
                metadata.set(field, value);
            }
        }
        object! { "apiVersion" => "v1", "kind" => "Pod", "metadata" => metadata, "spec" => template.get("spec") }
    }

    /// Creates a pod and reports it.
    ///
    /// # Errors
    /// The API server's answer.
    pub fn create(&self, world: &mut World, pod: Json) -> Result<Object, ApiError> {
        let made = world.create(&identity(self.controller), Kind::POD, self.owner.namespace(), pod);
        match &made {
            Ok(pod) => self.report(world, Severity::Normal, ("SuccessfulCreate", &format!("Created pod: {}", pod.name()))),
            Err(error) if is_namespace_terminating(error) => {}
            Err(error) => self.report(world, Severity::Warning, ("FailedCreate", &format!("Error creating: {}", error.message))),
        }
        made
    }

    /// Deletes a pod and reports it.
    ///
    /// # Errors
    /// The API server's answer, but for a pod that is gone already.
    pub fn delete(&self, world: &mut World, pod: &Object) -> Result<(), ApiError> {
        let key = Key::of(Kind::POD, pod);
        match world.delete(&identity(self.controller), &key, None, Some(Propagation::Background)) {
            Ok(_) => self.report(world, Severity::Normal, ("SuccessfulDelete", &format!("Deleted pod: {}", key.name))),
            Err(error) if error.code == 404 => {}
            Err(error) => {
                self.report(world, Severity::Warning, ("FailedDelete", &format!("Error deleting: {}", error.message)));
                return Err(error);
            }
        }
        Ok(())
    }

    fn report(&self, world: &mut World, severity: Severity, what: (&str, &str)) {
        events::record(world, &Source::component(self.controller), self.owner, severity, what);
    }
}

/// Whether a request failed because its namespace is being deleted, which controllers pass over in silence.
pub fn is_namespace_terminating(error: &ApiError) -> bool {
    error.details.get("causes").items().iter().any(|c| c.get("reason").text() == "NamespaceTerminating")
}

fn pod_prefix(owner: &str) -> String {
    if owner.len() < NAME_LONGEST { format!("{owner}-") } else { owner.to_owned() }
}

/// The pods that `owner` controls, after adopting orphans that its selector selects and releasing pods that it no longer
/// selects. Only active pods are claimed.
///
/// # Errors
/// The API server's answer to an adoption or a release.
pub fn claim(world: &mut World, owner: &Object) -> Result<Vec<Object>, ApiError> {
    let selector = owner.spec().get("selector").clone();
    let candidates: Vec<Object> =
        world.store.list_claimable(Kind::POD, owner.namespace(), owner.uid()).filter(|pod| is_active(pod)).cloned().collect();
    let mut claimed = Vec::with_capacity(candidates.len());
    for pod in candidates {
        let selected = selects(&selector, pod.meta().get("labels"));
        match (pod.controller().is_some(), selected) {
            (true, true) => claimed.push(pod),
            (true, false) => release(world, Key::of(Kind::POD, &pod), owner.uid())?,
            (false, true) if !owner.is_terminating() => claimed.push(adopt(world, Key::of(Kind::POD, &pod), owner)?),
            (false, _) => {}
        }
    }
    Ok(claimed)
}

/// Makes `owner` the controller of an orphan.
///
/// # Errors
/// 404 when the orphan is gone.
pub fn adopt(world: &mut World, key: Key, owner: &Object) -> Result<Object, ApiError> {
    let reference = controller_reference(owner);
    world.update(&key, |orphan| {
        let references = orphan.at_mut(&["metadata", "ownerReferences"]);
        references.push(reference);
    })
}

fn release(world: &mut World, key: Key, uid: &str) -> Result<(), ApiError> {
    let freed = world.update(&key, |pod| {
        let references = pod.at_mut(&["metadata", "ownerReferences"]);
        references.items_mut().retain(|r| r.get("uid").text() != uid);
        if references.is_empty() {
            pod.remove_at(&["metadata", "ownerReferences"]);
        }
    });
    freed.map(|_| ())
}

/// Sorts pods so that those to delete first come first; `related` are the pods of the owner's siblings too.
pub fn sort_for_deletion(pods: &mut [Object], related: &[Object], now: SimTime) {
    let on_node = |node: &str| related.iter().filter(|p| is_active(p) && p.spec().get("nodeName").text() == node).count();
    let ranks: Vec<usize> = pods.iter().map(|p| on_node(p.spec().get("nodeName").text())).collect();
    let mut order: Vec<(Object, usize)> = pods.iter().cloned().zip(ranks).collect();
    order.sort_by(|(a, rank_a), (b, rank_b)| precedence(a, b, (*rank_a, *rank_b), now));
    for (slot, (pod, _)) in pods.iter_mut().zip(order) {
        *slot = pod;
    }
}

/// The rules of `ActivePodsWithRanks`, in order.
fn precedence(a: &Object, b: &Object, (rank_a, rank_b): (usize, usize), now: SimTime) -> Ordering {
    let unassigned = |p: &Object| !p.spec().get("nodeName").is_empty();
    let phase = |p: &Object| match p.status().get("phase").text() {
        "Pending" => 0,
        "Running" => 2,
        _ => 1,
    };
    let cost = |p: &Object| p.annotation("controller.kubernetes.io/pod-deletion-cost").and_then(|c| c.parse::<i32>().ok()).unwrap_or(0);
    let ready = |p: &Object| ready_since(p).map(|at| magnitude(at, now));
    let created = |p: &Object| p.created_at().map(|at| magnitude(at, now));
    let by_age = |x: Option<i64>, y: Option<i64>| x.cmp(&y);
    unassigned(a)
        .cmp(&unassigned(b))
        .then_with(|| phase(a).cmp(&phase(b)))
        .then_with(|| is_ready(a).cmp(&is_ready(b)))
        .then_with(|| cost(a).cmp(&cost(b)))
        .then_with(|| rank_b.cmp(&rank_a))
        .then_with(|| by_age(ready(a), ready(b)))
        .then_with(|| restarts(b).cmp(&restarts(a)))
        .then_with(|| by_age(created(a), created(b)))
        .then_with(|| a.uid().cmp(b.uid()))
}

/// The binary logarithm of an age in nanoseconds, which blurs equivalent pods into a random order.
fn magnitude(at: SimTime, now: SimTime) -> i64 {
    let age = (now - at).as_nanos();
    if age == 0 { -1 } else { i64::from(age.ilog2()) }
}

fn restarts(pod: &Object) -> i64 {
    pod.status().get("containerStatuses").items().iter().filter_map(|c| c.get("restartCount").as_i64()).max().unwrap_or(0)
}
