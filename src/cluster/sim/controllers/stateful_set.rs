//! The StatefulSet controller: pods with ordinals, names and claims of their own, in order.
//!
//! Not modelled: `persistentVolumeClaimRetentionPolicy`, `maxUnavailable` of rolling updates.

use super::events::{self, Severity, Source};
use super::pods::{self, Maker, is_available, is_finished, is_namespace_terminating, is_ready};
use super::{Loop, Outcome, enqueue, enqueue_after, identity, revisions};
use crate::cluster::Propagation;
use crate::cluster::sim::store::{Change, Key, Kind};
use crate::cluster::sim::world::World;
use crate::object;
use crate::object::{Json, Object};

const CONTROLLER: &str = "statefulset-controller";
const REVISION_LABEL: &str = "controller-revision-hash";
const NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";
const INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";

/// Puts the StatefulSet of a pod on the queue.
pub fn on_pod(world: &mut World, change: &Change) {
    for pod in change.before.iter().chain(change.after.iter()) {
        if let Some(owner) = pod.controller().filter(|o| o.get("kind").text() == "StatefulSet") {
            enqueue(world, Loop::StatefulSet, Key::new(Kind::STATEFUL_SET, pod.namespace(), owner.get("name").text()));
        }
    }
}

/// One synchronisation.
struct Sync {
    set: Object,
    current: Object,
    update: Object,
    monotonic: bool,
    least_ready_s: i64,
}

/// Brings one StatefulSet closer to what it asks for.
pub fn sync(world: &mut World, key: &Key) -> Outcome {
    let Some(set) = world.store.get(key).cloned() else { return Ok(()) };
    let claimed = claim(world, &set)?;
    let update = revisions::current(world, &set, CONTROLLER, "controller.kubernetes.io/hash")?;
    let named = set.status().get("currentRevision").text().to_owned();
    let current = revisions::of(world, &set).into_iter().find(|r| r.name() == named).unwrap_or_else(|| update.clone());
    let monotonic = set.spec().get("podManagementPolicy").text() != "Parallel";
    let least_ready_s = set.spec().get("minReadySeconds").as_i64().unwrap_or(0);
    let sync = Sync { set, current, update, monotonic, least_ready_s };
    let outcome = if sync.set.is_terminating() { Ok(()) } else { sync.act(world, &claimed) };
    let ours = |p: &&Object| pods::is_controlled_by(p, sync.set.uid());
    let pods: Vec<Object> = world.store.list(Kind::POD, Some(&key.namespace)).filter(ours).cloned().collect();
    sync.write_status(world, key, &pods)?;
    let used = [sync.current.name().to_owned(), sync.update.name().to_owned()];
    revisions::clean_up(world, &sync.set, CONTROLLER, &used)?;
    if let Some(at) = pods::next_available(&pods, least_ready_s, world.now).filter(|_| least_ready_s > 0) {
        enqueue_after(world, Loop::StatefulSet, key.clone(), at - world.now);
    }
    outcome
}

/// Pods that the set controls, terminating and finished ones included.
fn claim(world: &mut World, set: &Object) -> Result<Vec<Object>, crate::cluster::ApiError> {
    pods::claim(world, set)?;
    let ours = |p: &&Object| pods::is_controlled_by(p, set.uid()) && ordinal(set, p).is_some();
    Ok(world.store.list(Kind::POD, Some(set.namespace())).filter(ours).cloned().collect())
}

fn ordinal(set: &Object, pod: &Object) -> Option<i64> {
    pod.name().strip_prefix(set.name())?.strip_prefix('-')?.parse().ok()
}

impl Sync {
    fn replicas(&self) -> i64 {
        self.set.spec().get("replicas").as_i64().unwrap_or(1)
    }

    fn start(&self) -> i64 {
        self.set.spec().at(&["ordinals", "start"]).as_i64().unwrap_or(0)
    }

    fn partition(&self) -> i64 {
        self.set.spec().at(&["updateStrategy", "rollingUpdate", "partition"]).as_i64().unwrap_or(0)
    }

    fn is_healthy(&self, pod: &Object) -> bool {
        is_ready(pod) && !pod.is_terminating() && !is_finished(pod)
    }

