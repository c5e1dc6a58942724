//! Volumes: what can keep a pod's volumes from being mounted, and what they put into containers.
//!
//! Not modelled: hostPath type checks, CSI and network volumes (they mount at once), `fsGroup`, updates after the start.

use crate::cluster::sim::store::{Key, Kind};
use crate::cluster::sim::world::World;
use crate::object::decode::from_base64;
use crate::object::{Json, Object};
use arcstr::ArcStr;
use std::collections::BTreeMap;
use std::time::Duration;

/// First and longest delay between attempts to mount a volume.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(122));

/// Files by path.
type Files = BTreeMap<ArcStr, ArcStr>;

/// Time until the next attempt after `failures` before this one.
pub fn retry_delay(failures: u32) -> Duration {
    RETRY.0.saturating_mul(1_u32.checked_shl(failures.min(12)).unwrap_or(u32::MAX)).min(RETRY.1)
}

/// Checks that every volume that a container uses can be mounted; the error is the event's message.
///
/// # Errors
/// With the kubelet's message for the first volume that cannot be mounted.
pub fn mount(world: &World, object: &Object) -> Result<(), String> {
    let used = |name: &str| {
        let lists = ["containers", "initContainers", "ephemeralContainers"];
        let containers = lists.iter().flat_map(|l| object.spec().get(l).items());
        containers.flat_map(|c| c.get("volumeMounts").items()).any(|m| m.get("name").text() == name)
    };
    for volume in object.spec().get("volumes").items() {
        let name = volume.get("name").text();
        if used(name) {
            check(world, object, volume)?;
        }
    }
    Ok(())
}

fn check(world: &World, object: &Object, volume: &Json) -> Result<(), String> {
    let name = volume.get("name").text();
    let claim = volume.at(&["persistentVolumeClaim", "claimName"]).text();
    if !claim.is_empty() {
        return volume_of_claim(world, object.namespace(), claim).map(|_| ()).map_err(|why| {
            format!("Unable to attach or mount volumes: unmounted volumes=[{name}], unattached volumes=[], failed to process volumes=[{name}]: {why}")
        });
    }
    content(world, object, volume).map(|_| ()).map_err(|why| format!("MountVolume.SetUp failed for volume {name:?} : {why}"))
}

/// The PersistentVolume behind a claim.
fn volume_of_claim(world: &World, namespace: &str, claim: &str) -> Result<Object, String> {
    let Some(found) = world.store.get(&Key::new(Kind::PVC, namespace, claim)) else {
        return Err(format!(
            "error processing PVC {namespace}/{claim}: failed to fetch PVC from API server: persistentvolumeclaims {claim:?} not found"
        ));
    };
    let bound = found.status().get("phase").text() == "Bound";
    let volume = world.store.get(&Key::new(Kind::PV, "", found.spec().get("volumeName").text())).cloned();
    volume.filter(|_| bound).ok_or_else(|| format!("error processing PVC {namespace}/{claim}: PVC is not bound"))
}

/// The files of a volume, by path within it; `None` for volumes that hold data instead.
///
/// # Errors
/// With the kubelet's message when a source is missing.
pub fn content(world: &World, object: &Object, volume: &Json) -> Result<Option<Files>, String> {
    let mut files = Files::new();
    let map = volume.get("configMap");
    let secret = volume.get("secret");
    if !map.is_null() {
        add_source(world, object, map, map.get("name").text(), Kind::CONFIG_MAP, &mut files)?;
    } else if !secret.is_null() {
        add_source(world, object, secret, secret.get("secretName").text(), Kind::SECRET, &mut files)?;
    } else if !volume.get("downwardAPI").is_null() {
        add_downward(object, volume.get("downwardAPI"), &mut files);
    } else if !volume.get("projected").is_null() {
        add_projected(world, object, volume.get("projected"), &mut files)?;
    } else {
        return Ok(None);
    }
    Ok(Some(files))
}

fn add_projected(world: &World, object: &Object, projected: &Json, files: &mut Files) -> Result<(), String> {
    for source in projected.get("sources").items() {
        let (map, secret) = (source.get("configMap"), source.get("secret"));
        if !map.is_null() {
            add_source(world, object, map, map.get("name").text(), Kind::CONFIG_MAP, files)?;
        } else if !secret.is_null() {
            add_source(world, object, secret, secret.get("name").text(), Kind::SECRET, files)?;
        } else if !source.get("downwardAPI").is_null() {
            add_downward(object, source.get("downwardAPI"), files);
        } else if let Some(path) = source.at(&["serviceAccountToken", "path"]).as_text() {
            files.insert(path.clone(), token(object));
        }
    }
    Ok(())
}

