//! What a new cluster holds before anyone deploys anything: namespaces, nodes, the policy, the API server's own Service.

use crate::cluster::sim::metrics;
use crate::cluster::sim::store::{Key, Kind};
use crate::cluster::sim::world::World;
use crate::cluster::{ApiError, Identity};
use crate::object::{Json, Map, Object};
use crate::{array, object};
use std::sync::Arc;

/// How many nodes there are.
pub const NODES: u64 = 3;
/// The API server's address.
pub const API_SERVER: &str = "172.18.0.1";
/// The namespace and name of the agent's service account.
pub const AGENT: (&str, &str) = ("operations", "engineer");

const LABEL: &str = "rbac.authorization.k8s.io/";

/// Fills an empty world.
///
/// # Errors
/// Only when the seeds themselves are refused.
pub fn bootstrap(world: &mut World) -> Result<(), ApiError> {
    for name in ["kube-system", "default", "kube-node-lease", "kube-public"] {
        put(world, Kind::NAMESPACE, "", object! { "metadata" => object! { "name" => name } })?;
    }
    policy(world)?;
    priority_classes(world)?;
    own_service(world)?;
    for number in 1..=NODES {
        node(world, number)?;
    }
    server_lease(world)?;
    agent(world)
}

fn put(world: &mut World, kind: Kind, namespace: &str, object: Json) -> Result<Object, ApiError> {
    world.create(&Identity::operator(), kind, namespace, object)
}

/// The policy that the server reconciles at start.
fn policy(world: &mut World) -> Result<(), ApiError> {
    let mut pending: Option<(Kind, String, Json)> = None;
    for line in include_str!("bootstrap_rbac.txt").lines().filter(|l| !l.starts_with('#')) {
        if let Some(rule) = line.strip_prefix(' ') {
            if let Some((_, _, object)) = &mut pending {
                object.get_mut("rules").push(read_rule(rule));
            }
            continue;
        }
        if let Some((kind, namespace, object)) = pending.replace(read_head(line)) {
            put(world, kind, &namespace, object)?;
        }
    }
    if let Some((kind, namespace, object)) = pending {
        put(world, kind, &namespace, object)?;
    }
    Ok(())
}

fn read_rule(line: &str) -> Json {
    const FIELDS: [&str; 5] = ["verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs"];
    let parts = FIELDS.into_iter().zip(line.split('|')).filter(|(_, words)| !words.is_empty());
    let list = |words: &str| words.split(',').map(|w| Json::from(if w == "\"\"" { "" } else { w })).collect::<Json>();
    Json::from(parts.map(|(field, words)| (field, list(words))).collect::<Map>())
}

fn read_head(line: &str) -> (Kind, String, Json) {
    let mut words = line.split(' ');
    let word = words.next().unwrap_or_default();
    let namespaced = matches!(word, "role" | "rolebinding");
    let namespace = if namespaced { words.next().unwrap_or_default() } else { "" };
    let name = words.next().unwrap_or_default();
    let mut object = object! { "metadata" => object! {
        "name" => name,
        "labels" => object! { "kubernetes.io/bootstrapping" => "rbac-defaults" },
        "annotations" => object! { "rbac.authorization.kubernetes.io/autoupdate" => "true" },
    } };
    let kind = match word {
        "clusterrole" => {
            for word in words {
                match word.strip_prefix("from=") {
                    Some(label) => {
                        let selector = object! { "matchLabels" => object! { format!("{LABEL}{label}") => "true" } };
                        object.set("aggregationRule", object! { "clusterRoleSelectors" => array![selector] });
                    }
                    None => object.set_at(&["metadata", "labels", &format!("{LABEL}{word}")], "true"),
                }
            }
            Kind::CLUSTER_ROLE
        }
        "role" => Kind::ROLE,
        _ => {
            let role = words.next().unwrap_or_default();
            let (kind, role) = role.split_once('/').filter(|_| namespaced).unwrap_or(("ClusterRole", role));
            object.set("roleRef", object! { "apiGroup" => "rbac.authorization.k8s.io", "kind" => kind, "name" => role });
            object.set("subjects", words.map(read_subject).collect::<Json>());
            if namespaced { Kind::ROLE_BINDING } else { Kind::CLUSTER_ROLE_BINDING }
        }
    };
    (kind, namespace.to_owned(), object)
}

