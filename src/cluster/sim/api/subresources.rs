//! Parts of objects with a path of their own: status, scale, eviction, binding, token, ephemeralcontainers, finalize.

use super::call::Call;
use super::deletion::{self, Deletion};
use super::{errors, strategy, update, write};
use crate::cluster::sim::store::{Key, Kind};
use crate::cluster::sim::world::World;
use crate::cluster::{ApiError, Body, Subresource};
use crate::object::decode;
use crate::object::schema::schema;
use crate::object::selector::{Selector, object_matches};
use crate::object::{Json, Object};
use crate::{array, object};
use std::time::Duration;

/// Kinds that scale.
fn scales(kind: Kind) -> bool {
    matches!(kind, Kind::DEPLOYMENT | Kind::REPLICA_SET | Kind::STATEFUL_SET)
}

/// Whether a kind has a part.
fn offers(world: &World, call: &Call, part: Subresource) -> bool {
    match part {
        Subresource::Status => strategy::has_status(&world.store, call.kind, &call.resource),
        Subresource::Scale => scales(call.kind) || call.resource.plural == "replicationcontrollers",
        Subresource::Eviction | Subresource::Binding | Subresource::EphemeralContainers | Subresource::Log | Subresource::Exec => {
            call.kind == Kind::POD
        }
        Subresource::Token => call.kind == Kind::SERVICE_ACCOUNT,
        Subresource::Finalize => call.kind == Kind::NAMESPACE,
    }
}

/// Reads a part.
///
/// # Errors
/// 404, also for parts that the kind lacks.
pub fn read(world: &World, call: &Call, part: Subresource) -> Result<Object, ApiError> {
    if !offers(world, call, part) {
        return Err(errors::no_such_path());
    }
    let object = write::existing(world, &call.key())?;
    match part {
        Subresource::Status | Subresource::EphemeralContainers => Ok(object),
        Subresource::Scale => Ok(scale_of(&object)),
        _ => Err(errors::method_not_allowed()),
    }
}

/// `autoscaling/v1` Scale of an object.
fn scale_of(object: &Object) -> Object {
    let selector = match object.spec().get("selector") {
        selector if selector.get("matchLabels").is_null() && selector.get("matchExpressions").is_null() => Selector::from_map(selector),
        selector => Selector::from_object(selector).unwrap_or(Selector::Nothing),
    };
    let meta = object.meta();
    let mut scale = object! {
        "apiVersion" => "autoscaling/v1",
        "kind" => "Scale",
        "metadata" => object! {
            "name" => meta.get("name"), "namespace" => meta.get("namespace"), "uid" => meta.get("uid"),
            "resourceVersion" => meta.get("resourceVersion"), "creationTimestamp" => meta.get("creationTimestamp"),
        },
        "spec" => object! {},
        "status" => object! { "replicas" => object.status().get("replicas").as_i64().unwrap_or(0), "selector" => selector.to_string() },
    };
    let replicas = object.spec().get("replicas").as_i64().unwrap_or(0);
    if replicas != 0 {
        scale.set_at(&["spec", "replicas"], replicas);
    }
    Object(scale)
}

/// PUT or PATCH of a part.
///
/// # Errors
/// The API server's answer when the change is refused.
pub fn change(world: &mut World, call: &mut Call) -> Result<Object, ApiError> {
    let Some(part) = call.request.subresource else { return Err(errors::no_such_path()) };
    if !offers(world, call, part) {
        return Err(errors::no_such_path());
    }
    let old = write::existing(world, &call.key())?;
    match part {
        Subresource::Scale => change_scale(world, call, &old),
        Subresource::Status => {
            let new = sent(world, call, &old)?;
            update::finish(world, call, &old, new)
        }
        Subresource::EphemeralContainers => {
            let sent = sent(world, call, &old)?;
            let mut new = old.clone();
            new.set_at(&["spec", "ephemeralContainers"], sent.spec().get("ephemeralContainers"));
            update::finish(world, call, &old, new)
        }
        Subresource::Finalize => {
            let sent = sent(world, call, &old)?;
            let mut new = old.clone();
            new.set_at(&["spec", "finalizers"], sent.spec().get("finalizers"));
            if sent.spec().get("finalizers").is_empty() {
                new.remove_at(&["spec", "finalizers"]);
            }
            Ok(write::commit(world, &call.key(), &old, new))
        }
        _ => Err(errors::method_not_allowed()),
    }
}

