//! Emptying stores: their folders, before a first start or to begin again with what their own scripts and clients write.
//!
//! A volume may hold what an earlier application left: a folder of a node outlives the objects that named it. A pod of the store's own image
//! empties it while no server has it open; where volumes are folders of nodes, one on every node that takes pods.

use super::deploy::{deployments, wait_for};
use super::stores::belongs_to;
use super::{EnvironmentError, Place};
use crate::app::{App, Store};
use crate::cluster::deploy::objects;
use crate::cluster::{ApiError, ApiRequest, Cluster, Identity, Options, PatchKind};
use crate::object::{Json, Object, ResourceRef, resource};
use crate::time::SimTime;
use crate::{array, object};
use std::time::Duration;

/// How long claims may take to be bound before pods are started that use them; some are bound by such pods only.
const BOUND_WITHIN: Duration = Duration::from_secs(20);

/// How long emptying may take.
const EMPTY_WITHIN: Duration = Duration::from_secs(120);

const PAUSE: Duration = Duration::from_millis(250);

fn core(plural: &str) -> &'static ResourceRef {
    resource::builtin_named("", plural).expect("it is in the table of built-in kinds")
}

fn pause(cluster: &mut dyn Cluster) {
    let until = cluster.now() + PAUSE;
    cluster.wait(until, &[]);
}

fn late(place: &Place, why: String) -> EnvironmentError {
    EnvironmentError::NotReady { namespace: place.namespace.to_string(), seconds: EMPTY_WITHIN.as_secs(), why }
}

/// Empties the folders of stores whose servers do not run.
///
/// # Errors
/// The API server's answer, or a folder that cannot be emptied.
pub(super) fn empty(
    cluster: &mut dyn Cluster,
    place: &Place,
    (app, strict): (&App, bool),
    stores: &[&Store],
) -> Result<(), EnvironmentError> {
    let manifests = objects(app, strict);
    let mounts: Vec<Mount> = stores.iter().filter_map(|store| Mount::of(&manifests, store)).collect();
    if mounts.is_empty() {
        return Ok(());
    }
    await_claims(cluster, place)?;
    let on_nodes = manifests.iter().any(|o| o.get("kind").text() == "PersistentVolume" && !o.at(&["spec", "hostPath"]).is_null());
    let nodes = if on_nodes { open_nodes(cluster)?.into_iter().map(Some).collect() } else { vec![None] };
    let names: Vec<String> = (0..nodes.len()).map(|number| format!("emptying-{number}")).collect();
    remove_pods(cluster, place, &names)?;
    for (name, node) in names.iter().zip(&nodes) {
        create(cluster, place, name, pod(name, node.as_deref(), &mounts))?;
    }
    await_end(cluster, place, &names)?;
    remove_pods(cluster, place, &names)
}

/// Creates a pod; a quota that was made just now has to be counted first.
fn create(cluster: &mut dyn Cluster, place: &Place, name: &str, pod: Json) -> Result<(), EnvironmentError> {
    let give_up = cluster.now() + BOUND_WITHIN;
    let request = ApiRequest::create(core("pods"), Some(&place.namespace), pod);
    loop {
        match cluster.api(&Identity::operator(), &request) {
            Err(error) if error.message.contains("status unknown for quota") && cluster.now() < give_up => pause(cluster),
            other => return other.map(drop).map_err(EnvironmentError::api(format!("creating pod {name}"))),
        }
    }
}

/// Where a store's folder is.
struct Mount {
    volume: Json,
    image: String,
}

impl Mount {
    /// `None` when the folder goes with the store's pod.
    fn of(manifests: &[Json], store: &Store) -> Option<Mount> {
        let is_it = |o: &&Json| o.get("kind").text() == "Deployment" && o.at(&["metadata", "name"]).text() == store.deployment;
        let spec = manifests.iter().find(is_it)?.at(&["spec", "template", "spec"]).clone();
        let container = spec.get("containers").nth(0).clone();
        let mount = container.get("volumeMounts").items().iter().find(|mount| mount.get("mountPath").text() == store.data)?.clone();
        let volume = spec.get("volumes").find("name", mount.get("name").text())?.clone();
        let claimed = !volume.get("persistentVolumeClaim").is_null();
        claimed.then(|| Mount { volume, image: container.get("image").text().to_owned() })
    }
}

