//! The quality-of-service class of a pod.

use super::{Object, quantity};

const COUNTED: [&str; 2] = ["cpu", "memory"];

/// `Guaranteed`, `Burstable` or `BestEffort`, from the requests and limits of all containers.
pub fn class_of(pod: &Object) -> &'static str {
    let spec = pod.spec();
    let containers = spec.get("containers").items().iter().chain(spec.get("initContainers").items());
    let (mut any, mut guaranteed) = (false, true);
    for container in containers {
        for name in COUNTED {
            let amount = |part: &str| quantity::Quantity::of(container.at(&["resources", part, name])).filter(|q| !q.is_zero());
            let (request, limit) = (amount("requests"), amount("limits"));
            any |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some() && (request.is_none() || request == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}
