//! Stores: what they hold belongs to the baseline, too, and is read and emptied by programs in their own containers.

use super::{EnvironmentError, Place};
use crate::app::{App, Store};
use crate::cluster::{ApiRequest, Cluster, ExecRequest, Identity};
use crate::object::{Object, resource};
use std::collections::BTreeMap;
use std::time::Duration;

/// How often a fingerprint that cannot be read is tried again: a store that has just started may not answer yet.
const TRIES: u32 = 20;

/// What the stores hold, as digests by Deployment.
///
/// # Errors
/// The API server's answer, or a store that cannot be asked.
pub fn fingerprints(cluster: &mut dyn Cluster, place: &Place, app: &App) -> Result<BTreeMap<String, String>, EnvironmentError> {
    let mut found = BTreeMap::new();
    for store in &app.stores {
        let text = fingerprint(cluster, place, store)?;
        found.insert(store.deployment.to_string(), format!("{:016x}", crate::rng::Key::new(0).part(&text).value()));
    }
    Ok(found)
}

fn fingerprint(cluster: &mut dyn Cluster, place: &Place, store: &Store) -> Result<String, EnvironmentError> {
    let mut why = String::new();
    for _ in 0..TRIES {
        match run(cluster, place, store, &store.fingerprint)? {
            Ok(text) => return Ok(text),
            Err(reason) => why = reason,
        }
        let until = cluster.now() + Duration::from_millis(500);
        cluster.wait(until, &[]);
    }
    Err(EnvironmentError::NotReady {
        namespace: place.namespace.to_string(),
        seconds: 10,
        why: format!("store {}: {why}", store.deployment),
    })
}

/// Empties the stores, as far as their containers run. They have to be replaced afterwards: their programs do not know.
pub fn wipe(cluster: &mut dyn Cluster, place: &Place, app: &App) {
    for store in &app.stores {
        let script = format!("rm -rf {0}/* {0}/.[!.]*", store.data);
        if let Ok(Err(why)) = run(cluster, place, store, &["sh".to_owned(), "-c".to_owned(), script]) {
            tracing::warn!(store = %store.deployment, %why, "the store was not emptied");
        }
    }
}

/// Runs a program in a store's container; what it printed, or why that is not to be had.
fn run(cluster: &mut dyn Cluster, place: &Place, store: &Store, argv: &[String]) -> Result<Result<String, String>, EnvironmentError> {
    let Some(pods) = resource::builtin_named("", "pods") else { return Ok(Err("no pods".to_owned())) };
    let all = cluster.api(&Identity::operator(), &ApiRequest::list(pods, Some(&place.namespace)));
    let all = all.map_err(EnvironmentError::api("looking for the stores"))?.into_items();
    let Some(pod) = all.iter().find(|pod| is_of(pod, &store.deployment)) else { return Ok(Err("no pod runs".to_owned())) };
    let request =
        ExecRequest { namespace: place.namespace.clone(), pod: pod.name().into(), container: None, argv: argv.to_vec(), stdin: Vec::new() };
    Ok(match cluster.exec(&Identity::operator(), &request) {
        Ok(output) if output.exit_code == 0 => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(output) => {
            let said = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
            Err(format!("{} exits with {}: {}", argv.join(" "), output.exit_code, String::from_utf8_lossy(said).trim()))
        }
        Err(error) => Err(error.to_string()),
    })
}

/// Whether a pod is a running one of a Deployment: the names of its ReplicaSet and its own add two parts.
fn is_of(pod: &Object, deployment: &str) -> bool {
    let own = pod.name().rsplitn(3, '-').nth(2) == Some(deployment);
    own && !pod.is_terminating() && pod.status().get("phase").text() == "Running"
}