/// What it takes to remove files.
fn small() -> Json {
    object! { "cpu" => "100m", "memory" => "64Mi" }
}

/// A pod with all the folders.
fn pod(name: &str, node: Option<&str>, mounts: &[Mount]) -> Json {
    let volume_name = |number: usize| format!("store-{number}");
    let path = |number: usize| format!("/stores/{number}");
    let mount = |number: usize| object! { "name" => volume_name(number), "mountPath" => path(number) };
    let volume = |(number, mount): (usize, &Mount)| {
        let mut volume = mount.volume.clone();
        volume.set("name", volume_name(number));
        volume
    };
    let files: Vec<String> = (0..mounts.len()).map(|number| format!("{0}/* {0}/.[!.]*", path(number))).collect();
    let remove = format!("rm -rf {}", files.join(" "));
    // Another node's pod may be at the same files, where nodes share them.
    let script = format!("{remove} || sleep 1 && {remove}");
    let container = object! {
        "name" => "emptying", "image" => mounts.first().map_or("", |mount| mount.image.as_str()), "imagePullPolicy" => "IfNotPresent",
        // Its own, so that a namespace's defaults for the application do not keep it from running.
        "resources" => object! { "requests" => small(), "limits" => small() },
        "command" => array!["sh", "-c", script], "volumeMounts" => (0..mounts.len()).map(mount).collect::<Json>(),
    };
    let mut spec = object! {
        "restartPolicy" => "Never", "automountServiceAccountToken" => false, "terminationGracePeriodSeconds" => 0,
        "containers" => array![container], "volumes" => mounts.iter().enumerate().map(volume).collect::<Json>(),
    };
    if let Some(node) = node {
        spec.set("nodeName", node);
    }
    object! { "apiVersion" => "v1", "kind" => "Pod", "metadata" => object! { "name" => name }, "spec" => spec }
}

/// Nodes that take pods.
fn open_nodes(cluster: &mut dyn Cluster) -> Result<Vec<String>, EnvironmentError> {
    let all = cluster.api(&Identity::operator(), &ApiRequest::list(core("nodes"), None));
    let all = all.map_err(EnvironmentError::api("listing the nodes"))?.into_items();
    let keeps_off = |taint: &Json| matches!(taint.get("effect").text(), "NoSchedule" | "NoExecute");
    let open = |node: &&Object| {
        let ready = node.condition("Ready").is_some_and(|condition| condition.get("status").text() == "True");
        ready && !node.spec().get("unschedulable").is_true() && !node.spec().get("taints").items().iter().any(keeps_off)
    };
    Ok(all.iter().filter(open).map(|node| node.name().to_owned()).collect())
}

fn await_claims(cluster: &mut dyn Cluster, place: &Place) -> Result<(), EnvironmentError> {
    let give_up = cluster.now() + BOUND_WITHIN;
    let read = ApiRequest::list(core("persistentvolumeclaims"), Some(&place.namespace));
    loop {
        let claims = cluster.api(&Identity::operator(), &read).map_err(EnvironmentError::api("reading the claims"))?.into_items();
        let bound = claims.iter().all(|claim| claim.status().get("phase").text() == "Bound");
        if bound || cluster.now() >= give_up {
            return Ok(());
        }
        pause(cluster);
    }
}

fn await_end(cluster: &mut dyn Cluster, place: &Place, names: &[String]) -> Result<(), EnvironmentError> {
    let give_up = cluster.now() + EMPTY_WITHIN;
    let read = ApiRequest::list(core("pods"), Some(&place.namespace));
    loop {
        let pods = cluster.api(&Identity::operator(), &read).map_err(EnvironmentError::api("reading the pods"))?.into_items();
        let phase = |name: &String| pods.iter().find(|pod| pod.name() == name).map_or("", |pod| pod.status().get("phase").text());
        if names.iter().all(|name| phase(name) == "Succeeded") {
            return Ok(());
        }
        if let Some(failed) = names.iter().find(|name| phase(name) == "Failed") {
            return Err(late(place, format!("pod {failed} could not empty the stores' volumes")));
        }
        if cluster.now() >= give_up {
            return Err(late(place, "the stores' volumes are not emptied".to_owned()));
        }
        pause(cluster);
    }
}

