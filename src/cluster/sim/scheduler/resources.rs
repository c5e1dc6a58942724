//! What pods request and what is in use on nodes.

use crate::cluster::sim::world::World;
use crate::object::quantity::Quantity;
use crate::object::{Json, Object};
use arcstr::ArcStr;
use imbl::OrdMap;
use std::sync::Arc;

/// Requests that the scores assume for a container that has none.
const ASSUMED_CPU_M: i64 = 100;
const ASSUMED_MEMORY: i64 = 200 << 20;

/// Amounts of resources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Thousandths of a processor.
    pub cpu_m: i64,
    /// Bytes.
    pub memory: i64,
    /// Bytes.
    pub ephemeral: i64,
    /// Others by name.
    pub extended: OrdMap<ArcStr, i64>,
}

/// What is in use on a node.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// Requested.
    pub requested: Amounts,
    /// Requested, with the scores' assumption for containers without requests.
    pub assumed: Amounts,
    /// Pods.
    pub pods: i64,
    /// Host ports: address, protocol, port.
    pub ports: OrdMap<(ArcStr, ArcStr, i64), u32>,
}

impl Amounts {
    fn of(list: &Json) -> Amounts {
        let mut amounts = Amounts::default();
        for (name, value) in list.entries() {
            let Some(quantity) = Quantity::of(value) else { continue };
            match name.as_str() {
                "cpu" => amounts.cpu_m = quantity.milli_value(),
                "memory" => amounts.memory = quantity.value(),
                "ephemeral-storage" => amounts.ephemeral = quantity.value(),
                _ => {
                    amounts.extended.insert(name.clone(), quantity.value());
                }
            }
        }
        amounts
    }

    fn add(&mut self, other: &Amounts, sign: i64) {
        self.cpu_m += sign * other.cpu_m;
        self.memory += sign * other.memory;
        self.ephemeral += sign * other.ephemeral;
        for (name, amount) in &other.extended {
            *self.extended.entry(name.clone()).or_insert(0) += sign * amount;
        }
    }

    fn at_least(&mut self, other: &Amounts) {
        self.cpu_m = self.cpu_m.max(other.cpu_m);
        self.memory = self.memory.max(other.memory);
        self.ephemeral = self.ephemeral.max(other.ephemeral);
        for (name, amount) in &other.extended {
            let slot = self.extended.entry(name.clone()).or_insert(0);
            *slot = (*slot).max(*amount);
        }
    }
}

fn request(container: &Json, assume: bool) -> Amounts {
    let mut amounts = Amounts::of(container.at(&["resources", "requests"]));
    if assume {
        let has = |name: &str| !container.at(&["resources", "requests", name]).is_null();
        if !has("cpu") {
            amounts.cpu_m = ASSUMED_CPU_M;
        }
        if !has("memory") {
            amounts.memory = ASSUMED_MEMORY;
        }
    }
    amounts
}

/// What a pod requests: the sum of its containers and sidecars, or the greatest need of its initialisation.
pub fn of_pod(pod: &Object, assume: bool) -> Amounts {
    let spec = pod.spec();
    let mut sum = Amounts::default();
    for container in spec.get("containers").items() {
        sum.add(&request(container, assume), 1);
    }
    let (mut sidecars, mut peak) = (Amounts::default(), Amounts::default());
    for container in spec.get("initContainers").items() {
        let own = request(container, assume);
        if container.get("restartPolicy").text() == "Always" {
            sum.add(&own, 1);
            sidecars.add(&own, 1);
            peak.at_least(&sidecars);
        } else {
            let mut with = own;
            with.add(&sidecars, 1);
            peak.at_least(&with);
        }
    }
    sum.at_least(&peak);
    sum.add(&Amounts::of(spec.get("overhead")), 1);
    sum
}

/// What a node offers.
pub fn of_node(node: &Object) -> (Amounts, i64) {
    let mut amounts = Amounts::of(node.status().get("allocatable"));
    let pods = amounts.extended.remove("pods").unwrap_or(110);
    (amounts, pods)
}

/// Host ports that a pod asks for.
pub fn host_ports(pod: &Object) -> Vec<(ArcStr, ArcStr, i64)> {
    let text = |json: &Json, default: &str| json.as_text().filter(|t| !t.is_empty()).cloned().unwrap_or_else(|| default.into());
    let containers = pod.spec().get("containers").items().iter().flat_map(|c| c.get("ports").items());
    let asked = containers.filter_map(|p| {
        let port = p.get("hostPort").as_i64().filter(|p| *p > 0)?;
        Some((text(p.get("hostIP"), "0.0.0.0"), text(p.get("protocol"), "TCP"), port))
    });
    asked.collect()
}

fn counts(pod: &Object) -> bool {
    !pod.spec().get("nodeName").is_empty() && !matches!(pod.status().get("phase").text(), "Succeeded" | "Failed")
}

fn same_spec(a: &Object, b: &Object) -> bool {
    match (a.spec(), b.spec()) {
        (Json::Obj(a), Json::Obj(b)) => Arc::ptr_eq(a, b),
        _ => false,
    }
}

/// Brings the usage of nodes up to date with a change of a pod.
pub fn account(world: &mut World, before: Option<&Object>, after: Option<&Object>) {
    let (before, after) = (before.filter(|p| counts(p)), after.filter(|p| counts(p)));
    if let (Some(before), Some(after)) = (before, after)
        && same_spec(before, after)
    {
        return;
    }
    for (pod, sign) in before.map(|p| (p, -1)).into_iter().chain(after.map(|p| (p, 1))) {
        let node = ArcStr::from(pod.spec().get("nodeName").text());
        let usage = world.scheduler.usage.entry(node).or_default();
        usage.requested.add(&of_pod(pod, false), sign);
        usage.assumed.add(&of_pod(pod, true), sign);
        usage.pods += sign;
        for port in host_ports(pod) {
            let slot = usage.ports.entry(port).or_insert(0);
            *slot = if sign > 0 { *slot + 1 } else { slot.saturating_sub(1) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_follow_the_rules_for_init_containers() {
        let pod = |text: &str| Object(Json::parse(text).expect("json"));
        let check = |text: &str, cpu: i64, memory: i64| {
            let amounts = of_pod(&pod(text), false);
            assert_eq!((amounts.cpu_m, amounts.memory >> 20), (cpu, memory), "{text}");
        };
        let container = |cpu: &str, memory: &str, extra: &str| {
            format!(r#"{{"resources":{{"requests":{{"cpu":"{cpu}","memory":"{memory}"}}}}{extra}}}"#)
        };
        let a = container("100m", "64Mi", "");
        let big = container("2", "32Mi", "");
        let sidecar = container("50m", "10Mi", r#","restartPolicy":"Always""#);
        check(&format!(r#"{{"spec":{{"containers":[{a},{a}]}}}}"#), 200, 128);
        check(&format!(r#"{{"spec":{{"containers":[{a}],"initContainers":[{big}]}}}}"#), 2000, 64);
        check(&format!(r#"{{"spec":{{"containers":[{a}],"initContainers":[{sidecar},{big}]}}}}"#), 2050, 74);
        assert_eq!(of_pod(&pod(r#"{"spec":{"containers":[{}]}}"#), true).cpu_m, 100);
    }
}
