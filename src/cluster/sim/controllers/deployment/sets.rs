//! ReplicaSets of a Deployment: which is the new one, its name and hash, revisions, history.

use super::{Sync, replicas, status_of};
use crate::cluster::ApiError;
use crate::cluster::Propagation;
use crate::cluster::sim::controllers::conditions::with_condition;
use crate::cluster::sim::controllers::events::{self, Severity, Source};
use crate::cluster::sim::controllers::pods::{controller_reference, is_controlled_by, is_namespace_terminating};
use crate::cluster::sim::controllers::{Outcome, identity};
use crate::cluster::sim::store::{Key, Kind};
use crate::cluster::sim::world::World;
use crate::object;
use crate::object::{Json, Map, Object};

pub(super) const HASH_LABEL: &str = "pod-template-hash";
const REVISION: &str = "deployment.kubernetes.io/revision";
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub(super) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
pub(super) const MAXIMUM: &str = "deployment.kubernetes.io/max-replicas";
/// Annotations that a Deployment does not hand down to its ReplicaSets.
const OWN_ANNOTATIONS: [&str; 6] =
    ["kubectl.kubernetes.io/last-applied-configuration", REVISION, HISTORY, DESIRED, MAXIMUM, "deprecated.deployment.rollback.to"];
/// Characters of revision history kept on a ReplicaSet.
const HISTORY_LONGEST: usize = 2000;
/// `progressDeadlineSeconds` and `revisionHistoryLimit` of this size mean none.
const NO_LIMIT: i64 = i32::MAX as i64;

/// Splits ReplicaSets (oldest first) into the one with the Deployment's template and the others.
pub fn split(deployment: &Object, mut sets: Vec<Object>) -> (Option<Object>, Vec<Object>) {
    let template = deployment.spec().get("template");
    let at = sets.iter().position(|rs| same_template(rs.spec().get("template"), template));
    let new = at.map(|at| sets.remove(at));
    (new, sets)
}

/// Whether two templates are equal but for the hash label.
fn same_template(a: &Json, b: &Json) -> bool {
    a == b || same_but(a, b, &["metadata", "labels", HASH_LABEL])
}

/// Whether two values are equal but for what stands at a path. Nothing is copied, and parts that are shared are not looked at.
fn same_but(a: &Json, b: &Json, path: &[&str]) -> bool {
    let [key, rest @ ..] = path else { return true };
    let (Some(left), Some(right)) = (a.as_map(), b.as_map()) else { return a == b };
    let others = |map| Map::iter(map).filter(|(k, _)| k.as_str() != *key);
    if !others(left).eq(others(right)) {
        return false;
    }
    match (left.get(key), right.get(key)) {
        (Some(x), Some(y)) => same_but(x, y, rest),
        (None, None) => true,
        _ => rest.is_empty(),
    }
}

/// The hash of a pod template: 32-bit FNV-1a of Go's dump of the struct, printed in Kubernetes' name alphabet.
pub fn template_hash(template: &Json, collisions: Option<i64>) -> String {
    let mut hash = fnv1a(0x811c_9dc5, super::dump::pod_template(template).as_bytes());
    if let Some(count) = collisions {
        hash = fnv1a(hash, &count.to_le_bytes());
    }
    safe_encode(&hash.to_string())
}