/// The object that the request's body makes of `old`.
fn sent(world: &World, call: &mut Call, old: &Object) -> Result<Object, ApiError> {
    match &call.request.body {
        Body::Object(body) => call.decode(world, Object(body.clone())),
        Body::Patch(form, patch) => update::patched(world, call, old, (*form, patch)),
        Body::None => Err(errors::bad_request("the request has no body")),
    }
}

fn change_scale(world: &mut World, call: &mut Call, old: &Object) -> Result<Object, ApiError> {
    let before = scale_of(old);
    let wanted = match &call.request.body {
        Body::Object(body) => body.clone(),
        Body::Patch(form, patch) => {
            let result = match form {
                crate::cluster::PatchKind::Json => crate::object::patch::json::apply(&before, patch),
                _ => Ok(crate::object::patch::merge::apply(&before, patch)),
            };
            result.map_err(|_| ApiError::new(422, "Invalid", "the server rejected our request due to an error in our request"))?
        }
        Body::None => return Err(errors::bad_request("the request has no body")),
    };
    if let Some(ty) = schema().named("autoscaling.Scale")
        && let Err(error) = decode::decode(&wanted, ty)
    {
        let text = format!("Scale in version \"v1\" cannot be handled as a Scale: {}", error.json);
        return Err(errors::bad_request(text));
    }
    let version = wanted.at(&["metadata", "resourceVersion"]).text();
    if !version.is_empty() && version != old.resource_version() {
        return Err(errors::stale(&call.resource, old.name()));
    }
    let replicas = wanted.at(&["spec", "replicas"]).as_i64().unwrap_or(0);
    let mut causes = errors::FieldErrors::default();
    if replicas < 0 {
        causes.invalid("spec.replicas", replicas, "must be greater than or equal to 0");
    }
    causes.into_result("autoscaling", "Scale", old.name())?;
    let mut new = old.clone();
    new.set_at(&["spec", "replicas"], replicas);
    strategy::set_generation(call.kind, &call.resource, old, &mut new);
    super::apply::track_update(world, call, old, &mut new);
    let stored = write::commit(world, &call.key(), old, new);
    Ok(scale_of(&stored))
}

/// POST of a part.
///
/// # Errors
/// The API server's answer when it is refused.
pub fn create(world: &mut World, call: &mut Call, part: Subresource) -> Result<Object, ApiError> {
    let Body::Object(body) = call.request.body.clone() else { return Err(errors::bad_request("the request has no body")) };
    if !offers(world, call, part) {
        return Err(errors::no_such_path());
    }
    let key = call.key();
    match part {
        Subresource::Binding => {
            bind(world, &key, body.at(&["target", "name"]).text())?;
            Ok(success())
        }
        Subresource::Eviction => evict(world, call, &key, &body),
        Subresource::Token => token(world, &key, &body),
        _ => Err(errors::method_not_allowed()),
    }
}

fn success() -> Object {
    Object(object! { "apiVersion" => "v1", "kind" => "Status", "metadata" => object! {}, "status" => "Success", "code" => 201 })
}

