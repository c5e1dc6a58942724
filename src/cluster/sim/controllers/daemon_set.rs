//! The DaemonSet controller: one pod on every node that fits.
//!
//! Not modelled: `maxSurge`.

use super::deployment::scaled;
use super::events::{self, Severity, Source};
use super::pods::{self, Maker, is_active, is_available, is_ready};
use super::{Loop, Outcome, enqueue, enqueue_after, revisions};
use crate::cluster::sim::scheduler;
use crate::cluster::sim::store::{Change, Key, Kind};
use crate::cluster::sim::world::World;
use crate::object;
use crate::object::{Json, Object};
use arcstr::ArcStr;
use std::collections::BTreeMap;

const CONTROLLER: &str = "daemonset-controller";
const REVISION_LABEL: &str = "controller-revision-hash";
/// Taints that a daemon tolerates by itself.
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

/// Puts the DaemonSets that a change concerns on the queue.
pub fn on_change(world: &mut World, change: &Change) {
    if change.key.kind == Kind::POD {
        for pod in change.before.iter().chain(change.after.iter()) {
            if let Some(owner) = pod.controller().filter(|o| o.get("kind").text() == "DaemonSet") {
                enqueue(world, Loop::DaemonSet, Key::new(Kind::DAEMON_SET, pod.namespace(), owner.get("name").text()));
            }
        }
        return;
    }
    let view = |o: &Object| (o.meta().get("labels").clone(), o.spec().clone());
    if change.before.as_ref().map(view) == change.after.as_ref().map(view) {
        return;
    }
    let keys: Vec<Key> = world.store.list_keyed(Kind::DAEMON_SET, None).map(|(key, _)| key.clone()).collect();
    for key in keys {
        enqueue(world, Loop::DaemonSet, key);
    }
}

/// Brings one DaemonSet closer to what it asks for.
pub fn sync(world: &mut World, key: &Key) -> Outcome {
    let Some(set) = world.store.get(key).cloned() else { return Ok(()) };
    if set.is_terminating() {
        return Ok(());
    }
    let revision = revisions::current(world, &set, CONTROLLER, REVISION_LABEL)?;
    let hash = ArcStr::from(revisions::hash_of(&set, &revision));
    pods::claim(world, &set)?;
    let daemons = Daemons { set: &set, hash: &hash, by_node: by_node(world, &set) };
    let nodes: Vec<Object> = world.store.list(Kind::NODE, None).cloned().collect();
    let outcome = daemons.place(world, &nodes).and_then(|()| daemons.replace_old(world, &nodes));
    daemons.write_status(world, key, &nodes)?;
    revisions::clean_up(world, &set, CONTROLLER, &[revision.name().to_owned()])?;
    let least = set.spec().get("minReadySeconds").as_i64().unwrap_or(0);
    let pods: Vec<Object> = daemons.by_node.values().flatten().cloned().collect();
    if let Some(at) = pods::next_available(&pods, least, world.now).filter(|_| least > 0) {
        enqueue_after(world, Loop::DaemonSet, key.clone(), at - world.now);
    }
    outcome
}

/// The node that a daemon's pod is on or is meant for.
fn target(pod: &Object) -> ArcStr {
    let node = pod.spec().get("nodeName").text();
    if !node.is_empty() {
        return node.into();
    }
    let terms = pod.spec().at(&["affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"]);
    terms.nth(0).get("matchFields").nth(0).get("values").nth(0).text().into()
}

fn by_node(world: &World, set: &Object) -> BTreeMap<ArcStr, Vec<Object>> {
    let mut found: BTreeMap<ArcStr, Vec<Object>> = BTreeMap::new();
    for pod in world.store.list(Kind::POD, Some(set.namespace())).filter(|p| pods::is_controlled_by(p, set.uid())) {
        found.entry(target(pod)).or_default().push(pod.clone());
    }
    found
}

struct Daemons<'a> {
    set: &'a Object,
    hash: &'a ArcStr,
    by_node: BTreeMap<ArcStr, Vec<Object>>,
}