/// A service account token: shaped like one, worth nothing.
fn token(object: &Object) -> ArcStr {
    let account = object.spec().get("serviceAccountName").text();
    let mut stream = crate::rng::Key::new(0).part("token").part(object.uid()).part(account).stream();
    let part = |stream: &mut crate::rng::Stream, n: usize| (0..n).map(|_| format!("{:016x}", stream.bits())).collect::<String>();
    format!("eyJhbGciOiJSUzI1NiIsImtpZCI6{}.{}.{}", part(&mut stream, 2), part(&mut stream, 24), part(&mut stream, 20)).into()
}

fn add_source(world: &World, object: &Object, source: &Json, name: &str, kind: Kind, files: &mut Files) -> Result<(), String> {
    let optional = source.get("optional").is_true();
    let is_map = kind == Kind::CONFIG_MAP;
    let Some(found) = world.store.get(&Key::new(kind, object.namespace(), name)) else {
        let word = if is_map { "configmap" } else { "secret" };
        return if optional { Ok(()) } else { Err(format!("{word} {name:?} not found")) };
    };
    let items = source.get("items").items();
    if items.is_empty() {
        files.extend(found.get("data").entries().map(|(key, value)| (key.clone(), value_of(kind, value))));
        files.extend(found.get("binaryData").entries().map(|(key, value)| (key.clone(), value_of(Kind::SECRET, value))));
        return Ok(());
    }
    for item in items {
        let key = item.get("key").text();
        match found.get("data").get(key) {
            Json::Null if optional => {}
            Json::Null if is_map => return Err(format!("configmap references non-existent config key: {key}")),
            Json::Null => return Err(format!("references non-existent secret key: {key}")),
            value => {
                files.insert(item.get("path").text().into(), value_of(kind, value));
            }
        }
    }
    Ok(())
}

/// The text of an entry of a ConfigMap, or of a Secret, which holds base64.
pub fn value_of(kind: Kind, value: &Json) -> ArcStr {
    let text = value.as_text().cloned().unwrap_or_default();
    if kind == Kind::SECRET { decoded(&text).into() } else { text }
}

/// The text behind base64, which the API server has checked; bytes that are no UTF-8 are replaced.
fn decoded(text: &str) -> String {
    String::from_utf8_lossy(&from_base64(text).unwrap_or_default()).into_owned()
}

fn add_downward(object: &Object, source: &Json, files: &mut Files) {
    for item in source.get("items").items() {
        let path = item.at(&["fieldRef", "fieldPath"]).text();
        let text = match path {
            "metadata.labels" => Some(listed(object.meta().get("labels"))),
            "metadata.annotations" => Some(listed(object.meta().get("annotations"))),
            _ => super::launch::field(object, path).map(|t| t.to_string()),
        };
        files.insert(item.get("path").text().into(), text.unwrap_or_default().into());
    }
}

fn listed(map: &Json) -> String {
    map.entries().map(|(key, value)| format!("{key}={:?}", value.text())).collect::<Vec<_>>().join("\n")
}

/// What identifies the storage behind a volume that holds data; `None` for other volumes.
pub fn storage(world: &World, object: &Object, volume: &Json) -> Option<ArcStr> {
    let node = object.spec().get("nodeName").text();
    let claim = volume.at(&["persistentVolumeClaim", "claimName"]).text();
    if !claim.is_empty() {
        let found = volume_of_claim(world, object.namespace(), claim).ok()?;
        let paths = [found.spec().at(&["hostPath", "path"]).text(), found.spec().at(&["local", "path"]).text()];
        let path = paths.into_iter().find(|p| !p.is_empty());
        return Some(path.map_or_else(|| found.name().into(), |path| format!("{node}:{path}").into()));
    }
    if let Some(path) = volume.at(&["hostPath", "path"]).as_str() {
        return Some(format!("{node}:{path}").into());
    }
    let name = volume.get("name").text();
    (!volume.get("emptyDir").is_null()).then(|| format!("emptyDir/{}/{name}", object.uid()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_decodes() {
        let check = |text: &str, expect: &str| assert_eq!(decoded(text), expect);
        check("YWRtaW4=", "admin");
        check("", "");
        check("YQ==", "a");
    }

    #[test]
    fn mounting_is_retried_ever_more_slowly() {
        let delays: Vec<u64> = (0..10).map(|n| retry_delay(n).as_millis() as u64).collect();
        assert_eq!(delays, [500, 1000, 2000, 4000, 8000, 16000, 32000, 64000, 122_000, 122_000]);
    }
}
