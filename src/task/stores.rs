//! Stores: whether their data is where it was and what it was. A database that comes up on an empty folder serves users as soon as its
//! services have filled it anew, and what users had put there is gone.
//!
//! Where the data is follows from the store's pod: the volume under its data folder and, when that is a folder of a node, the node. What a
//! store holds is told by programs of its own (`[[store]]` in the application's data). Both are read in the operator's name.

use super::Check;
use super::mitigation::Condition;
use crate::app::Store;
use crate::cluster::{ApiError, ApiRequest, Cluster, Identity};
use crate::fault::{attempt, ready_pod};
use crate::object::{Json, Object, resource};
use std::time::Duration;

/// How often a store that does not answer is asked again, half a second later.
const TRIES: u32 = 10;

/// A store before anything is broken.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// The store.
    pub store: Store,
    /// Where its data is; `None` when it is on no volume.
    pub place: Option<String>,
    /// What it holds, users and roles apart, a line each.
    pub holds: String,
    /// A text that is the same as long as users, roles and data are.
    pub fingerprint: String,
}

impl Kept {
    /// Reads a store.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn record(cluster: &mut dyn Cluster, namespace: &str, store: &Store) -> Result<Kept, ApiError> {
        let failed = |why: String| ApiError::new(500, "InternalError", format!("store {}: {why}", store.deployment));
        Ok(Kept {
            store: store.clone(),
            place: place(cluster, namespace, store).map_err(failed)?,
            holds: told(cluster, namespace, store, &store.holds).map_err(failed)?,
            fingerprint: told(cluster, namespace, store, &store.fingerprint).map_err(failed)?,
        })
    }

    /// What is wrong with where the data is now.
    fn displaced(&self, cluster: &mut dyn Cluster, namespace: &str) -> Option<String> {
        let was = self.place.as_ref()?;
        let name = &self.store.deployment;
        match place(cluster, namespace, &self.store) {
            Ok(Some(now)) if now == *was => None,
            Ok(now) => Some(format!("{name} had its data on {was} and has it on {}", now.as_deref().unwrap_or("no volume"))),
            Err(why) => Some(format!("{name} had its data on {was}: {why}")),
        }
    }

    /// What is wrong with what it holds now; `alone` for data without users and roles.
    fn lost(&self, cluster: &mut dyn Cluster, namespace: &str, alone: bool) -> Option<String> {
        let name = &self.store.deployment;
        let now = match told(cluster, namespace, &self.store, &self.store.holds) {
            Ok(now) => now,
            Err(why) => return Some(format!("{name} held {} and does not say what it holds now: {why}", shown(&self.holds))),
        };
        if !covers(&self.holds, &now) {
            return Some(format!("{name} held {} and holds {}", shown(&self.holds), shown(&now)));
        }
        if alone {
            return None;
        }
        match told(cluster, namespace, &self.store, &self.store.fingerprint) {
            Ok(now) if now == self.fingerprint => None,
            Ok(_) => Some(format!("{name} has other users, roles or data than before")),
            Err(why) => Some(format!("{name} does not say who its users are: {why}")),
        }
    }
}

/// The checks of a mitigation that are about stores. Users and roles of a store that the fault broke are for `condition.stores` to judge:
/// a repair may give rights back in ways of its own.
pub fn checks(cluster: &mut dyn Cluster, namespace: &str, kept: &[Kept], condition: &Condition) -> Vec<Check> {
    let mut checks = Vec::new();
    if kept.is_empty() {
        return checks;
    }
    let check = |name: &str, wrong: Vec<String>| {
        let saw = if wrong.is_empty() { format!("all {} have", kept.len()) } else { wrong.join("; ") };
        Check::new(name, wrong.is_empty(), saw)
    };
    if !condition.stores_moved {
        let displaced = kept.iter().filter_map(|store| store.displaced(cluster, namespace)).collect();
        checks.push(check("every store has its data where it was", displaced));
    }
    let repaired = |kept: &Kept| condition.stores_moved || condition.stores.iter().any(|a| a.deployment == *kept.store.deployment);
    let lost = kept.iter().filter_map(|store| store.lost(cluster, namespace, repaired(store))).collect();
    checks.push(check("every store has what it had", lost));
    checks
}

/// Whether everything that was told before still holds; what may grow has not shrunk, and more may be told than before.
fn covers(before: &str, now: &str) -> bool {
    before.lines().filter(|line| !line.trim().is_empty()).all(|line| match at_least(line) {
        Some((name, least)) => now.lines().filter_map(at_least).any(|(other, count)| other == name && count >= least),
        None => now.lines().any(|other| other.trim() == line.trim()),
    })
}

/// `NAME: at least N ...`
fn at_least(line: &str) -> Option<(&str, u64)> {
    let (name, rest) = line.trim().split_once(": at least ")?;
    Some((name, rest.split(' ').next()?.parse().ok()?))
}

/// Lines as a check quotes them.
fn shown(lines: &str) -> String {
    let lines: Vec<&str> = lines.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let text = lines.join(", ");
    let text = if text.is_empty() { "nothing".to_owned() } else { text };
    match text.char_indices().nth(200) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    }
}

