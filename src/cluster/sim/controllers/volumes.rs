//! The PersistentVolume controller: binds claims to volumes, and says why it cannot; protection of both while in use.
//!
//! Every 15 seconds the controller looks at everything again, which is when claims bind that a new volume came too late for,
//! and when the events of claims that stay pending are repeated. Here only pending claims are put on that clock.
//! Not modelled: dynamic provisioning, recycling, volume attributes classes, migration to CSI.

use super::events::{self, Severity, Source};
use super::pods::is_finished as is_finished_pod;
use super::selector::selects;
use super::{Loop, Outcome, enqueue, enqueue_after, identity};
use crate::cluster::sim::scheduler;
use crate::cluster::sim::store::{Change, Key, Kind};
use crate::cluster::sim::world::World;
use crate::object;
use crate::object::quantity::Quantity;
use crate::object::{Json, Object};
use crate::rng::Key as RandomKey;
use arcstr::ArcStr;
use std::time::Duration;

const RESYNC_S: u64 = 15;
const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
const CLAIM_PROTECTION: &str = "kubernetes.io/pvc-protection";
const VOLUME_PROTECTION: &str = "kubernetes.io/pv-protection";
const SOURCE: &str = "persistentvolume-controller";

/// Puts what a change concerns on the queue.
pub fn on_change(world: &mut World, change: &Change) {
    let sides = || change.before.iter().chain(change.after.iter());
    match change.key.kind {
        Kind::PVC => {
            enqueue(world, Loop::Claim, change.key.clone());
            let volumes: Vec<ArcStr> =
                sides().map(|c| c.spec().get("volumeName").text().into()).chain(claiming(world, &change.key)).collect();
            for name in volumes.into_iter().filter(|n: &ArcStr| !n.is_empty()) {
                enqueue(world, Loop::Volume, Key::new(Kind::PV, "", name));
            }
        }
        Kind::PV => {
            enqueue(world, Loop::Volume, change.key.clone());
            let claims: Vec<Key> = sides().filter_map(claimed_key).collect();
            for claim in claims {
                enqueue(world, Loop::Claim, claim);
            }
        }
        Kind::POD if change.after.as_ref().is_none_or(is_finished_pod) => {
            let names: Vec<ArcStr> = change.before.iter().flat_map(scheduler::claim_names).collect();
            for name in names {
                let key = Key::new(Kind::PVC, change.key.namespace.clone(), name);
                if world.store.get(&key).is_some_and(Object::is_terminating) {
                    enqueue(world, Loop::Claim, key);
                }
            }
        }
        _ => {}
    }
}

/// Volumes whose reference names a claim.
fn claiming(world: &World, claim: &Key) -> Vec<ArcStr> {
    let named = world.store.list(Kind::PV, None).filter(|v| claimed_key(v).as_ref() == Some(claim));
    named.map(|v| v.name().into()).collect()
}

fn claimed_key(volume: &Object) -> Option<Key> {
    let reference = volume.spec().get("claimRef");
    (!reference.is_null()).then(|| Key::new(Kind::PVC, reference.get("namespace").text(), reference.get("name").text()))
}

/// Whether a claim is bound for good.
pub fn is_bound(claim: &Object) -> bool {
    claim.annotation(BIND_COMPLETED).is_some() && !claim.spec().get("volumeName").is_empty()
}

fn class_of(object: &Object) -> &str {
    object.annotation(CLASS_ANNOTATION).unwrap_or_else(|| object.spec().get("storageClassName").text())
}

/// Whether a claim's class leaves the binding to the scheduler.
pub fn waits_for_consumer(world: &World, claim: &Object) -> bool {
    let class = world.store.get(&Key::new(Kind::STORAGE_CLASS, "", class_of(claim)));
    class.is_some_and(|c| c.get("volumeBindingMode").text() == "WaitForFirstConsumer")
}

/// Whether somebody would make a volume for a claim. Nobody does here.
pub fn can_provision(_world: &World, _claim: &Object) -> bool {
    false
}

fn is_for(volume: &Object, claim: &Object) -> bool {
    let reference = volume.spec().get("claimRef");
    let named = reference.get("name").text() == claim.name() && reference.get("namespace").text() == claim.namespace();
    named && (reference.get("uid").is_empty() || reference.get("uid").text() == claim.uid())
}

fn storage(amounts: &Json) -> Quantity {
    Quantity::of(amounts.get("storage")).unwrap_or(Quantity::ZERO)
}

