//! LimitRanger: defaults for containers, and the bounds that a namespace sets.

use crate::cluster::ApiError;
use crate::cluster::sim::api::errors;
use crate::cluster::sim::store::Kind;
use crate::cluster::sim::world::World;
use crate::object::pod_resources::{Amounts, amounts, total};
use crate::object::{Json, Object, Quantity};

fn ranges(world: &World, namespace: &str) -> Vec<Object> {
    world.store.list(Kind::LIMIT_RANGE, Some(namespace)).cloned().collect()
}

/// Gives containers the requests and limits that they lack, and says so in an annotation.
pub(super) fn set_defaults(world: &World, pod: &mut Object) {
    for range in ranges(world, pod.namespace()) {
        let (mut requests, mut limits) = (Json::Null, Json::Null);
        for item in range.spec().get("limits").items().iter().filter(|i| i.get("type").text() == "Container") {
            for (name, amount) in item.get("defaultRequest").entries() {
                requests.set(name, amount);
            }
            for (name, amount) in item.get("default").entries() {
                limits.set(name, amount);
            }
        }
        let mut said = Vec::new();
        for (list, what) in [("containers", "container"), ("initContainers", "init container")] {
            if pod.spec().get(list).is_empty() {
                continue;
            }
            for container in pod.get_mut("spec").get_mut(list).items_mut() {
                let set = [("limits", fill(container, "limits", &limits)), ("requests", fill(container, "requests", &requests))];
                let name = container.get("name").text();
                for (part, names) in set.into_iter().rev().filter(|(_, names)| !names.is_empty()) {
                    said.push(format!("{} {} for {what} {name}", names.join(", "), part.trim_end_matches('s')));
                }
            }
        }
        if !said.is_empty() {
            let text = format!("LimitRanger plugin set: {}", said.join("; "));
            pod.set_at(&["metadata", "annotations", "kubernetes.io/limit-ranger"], text);
        }
    }
}

/// Adds to `resources.PART` of a container what it lacks; returns the names, sorted.
fn fill(container: &mut Json, part: &str, defaults: &Json) -> Vec<String> {
    let mut names = Vec::new();
    for (name, amount) in defaults.entries() {
        if container.at(&["resources", part, name]).is_null() {
            container.set_at(&["resources", part, name], amount);
            names.push(name.to_string());
        }
    }
    names
}

/// What a limit is held against.
struct Subject<'a> {
    /// `Container`, `Pod`, `PersistentVolumeClaim`.
    kind: &'a str,
    requests: Amounts,
    limits: Amounts,
}

impl Subject<'_> {
    fn minimum(&self, name: &str, bound: Quantity) -> Option<String> {
        let start = format!("minimum {name} usage per {} is {bound}", self.kind);
        match (self.requests.get(name), self.limits.get(name)) {
            (None, _) => Some(format!("{start}.  No request is specified")),
            (Some(request), _) if *request < bound => Some(format!("{start}, but request is {request}")),
            (_, Some(limit)) if *limit < bound => Some(format!("{start}, but limit is {limit}")),
            _ => None,
        }
    }

    fn maximum(&self, name: &str, bound: Quantity) -> Option<String> {
        let start = format!("maximum {name} usage per {} is {bound}", self.kind);
        if self.kind == "PersistentVolumeClaim" {
            return match self.requests.get(name) {
                None => Some(format!("{start}.  No request is specified")),
                Some(request) if *request > bound => Some(format!("{start}, but request is {request}")),
                _ => None,
            };
        }
        match (self.limits.get(name), self.requests.get(name)) {
            (None, _) => Some(format!("{start}.  No limit is specified")),
            (Some(limit), _) if *limit > bound => Some(format!("{start}, but limit is {limit}")),
            (_, Some(request)) if *request > bound => Some(format!("{start}, but request is {request}")),
            _ => None,
        }
    }

    fn ratio(&self, name: &str, bound: Quantity) -> Option<String> {
        let start = format!("{name} max limit to request ratio per {} is {bound}", self.kind);
        let request = self.requests.get(name).filter(|q| !q.is_zero());
        let limit = self.limits.get(name).filter(|q| !q.is_zero());
        match (request, limit) {
            (None, _) => Some(format!("{start}, but no request is specified or request is 0")),
            (_, None) => Some(format!("{start}, but no limit is specified or limit is 0")),
            (Some(request), Some(limit)) => {
                let ratio = limit.as_f64() / request.as_f64();
                (ratio > bound.as_f64()).then(|| format!("{start}, but provided ratio is {ratio:.6}"))
            }
        }
    }

    fn check(&self, item: &Json, errors: &mut Vec<String>) {
        let bounds = |part: &str| amounts(item.get(part));
        errors.extend(bounds("min").into_iter().filter_map(|(name, bound)| self.minimum(&name, bound)));
        errors.extend(bounds("max").into_iter().filter_map(|(name, bound)| self.maximum(&name, bound)));
        errors.extend(bounds("maxLimitRequestRatio").into_iter().filter_map(|(name, bound)| self.ratio(&name, bound)));
    }
}

fn refuse(world: &World, kind: Kind, object: &Object, errors: &[String]) -> Result<(), ApiError> {
    let why = match errors {
        [] => return Ok(()),
        [one] => one.clone(),
        all => format!("[{}]", all.join(", ")),
    };
    Err(errors::forbidden(world.store.resource(kind), object.name(), &why))
}

/// Holds a pod against the bounds of its namespace.
pub(super) fn check_pod(world: &World, pod: &Object) -> Result<(), ApiError> {
    for range in ranges(world, pod.namespace()) {
        let mut errors = Vec::new();
        for item in range.spec().get("limits").items() {
            match item.get("type").text() {
                "Container" => {
                    let spec = pod.spec();
                    for container in spec.get("containers").items().iter().chain(spec.get("initContainers").items()) {
                        let part = |part: &str| amounts(container.at(&["resources", part]));
                        Subject { kind: "Container", requests: part("requests"), limits: part("limits") }.check(item, &mut errors);
                    }
                }
                "Pod" => Subject { kind: "Pod", requests: total(pod, "requests"), limits: total(pod, "limits") }.check(item, &mut errors),
                _ => {}
            }
        }
        refuse(world, Kind::POD, pod, &errors)?;
    }
    Ok(())
}

/// Holds a claim against the bounds of its namespace.
pub(super) fn check_claim(world: &World, claim: &Object) -> Result<(), ApiError> {
    for range in ranges(world, claim.namespace()) {
        let mut errors = Vec::new();
        let requests = amounts(claim.spec().at(&["resources", "requests"]));
        let subject = Subject { kind: "PersistentVolumeClaim", requests, limits: Amounts::new() };
        for item in range.spec().get("limits").items().iter().filter(|i| i.get("type").text() == "PersistentVolumeClaim") {
            subject.check(item, &mut errors);
        }
        refuse(world, Kind::PVC, claim, &errors)?;
    }
    Ok(())
}
