//! Plug-ins that fill in new pods: ServiceAccount, DefaultTolerationSeconds, Priority.

use crate::cluster::ApiError;
use crate::cluster::sim::api::errors;
use crate::cluster::sim::store::{Key, Kind};
use crate::cluster::sim::world::World;
use crate::object::{Json, Object};
use crate::{array, object};

const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

fn refuse(world: &World, pod: &Object, why: &str) -> ApiError {
    errors::forbidden(world.store.resource(Kind::POD), pod.name(), why)
}

/// Names the service account and mounts its token.
pub(super) fn service_account(world: &mut World, pod: &mut Object) -> Result<(), ApiError> {
    if pod.annotation("kubernetes.io/config.mirror").is_some() {
        return Ok(());
    }
    if pod.spec().get("serviceAccountName").text().is_empty() {
        pod.set_at(&["spec", "serviceAccountName"], "default");
        pod.set_at(&["spec", "serviceAccount"], "default");
    }
    let name = pod.spec().get("serviceAccountName").text().to_owned();
    let key = Key::new(Kind::SERVICE_ACCOUNT, pod.namespace(), name.as_str());
    let Some(account) = world.store.get(&key).cloned() else {
        // A world without any service account has no controller that makes them (as in small tests).
        if world.store.list(Kind::SERVICE_ACCOUNT, None).next().is_none() {
            return Ok(());
        }
        let place = format!("{}/{name}", pod.namespace());
        let why = format!("error looking up service account {place}: serviceaccount {} not found", errors::quote(&name));
        return Err(refuse(world, pod, &why));
    };
    if pod.spec().get("imagePullSecrets").is_empty() && !account.get("imagePullSecrets").is_empty() {
        pod.set_at(&["spec", "imagePullSecrets"], account.get("imagePullSecrets"));
    }
    let wanted = pod.spec().get("automountServiceAccountToken").as_bool();
    if wanted.or_else(|| account.get("automountServiceAccountToken").as_bool()).unwrap_or(true) {
        mount_token(world, pod);
    }
    Ok(())
}

/// Mounts the token into every container that mounts nothing there.
fn mount_token(world: &mut World, pod: &mut Object) {
    let had = pod.spec().get("volumes").items().iter().map(|v| v.get("name").text()).find(|n| n.starts_with("kube-api-access-"));
    let name = match had {
        Some(name) => name.to_owned(),
        None => format!("kube-api-access-{}", world.draw("name").name_suffix(5)),
    };
    let fresh = had.is_none();
    let mut needed = false;
    for list in ["initContainers", "containers"] {
        if pod.spec().get(list).is_empty() {
            continue;
        }
        for container in pod.get_mut("spec").get_mut(list).items_mut() {
            let covered = container.get("volumeMounts").items().iter().any(|m| m.get("mountPath").text() == TOKEN_PATH);
            if !covered {
                needed = true;
                let mount = object! { "name" => name.as_str(), "readOnly" => true, "mountPath" => TOKEN_PATH };
                container.get_mut("volumeMounts").push(mount);
            }
        }
    }
    if needed && fresh {
        let namespace =
            object! { "path" => "namespace", "fieldRef" => object! { "apiVersion" => "v1", "fieldPath" => "metadata.namespace" } };
        let sources = array![
            object! { "serviceAccountToken" => object! { "expirationSeconds" => 3607, "path" => "token" } },
            object! { "configMap" => object! {
                "name" => "kube-root-ca.crt", "items" => array![object! { "key" => "ca.crt", "path" => "ca.crt" }],
            } },
            object! { "downwardAPI" => object! { "items" => array![namespace] } },
        ];
        let volume = object! { "name" => name, "projected" => object! { "defaultMode" => 420, "sources" => sources } };
        pod.get_mut("spec").get_mut("volumes").push(volume);
    }
}

/// A pod stays 300 s on a node that is not ready or not reachable.
pub(super) fn tolerations(pod: &mut Object) {
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerated = |t: &Json| {
            let (own, effect) = (t.get("key").text(), t.get("effect").text());
            (own == key || own.is_empty()) && (effect == "NoExecute" || effect.is_empty())
        };
        if !pod.spec().get("tolerations").items().iter().any(tolerated) {
            let toleration = object! { "key" => key, "operator" => "Exists", "effect" => "NoExecute", "tolerationSeconds" => 300 };
            pod.get_mut("spec").get_mut("tolerations").push(toleration);
        }
    }
}

/// Turns the name of a priority class into a priority.
pub(super) fn priority(world: &World, pod: &mut Object) -> Result<(), ApiError> {
    let name = pod.spec().get("priorityClassName").text().to_owned();
    let classes = || world.store.list(Kind::PRIORITY_CLASS, None);
    let class = if name.is_empty() {
        classes().filter(|c| c.get("globalDefault").is_true()).min_by_key(|c| c.get("value").as_i64())
    } else {
        let found = classes().find(|c| c.name() == name);
        if found.is_none() {
            return Err(refuse(world, pod, &format!("no PriorityClass with name {name} was found")));
        }
        found
    };
    let value = class.and_then(|c| c.get("value").as_i64()).unwrap_or(0);
    let policy = class.map_or("", |c| c.get("preemptionPolicy").text());
    let policy = if policy.is_empty() { "PreemptLowerPriority" } else { policy }.to_owned();
    if let Some(class) = class.filter(|_| name.is_empty()) {
        let name = class.name().to_owned();
        pod.set_at(&["spec", "priorityClassName"], name);
    }
    if let Some(given) = pod.spec().get("priority").as_i64().filter(|given| *given != value) {
        let why = format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {value} from the given PriorityClass name"
        );
        return Err(refuse(world, pod, &why));
    }
    let given = pod.spec().get("preemptionPolicy").text();
    if !given.is_empty() && given != policy {
        let why = format!(
            "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name"
        );
        return Err(refuse(world, pod, &why));
    }
    pod.set_at(&["spec", "priority"], value);
    pod.set_at(&["spec", "preemptionPolicy"], policy);
    Ok(())
}