fn mode(object: &Object) -> &str {
    object.spec().get("volumeMode").as_str().unwrap_or("Filesystem")
}

fn has_modes(volume: &Object, claim: &Object) -> bool {
    let offered = volume.spec().get("accessModes").items();
    claim.spec().get("accessModes").items().iter().all(|m| offered.contains(m))
}

/// Why a volume that a claim asks for by name does not do.
fn mismatch(volume: &Object, claim: &Object) -> Option<String> {
    if volume.is_terminating() {
        return Some(format!("the volume is marked for deletion {:?}", volume.name()));
    }
    if storage(volume.spec().get("capacity")) < storage(claim.spec().at(&["resources", "requests"])) {
        return Some("requested PV is too small".to_owned());
    }
    if class_of(volume) != class_of(claim) {
        return Some("storageClassName does not match".to_owned());
    }
    if mode(volume) != mode(claim) {
        return Some("incompatible volumeMode".to_owned());
    }
    (!has_modes(volume, claim)).then(|| "incompatible accessMode".to_owned())
}

/// The best volume for a claim: one that was reserved for it, or the smallest that does, of those with the fewest access modes.
/// With a node, it must be reachable from there; without, claims that wait for a consumer get reserved volumes only.
pub fn find_match(world: &World, claim: &Object, node: Option<&Object>) -> Option<Object> {
    let delayed = node.is_none() && waits_for_consumer(world, claim);
    let wanted = storage(claim.spec().at(&["resources", "requests"]));
    let selector = claim.spec().get("selector");
    let reachable = |v: &Object| node.is_none_or(|n| scheduler::reaches(v, n));
    let usable = |v: &&Object| {
        let free = v.spec().get("claimRef").is_null() || is_for(v, claim);
        free && has_modes(v, claim) && storage(v.spec().get("capacity")) >= wanted && mode(v) == mode(claim) && !v.is_terminating()
    };
    let usable: Vec<&Object> = world.store.list(Kind::PV, None).filter(usable).collect();
    if let Some(reserved) = usable.iter().find(|v| is_for(v, claim)) {
        return reachable(reserved).then(|| (*reserved).clone());
    }
    let matching = usable.into_iter().filter(|v| {
        let labelled = selector.is_null() || selects(selector, v.meta().get("labels"));
        !delayed && v.status().get("phase").text() == "Available" && labelled && class_of(v) == class_of(claim) && reachable(v)
    });
    let order = |v: &&Object| (v.spec().get("accessModes").items().len(), storage(v.spec().get("capacity")));
    matching.min_by_key(order).cloned()
}

/// Brings one claim closer to being bound.
pub fn sync_claim(world: &mut World, key: &Key) -> Outcome {
    let Some(claim) = world.store.get(key).cloned() else { return Ok(()) };
    if claim.is_terminating() {
        return release_claim(world, key, &claim);
    }
    if claim.annotation(BIND_COMPLETED).is_some() {
        return sync_bound(world, key, &claim);
    }
    let named = claim.spec().get("volumeName").text();
    if named.is_empty() { sync_unnamed(world, key, &claim) } else { sync_named(world, key, &claim, named) }
}

fn report(world: &mut World, claim: &Object, severity: Severity, what: (&str, &str)) {
    events::record(world, &Source::component(SOURCE), claim, severity, what);
}

/// A claim that stays pending is looked at again at the next resynchronisation.
fn keep_pending(world: &mut World, key: &Key) -> Outcome {
    world.set_status(key, |s| s.set("phase", "Pending"))?;
    let phase = RandomKey::new(world.seed).part("binder-resync").value() % (RESYNC_S * 1_000_000_000);
    let period = RESYNC_S * 1_000_000_000;
    let behind = (world.now.as_nanos() + period - phase) % period;
    enqueue_after(world, Loop::Claim, key.clone(), Duration::from_nanos(period - behind));
    Ok(())
}

fn sync_unnamed(world: &mut World, key: &Key, claim: &Object) -> Outcome {
    if let Some(volume) = find_match(world, claim, None) {
        bind(world, claim, &volume);
        return Ok(());
    }
    let class = class_of(claim).to_owned();
    if waits_for_consumer(world, claim) {
        let (reason, message) = consumer_text(world, claim);
        report(world, claim, Severity::Normal, (reason, &message));
    } else if class.is_empty() {
        let message = "no persistent volumes available for this claim and no storage class is set";
        report(world, claim, Severity::Normal, ("FailedBinding", message));
    } else {
        let (severity, reason, message) = provisioning_text(world, &class);
        report(world, claim, severity, (reason, &message));
    }
    keep_pending(world, key)
}

