//! The node helper: a privileged pod of ours on every node, made only when an environment is disturbed below the API.
//!
//! Here are its protocol (JSON over HTTP `POST`, with the environment's token) and its objects; `testbed disturb` serves it. It is told
//! everything that the API knows (uids, container ids, addresses) and has no rights in the cluster itself.

use crate::cluster::environment::{LABEL, Place};
use crate::object::Json;
use crate::{array, object};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64;

/// How long a disturbance lasts when nobody ends it: a trainer that was killed leaves nothing behind for longer.
pub const TIME_TO_LIVE: Duration = Duration::from_secs(1800);

/// The name of its objects.
pub const NAME: &str = "node-tools";

/// A selector of its pods.
pub const SELECTOR: &str = "app=node-tools";

/// Where it reads its token.
pub const TOKEN_FILE: &str = "/var/run/node-tools/token";

/// Where it writes down what is in force, for when its process is killed.
pub const STATE_FILE: &str = "/var/lib/node-tools/held.json";

/// What one helper does for a disturbance, on its own node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// Kills the first process of a container.
    Kill {
        /// Uid of the pod.
        pod_uid: String,
        /// Id of the container, as the runtime names it.
        container_id: String,
        /// Seconds after which whatever takes the container's place is killed as well; only this one when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        again_after_s: Option<u64>,
    },
    /// Drops packets of a pod, each with this probability.
    Loss {
        /// Uid of the pod.
        pod_uid: String,
        /// Probability.
        share: f64,
    },
    /// Delays what a pod sends, by the node's `tc` with the kernel's `netem`.
    Delay {
        /// Uid of the pod.
        pod_uid: String,
        /// By how much.
        latency_ms: u64,
        /// Give or take.
        jitter_ms: u64,
    },
    /// Drops all packets between a pod and these addresses; all packets when there are none.
    Partition {
        /// Uid of the pod.
        pod_uid: String,
        /// Addresses.
        peers: Vec<String>,
    },
    /// Stops the node's kubelet.
    StopKubelet,
}

/// `/v1/disturb`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Disturb {
    /// The disturbance's name; one that is in force under it ends first.
    pub name: String,
    /// What is to be done.
    pub deeds: Vec<Deed>,
    /// Seconds after which it ends by itself.
    pub time_to_live_s: u64,
}

/// `/v1/relieve`: ends the disturbance of a name, or all of them. The answer are the names of those that are in force afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relieve {
    /// The disturbance's name; all of them when it is absent.
    pub name: Option<String>,
}

/// A disturbance's name where only letters and digits are allowed.
pub fn short(name: &str) -> String {
    format!("{:016x}", xxh3_64(name.as_bytes()))
}

/// The port on which an environment's helpers answer, on their nodes' own addresses: environments that share nodes need several. Neither
/// NodePorts nor the ports that clients are given are taken from this range.
pub fn port(place: &Place) -> u16 {
    20_000 + u16::try_from(xxh3_64(place.namespace.as_bytes()) % 9_000).unwrap_or(0)
}

/// The Secret with the token, and the helpers. A helper sees all of its node's processes and is root among them.
pub fn objects(place: &Place, image: &str, token: &str) -> Vec<Json> {
    let labels = object! { LABEL => &place.namespace };
    let meta = || object! { "name" => NAME, "labels" => &labels };
    let port = i64::from(port(place));
    let secret = object! {
        "apiVersion" => "v1", "kind" => "Secret", "type" => "Opaque", "metadata" => meta(), "stringData" => object! { "token" => token },
    };
    let command = array![
        "/usr/local/bin/testbed",
        "disturb",
        "--listen",
        format!("0.0.0.0:{port}"),
        "--token-file",
        TOKEN_FILE,
        "--state-file",
        STATE_FILE
    ];
    let container = object! {
        "name" => NAME,
        "image" => image,
        "imagePullPolicy" => "IfNotPresent",
        "command" => command,
        "ports" => array![object! { "containerPort" => port, "hostPort" => port, "protocol" => "TCP" }],
        "readinessProbe" => object! { "httpGet" => object! { "path" => "/healthz", "port" => port }, "periodSeconds" => 1 },
        "resources" => object! { "requests" => object! { "cpu" => "5m", "memory" => "16Mi" } },
        "securityContext" => object! { "privileged" => true, "runAsUser" => 0 },
        "volumeMounts" => array![
            object! { "name" => "token", "mountPath" => "/var/run/node-tools", "readOnly" => true },
            object! { "name" => "state", "mountPath" => "/var/lib/node-tools" },
        ],
    };
    let mut pod_labels = labels.clone();
    pod_labels.set("app", NAME);
    let pod = object! {
        "automountServiceAccountToken" => false,
        "enableServiceLinks" => false,
        "hostNetwork" => true,
        "hostPID" => true,
        "dnsPolicy" => "Default",
        // On its way out it ends what it began.
        "terminationGracePeriodSeconds" => 10,
        "tolerations" => array![object! { "operator" => "Exists" }],
        "containers" => array![container],
        "volumes" => array![
            object! { "name" => "token", "secret" => object! { "secretName" => NAME } },
            object! { "name" => "state", "emptyDir" => object! {} },
        ],
    };
    let set = object! {
        "apiVersion" => "apps/v1", "kind" => "DaemonSet", "metadata" => meta(),
        "spec" => object! {
            "selector" => object! { "matchLabels" => object! { "app" => NAME } },
            "template" => object! { "metadata" => object! { "labels" => pod_labels }, "spec" => pod },
        },
    };
    vec![secret, set]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Catalog;

    #[test]
    fn helpers_are_on_every_node_and_have_no_rights_in_the_cluster() {
        let catalog = Catalog::embedded();
        let place = Place::of(catalog.app("hotel-reservation").expect("the app"), "");
        let [secret, set] = objects(&place, "i:1", "t").try_into().expect("two objects");
        assert_eq!((secret.get("kind").text(), secret.at(&["stringData", "token"]).text()), ("Secret", "t"));
        let pod = set.at(&["spec", "template", "spec"]);
        for field in ["hostPID", "hostNetwork"] {
            assert!(pod.get(field).is_true(), "{field}");
        }
        assert_eq!(pod.get("automountServiceAccountToken").as_bool(), Some(false));
        assert_eq!(pod.get("tolerations").to_compact(), r#"[{"operator":"Exists"}]"#);
        for object in [&secret, &set] {
            assert_eq!(object.at(&["metadata", "labels", LABEL]).text(), "test-hotel-reservation");
        }
        assert_eq!(place.nodes(), "test-hotel-reservation-nodes");
    }

    #[test]
    fn what_helpers_are_asked_is_plain_json() {
        let asked = Disturb {
            name: "a/b".to_owned(),
            deeds: vec![Deed::Partition { pod_uid: "u".to_owned(), peers: vec!["10.0.0.1".to_owned()] }, Deed::StopKubelet],
            time_to_live_s: 5,
        };
        let text = serde_json::to_string(&asked).expect("written");
        assert_eq!(
            text,
            r#"{"name":"a/b","deeds":[{"partition":{"pod_uid":"u","peers":["10.0.0.1"]}},"stop-kubelet"],"time_to_live_s":5}"#
        );
        assert_eq!(serde_json::from_str::<Disturb>(&text).expect("read"), asked);
    }
}
