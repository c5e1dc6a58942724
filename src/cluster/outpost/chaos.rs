//! Disturbances as objects of Chaos Mesh, where a cluster serves its kinds.

use super::nodes::{TIME_TO_LIVE, short};
use crate::cluster::Disturbance;
use crate::cluster::environment::{LABEL, Place};
use crate::object::{Json, Object};
use crate::{array, object};
use std::time::Duration;

/// Its API group.
pub const GROUP: &str = "chaos-mesh.org";

/// The kinds that are used, by plural name.
pub const KINDS: [&str; 2] = ["networkchaos", "podchaos"];

/// The name of a disturbance's object.
pub fn name(disturbance: &str) -> String {
    format!("experiment-{}", short(disturbance))
}

/// Plural name and object of a disturbance; `None` for one that Chaos Mesh has no kind for.
pub fn manifest(place: &Place, disturbance: &str, what: &Disturbance) -> Option<(&'static str, Json)> {
    let pods = |namespace: &str, pod: &str| object! { "pods" => object! { namespace => array![pod] } };
    let duration = format!("{}s", TIME_TO_LIVE.as_secs());
    let (plural, kind, spec) = match what {
        // It kills once; a schedule of kills would not wait until the container is back.
        Disturbance::ContainerKill { again_after: Some(_), .. } => return None,
        Disturbance::ContainerKill { namespace, pod, container, again_after: None } => {
            let spec = object! {
                "action" => "container-kill", "mode" => "all", "selector" => pods(namespace, pod),
                "containerNames" => array![container.as_str()],
            };
            ("podchaos", "PodChaos", spec)
        }
        Disturbance::NetworkLoss { namespace, pod, share } => {
            // Without a target it can only lose what leaves the pod; a round trip loses as much as if both ways lost their share.
            let percent = 100.0 * (1.0 - (1.0 - share) * (1.0 - share));
            let spec = object! {
                "action" => "loss", "mode" => "all", "selector" => pods(namespace, pod), "direction" => "to", "duration" => duration,
                "loss" => object! { "loss" => format!("{percent:.2}"), "correlation" => "0" },
            };
            ("networkchaos", "NetworkChaos", spec)
        }
        Disturbance::NetworkDelay { namespace, pod, latency, jitter } => {
            let milliseconds = |span: &Duration| format!("{}ms", span.as_millis());
            let spec = object! {
                "action" => "delay", "mode" => "all", "selector" => pods(namespace, pod), "direction" => "to", "duration" => duration,
                "delay" => object! { "latency" => milliseconds(latency), "correlation" => "0", "jitter" => milliseconds(jitter) },
            };
            ("networkchaos", "NetworkChaos", spec)
        }
        Disturbance::NetworkPartition { namespace, pod, from } => {
            let mut spec = object! {
                "action" => "partition", "mode" => "all", "selector" => pods(namespace, pod), "direction" => "both", "duration" => duration,
            };
            match from {
                Some(other) => spec.set("target", object! { "mode" => "all", "selector" => pods(namespace, other) }),
                None => spec.set("externalTargets", array!["0.0.0.0/0"]),
            };
            ("networkchaos", "NetworkChaos", spec)
        }
        Disturbance::NodeStop { .. } => return None,
    };
    let meta = object! { "name" => name(disturbance), "labels" => object! { LABEL => &place.namespace } };
    Some((plural, object! { "apiVersion" => "chaos-mesh.org/v1alpha1", "kind" => kind, "metadata" => meta, "spec" => spec }))
}

/// Whether Chaos Mesh says that everything is as the object wants it.
pub fn is_injected(object: &Object) -> bool {
    object.condition("AllInjected").is_some_and(|condition| condition.get("status").text() == "True")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Catalog;

    #[test]
    fn objects_say_what_the_disturbances_say() {
        let catalog = Catalog::embedded();
        let place = Place::of(catalog.app("hotel-reservation").expect("the app"), "");
        let check = |what: Disturbance, plural: &str, expect: &str| {
            let (kind, object) = manifest(&place, "n", &what).expect("a kind");
            assert_eq!(kind, plural);
            assert_eq!(object.get("spec").to_compact(), expect);
            assert_eq!(object.at(&["metadata", "labels", LABEL]).text(), "test-hotel-reservation");
            assert_eq!(object.at(&["metadata", "name"]).text(), name("n"));
        };
        let (namespace, pod) = (arcstr::literal!("a"), arcstr::literal!("p"));
        check(
            Disturbance::ContainerKill { namespace: namespace.clone(), pod: pod.clone(), container: "c".into(), again_after: None },
            "podchaos",
            r#"{"action":"container-kill","containerNames":["c"],"mode":"all","selector":{"pods":{"a":["p"]}}}"#,
        );
        check(
            Disturbance::NetworkLoss { namespace: namespace.clone(), pod: pod.clone(), share: 0.5 },
            "networkchaos",
            r#"{"action":"loss","direction":"to","duration":"1800s","loss":{"correlation":"0","loss":"75.00"},"mode":"all","selector":{"pods":{"a":["p"]}}}"#,
        );
        check(
            Disturbance::NetworkDelay {
                namespace: namespace.clone(),
                pod: pod.clone(),
                latency: Duration::from_secs(10),
                jitter: Duration::ZERO,
            },
            "networkchaos",
            r#"{"action":"delay","delay":{"correlation":"0","jitter":"0ms","latency":"10000ms"},"direction":"to","duration":"1800s","mode":"all","selector":{"pods":{"a":["p"]}}}"#,
        );
        check(
            Disturbance::NetworkPartition { namespace: namespace.clone(), pod: pod.clone(), from: Some("q".into()) },
            "networkchaos",
            r#"{"action":"partition","direction":"both","duration":"1800s","mode":"all","selector":{"pods":{"a":["p"]}},"target":{"mode":"all","selector":{"pods":{"a":["q"]}}}}"#,
        );
        check(
            Disturbance::NetworkPartition { namespace, pod, from: None },
            "networkchaos",
            r#"{"action":"partition","direction":"both","duration":"1800s","externalTargets":["0.0.0.0/0"],"mode":"all","selector":{"pods":{"a":["p"]}}}"#,
        );
        let again = Disturbance::ContainerKill {
            namespace: "a".into(),
            pod: "p".into(),
            container: "c".into(),
            again_after: Some(Duration::from_secs(20)),
        };
        assert_eq!(manifest(&place, "n", &again), None);
        assert_eq!(manifest(&place, "n", &Disturbance::NodeStop { node: "x".into() }), None);
    }

    #[test]
    fn injection_is_read_from_the_conditions() {
        let check = |text: &str, expect: bool| assert_eq!(is_injected(&Object(Json::parse(text).expect("json"))), expect, "{text}");
        check(r#"{"status":{"conditions":[{"type":"Selected","status":"True"},{"type":"AllInjected","status":"True"}]}}"#, true);
        check(r#"{"status":{"conditions":[{"type":"AllInjected","status":"False"}]}}"#, false);
        check("{}", false);
    }
}