impl Daemons<'_> {
    fn on(&self, node: &str) -> &[Object] {
        self.by_node.get(node).map(Vec::as_slice).unwrap_or_default()
    }

    /// The pod that the template describes for a node.
    fn draft(&self, node: &str) -> Json {
        let mut pod = Maker { controller: CONTROLLER, owner: self.set }.from_template(self.set.spec().get("template"));
        pod.set_at(&["metadata", "labels", REVISION_LABEL], self.hash);
        let generation = self.set.annotation("deprecated.daemonset.template.generation").unwrap_or("1").to_owned();
        pod.set_at(&["metadata", "labels", "pod-template-generation"], generation);
        let field = object! { "key" => "metadata.name", "operator" => "In", "values" => Json::from(vec![Json::from(node)]) };
        let required = pod.at_mut(&["spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"]);
        if required.get("nodeSelectorTerms").is_empty() {
            required.set("nodeSelectorTerms", Json::from(vec![object! { "matchFields" => Json::from(vec![field]) }]));
        } else {
            for term in required.get_mut("nodeSelectorTerms").items_mut() {
                term.set("matchFields", Json::from(vec![field.clone()]));
            }
        }
        for (key, effect) in TOLERATED {
            pod.at_mut(&["spec", "tolerations"]).push(object! { "key" => key, "operator" => "Exists", "effect" => effect });
        }
        pod
    }

    /// Whether a pod belongs on a node: to start there, and to stay there.
    fn fits(&self, node: &Object) -> (bool, bool) {
        let pod = Object(self.draft(node.name()));
        let wanted = scheduler::node_fits(&pod, node);
        let stays = scheduler::untolerated(&pod, node, &["NoExecute"]).next().is_none();
        let starts = scheduler::untolerated(&pod, node, &["NoSchedule", "NoExecute"]).next().is_none();
        (wanted && starts, wanted && stays)
    }

    fn place(&self, world: &mut World, nodes: &[Object]) -> Outcome {
        let maker = Maker { controller: CONTROLLER, owner: self.set };
        for node in nodes {
            let (starts, stays) = self.fits(node);
            let here = self.on(node.name());
            let live: Vec<&Object> = here.iter().filter(|p| is_active(p)).collect();
            if starts && here.is_empty() {
                maker.create(world, self.draft(node.name()))?;
            }
            for failed in here.iter().filter(|p| p.status().get("phase").text() == "Failed" && !p.is_terminating()) {
                let message = format!(
                    "Found failed daemon pod {}/{} on node {}, will try to kill it",
                    failed.namespace(),
                    failed.name(),
                    node.name()
                );
                events::record(world, &Source::component(CONTROLLER), self.set, Severity::Warning, ("FailedDaemonPod", &message));
                maker.delete(world, failed)?;
            }
            let keep = usize::from(stays);
            for surplus in live.into_iter().skip(keep) {
                maker.delete(world, surplus)?;
            }
        }
        for (_, pods) in self.by_node.iter().filter(|(name, _)| !nodes.iter().any(|n| n.name() == name.as_str())) {
            for pod in pods.iter().filter(|p| is_active(p)) {
                maker.delete(world, pod)?;
            }
        }
        Ok(())
    }

    /// Deletes old pods as far as unavailability allows; pods that are not available anyway first.
    fn replace_old(&self, world: &mut World, nodes: &[Object]) -> Outcome {
        if self.set.spec().at(&["updateStrategy", "type"]).text() == "OnDelete" {
            return Ok(());
        }
        let wanted = nodes.iter().filter(|n| self.fits(n).0).count();
        let bound = self.set.spec().at(&["updateStrategy", "rollingUpdate", "maxUnavailable"]);
        let most = if bound.is_null() { 1 } else { scaled(bound, i64::try_from(wanted).unwrap_or(0), true) };
        let least = self.set.spec().get("minReadySeconds").as_i64().unwrap_or(0);
        let (mut unavailable, mut old, mut broken) = (0, Vec::new(), Vec::new());
        for node in nodes.iter().filter(|n| self.fits(n).0) {
            let pod = self.on(node.name()).iter().find(|p| is_active(p));
            let well = pod.is_some_and(|p| is_available(p, least, world.now));
            let is_old = pod.is_some_and(|p| p.label(REVISION_LABEL) != Some(self.hash.as_str()));
            unavailable += i64::from(!well);
            match pod.filter(|_| is_old) {
                Some(pod) if well => old.push(pod),
                Some(pod) => broken.push(pod),
                None => {}
            }
        }
        let maker = Maker { controller: CONTROLLER, owner: self.set };
        let more = usize::try_from((most - unavailable).max(0)).unwrap_or(0);
        for pod in broken.into_iter().chain(old.into_iter().take(more)) {
            maker.delete(world, pod)?;
        }
        Ok(())
    }

    fn write_status(&self, world: &mut World, key: &Key, nodes: &[Object]) -> Outcome {
        let least = self.set.spec().get("minReadySeconds").as_i64().unwrap_or(0);
        let (mut desired, mut scheduled, mut misscheduled) = (0, 0, 0);
        let (mut ready, mut available, mut updated) = (0, 0, 0);
        for node in nodes {
            let live = world.store.list(Kind::POD, Some(self.set.namespace())).filter(|p| pods::is_controlled_by(p, self.set.uid()));
            let pod = live.filter(|p| is_active(p)).find(|p| target(p) == node.name());
            if !self.fits(node).0 {
                misscheduled += i64::from(pod.is_some());
                continue;
            }
            desired += 1;
            let Some(pod) = pod else { continue };
            scheduled += 1;
            ready += i64::from(is_ready(pod));
            available += i64::from(is_available(pod, least, world.now));
            updated += i64::from(pod.label(REVISION_LABEL) == Some(self.hash.as_str()));
        }
        let mut status = object! {
            "currentNumberScheduled" => scheduled, "desiredNumberScheduled" => desired, "numberMisscheduled" => misscheduled,
            "numberReady" => ready, "observedGeneration" => self.set.generation(),
        };
        let counts = [("numberAvailable", available), ("updatedNumberScheduled", updated), ("numberUnavailable", desired - available)];
        for (field, n) in counts.into_iter().filter(|(_, n)| *n > 0) {
            status.set(field, n);
        }
        world.set_status(key, |s| *s = status)?;
        Ok(())
    }
}