fn consumer_text(world: &World, claim: &Object) -> (&'static str, String) {
    let uses = |p: &&Object| {
        p.spec().get("nodeName").is_empty() && !is_finished_pod(p) && scheduler::claim_names(p).iter().any(|n| n == claim.name())
    };
    let pods: Vec<&str> = world.store.list(Kind::POD, Some(claim.namespace())).filter(uses).map(Object::name).collect();
    match pods[..] {
        [] => ("WaitForFirstConsumer", "waiting for first consumer to be created before binding".to_owned()),
        [only] => ("WaitForPodScheduled", format!("waiting for pod {only} to be scheduled")),
        _ => ("WaitForPodScheduled", format!("waiting for pods {} to be scheduled", pods.join(","))),
    }
}

fn provisioning_text(world: &World, class: &str) -> (Severity, &'static str, String) {
    let Some(found) = world.store.get(&Key::new(Kind::STORAGE_CLASS, "", class)) else {
        return (Severity::Warning, "ProvisioningFailed", format!("storageclass.storage.k8s.io {class:?} not found"));
    };
    let provisioner = found.get("provisioner").text();
    if provisioner.starts_with("kubernetes.io/") {
        return (Severity::Warning, "ProvisioningFailed", format!("no volume plugin matched name: {provisioner}"));
    }
    let message = format!(
        "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the system administrator. If \
         volume creation is delayed, please verify that the provisioner is running and correctly registered."
    );
    (Severity::Normal, "ExternalProvisioning", message)
}

fn sync_named(world: &mut World, key: &Key, claim: &Object, name: &str) -> Outcome {
    let Some(volume) = world.store.get(&Key::new(Kind::PV, "", name)).cloned() else { return keep_pending(world, key) };
    if volume.spec().get("claimRef").is_null() {
        if let Some(why) = mismatch(&volume, claim) {
            let message = format!("Cannot bind to requested volume {name:?}: {why}");
            report(world, claim, Severity::Warning, ("VolumeMismatch", &message));
            return keep_pending(world, key);
        }
        bind(world, claim, &volume);
    } else if is_for(&volume, claim) {
        bind(world, claim, &volume);
    } else {
        let message = format!("volume {name:?} already bound to a different claim.");
        report(world, claim, Severity::Warning, ("FailedBinding", &message));
        return keep_pending(world, key);
    }
    Ok(())
}

fn sync_bound(world: &mut World, key: &Key, claim: &Object) -> Outcome {
    let volume = world.store.get(&Key::new(Kind::PV, "", claim.spec().get("volumeName").text())).cloned();
    let lost = match &volume {
        _ if claim.spec().get("volumeName").is_empty() => {
            Some(("ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!"))
        }
        None => Some(("ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!")),
        Some(v) if v.spec().get("claimRef").is_null() || v.spec().at(&["claimRef", "uid"]).text() == claim.uid() => None,
        Some(_) => Some(("ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly")),
    };
    match (lost, volume) {
        (None, Some(volume)) => bind(world, claim, &volume),
        (Some((reason, message)), _) if claim.status().get("phase").text() != "Lost" => {
            world.set_status(key, |s| {
                s.set("phase", "Lost");
                s.remove("accessModes");
                s.remove("capacity");
            })?;
            report(world, claim, Severity::Warning, (reason, message));
        }
        _ => {}
    }
    Ok(())
}

/// Binds a claim and a volume to each other; writes only what is not so yet.
pub fn bind(world: &mut World, claim: &Object, volume: &Object) {
    let (claim_key, volume_key) = (Key::of(Kind::PVC, claim), Key::of(Kind::PV, volume));
    let reserved = !volume.spec().get("claimRef").is_null();
    if volume.spec().at(&["claimRef", "uid"]).text() != claim.uid() {
        let reference = object! {
            "apiVersion" => "v1", "kind" => "PersistentVolumeClaim", "name" => claim.name(), "namespace" => claim.namespace(),
            "uid" => claim.uid(), "resourceVersion" => claim.resource_version(),
        };
        let _ = world.update(&volume_key, |v| {
            v.set_at(&["spec", "claimRef"], reference);
            if !reserved {
                v.set_at(&["metadata", "annotations", BOUND_BY_CONTROLLER], "yes");
            }
        });
    }
    set_volume_phase(world, &volume_key, "Bound");
    let asked = !claim.spec().get("volumeName").is_empty();
    let name = ArcStr::from(volume.name());
    let _ = world.update(&claim_key, |c| {
        if !asked {
            c.set_at(&["spec", "volumeName"], &name);
            c.set_at(&["metadata", "annotations", BOUND_BY_CONTROLLER], "yes");
        }
        c.set_at(&["metadata", "annotations", BIND_COMPLETED], "yes");
    });
    let (modes, capacity) = (volume.spec().get("accessModes").clone(), volume.spec().at(&["capacity", "storage"]).clone());
    let _ = world.set_status(&claim_key, |s| {
        s.set("phase", "Bound");
        s.set("accessModes", modes);
        s.set_at(&["capacity", "storage"], capacity);
    });
}