fn read_subject(word: &str) -> Json {
    match word.split_once(':') {
        Some(("g", name)) => object! { "apiGroup" => "rbac.authorization.k8s.io", "kind" => "Group", "name" => name },
        Some(("s", place)) => {
            let (namespace, name) = place.split_once('/').unwrap_or(("", place));
            object! { "kind" => "ServiceAccount", "namespace" => namespace, "name" => name }
        }
        other => object! { "apiGroup" => "rbac.authorization.k8s.io", "kind" => "User", "name" => other.map_or(word, |(_, n)| n) },
    }
}

fn priority_classes(world: &mut World) -> Result<(), ApiError> {
    let classes = [
        ("system-node-critical", 2_000_001_000_i64, "Used for system critical pods that must not be moved from their current node."),
        (
            "system-cluster-critical",
            2_000_000_000,
            "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
        ),
    ];
    for (name, value, description) in classes {
        let object = object! { "metadata" => object! { "name" => name }, "value" => value, "description" => description };
        put(world, Kind::PRIORITY_CLASS, "", object)?;
    }
    Ok(())
}

/// The Service `kubernetes` and what stands behind it.
fn own_service(world: &mut World) -> Result<(), ApiError> {
    let port = |number: i64| object! { "name" => "https", "port" => number, "protocol" => "TCP" };
    let mut service_port = port(443);
    service_port.set("targetPort", 6443);
    let service = object! {
        "metadata" => object! { "name" => "kubernetes", "labels" => object! { "component" => "apiserver", "provider" => "kubernetes" } },
        "spec" => object! { "clusterIP" => "10.96.0.1", "ports" => array![service_port] },
    };
    put(world, Kind::SERVICE, "default", service)?;
    let endpoints = object! {
        "metadata" => object! { "name" => "kubernetes", "labels" => object! { "endpointslice.kubernetes.io/skip-mirror" => "true" } },
        "subsets" => array![object! { "addresses" => array![object! { "ip" => API_SERVER }], "ports" => array![port(6443)] }],
    };
    put(world, Kind::ENDPOINTS, "default", endpoints)?;
    let slice = object! {
        "metadata" => object! { "name" => "kubernetes", "labels" => object! { "kubernetes.io/service-name" => "kubernetes" } },
        "addressType" => "IPv4",
        "endpoints" => array![object! { "addresses" => array![API_SERVER], "conditions" => object! { "ready" => true } }],
        "ports" => array![port(6443)],
    };
    put(world, Kind::ENDPOINT_SLICE, "default", slice).map(drop)
}

/// `node-N`, as its kubelet registers it, with its Lease.
fn node(world: &mut World, number: u64) -> Result<(), ApiError> {
    let name = format!("node-{number}");
    let mut stream = world.draw("node");
    let machine = stream.uuid().replace('-', "");
    let range = format!("10.244.{number}.0/24");
    let amounts = |memory: &str, storage: &str| {
        object! {
            "cpu" => "8", "ephemeral-storage" => storage, "hugepages-1Gi" => "0", "hugepages-2Mi" => "0", "memory" => memory, "pods" => "110",
        }
    };
    let now = world.now.rfc3339();
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        object! {
            "type" => kind, "status" => status, "reason" => reason, "message" => message,
            "lastHeartbeatTime" => now.as_str(), "lastTransitionTime" => now.as_str(),
        }
    };
    let conditions = array![
        condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ];
    let object = object! {
        "metadata" => object! {
            "name" => name.as_str(),
            "annotations" => object! {
                "node.alpha.kubernetes.io/ttl" => "0", "volumes.kubernetes.io/controller-managed-attach-detach" => "true",
            },
            "labels" => object! {
                "beta.kubernetes.io/arch" => "amd64", "beta.kubernetes.io/os" => "linux", "kubernetes.io/arch" => "amd64",
                "kubernetes.io/hostname" => name.as_str(), "kubernetes.io/os" => "linux",
            },
        },
        "spec" => object! { "podCIDR" => range.as_str(), "podCIDRs" => array![range.as_str()] },
        "status" => object! {
            "addresses" => array![
                object! { "type" => "InternalIP", "address" => format!("172.18.0.{}", number + 1) },
                object! { "type" => "Hostname", "address" => name.as_str() },
            ],
            "capacity" => amounts("16393224Ki", "101430960Ki"),
            "allocatable" => amounts("16290824Ki", "93478772582"),
            "conditions" => conditions,
            "daemonEndpoints" => object! { "kubeletEndpoint" => object! { "Port" => 10250 } },
            "nodeInfo" => object! {
                "architecture" => "amd64", "bootID" => stream.uuid(), "containerRuntimeVersion" => "containerd://1.7.27",
                "kernelVersion" => "6.8.0-60-generic", "kubeProxyVersion" => "", "kubeletVersion" => "v1.34.4",
                "machineID" => machine.as_str(), "operatingSystem" => "linux", "osImage" => "Ubuntu 24.04.2 LTS",
                "systemUUID" => stream.uuid(),
            },
        },
    };
    let node = put(world, Kind::NODE, "", object)?;
    let owner = object! { "apiVersion" => "v1", "kind" => "Node", "name" => name.as_str(), "uid" => node.uid() };
    let lease = object! {
        "metadata" => object! { "name" => name.as_str(), "ownerReferences" => array![owner] },
        "spec" => object! { "holderIdentity" => name, "leaseDurationSeconds" => 40, "renewTime" => world.now.rfc3339_micro() },
    };
    put(world, Kind::LEASE, "kube-node-lease", lease).map(drop)
}