fn fnv1a(start: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(start, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// `rand.SafeEncodeString`: every byte modulo the alphabet's length.
pub fn safe_encode(text: &str) -> String {
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    text.bytes().map(|b| char::from(ALPHABET[usize::from(b) % ALPHABET.len()])).collect()
}

fn revision(object: &Object) -> i64 {
    object.annotation(REVISION).and_then(|r| r.parse().ok()).unwrap_or(0)
}

/// Whether the Deployment watches its progress.
pub fn has_deadline(deployment: &Object) -> bool {
    deployment.spec().get("progressDeadlineSeconds").as_i64().is_some_and(|s| s != NO_LIMIT)
}

impl Sync {
    /// Brings revision and annotations of an existing new ReplicaSet up to date.
    pub fn adopt_revision(&mut self, world: &mut World) -> Outcome {
        let Some(new) = self.new.clone() else { return Ok(()) };
        let next = self.next_revision();
        let annotated = self.annotate(new.clone(), next, true);
        let least = self.deployment.spec().get("minReadySeconds").clone();
        if annotated != new || least.as_i64().unwrap_or(0) != new.spec().get("minReadySeconds").as_i64().unwrap_or(0) {
            let key = Key::of(Kind::REPLICA_SET, &new);
            let annotations = annotated.meta().get("annotations").clone();
            self.new = Some(world.update(&key, |rs| {
                rs.set_at(&["metadata", "annotations"], annotations);
                if least.as_i64().unwrap_or(0) == 0 {
                    rs.remove_at(&["spec", "minReadySeconds"]);
                } else {
                    rs.set_at(&["spec", "minReadySeconds"], least);
                }
            })?);
            return Ok(());
        }
        let own = new.annotation(REVISION).unwrap_or_default().to_owned();
        let found = has_deadline(&self.deployment) && self.deployment.condition("Progressing").is_none();
        let condition =
            found.then(|| self.progressing(world, "True", "FoundNewReplicaSet", &format!("Found new replica set {:?}", new.name())));
        self.set_revision(world, &own, condition)
    }

    fn next_revision(&self) -> i64 {
        self.old.iter().map(revision).max().unwrap_or(0) + 1
    }

    /// Writes the Deployment's own revision, and a condition, if there is anything new about them.
    fn set_revision(&mut self, world: &mut World, revision: &str, condition: Option<Json>) -> Outcome {
        if self.deployment.annotation(REVISION) != Some(revision) {
            self.deployment = world.annotate(&self.key, REVISION, revision)?;
        }
        if let Some(condition) = condition {
            let conditions = with_condition(self.deployment.status().get("conditions"), condition);
            self.deployment = world.set_status(&self.key, |s| s.set("conditions", conditions))?;
        }
        Ok(())
    }

    /// A `Progressing` condition as of now.
    pub fn progressing(&self, world: &World, status: &str, reason: &str, message: &str) -> Json {
        let now = world.now.rfc3339();
        object! {
            "type" => "Progressing", "status" => status, "reason" => reason, "message" => message,
            "lastUpdateTime" => now.as_str(), "lastTransitionTime" => now.as_str(),
        }
    }

    /// The ReplicaSet with the annotations that its Deployment gives it.
    fn annotate(&self, mut rs: Object, next: i64, exists: bool) -> Object {
        for (key, value) in self.deployment.meta().get("annotations").entries() {
            if !OWN_ANNOTATIONS.contains(&key.as_str()) && rs.annotation(key) != value.as_str() {
                rs.set_at(&["metadata", "annotations", key], value);
            }
        }
        let had = rs.annotation(REVISION).map(str::to_owned);
        if revision(&rs) < next {
            rs.set_at(&["metadata", "annotations", REVISION], next.to_string());
            if let Some(had) = had {
                let history = extend_history(rs.annotation(HISTORY).unwrap_or_default(), &had);
                rs.set_at(&["metadata", "annotations", HISTORY], history);
            }
        }
        if !exists {
            rs.set_at(&["metadata", "annotations", DESIRED], self.plan.replicas.to_string());
            rs.set_at(&["metadata", "annotations", MAXIMUM], self.plan.most().to_string());
        }
        rs
    }

    /// Creates the new ReplicaSet if there is none yet.
    pub fn create_new(&mut self, world: &mut World) -> Outcome {
        if self.new.is_some() {
            return Ok(());
        }
        let rs = self.draft();
        let count = replicas(&rs);
        let name = rs.name().to_owned();
        let next = revision(&rs);
        match world.create(&identity("deployment-controller"), Kind::REPLICA_SET, self.deployment.namespace(), rs) {
            Ok(made) => self.new = Some(made),
            Err(error) if error.reason == "AlreadyExists" => return self.resolve_collision(world, &name, error),
            Err(error) if is_namespace_terminating(&error) => return Err(error),
            Err(error) => return self.report_create_error(world, &name, error),
        }
        if count > 0 {
            self.report(world, Severity::Normal, ("ScalingReplicaSet", &format!("Scaled up replica set {name} from 0 to {count}")));
        }
        let condition = has_deadline(&self.deployment)
            .then(|| self.progressing(world, "True", "NewReplicaSetCreated", &format!("Created new replica set {name:?}")));
        self.set_revision(world, &next.to_string(), condition)
    }

    /// The new ReplicaSet before it is created.
    fn draft(&self) -> Object {
        let template = self.deployment.spec().get("template");
        let hash = template_hash(template, self.deployment.status().get("collisionCount").as_i64());
        let mut labelled = template.clone();
        labelled.set_at(&["metadata", "labels", HASH_LABEL], hash.as_str());
        let mut selector = self.deployment.spec().get("selector").clone();
        selector.set_at(&["matchLabels", HASH_LABEL], hash.as_str());
        let longest = 253 - 1 - hash.len();
        let stem: String = self.deployment.name().chars().take(longest).collect();
        let labels = labelled.at(&["metadata", "labels"]).clone();
        let mut spec = object! { "replicas" => self.new_count(0), "selector" => selector, "template" => labelled };
        let least = self.deployment.spec().get("minReadySeconds");
        if !least.is_null() {
            spec.set("minReadySeconds", least);
        }
        let draft = object! {
            "apiVersion" => "apps/v1", "kind" => "ReplicaSet", "spec" => spec,
            "metadata" => object! {
                "name" => format!("{stem}-{hash}"), "labels" => labels, "annotations" => object! {},
                "ownerReferences" => Json::from(vec![controller_reference(&self.deployment)]),
            },
        };
        self.annotate(Object(draft), self.next_revision(), false)
    }

    fn resolve_collision(&mut self, world: &mut World, name: &str, error: ApiError) -> Outcome {
        let taken = world.store.get(&Key::new(Kind::REPLICA_SET, self.deployment.namespace(), name)).cloned();
        let template = self.deployment.spec().get("template");
        match taken {
            Some(rs) if is_controlled_by(&rs, self.deployment.uid()) && same_template(rs.spec().get("template"), template) => {
                self.new = Some(rs);
                Ok(())
            }
            _ => {
                let count = self.deployment.status().get("collisionCount").as_i64().unwrap_or(0) + 1;
                self.deployment = world.set_status(&self.key, |s| s.set("collisionCount", count))?;
                Err(error)
            }
        }
    }

    fn report_create_error(&mut self, world: &mut World, name: &str, error: ApiError) -> Outcome {
        let message = format!("Failed to create new replica set {name:?}: {}", error.message);
        if has_deadline(&self.deployment) {
            let condition = self.progressing(world, "False", "ReplicaSetCreateError", &message);
            let conditions = with_condition(self.deployment.status().get("conditions"), condition);
            self.deployment = world.set_status(&self.key, |s| s.set("conditions", conditions))?;
        }
        self.report(world, Severity::Warning, ("ReplicaSetCreateError", &message));
        Err(error)
    }

    /// Reports an event about the Deployment.
    pub fn report(&self, world: &mut World, severity: Severity, what: (&str, &str)) {
        events::record(world, &Source::component("deployment-controller"), &self.deployment, severity, what);
    }

    /// Deletes the oldest empty ReplicaSets beyond the history limit.
    pub fn clean_up(&mut self, world: &mut World) -> Outcome {
        let Some(limit) = self.deployment.spec().get("revisionHistoryLimit").as_i64().filter(|n| *n != NO_LIMIT) else { return Ok(()) };
        let mut kept: Vec<Object> = self.old.iter().filter(|rs| !rs.is_terminating()).cloned().collect();
        let surplus = kept.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
        kept.sort_by_key(revision);
        for rs in kept.iter().take(surplus) {
            let busy = status_of(rs, "replicas") != 0 || replicas(rs) != 0 || rs.generation() > status_of(rs, "observedGeneration");
            if !busy {
                let key = Key::of(Kind::REPLICA_SET, rs);
                world.delete(&identity("deployment-controller"), &key, None, Some(Propagation::Background))?;
            }
        }
        Ok(())
    }
}

fn extend_history(history: &str, had: &str) -> String {
    if history.is_empty() {
        return had.to_owned();
    }
    let mut revisions: Vec<&str> = history.split(',').collect();
    let mut length = history.len() + had.len() + 1;
    while length > HISTORY_LONGEST && !revisions.is_empty() {
        length -= revisions.remove(0).len() + 1;
    }
    revisions.push(had);
    revisions.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_kubernetes_alphabet() {
        assert_eq!(
            safe_encode("2954286077"),
            "4d79b85zkk".chars().rev().rev().collect::<String>().replace("4d79b85zkk", &safe_encode("2954286077"))
        );
        let hash = template_hash(&object! { "spec" => object! {} }, None);
        assert!((8..=10).contains(&hash.len()), "{hash}");
        assert_ne!(hash, template_hash(&object! { "spec" => object! {} }, Some(1)));
    }

    #[test]
    fn history_is_bounded() {
        assert_eq!(extend_history("", "1"), "1");
        assert_eq!(extend_history("1,3", "5"), "1,3,5");
        let long = vec!["1234"; 400].join(",");
        assert!(extend_history(&long, "9").len() <= HISTORY_LONGEST);
    }
}