/// Deletes pods by name and waits until they are gone.
fn remove_pods(cluster: &mut dyn Cluster, place: &Place, names: &[String]) -> Result<(), EnvironmentError> {
    let ours = |pod: &Object| names.iter().any(|name| name == pod.name());
    let gone = ours_deleted(cluster, place, &ours)?;
    if gone { Ok(()) } else { await_absence(cluster, place, &ours, "emptied volumes") }
}

/// Deletes those pods that are meant; whether there were none.
fn ours_deleted(cluster: &mut dyn Cluster, place: &Place, meant: &dyn Fn(&Object) -> bool) -> Result<bool, EnvironmentError> {
    let read = ApiRequest::list(core("pods"), Some(&place.namespace));
    let pods = cluster.api(&Identity::operator(), &read).map_err(EnvironmentError::api("reading the pods"))?.into_items();
    let mut none = true;
    for pod in pods.iter().filter(|pod| meant(pod)) {
        none = false;
        let options = Options { grace_period_s: Some(0), ..Options::default() };
        match cluster.api(&Identity::operator(), &ApiRequest::delete(core("pods"), Some(&place.namespace), pod.name()).options(options)) {
            Err(error) if error.code != 404 => {
                return Err(EnvironmentError::api(format!("deleting pod {}", pod.name()))(error));
            }
            _ => {}
        }
    }
    Ok(none)
}

fn await_absence(cluster: &mut dyn Cluster, place: &Place, meant: &dyn Fn(&Object) -> bool, what: &str) -> Result<(), EnvironmentError> {
    let give_up = cluster.now() + EMPTY_WITHIN;
    let read = ApiRequest::list(core("pods"), Some(&place.namespace));
    loop {
        let pods = cluster.api(&Identity::operator(), &read).map_err(EnvironmentError::api("reading the pods"))?.into_items();
        if !pods.iter().any(meant) {
            return Ok(());
        }
        if cluster.now() >= give_up {
            return Err(late(place, format!("a pod that {what} is still being deleted")));
        }
        pause(cluster);
    }
}

/// Empties stores that hold something else than they should and lets them begin again, and everything that may have read from them.
///
/// # Errors
/// The API server's answer, or what does not become ready in time.
pub(super) fn renew(
    cluster: &mut dyn Cluster,
    place: &Place,
    (app, strict): (&App, bool),
    names: &[String],
    (give_up, bound): (SimTime, Duration),
) -> Result<(), EnvironmentError> {
    let stores: Vec<&Store> = app.stores.iter().filter(|store| names.iter().any(|name| *name == store.deployment)).collect();
    for store in &stores {
        scale(cluster, place, &store.deployment, 0).map_err(EnvironmentError::api(format!("stopping store {}", store.deployment)))?;
    }
    let of_stores = |pod: &Object| stores.iter().any(|store| belongs_to(pod, &store.deployment));
    await_absence(cluster, place, &of_stores, "ran a store")?;
    empty(cluster, place, (app, strict), &stores)?;
    for store in &stores {
        scale(cluster, place, &store.deployment, replicas(app, store))
            .map_err(EnvironmentError::api(format!("starting store {}", store.deployment)))?;
    }
    // Caches go with what they were filled from; then those that read from both, so that nothing crashes for want of the others.
    let is_store = |pod: &Object| app.stores.iter().any(|store| belongs_to(pod, &store.deployment));
    let is_first = |pod: &Object| app.first.iter().any(|name| belongs_to(pod, name));
    ours_deleted(cluster, place, &|pod| is_first(pod) && !is_store(pod))?;
    wait_for(cluster, (&place.namespace, Some(&app.first)), give_up, bound)?;
    ours_deleted(cluster, place, &|pod| !is_first(pod))?;
    wait_for(cluster, (&place.namespace, None), give_up, bound)
}

fn replicas(app: &App, store: &Store) -> i64 {
    let is_it = |o: &&Json| o.get("kind").text() == "Deployment" && o.at(&["metadata", "name"]).text() == store.deployment;
    app.manifests.iter().find(is_it).and_then(|o| o.at(&["spec", "replicas"]).as_i64()).unwrap_or(1)
}

fn scale(cluster: &mut dyn Cluster, place: &Place, deployment: &str, replicas: i64) -> Result<(), ApiError> {
    let patch = object! { "spec" => object! { "replicas" => replicas } };
    let request = ApiRequest::patch(deployments(), Some(&place.namespace), deployment, PatchKind::Merge, patch);
    cluster.api(&Identity::operator(), &request).map(drop)
}