/// The Lease by which the API server says that it is alive.
fn server_lease(world: &mut World) -> Result<(), ApiError> {
    let mut stream = world.draw("api-server");
    let id: String = (0..26).map(|_| char::from(b"abcdefghijklmnopqrstuvwxyz234567"[(stream.below(32)) as usize])).collect();
    let name = format!("apiserver-{id}");
    let lease = object! {
        "metadata" => object! {
            "name" => name.as_str(),
            "labels" => object! { "apiserver.kubernetes.io/identity" => "kube-apiserver", "kubernetes.io/hostname" => "control-plane" },
        },
        "spec" => object! {
            "holderIdentity" => format!("{name}_{}", stream.uuid()), "leaseDurationSeconds" => 3600, "renewTime" => world.now.rfc3339_micro(),
        },
    };
    put(world, Kind::LEASE, "kube-system", lease).map(drop)
}

/// The agent's service account, and what it may do everywhere: read all but secrets, and manage the volumes that a repair may need.
fn agent(world: &mut World) -> Result<(), ApiError> {
    let (namespace, name) = AGENT;
    put(world, Kind::NAMESPACE, "", object! { "metadata" => object! { "name" => namespace } })?;
    put(world, Kind::SERVICE_ACCOUNT, namespace, object! { "metadata" => object! { "name" => name } })?;
    let rules = [
        "get,list,watch|\"\"|nodes,namespaces,persistentvolumes,componentstatuses",
        "create,delete,patch,update|\"\"|persistentvolumes",
        "get,list,watch|storage.k8s.io|storageclasses,csidrivers,csinodes,volumeattachments",
        "get,list,watch|scheduling.k8s.io|priorityclasses",
        "get,list,watch|rbac.authorization.k8s.io|clusterroles,clusterrolebindings,roles,rolebindings",
        "get,list,watch|apiextensions.k8s.io|customresourcedefinitions",
        "get,list,watch|apiregistration.k8s.io|apiservices",
        "get,list,watch|admissionregistration.k8s.io|*",
        "get,list,watch|networking.k8s.io|ingressclasses,servicecidrs,ipaddresses",
        "get,list,watch|coordination.k8s.io|leases",
        "get,list,watch|events.k8s.io|events",
        "get,list,watch|metrics.k8s.io|nodes,pods",
    ];
    let role = object! { "metadata" => object! { "name" => name }, "rules" => rules.map(read_rule).into_iter().collect::<Json>() };
    put(world, Kind::CLUSTER_ROLE, "", role)?;
    for role in [name, "view"] {
        let binding = if role == name { name.to_owned() } else { format!("{name}-{role}") };
        put(world, Kind::CLUSTER_ROLE_BINDING, "", binding_of(&binding, role))?;
    }
    Ok(())
}

fn binding_of(name: &str, role: &str) -> Json {
    let (namespace, account) = AGENT;
    object! {
        "metadata" => object! { "name" => name },
        "roleRef" => object! { "apiGroup" => "rbac.authorization.k8s.io", "kind" => "ClusterRole", "name" => role },
        "subjects" => array![object! { "kind" => "ServiceAccount", "namespace" => namespace, "name" => account }],
    }
}

/// Lets the agent do everything in a namespace.
///
/// # Errors
/// When the namespace does not exist.
pub fn grant(world: &mut World, namespace: &str) -> Result<(), ApiError> {
    put(world, Kind::ROLE_BINDING, namespace, binding_of(AGENT.1, "cluster-admin")).map(drop)
}