    fn is_settled(&self, world: &World, pod: &Object) -> bool {
        self.is_healthy(pod) && is_available(pod, self.least_ready_s, world.now)
    }

    /// One round: missing pods are made, surplus ones deleted, old ones replaced.
    fn act(&self, world: &mut World, pods: &[Object]) -> Outcome {
        let range = self.start()..self.start() + self.replicas();
        for at in range.clone() {
            let pod = pods.iter().find(|p| ordinal(&self.set, p) == Some(at));
            if self.place(world, at, pod)? && self.monotonic {
                return Ok(());
            }
        }
        let mut surplus: Vec<&Object> = pods.iter().filter(|p| ordinal(&self.set, p).is_some_and(|n| !range.contains(&n))).collect();
        surplus.sort_by_key(|p| std::cmp::Reverse(ordinal(&self.set, p)));
        let unhealthy = surplus.iter().rev().find(|p| !self.is_settled(world, p)).map(|p| p.uid().to_owned());
        for pod in surplus {
            if pod.is_terminating() {
                if self.monotonic {
                    return Ok(());
                }
                continue;
            }
            if self.monotonic && !self.is_settled(world, pod) && unhealthy.as_deref() != Some(pod.uid()) {
                return Ok(());
            }
            self.delete(world, pod)?;
            if self.monotonic {
                return Ok(());
            }
        }
        self.replace_old(world, pods, range)
    }

    /// Looks at one ordinal; returns whether an ordered set must wait for it.
    fn place(&self, world: &mut World, at: i64, pod: Option<&Object>) -> Result<bool, crate::cluster::ApiError> {
        match pod {
            None => {
                self.create(world, at)?;
                Ok(true)
            }
            Some(pod) if is_finished(pod) => {
                if !pod.is_terminating() {
                    self.delete(world, pod)?;
                }
                Ok(true)
            }
            Some(pod) => {
                if pod.status().get("phase").text() == "Pending" {
                    self.create_claims(world, at, pod.name())?;
                }
                Ok(!self.is_settled(world, pod))
            }
        }
    }

