//! Claims of a pod: whether they are bound, where their volumes can be reached, and binding claims that wait for a consumer.

use super::affinity;
use super::filters::{Filter, Refusal};
use crate::cluster::sim::controllers::pods::is_finished;
use crate::cluster::sim::controllers::volumes as binder;
use crate::cluster::sim::store::{Key, Kind};
use crate::cluster::sim::world::World;
use crate::object::Object;
use arcstr::ArcStr;

/// The claims of a pod, sorted by what they need.
#[derive(Default)]
pub struct Claims {
    /// Bound claims with their volumes.
    bound: Vec<(Object, Option<Object>)>,
    /// Claims that are bound when their consumer is placed.
    delayed: Vec<Object>,
    /// Whether another pod holds a claim that only one pod may use.
    taken: bool,
}

/// The names of the claims that a pod uses.
pub fn claim_names(pod: &Object) -> Vec<ArcStr> {
    let names = pod.spec().get("volumes").items().iter().filter_map(|v| {
        let generic = (!v.get("ephemeral").is_null()).then(|| ArcStr::from(format!("{}-{}", pod.name(), v.get("name").text())));
        v.at(&["persistentVolumeClaim", "claimName"]).as_text().cloned().or(generic)
    });
    names.collect()
}

/// Looks at a pod's claims.
///
/// # Errors
/// What keeps the pod from every node.
pub fn claims(world: &World, pod: &Object) -> Result<Claims, String> {
    let mut claims = Claims::default();
    let mut unbound = false;
    for name in claim_names(pod) {
        let Some(claim) = world.store.get(&Key::new(Kind::PVC, pod.namespace(), name.clone())) else {
            return Err(format!("persistentvolumeclaim {name:?} not found"));
        };
        claims.taken |= is_taken(world, pod, claim);
        if claim.is_terminating() {
            return Err(format!("persistentvolumeclaim {name:?} is being deleted"));
        }
        let volume = claim.spec().get("volumeName").text();
        if claim.status().get("phase").text() == "Lost" {
            return Err(format!("persistentvolumeclaim {name:?} bound to non-existent persistentvolume {volume:?}"));
        }
        if binder::is_bound(claim) {
            claims.bound.push((claim.clone(), world.store.get(&Key::new(Kind::PV, "", volume)).cloned()));
        } else if volume.is_empty() && binder::waits_for_consumer(world, claim) {
            claims.delayed.push(claim.clone());
        } else {
            unbound = true;
        }
    }
    if unbound { Err("pod has unbound immediate PersistentVolumeClaims".to_owned()) } else { Ok(claims) }
}

/// Whether a claim is for one pod only and another one uses it.
fn is_taken(world: &World, pod: &Object, claim: &Object) -> bool {
    let single = claim.spec().get("accessModes").items().iter().any(|m| m.text() == "ReadWriteOncePod");
    let uses = |other: &Object| {
        let placed = !other.spec().get("nodeName").is_empty() && other.uid() != pod.uid();
        placed && !is_finished(other) && claim_names(other).iter().any(|n| n == claim.name())
    };
    single && world.store.list(Kind::POD, Some(pod.namespace())).any(uses)
}

/// Why a node does not do for these claims, if it does not.
pub fn refuse(world: &World, claims: &Claims, node: &Object) -> Option<Refusal> {
    if claims.taken {
        let reason = "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod";
        return Some(Refusal::new(Filter::VolumeRestrictions, reason));
    }
    let mut reasons = Vec::new();
    for (_, volume) in &claims.bound {
        match volume {
            None => {
                return Some(Refusal::for_good(
                    Filter::VolumeBinding,
                    "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)",
                ));
            }
            Some(volume) if !reaches(volume, node) => reasons.push("node(s) didn't match PersistentVolume's node affinity".to_owned()),
            Some(_) => {}
        }
    }
    let misses = |claim: &&Object| binder::find_match(world, claim, Some(node)).is_none() && !binder::can_provision(world, claim);
    if claims.delayed.iter().any(|c| misses(&c)) {
        reasons.push("node(s) didn't find available persistent volumes to bind".to_owned());
    }
    reasons.dedup();
    if !reasons.is_empty() {
        return Some(Refusal { filter: Filter::VolumeBinding, reasons, final_: true });
    }
    let elsewhere = claims.bound.iter().filter_map(|(_, v)| v.as_ref()).any(|v| in_other_zone(v, node));
    elsewhere.then(|| Refusal::for_good(Filter::VolumeZone, "node(s) had no available volume zone"))
}

/// Whether a volume can be used on a node.
pub fn reaches(volume: &Object, node: &Object) -> bool {
    let required = volume.spec().at(&["nodeAffinity", "required"]);
    required.is_null() || affinity::selects(required, node)
}

fn in_other_zone(volume: &Object, node: &Object) -> bool {
    ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"].iter().any(|key| match (volume.label(key), node.label(key)) {
        (Some(wanted), Some(actual)) => !wanted.split("__").any(|zone| zone == actual),
        (Some(_), None) => true,
        _ => false,
    })
}

/// Binds the claims of a pod that waited for it.
///
/// # Errors
/// When a volume that was there is not any more; the pod is tried again.
pub fn prepare(world: &mut World, pod: &Object, node: &ArcStr) -> Result<(), ()> {
    let Ok(claims) = claims(world, pod) else { return Err(()) };
    let Some(node) = world.store.get(&Key::new(Kind::NODE, "", node.clone())).cloned() else { return Err(()) };
    for claim in claims.delayed {
        match binder::find_match(world, &claim, Some(&node)) {
            Some(volume) => binder::bind(world, &claim, &volume),
            None => return Err(()),
        }
    }
    Ok(())
}