fn set_volume_phase(world: &mut World, key: &Key, phase: &str) {
    let now = world.now.rfc3339();
    let differs = world.store.get(key).is_some_and(|v| v.status().get("phase").text() != phase);
    if differs {
        let _ = world.set_status(key, |s| {
            s.set("phase", phase);
            s.set("lastPhaseTransitionTime", now);
            s.remove("message");
            s.remove("reason");
        });
    }
}

/// Brings one volume's phase up to date.
pub fn sync_volume(world: &mut World, key: &Key) -> Outcome {
    let Some(volume) = world.store.get(key).cloned() else { return Ok(()) };
    let phase = volume.status().get("phase").text();
    if volume.is_terminating() && phase != "Bound" {
        return drop_finalizer(world, key, VOLUME_PROTECTION);
    }
    let reference = volume.spec().get("claimRef");
    if reference.get("uid").is_empty() {
        set_volume_phase(world, key, "Available");
        return Ok(());
    }
    let claim = claimed_key(&volume).and_then(|k| world.store.get(&k).cloned()).filter(|c| c.uid() == reference.get("uid").text());
    match claim {
        None => {
            if !matches!(phase, "Released" | "Failed") {
                set_volume_phase(world, key, "Released");
            }
            reclaim(world, key, &volume);
        }
        Some(claim) if claim.spec().get("volumeName").is_empty() => enqueue(world, Loop::Claim, Key::of(Kind::PVC, &claim)),
        Some(claim) if claim.spec().get("volumeName").text() == volume.name() => set_volume_phase(world, key, "Bound"),
        Some(_) if volume.annotation(BOUND_BY_CONTROLLER).is_some() => {
            world.update(key, |v| {
                v.remove_at(&["spec", "claimRef"]);
                v.remove_at(&["metadata", "annotations", BOUND_BY_CONTROLLER]);
            })?;
            set_volume_phase(world, key, "Available");
        }
        Some(_) => {}
    }
    Ok(())
}

/// Does with a released volume what its policy says.
fn reclaim(world: &mut World, key: &Key, volume: &Object) {
    if volume.spec().get("persistentVolumeReclaimPolicy").text() != "Delete" || volume.status().get("phase").text() == "Failed" {
        return;
    }
    let path = volume.spec().at(&["hostPath", "path"]).text();
    if path.is_empty() || path.starts_with("/tmp/") {
        let _ = world.delete(&identity("persistent-volume-binder"), key, None, None);
        return;
    }
    let message = format!("host_path deleter only supports /tmp/.+ but received provided {path}");
    let _ = world.set_status(key, |s| {
        s.set("phase", "Failed");
        s.set("message", message.as_str());
    });
    report(world, volume, Severity::Warning, ("VolumeFailedDelete", &message));
}

fn drop_finalizer(world: &mut World, key: &Key, name: &str) -> Outcome {
    world.update(key, |object| {
        let finalizers = object.at_mut(&["metadata", "finalizers"]);
        finalizers.items_mut().retain(|f| f.text() != name);
        if finalizers.is_empty() {
            object.remove_at(&["metadata", "finalizers"]);
        }
    })?;
    Ok(())
}

/// Lets a claim go that is being deleted, once no pod uses it.
fn release_claim(world: &mut World, key: &Key, claim: &Object) -> Outcome {
    let uses = |p: &Object| !is_finished_pod(p) && scheduler::claim_names(p).iter().any(|n| n == claim.name());
    let used = world.store.list(Kind::POD, Some(claim.namespace())).any(uses);
    let protected = claim.meta().get("finalizers").items().iter().any(|f| f.text() == CLAIM_PROTECTION);
    if used || !protected { Ok(()) } else { drop_finalizer(world, key, CLAIM_PROTECTION) }
}
