//! The objects of the outpost: its token and its pod.

use crate::object::Json;
use crate::{array, object};

/// The port on which it answers.
pub const PORT: u16 = 8080;

/// Where it reads its token.
pub const TOKEN_FILE: &str = "/var/run/outpost/token";

/// The name of its objects.
pub const NAME: &str = "workbench";

/// A selector of its pod.
pub const SELECTOR: &str = "app=workbench";

/// The Secret with the token and the Deployment of the pod. It has no rights in the cluster, runs as nobody and can change nothing on its
/// node; its name says what the agent uses it for.
pub fn objects(labels: &Json, image: &str, token: &str) -> Vec<Json> {
    let meta = || object! { "name" => NAME, "labels" => labels };
    let selector = object! { "app" => NAME };
    let secret = object! {
        "apiVersion" => "v1", "kind" => "Secret", "type" => "Opaque", "metadata" => meta(), "stringData" => object! { "token" => token },
    };
    let container = object! {
        "name" => NAME,
        "image" => image,
        "imagePullPolicy" => "IfNotPresent",
        "command" => array!["/usr/local/bin/testbed", "outpost", "--listen", format!("0.0.0.0:{PORT}"), "--token-file", TOKEN_FILE],
        "ports" => array![object! { "containerPort" => i64::from(PORT) }],
        "readinessProbe" => object! { "httpGet" => object! { "path" => "/healthz", "port" => i64::from(PORT) }, "periodSeconds" => 1 },
        "resources" => object! { "requests" => object! { "cpu" => "10m", "memory" => "32Mi" } },
        "securityContext" => object! {
            "allowPrivilegeEscalation" => false, "readOnlyRootFilesystem" => true, "runAsNonRoot" => true, "runAsUser" => 65_532,
            "capabilities" => object! { "drop" => array!["ALL"] }, "seccompProfile" => object! { "type" => "RuntimeDefault" },
        },
        "volumeMounts" => array![object! { "name" => "token", "mountPath" => "/var/run/outpost", "readOnly" => true }],
    };
    let mut pod_labels = labels.clone();
    pod_labels.set("app", NAME);
    let pod = object! {
        "automountServiceAccountToken" => false,
        "enableServiceLinks" => false,
        "terminationGracePeriodSeconds" => 1,
        "containers" => array![container],
        "volumes" => array![object! { "name" => "token", "secret" => object! { "secretName" => NAME } }],
    };
    let deployment = object! {
        "apiVersion" => "apps/v1", "kind" => "Deployment", "metadata" => meta(),
        "spec" => object! {
            "replicas" => 1, "selector" => object! { "matchLabels" => &selector }, "strategy" => object! { "type" => "Recreate" },
            "template" => object! { "metadata" => object! { "labels" => pod_labels }, "spec" => pod },
        },
    };
    vec![secret, deployment]
}