/// Assigns a pod to a node.
///
/// # Errors
/// 409 when the pod has a node, is being deleted, or is gated.
pub fn bind(world: &mut World, key: &Key, node: &str) -> Result<Object, ApiError> {
    let old = write::existing(world, key)?;
    let refuse = |why: String| {
        let text = format!("Operation cannot be fulfilled on pods/binding {}: {why}", errors::quote(&key.name));
        let mut error = ApiError::new(409, "Conflict", text);
        error.details = object! { "name" => &key.name, "kind" => "pods/binding" };
        Err(error)
    };
    if old.is_terminating() {
        return refuse(format!("pod {} is being deleted, cannot be assigned to a host", key.name));
    }
    let assigned = old.spec().get("nodeName").text();
    if !assigned.is_empty() {
        return refuse(format!("pod {} is already assigned to node {}", key.name, errors::quote(assigned)));
    }
    if !old.spec().get("schedulingGates").is_empty() {
        return refuse(format!("pod {} has non-empty .spec.schedulingGates", key.name));
    }
    let mut new = old.clone();
    new.set_at(&["spec", "nodeName"], node);
    let now = world.now.rfc3339();
    let generation = old.generation();
    new.get_mut("status").remove("nominatedNodeName");
    set_condition(&mut new, &now, |condition| {
        condition.set("type", "PodScheduled");
        condition.set("status", "True");
        condition.set("observedGeneration", generation);
        for field in ["reason", "message"] {
            condition.remove(field);
        }
    });
    Ok(write::commit(world, key, &old, new))
}

/// Puts or changes the condition that `change` describes; its transition time moves when its status does.
fn set_condition(pod: &mut Object, now: &str, change: impl FnOnce(&mut Json)) {
    let mut fresh = object! { "lastProbeTime" => Json::Null };
    change(&mut fresh);
    let conditions = pod.get_mut("status").get_mut("conditions");
    if let Some(had) = conditions.find_mut("type", fresh.get("type").text()) {
        let same = had.get("status") == fresh.get("status");
        let since = if same { had.get("lastTransitionTime").clone() } else { Json::from(now) };
        fresh.set("lastTransitionTime", since);
        *had = fresh;
    } else {
        fresh.set("lastTransitionTime", now);
        conditions.push(fresh);
    }
}

fn evict(world: &mut World, call: &Call, key: &Key, body: &Json) -> Result<Object, ApiError> {
    if body.at(&["metadata", "name"]).text() != key.name {
        return Err(errors::bad_request("name in URL does not match name in Eviction object"));
    }
    let pod = write::existing(world, key)?;
    let free = pod.is_terminating() || matches!(pod.status().get("phase").text(), "Succeeded" | "Failed" | "Pending");
    if !free {
        check_budgets(world, &pod)?;
    }
    let now = world.now.rfc3339();
    let mut marked = pod.clone();
    set_condition(&mut marked, &now, |condition| {
        condition.set("type", "DisruptionTarget");
        condition.set("status", "True");
        condition.set("reason", "EvictionByEvictionAPI");
        condition.set("message", "Eviction API: evicting");
    });
    write::commit(world, key, &pod, marked);
    let options = body.get("deleteOptions");
    let grace_s = options.get("gracePeriodSeconds").as_i64().or(call.request.options.grace_period_s);
    deletion::delete(world, call.who, key, &Deletion { grace_s, ..Deletion::default() })?;
    Ok(success())
}