    /// Deletes the last pod whose revision is not the present one, once those after it are well.
    fn replace_old(&self, world: &mut World, pods: &[Object], range: std::ops::Range<i64>) -> Outcome {
        if self.set.spec().at(&["updateStrategy", "type"]).text() == "OnDelete" {
            return Ok(());
        }
        let wanted = revisions::hash_of(&self.set, &self.update).to_owned();
        for at in (range.start + self.partition()..range.end).rev() {
            let Some(pod) = pods.iter().find(|p| ordinal(&self.set, p) == Some(at)) else { return Ok(()) };
            if pod.label(REVISION_LABEL).is_none_or(|r| !r.ends_with(&wanted)) && !pod.is_terminating() {
                return self.delete(world, pod);
            }
            if !self.is_settled(world, pod) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn report(&self, world: &mut World, severity: Severity, what: (&str, &str)) {
        events::record(world, &Source::component(CONTROLLER), &self.set, severity, what);
    }

    fn create(&self, world: &mut World, at: i64) -> Outcome {
        let name = format!("{}-{at}", self.set.name());
        self.create_claims(world, at, &name)?;
        let fresh = at - self.start() >= self.partition() || self.current.name() == self.update.name();
        let revision = if fresh { &self.update } else { &self.current };
        let mut pod = Maker { controller: CONTROLLER, owner: &self.set }.from_template(&revisions::template_of(revision));
        pod.set_at(&["metadata", "name"], name.as_str());
        pod.set_at(&["metadata", "labels", NAME_LABEL], name.as_str());
        pod.set_at(&["metadata", "labels", INDEX_LABEL], at.to_string());
        pod.set_at(&["metadata", "labels", REVISION_LABEL], revision.name());
        pod.set_at(&["spec", "hostname"], name.as_str());
        let service = self.set.spec().get("serviceName").text();
        if !service.is_empty() {
            pod.set_at(&["spec", "subdomain"], service);
        }
        self.add_volumes(&mut pod, &name);
        let set = self.set.name();
        match world.create(&identity(CONTROLLER), Kind::POD, self.set.namespace(), pod) {
            Ok(_) => {
                self.report(world, Severity::Normal, ("SuccessfulCreate", &format!("create Pod {name} in StatefulSet {set} successful")))
            }
            Err(error) if is_namespace_terminating(&error) => {}
            Err(error) => {
                let message = format!("create Pod {name} in StatefulSet {set} failed error: {}", error.message);
                self.report(world, Severity::Warning, ("FailedCreate", &message));
                return Err(error);
            }
        }
        Ok(())
    }

    fn delete(&self, world: &mut World, pod: &Object) -> Outcome {
        let key = Key::of(Kind::POD, pod);
        world.delete(&identity(CONTROLLER), &key, None, Some(Propagation::Background))?;
        let message = format!("delete Pod {} in StatefulSet {} successful", key.name, self.set.name());
        self.report(world, Severity::Normal, ("SuccessfulDelete", &message));
        Ok(())
    }

    fn templates(&self) -> &[Json] {
        self.set.spec().get("volumeClaimTemplates").items()
    }

    fn claim_name(template: &Json, pod: &str) -> String {
        format!("{}-{pod}", template.at(&["metadata", "name"]).text())
    }

    fn create_claims(&self, world: &mut World, _at: i64, pod: &str) -> Outcome {
        for template in self.templates() {
            let name = Sync::claim_name(template, pod);
            if world.store.get(&Key::new(Kind::PVC, self.set.namespace(), name.as_str())).is_some() {
                continue;
            }
            let mut metadata = object! { "name" => name.as_str(), "labels" => self.set.spec().at(&["selector", "matchLabels"]) };
            for (key, value) in template.at(&["metadata", "labels"]).entries() {
                metadata.set_at(&["labels", key], value);
            }
            if !template.at(&["metadata", "annotations"]).is_empty() {
                metadata.set("annotations", template.at(&["metadata", "annotations"]));
            }
            let claim = object! { "metadata" => metadata, "spec" => template.get("spec") };
            world.create(&identity(CONTROLLER), Kind::PVC, self.set.namespace(), claim)?;
            let message = format!("create Claim {name} Pod {pod} in StatefulSet {} success", self.set.name());
            self.report(world, Severity::Normal, ("SuccessfulCreate", &message));
        }
        Ok(())
    }

    fn add_volumes(&self, pod: &mut Json, name: &str) {
        for template in self.templates() {
            let volume = template.at(&["metadata", "name"]).text();
            let claim = object! { "claimName" => Sync::claim_name(template, name) };
            let volumes = pod.at_mut(&["spec", "volumes"]);
            volumes.items_mut().retain(|v| v.get("name").text() != volume);
            volumes.push(object! { "name" => volume, "persistentVolumeClaim" => claim });
        }
    }

    fn write_status(&self, world: &mut World, key: &Key, pods: &[Object]) -> Outcome {
        let count = |holds: &dyn Fn(&Object) -> bool| pods.iter().filter(|p| holds(p)).count();
        let now = world.now;
        let of = |revision: &Object| {
            let name = revision.name().to_owned();
            move |p: &Object| !p.is_terminating() && p.label(REVISION_LABEL) == Some(name.as_str())
        };
        let replicas = count(&|_| true);
        let ready = count(&|p| is_ready(p));
        let updated = count(&of(&self.update));
        let rolling = self.set.spec().at(&["updateStrategy", "type"]).text() != "OnDelete";
        let wanted = usize::try_from(self.replicas()).unwrap_or(0);
        let complete = rolling && updated == replicas && ready == replicas && updated == wanted;
        let current = if complete { &self.update } else { &self.current };
        let mut status = object! {
            "replicas" => replicas, "availableReplicas" => count(&|p| is_available(p, self.least_ready_s, now)),
            "observedGeneration" => self.set.generation(), "collisionCount" => self.set.status().get("collisionCount").as_i64().unwrap_or(0),
            "currentRevision" => current.name(), "updateRevision" => self.update.name(),
        };
        let counts = [("readyReplicas", ready), ("currentReplicas", count(&of(current))), ("updatedReplicas", updated)];
        for (field, n) in counts.into_iter().filter(|(_, n)| *n > 0) {
            status.set(field, n);
        }
        world.set_status(key, |s| *s = status)?;
        Ok(())
    }
}