/// CoreDNS, as a Deployment with its Service. Only for clusters whose nodes know its image.
///
/// # Errors
/// Only when the seeds themselves are refused.
pub fn cluster_dns(world: &mut World) -> Result<(), ApiError> {
    const SPACE: &str = "kube-system";
    const COREFILE: &str = ".:53 {\n    errors\n    health {\n       lameduck 5s\n    }\n    ready\n    kubernetes cluster.local in-addr.arpa ip6.arpa {\n       pods insecure\n       fallthrough in-addr.arpa ip6.arpa\n       ttl 30\n    }\n    prometheus :9153\n    forward . /etc/resolv.conf {\n       max_concurrent 1000\n    }\n    cache 30\n    loop\n    reload\n    loadbalance\n}\n";
    let labels = || object! { "k8s-app" => "kube-dns" };
    put(world, Kind::SERVICE_ACCOUNT, SPACE, object! { "metadata" => object! { "name" => "coredns" } })?;
    let config = object! { "metadata" => object! { "name" => "coredns" }, "data" => object! { "Corefile" => COREFILE } };
    put(world, Kind::CONFIG_MAP, SPACE, config)?;
    let port = |name: &str, protocol: &str| object! { "name" => name, "port" => 53, "protocol" => protocol };
    let service = object! {
        "metadata" => object! { "name" => "kube-dns", "labels" => labels() },
        "spec" => object! {
            "clusterIP" => "10.96.0.10", "selector" => labels(), "ports" => array![port("dns", "UDP"), port("dns-tcp", "TCP")],
        },
    };
    put(world, Kind::SERVICE, SPACE, service)?;
    let container = object! {
        "name" => "coredns",
        "image" => "registry.k8s.io/coredns/coredns:v1.12.1",
        "args" => array!["-conf", "/etc/coredns/Corefile"],
        "readinessProbe" => object! { "httpGet" => object! { "path" => "/ready", "port" => 8181 } },
        "volumeMounts" => array![object! { "name" => "config", "mountPath" => "/etc/coredns" }],
    };
    let pod = object! {
        "serviceAccountName" => "coredns", "dnsPolicy" => "Default", "priorityClassName" => "system-cluster-critical",
        "containers" => array![container],
        "volumes" => array![object! { "name" => "config", "configMap" => object! { "name" => "coredns" } }],
    };
    let deployment = object! {
        "metadata" => object! { "name" => "coredns", "labels" => labels() },
        "spec" => object! {
            "replicas" => 2,
            "selector" => object! { "matchLabels" => labels() },
            "template" => object! { "metadata" => object! { "labels" => labels() }, "spec" => pod },
        },
    };
    put(world, Kind::DEPLOYMENT, SPACE, deployment).map(drop)
}

/// The resource metrics API and the right to read it, which `view`, `edit` and `admin` take over.
///
/// # Errors
/// Only when the seeds themselves are refused.
pub fn resource_metrics(world: &mut World) -> Result<(), ApiError> {
    metrics::server::kinds().into_iter().for_each(|kind| world.store.serve(Arc::new(kind)));
    let rule = || read_rule("get,list,watch|metrics.k8s.io|pods,nodes");
    let labels = ["admin", "edit", "view"].map(|role| (format!("rbac.authorization.k8s.io/aggregate-to-{role}"), Json::from("true")));
    let mut meta = object! { "name" => "system:aggregated-metrics-reader" };
    meta.set("labels", Json::from(labels.into_iter().map(|(label, value)| (arcstr::ArcStr::from(label), value)).collect::<Map>()));
    put(world, Kind::CLUSTER_ROLE, "", object! { "metadata" => meta, "rules" => array![rule()] })?;
    for role in ["admin", "edit", "view"] {
        world.update(&Key::new(Kind::CLUSTER_ROLE, "", role), |object| object.get_mut("rules").push(rule()))?;
    }
    Ok(())
}

/// How often a Lease is renewed.
const RENEW_S: u64 = 10;

/// A control plane's Lease as it reads at this instant: its renewal goes on without being written. (Nodes' are the kubelets'.)
pub fn project(world: &World, key: &Key, object: Object) -> Object {
    let mut object = object;
    let start = crate::time::SimTime::parse_rfc3339(object.spec().get("renewTime").text());
    if let Some(start) = start.filter(|_| key.namespace == "kube-system") {
        let passed = world.now.since(start).as_secs();
        let at = start + std::time::Duration::from_secs(passed - passed % RENEW_S);
        object.set_at(&["spec", "renewTime"], at.rfc3339_micro());
    }
    object
}
