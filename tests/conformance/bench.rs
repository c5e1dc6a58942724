//! What a case works with: a cluster, a namespace of its own, the operator and a guest with few rights.

use aiopslab::cluster::environment::LABEL;
use aiopslab::cluster::{
    ApiError, ApiReply, ApiRequest, Body, Cluster, ExecOutput, ExecRequest, Identity, LogQuery, Options, PatchKind, TelemetryQuery,
    TelemetryReply, Verb,
};
use aiopslab::object;
use aiopslab::object::{Json, Object, ResourceRef, resource};
use std::time::Duration;

/// An image with a shell.
pub const SHELL_IMAGE: &str = "docker.io/library/busybox:latest";

/// The account in each case's namespace that may read what `view` may.
pub const GUEST: &str = "guest";

/// How long anything may take.
pub const PATIENCE_S: u64 = 90;

/// A cluster and who works on it.
pub struct Bench {
    /// The cluster.
    pub cluster: Box<dyn Cluster>,
    /// A namespace for this case only.
    pub ns: String,
    /// Somebody with every right.
    pub operator: Identity,
    /// The service account [`GUEST`], which may `view` the namespace.
    pub guest: Identity,
    /// Whether the cluster is a real one.
    pub live: bool,
}

/// The kind of a plural name, `deployments.apps`.
#[track_caller]
pub fn kind(name: &str) -> &'static ResourceRef {
    let (plural, group) = name.split_once('.').unwrap_or((name, ""));
    resource::builtin_named(group, plural).unwrap_or_else(|| panic!("no kind {name}"))
}