/// What a program of a store prints. One that has just started may not answer yet.
fn told(cluster: &mut dyn Cluster, namespace: &str, store: &Store, argv: &[String]) -> Result<String, String> {
    if argv.is_empty() {
        return Ok(String::new());
    }
    let mut why = String::new();
    for _ in 0..TRIES {
        match attempt(cluster, namespace, &store.deployment, argv) {
            Ok(output) if output.exit_code == 0 => return Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            Ok(output) => {
                let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
                why = String::from_utf8_lossy(&said).trim().chars().take(200).collect();
            }
            Err(error) => why = error.to_string(),
        }
        let until = cluster.now() + Duration::from_millis(500);
        cluster.wait(until, &[]);
    }
    Err(why)
}

/// Where a store's data is; `None` when no volume is mounted where it should be.
fn place(cluster: &mut dyn Cluster, namespace: &str, store: &Store) -> Result<Option<String>, String> {
    let pod = ready_pod(cluster, namespace, &store.deployment).map_err(|error| error.to_string())?;
    let Some(volume) = mounted(&pod, &store.data) else { return Ok(None) };
    let claim = volume.at(&["persistentVolumeClaim", "claimName"]).text();
    if claim.is_empty() {
        return Ok(Some(source(volume, &pod, "a volume of its own")));
    }
    let claim = get(cluster, "persistentvolumeclaims", Some(namespace), claim)?;
    let name = claim.spec().get("volumeName").text();
    let found = get(cluster, "persistentvolumes", None, name)?;
    Ok(Some(source(found.spec(), &pod, name)))
}

/// The volume of a pod that holds a folder.
fn mounted<'a>(pod: &'a Object, folder: &str) -> Option<&'a Json> {
    let within = |path: &str| folder.strip_prefix(path.trim_end_matches('/')).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let containers = pod.at(&["spec", "containers"]).items().iter();
    let mounts = containers.flat_map(|container| container.get("volumeMounts").items());
    let mount = mounts.filter(|m| within(m.get("mountPath").text())).max_by_key(|m| m.get("mountPath").text().len())?;
    let volume = pod.at(&["spec", "volumes"]).find("name", mount.get("name").text())?;
    Some(volume)
}

/// What a volume is, as something that is the same exactly as long as its data is.
fn source(volume: &Json, pod: &Object, name: &str) -> String {
    for kind in ["hostPath", "local"] {
        if let Some(path) = volume.at(&[kind, "path"]).as_str() {
            return format!("{kind} {path} of node {}", pod.spec().get("nodeName").text());
        }
    }
    if !volume.get("emptyDir").is_null() {
        return format!("emptyDir of pod {}", pod.uid());
    }
    let handle = volume.at(&["csi", "volumeHandle"]).text();
    let exported = volume.at(&["nfs", "path"]).text();
    match (handle.is_empty(), exported.is_empty()) {
        (false, _) => format!("csi volume {handle}"),
        (true, false) => format!("nfs {}:{exported}", volume.at(&["nfs", "server"]).text()),
        (true, true) => format!("volume {name}"),
    }
}

fn get(cluster: &mut dyn Cluster, plural: &str, namespace: Option<&str>, name: &str) -> Result<Object, String> {
    let kind = resource::builtin_named("", plural).ok_or_else(|| format!("no kind {plural}"))?;
    let reply = cluster.api(&Identity::operator(), &ApiRequest::get(kind, namespace, name));
    reply.map(crate::cluster::ApiReply::into_object).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{array, object};

    #[test]
    fn what_was_there_is_covered() {
        let before = "number: 80 documents, a1\nreservation: at least 2 documents\n";
        for (now, expected) in [
            (before, true),
            ("reservation: at least 7 documents\nother: 1 documents, b\nnumber: 80 documents, a1", true),
            ("number: 80 documents, a1\nreservation: at least 1 documents", false),
            ("number: 80 documents, a2\nreservation: at least 2 documents", false),
            ("number: 80 documents, a1", false),
            ("", false),
        ] {
            assert_eq!(covers(before, now), expected, "{now}");
        }
    }

    #[test]
    fn places_tell_data_apart() {
        let pod = |volume: Json| {
            Object(object! {
                "metadata" => object! { "uid" => "u1" },
                "spec" => object! {
                    "nodeName" => "node-2",
                    "containers" => array![object! { "volumeMounts" => array![
                        object! { "name" => "scripts", "mountPath" => "/data/db-scripts" },
                        object! { "name" => "data", "mountPath" => "/data/" },
                    ] }],
                    "volumes" => array![object! { "name" => "scripts" }, volume],
                },
            })
        };
        for (volume, expected) in [
            (object! { "name" => "data", "hostPath" => object! { "path" => "/d" } }, "hostPath /d of node node-2"),
            (object! { "name" => "data", "local" => object! { "path" => "/d" } }, "local /d of node node-2"),
            (object! { "name" => "data", "emptyDir" => object! { "medium" => "Memory" } }, "emptyDir of pod u1"),
            (object! { "name" => "data", "csi" => object! { "volumeHandle" => "h" } }, "csi volume h"),
            (object! { "name" => "data", "nfs" => object! { "server" => "s", "path" => "/e" } }, "nfs s:/e"),
            (object! { "name" => "data" }, "volume pv-1"),
        ] {
            let pod = pod(volume);
            let found = mounted(&pod, "/data/db").expect("mounted");
            assert_eq!(source(found, &pod, "pv-1"), expected);
        }
        assert!(mounted(&pod(object! { "name" => "other" }), "/var/lib").is_none());
    }
}
