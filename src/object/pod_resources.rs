//! What a pod asks for in all: the sums that scheduler, quotas and limit ranges count.

use super::{Json, Object, Quantity};
use std::collections::BTreeMap;

/// Amounts by resource name.
pub type Amounts = BTreeMap<String, Quantity>;

/// A list of resources (`requests`, `limits`, `capacity`) as amounts; what cannot be read is left out.
pub fn amounts(list: &Json) -> Amounts {
    list.entries().filter_map(|(name, value)| Some((name.to_string(), Quantity::of(value)?))).collect()
}

/// Adds `more` to `sum`.
pub fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let slot = sum.entry(name.clone()).or_insert(Quantity::ZERO.with_format(amount.format()));
        *slot = slot.plus(*amount);
    }
}

fn raise(most: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        let slot = most.entry(name.clone()).or_insert(*amount);
        *slot = (*slot).max(*amount);
    }
}

/// What all containers together have under `part` (`requests` or `limits`): the sum of the ordinary and restartable
/// ones, or what one init container needs when that is more; then what the pod itself sets, and its overhead.
pub fn total(pod: &Object, part: &str) -> Amounts {
    let spec = pod.spec();
    let of = |container: &Json| amounts(container.at(&["resources", part]));
    let mut sum = Amounts::new();
    for container in spec.get("containers").items() {
        add(&mut sum, &of(container));
    }
    let (mut restartable, mut init) = (Amounts::new(), Amounts::new());
    for container in spec.get("initContainers").items() {
        let mut needs = of(container);
        if container.get("restartPolicy").text() == "Always" {
            add(&mut sum, &needs);
            add(&mut restartable, &needs);
            needs = restartable.clone();
        } else {
            add(&mut needs, &restartable);
        }
        raise(&mut init, &needs);
    }
    raise(&mut sum, &init);
    for (name, amount) in amounts(spec.at(&["resources", part])) {
        sum.insert(name, amount);
    }
    let overhead = amounts(spec.get("overhead"));
    if part == "requests" {
        add(&mut sum, &overhead);
    } else {
        let known = overhead.into_iter().filter(|(name, _)| sum.contains_key(name)).collect();
        add(&mut sum, &known);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{array, object};

    #[test]
    fn init_containers_count_when_they_need_more() {
        let container = |cpu: &str| object! { "resources" => object! { "requests" => object! { "cpu" => cpu } } };
        let mut sidecar = container("100m");
        sidecar.set("restartPolicy", "Always");
        let pod = Object(object! { "spec" => object! {
            "containers" => array![container("250m"), container("250m")], "initContainers" => array![sidecar, container("900m")],
        } });
        assert_eq!(total(&pod, "requests").get("cpu").map(ToString::to_string).as_deref(), Some("1"));
        assert!(total(&pod, "limits").is_empty());
    }
}