/// JSON from text.
#[track_caller]
pub fn json(text: &str) -> Json {
    Json::parse(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The guest of a namespace, as an identity.
pub fn guest_of(namespace: &str) -> Identity {
    Identity {
        user: format!("system:serviceaccount:{namespace}:{GUEST}").into(),
        groups: vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}").into(), "system:authenticated".into()],
    }
}

/// A pod's manifest: one container `main` that runs a script.
pub fn pod(name: &str, script: &str) -> Json {
    object! {
        "metadata" => object! { "name" => name, "labels" => object! { "app" => name } },
        "spec" => pod_spec(script),
    }
}

/// The spec of such a pod.
pub fn pod_spec(script: &str) -> Json {
    let container = object! {
        "name" => "main", "image" => SHELL_IMAGE, "imagePullPolicy" => "IfNotPresent",
        "command" => aiopslab::array!["sh", "-c", script],
    };
    object! {
        "terminationGracePeriodSeconds" => 1i64, "automountServiceAccountToken" => false, "containers" => aiopslab::array![container],
    }
}

/// A Deployment of such pods.
pub fn deployment(name: &str, replicas: i64, script: &str) -> Json {
    let labels = || object! { "app" => name };
    object! {
        "metadata" => object! { "name" => name },
        "spec" => object! {
            "replicas" => replicas, "selector" => object! { "matchLabels" => labels() },
            "template" => object! { "metadata" => object! { "labels" => labels() }, "spec" => pod_spec(script) },
        },
    }
}

/// A ConfigMap.
pub fn config_map(name: &str, key: &str, value: &str) -> Json {
    object! { "metadata" => object! { "name" => name }, "data" => object! { key => value } }
}

impl Bench {
    /// A bench in a namespace that is made for it.
    pub fn new(cluster: Box<dyn Cluster>, ns: &str, live: bool) -> Bench {
        Bench { cluster, ns: ns.to_owned(), operator: Identity::operator(), guest: guest_of(ns), live }
    }

    /// Makes the namespace, the guest and its rights, and waits until pods can be made.
    pub fn prepare(&mut self) {
        let labels = object! { LABEL => self.ns.as_str() };
        let namespace = object! { "metadata" => object! { "name" => self.ns.as_str(), "labels" => labels } };
        self.send(&ApiRequest::create(kind("namespaces"), None, namespace)).expect("a namespace");
        self.create("serviceaccounts", object! { "metadata" => object! { "name" => GUEST } });
        let subject = object! { "kind" => "ServiceAccount", "name" => GUEST, "namespace" => self.ns.as_str() };
        self.create(
            "rolebindings.rbac.authorization.k8s.io",
            object! {
                "metadata" => object! { "name" => GUEST },
                "roleRef" => object! { "apiGroup" => "rbac.authorization.k8s.io", "kind" => "ClusterRole", "name" => "view" },
                "subjects" => aiopslab::array![subject],
            },
        );
        self.until("the default account", |b| b.find("serviceaccounts", "default"));
    }

    /// Deletes the namespace and what carries its label beside it.
    pub fn clear(&mut self) {
        for held in ["configmaps", "pods"] {
            for object in self.items(held, "") {
                if !object.meta().get("finalizers").is_empty() {
                    let patch = object! { "metadata" => object! { "finalizers" => Json::Null } };
                    let _ = self.patch(held, object.name(), PatchKind::Merge, patch);
                }
            }
        }
        let selector = Options { label_selector: format!("{LABEL}={}", self.ns), ..Options::default() };
        for wide in ["persistentvolumes", "clusterroles.rbac.authorization.k8s.io"] {
            let _ = self.send(&ApiRequest::delete_collection(kind(wide), None).options(selector.clone()));
        }
        let _ = self.send(&ApiRequest::delete(kind("namespaces"), None, &self.ns.clone()));
    }

    /// A request in the operator's name.
    pub fn send(&mut self, request: &ApiRequest) -> Result<ApiReply, ApiError> {
        self.cluster.api(&self.operator, request)
    }

    fn place(&self, kind: &ResourceRef) -> Option<String> {
        kind.namespaced.then(|| self.ns.clone())
    }

    /// Creates an object in the bench's namespace.
    pub fn try_create(&mut self, name: &str, object: Json) -> Result<Object, ApiError> {
        let kind = kind(name);
        let namespace = self.place(kind);
        self.send(&ApiRequest::create(kind, namespace.as_deref(), object)).map(ApiReply::into_object)
    }

    /// Creates an object that must be accepted.
    #[track_caller]
    pub fn create(&mut self, name: &str, object: Json) -> Object {
        self.try_create(name, object.clone()).unwrap_or_else(|error| panic!("creating {}: {error}", object.to_compact()))
    }

    /// Creates an object that must be refused.
    #[track_caller]
    pub fn refused(&mut self, name: &str, object: Json) -> ApiError {
        match self.try_create(name, object) {
            Ok(made) => panic!("accepted: {}", made.0.to_compact()),
            Err(error) => error,
        }
    }

    /// An object, if it is there.
    pub fn find(&mut self, name: &str, object: &str) -> Option<Object> {
        let kind = kind(name);
        let namespace = self.place(kind);
        match self.send(&ApiRequest::get(kind, namespace.as_deref(), object)) {
            Ok(reply) => Some(reply.into_object()),
            Err(error) if error.code == 404 => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// An object that must be there.
    #[track_caller]
    pub fn get(&mut self, name: &str, object: &str) -> Object {
        self.find(name, object).unwrap_or_else(|| panic!("no {name} {object}"))
    }

    /// Objects by a label selector; all when it is empty.
    pub fn items(&mut self, name: &str, selector: &str) -> Vec<Object> {
        self.select(name, Options { label_selector: selector.to_owned(), ..Options::default() }).expect("a list")
    }

    /// Objects by selectors.
    pub fn select(&mut self, name: &str, options: Options) -> Result<Vec<Object>, ApiError> {
        let kind = kind(name);
        let namespace = self.place(kind);
        self.send(&ApiRequest::list(kind, namespace.as_deref()).options(options)).map(ApiReply::into_items)
    }

    /// Replaces an object.
    pub fn update(&mut self, name: &str, object: &Object) -> Result<Object, ApiError> {
        let kind = kind(name);
        let namespace = self.place(kind);
        self.send(&ApiRequest::update(kind, namespace.as_deref(), object.name(), object.0.clone())).map(ApiReply::into_object)
    }

    /// Patches an object.
    pub fn patch(&mut self, name: &str, object: &str, how: PatchKind, patch: Json) -> Result<Object, ApiError> {
        let kind = kind(name);
        let namespace = self.place(kind);
        self.send(&ApiRequest::patch(kind, namespace.as_deref(), object, how, patch)).map(ApiReply::into_object)
    }

    /// A merge patch that must be accepted.
    #[track_caller]
    pub fn merge(&mut self, name: &str, object: &str, patch: &str) -> Object {
        self.patch(name, object, PatchKind::Merge, json(patch)).unwrap_or_else(|error| panic!("{patch}: {error}"))
    }

    /// Deletes an object.
    pub fn delete(&mut self, name: &str, object: &str, options: Options) -> Result<(), ApiError> {
        let kind = kind(name);
        let namespace = self.place(kind);
        self.send(&ApiRequest::delete(kind, namespace.as_deref(), object).options(options)).map(drop)
    }

    /// A request on an object of the namespace.
    pub fn request(&self, verb: Verb, name: &str, object: Option<&str>, body: Body) -> ApiRequest {
        let kind = kind(name);
        ApiRequest {
            verb,
            resource: kind.clone(),
            namespace: self.place(kind).map(Into::into),
            name: object.map(Into::into),
            subresource: None,
            body,
            options: Options::default(),
        }
    }

    /// Lets a time pass.
    pub fn pass(&mut self, time: Duration) {
        let until = self.cluster.now() + time;
        while self.cluster.now() < until {
            self.cluster.wait(until, &[]);
        }
    }

    /// Waits until a look finds what it looks for.
    #[track_caller]
    pub fn until<T>(&mut self, what: &str, look: impl FnMut(&mut Bench) -> Option<T>) -> T {
        self.within(PATIENCE_S, what, look)
    }

    /// As [`Bench::until`], with a patience in seconds.
    #[track_caller]
    pub fn within<T>(&mut self, seconds: u64, what: &str, mut look: impl FnMut(&mut Bench) -> Option<T>) -> T {
        let limit = self.cluster.now() + Duration::from_secs(seconds);
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            assert!(self.cluster.now() < limit, "{what} did not come within {seconds} s: {}", self.scene());
            self.pass(Duration::from_millis(250));
        }
    }

    /// What there is, for a case that fails.
    fn scene(&mut self) -> String {
        let pods = self.items("pods", "");
        let of = |pod: &Object| format!("{} {} {}", pod.name(), pod.status().to_compact(), pod.meta().to_compact());
        let mut lines: Vec<String> = pods.iter().map(of).collect();
        lines.extend(self.items("events", "").iter().map(|e| format!("{} {}", e.get("reason").text(), e.get("message").text())));
        lines.join("\n")
    }

    /// Waits until a pod is ready.
    #[track_caller]
    pub fn ready(&mut self, name: &str) -> Object {
        self.until(&format!("readiness of {name}"), |b| b.find("pods", name).filter(is_ready))
    }

    /// The state of a pod's first container.
    pub fn state(&mut self, pod: &str) -> Json {
        self.find("pods", pod).map(|pod| pod.status().get("containerStatuses").nth(0).clone()).unwrap_or_default()
    }

    /// Waits until the first container of a pod waits for this reason, and returns the message.
    #[track_caller]
    pub fn waits_for(&mut self, pod: &str, reason: &str) -> String {
        self.until(&format!("{reason} of {pod}"), |b| {
            let waiting = b.state(pod).at(&["state", "waiting"]).clone();
            (waiting.get("reason").text() == reason).then(|| waiting.get("message").text().to_owned())
        })
    }

    /// Runs a program in a pod.
    pub fn exec(&mut self, pod: &str, argv: &[&str], stdin: &str) -> Result<ExecOutput, ApiError> {
        self.exec_in(pod, None, argv, stdin)
    }

    /// Runs a program in a container.
    pub fn exec_in(&mut self, pod: &str, container: Option<&str>, argv: &[&str], stdin: &str) -> Result<ExecOutput, ApiError> {
        let request = ExecRequest {
            namespace: self.ns.as_str().into(),
            pod: pod.into(),
            container: container.map(Into::into),
            argv: argv.iter().map(|a| (*a).to_owned()).collect(),
            stdin: stdin.as_bytes().to_vec(),
        };
        self.cluster.exec(&self.operator, &request)
    }

    /// A log.
    pub fn log(&mut self, pod: &str, query: LogQuery) -> Result<String, ApiError> {
        let query = LogQuery { namespace: self.ns.as_str().into(), pod: pod.into(), ..query };
        self.cluster.telemetry(&self.operator, &TelemetryQuery::Logs(query)).map(TelemetryReply::into_log)
    }

    /// Events about an object: type, reason and message.
    pub fn events(&mut self, about: &str) -> Vec<(String, String, String)> {
        let all = self.items("events", "");
        let own = all.iter().filter(|e| e.at(&["involvedObject", "name"]).text() == about);
        own.map(|e| (e.get("type").text().to_owned(), e.get("reason").text().to_owned(), e.get("message").text().to_owned())).collect()
    }

    /// Waits for an event with a reason and returns its message.
    #[track_caller]
    pub fn event(&mut self, about: &str, reason: &str) -> String {
        self.until(&format!("event {reason} of {about}"), |b| {
            b.events(about).into_iter().find(|(_, r, _)| r == reason).map(|(_, _, message)| message)
        })
    }
}

/// Whether a pod's condition Ready is true.
pub fn is_ready(pod: &Object) -> bool {
    pod.condition("Ready").is_some_and(|c| c.get("status").text() == "True")
}

/// Code, reason and message of a refusal.
#[track_caller]
pub fn expect_error<T>(result: Result<T, ApiError>, code: u16, reason: &str, message: &str) -> ApiError {
    let Err(error) = result else { panic!("accepted; expected {code} {reason}: {message}") };
    assert_eq!((error.code, error.reason.as_str(), error.message.as_str()), (code, reason, message));
    error
}

/// That a text matches a regular expression as a whole.
#[track_caller]
pub fn expect_match(text: &str, pattern: &str) {
    let whole = regex::Regex::new(&format!("(?s)^(?:{pattern})$")).expect("valid");
    assert!(whole.is_match(text), "{text:?} does not match {pattern:?}");
}