/// An eviction needs an allowance of the pod's disruption budget, and uses it up.
fn check_budgets(world: &mut World, pod: &Object) -> Result<(), ApiError> {
    let selects = |pdb: &Object| object_matches(pdb.spec().get("selector"), pod.meta().get("labels"));
    let budgets: Vec<Object> = world.store.list(Kind::PDB, Some(pod.namespace())).filter(|pdb| selects(pdb)).cloned().collect();
    let budget = match &budgets[..] {
        [] => return Ok(()),
        [budget] => budget,
        _ => {
            let text = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
            return Err(ApiError::new(500, "", text));
        }
    };
    let status = budget.status();
    let number = |field: &str| status.get(field).as_i64().unwrap_or(0);
    let ready = pod.condition("Ready").is_some_and(|c| c.get("status").text() == "True");
    let lenient = budget.spec().get("unhealthyPodEvictionPolicy").text() == "AlwaysAllow";
    if !ready && (lenient || number("currentHealthy") >= number("desiredHealthy") && number("desiredHealthy") > 0) {
        return Ok(());
    }
    let refuse = |cause: String| {
        let text = "Cannot evict pod as it would violate the pod's disruption budget.";
        let mut error = ApiError::new(429, "TooManyRequests", text);
        error.details = object! { "causes" => array![object! { "reason" => "DisruptionBudget", "message" => cause }] };
        Err(error)
    };
    let name = budget.name();
    if number("observedGeneration") < budget.generation() {
        return refuse(format!("The disruption budget {name} is still being processed by the server."));
    }
    if number("disruptionsAllowed") <= 0 {
        let (needs, has) = (number("desiredHealthy"), number("currentHealthy"));
        return refuse(format!("The disruption budget {name} needs {needs} healthy pods and has {has} currently"));
    }
    let now = world.now.rfc3339();
    let left = number("disruptionsAllowed") - 1;
    world.set_status(&Key::of(Kind::PDB, budget), |status| {
        status.set("disruptionsAllowed", left);
        status.set_at(&["disruptedPods", pod.name()], now);
    })?;
    Ok(())
}

/// A token of a service account: a JWT whose signature is drawn, since nothing here verifies it.
fn token(world: &mut World, key: &Key, body: &Json) -> Result<Object, ApiError> {
    let account = write::existing(world, key)?;
    let seconds = body.at(&["spec", "expirationSeconds"]).as_i64().filter(|s| *s != 0).unwrap_or(3600);
    let mut causes = errors::FieldErrors::default();
    if seconds < 600 {
        causes.invalid("spec.expirationSeconds", seconds, "may not specify a duration less than 10 minutes");
    }
    causes.into_result("authentication.k8s.io", "TokenRequest", &key.name)?;
    let issuer = "https://kubernetes.default.svc.cluster.local";
    let audiences = match body.at(&["spec", "audiences"]) {
        list if list.is_empty() => array![issuer],
        list => list.clone(),
    };
    let until = world.now + Duration::from_secs(seconds.unsigned_abs());
    let id = world.draw("token-id").uuid();
    let seconds_of = |at: crate::time::SimTime| i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
    let claims = object! {
        "aud" => &audiences, "exp" => seconds_of(until), "iat" => seconds_of(world.now), "nbf" => seconds_of(world.now),
        "iss" => issuer, "jti" => id, "sub" => format!("system:serviceaccount:{}:{}", key.namespace, key.name),
        "kubernetes.io" => object! {
            "namespace" => &key.namespace,
            "serviceaccount" => object! { "name" => &key.name, "uid" => account.uid() },
        },
    };
    let url = |bytes: &[u8]| decode::to_base64(bytes).replace('+', "-").replace('/', "_").trim_end_matches('=').to_owned();
    let mut stream = world.draw("token-signature");
    let signature: Vec<u8> = (0..32).flat_map(|_| stream.bits().to_le_bytes()).collect();
    let head = object! { "alg" => "RS256", "kid" => "a1" };
    let text = format!("{}.{}.{}", url(head.to_compact().as_bytes()), url(claims.to_compact().as_bytes()), url(&signature));
    Ok(Object(object! {
        "apiVersion" => "authentication.k8s.io/v1",
        "kind" => "TokenRequest",
        "metadata" => object! { "name" => &key.name, "namespace" => &key.namespace, "creationTimestamp" => world.now.rfc3339() },
        "spec" => object! { "audiences" => audiences, "boundObjectRef" => Json::Null, "expirationSeconds" => seconds },
        "status" => object! { "expirationTimestamp" => until.rfc3339(), "token" => text },
    }))
}
