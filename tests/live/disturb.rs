//! Disturbances on a real cluster: helpers on the nodes do what no API does, and nothing is left of it.
//!
//! A node is stopped only where `AIOPSLAB_TEST_CLUSTER` says that tests may break nodes. `AIOPSLAB_TESTBED_IMAGE` names another image of the
//! testbed than the cluster's usual one.

use crate::reach;
use aiopslab::app::Catalog;
use aiopslab::cluster::environment::{LiveConfig, OnClose};
use aiopslab::cluster::live::{Environment, LiveCluster};
use aiopslab::cluster::outpost::nodes;
use aiopslab::cluster::{ApiError, ApiRequest, Cluster, DisturbError, Disturbance, ExecRequest, Identity};
use aiopslab::object::{Json, Object, resource};
use aiopslab::{array, object};
use std::time::Duration;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(90);

struct Bench {
    environment: Environment,
    cluster: LiveCluster,
    namespace: String,
}

fn bench(test: &str) -> Option<Bench> {
    reach::cluster(test)?;
    let catalog = Catalog::embedded();
    let app = catalog.app("hotel-reservation").expect("embedded");
    let mut config =
        LiveConfig { suffix: Some(format!("d{}{test}", std::process::id() % 100_000)), on_close: OnClose::Delete, ..LiveConfig::default() };
    if let Ok(image) = std::env::var("AIOPSLAB_TESTBED_IMAGE") {
        config.image = image;
    }
    let environment = Environment::open(&config, app, false).unwrap_or_else(|error| panic!("{test}: {error}"));
    let (cluster, namespace) = (environment.cluster(), environment.place().namespace.to_string());
    Some(Bench { environment, cluster, namespace })
}

fn pod(name: &str, node: &str, script: &str) -> Json {
    object! {
        "apiVersion" => "v1", "kind" => "Pod",
        "metadata" => object! { "name" => name, "labels" => object! { "app" => name } },
        "spec" => object! {
            "nodeName" => node, "terminationGracePeriodSeconds" => 0,
            "containers" => array![object! {
                "name" => "main", "image" => "docker.io/library/busybox:latest", "command" => array!["sh", "-c", script],
            }],
        },
    }
}

impl Bench {
    fn kind(plural: &str) -> &'static resource::ResourceRef {
        resource::builtin_named("", plural).expect("built in")
    }

    fn list(&mut self, plural: &str, namespace: Option<&str>) -> Vec<Object> {
        let request = ApiRequest::list(Self::kind(plural), namespace);
        self.cluster.api(&Identity::operator(), &request).expect("listed").into_items()
    }

    fn get(&mut self, plural: &str, name: &str) -> Result<Object, ApiError> {
        let namespace = Self::kind(plural).namespaced.then_some(self.namespace.as_str());
        let request = ApiRequest::get(Self::kind(plural), namespace, name);
        self.cluster.api(&Identity::operator(), &request).map(aiopslab::cluster::ApiReply::into_object)
    }

    fn create(&mut self, plural: &str, object: Json) {
        let request = ApiRequest::create(Self::kind(plural), Some(&self.namespace), object);
        self.cluster.api(&Identity::operator(), &request).expect("created");
    }

    #[track_caller]
    fn await_that(&mut self, what: &str, mut holds: impl FnMut(&mut Self) -> bool) {
        let give_up = self.cluster.now() + PATIENCE;
        while !holds(self) {
            assert!(self.cluster.now() < give_up, "{what} within {} s", PATIENCE.as_secs());
            let until = self.cluster.now() + Duration::from_millis(200);
            self.cluster.wait(until, &[]);
        }
    }

    /// A client and a server, on two nodes where there are two, and a Service before the server.
    fn raise(&mut self) -> String {
        let nodes = self.list("nodes", None);
        let (first, last) = (nodes.first().expect("a node").name().to_owned(), nodes.last().expect("a node").name().to_owned());
        self.create("pods", pod("client", &first, "sleep 3600"));
        self.create("pods", pod("other", &first, "sleep 3600"));
        self.create("pods", pod("server", &last, "mkdir /tmp/w && echo hello >/tmp/w/index.html && httpd -f -p 8080 -h /tmp/w"));
        let ports = array![object! { "port" => 80, "targetPort" => 8080 }];
        let spec = object! { "selector" => object! { "app" => "server" }, "ports" => ports };
        self.create(
            "services",
            object! { "apiVersion" => "v1", "kind" => "Service", "metadata" => object! { "name" => "server" }, "spec" => spec },
        );
        for name in ["client", "other", "server"] {
            self.await_that(name, |bench| {
                bench.get("pods", name).is_ok_and(|pod| pod.condition("Ready").is_some_and(|c| c.get("status").text() == "True"))
            });
        }
        self.await_that("an answer", |bench| bench.reaches("client", "server"));
        last
    }

    /// Whether a pod gets an answer at an address.
    fn reaches(&mut self, pod: &str, host: &str) -> bool {
        let argv = ["sh", "-c", &format!("timeout 3 wget -q -O - http://{host}/ 2>&1")].map(str::to_owned).to_vec();
        let request = ExecRequest { namespace: self.namespace.as_str().into(), pod: pod.into(), container: None, argv, stdin: Vec::new() };
        let output = self.cluster.exec(&Identity::operator(), &request).expect("run");
        String::from_utf8_lossy(&output.stdout).contains("hello")
    }

    fn close(mut self) {
        let own = self.environment.place().nodes();
        self.environment.close().expect("closed");
        assert!(!self.list("namespaces", None).iter().any(|space| space.name() == own), "the helpers' namespace is gone");
    }
}

#[test]
fn networks_are_cut_and_lossy_and_come_back() {
    let Some(mut bench) = bench("net") else { return };
    bench.raise();
    let address = bench.get("pods", "server").expect("there").status().get("podIP").text().to_owned() + ":8080";
    let namespace: arcstr::ArcStr = bench.namespace.as_str().into();
    let partition = |from: Option<&str>| Disturbance::NetworkPartition {
        namespace: namespace.clone(),
        pod: "server".into(),
        from: from.map(Into::into),
    };
    let mut check = |what: &Disturbance, others: bool| {
        let name = format!("{namespace}/{what}");
        bench.cluster.disturb(&name, what).unwrap_or_else(|error| panic!("{what}: {error}"));
        bench.cluster.disturb(&name, what).unwrap_or_else(|error| panic!("{what}, again: {error}"));
        assert!(bench.cluster.is_disturbed(&name).expect("told"), "{what}");
        assert!(!bench.reaches("client", &address), "{what}: by the pod's address");
        assert!(!bench.reaches("client", "server"), "{what}: by the Service");
        // Where an answer is due it may take a second look: a lost packet of the name's look-up alone costs five seconds.
        match others {
            true => bench.await_that(&format!("{what}: an answer to somebody else"), |bench| bench.reaches("other", "server")),
            false => assert!(!bench.reaches("other", "server"), "{what}: from elsewhere"),
        }
        bench.cluster.relieve(&name).expect("relieved");
        bench.cluster.relieve(&name).expect("relieved twice");
        assert!(!bench.cluster.is_disturbed(&name).expect("told"), "{what}");
        bench.await_that("an answer", |bench| bench.reaches("client", "server"));
    };
    check(&partition(Some("client")), true);
    check(&partition(None), false);
    check(&Disturbance::NetworkLoss { namespace: namespace.clone(), pod: "server".into(), share: 1.0 }, false);
    let lossy = Disturbance::NetworkLoss { namespace: namespace.clone(), pod: "server".into(), share: 0.3 };
    bench.cluster.disturb("some", &lossy).expect("lossy");
    bench.await_that("an answer in spite of losses", |bench| bench.reaches("client", "server"));
    // What is in force ends with the environment, too.
    bench.close();
}

#[test]
fn containers_are_killed_and_targets_must_exist() {
    let Some(mut bench) = bench("kill") else { return };
    let node = bench.raise();
    let namespace: arcstr::ArcStr = bench.namespace.as_str().into();
    let kill = |pod: &str, container: &str| Disturbance::ContainerKill {
        namespace: namespace.clone(),
        pod: pod.into(),
        container: container.into(),
        again_after: None,
    };
    bench.cluster.disturb("kill", &kill("server", "main")).expect("killed");
    bench.await_that("a restart", |bench| {
        let pod = bench.get("pods", "server").expect("there");
        let status = &pod.at(&["status", "containerStatuses"]).items()[0];
        let last = status.at(&["lastState", "terminated"]);
        status.get("restartCount").as_i64() == Some(1) && last.get("exitCode").as_i64() == Some(137) && last.get("reason").text() == "Error"
    });
    assert!(!bench.cluster.is_disturbed("kill").expect("told"), "nothing is left of a kill");
    for what in [kill("nobody", "main"), kill("server", "nothing"), Disturbance::NodeStop { node: "no-such-node".into() }] {
        let error = bench.cluster.disturb("x", &what).expect_err("no target");
        assert!(matches!(error, DisturbError::NoTarget { .. }), "{what}: {error}");
    }
    stop_briefly(&mut bench, &node);
    bench.close();
}

/// Stops a kubelet for less time than its node needs to count as silent: what the API writes meanwhile stays undone.
fn stop_briefly(bench: &mut Bench, node: &str) {
    bench.cluster.disturb("stop", &Disturbance::NodeStop { node: node.into() }).expect("stopped");
    assert!(bench.cluster.is_disturbed("stop").expect("told"));
    bench.create("pods", pod("late", node, "sleep 3600"));
    let until = bench.cluster.now() + Duration::from_secs(5);
    bench.cluster.wait(until, &[]);
    let phase = bench.get("pods", "late").expect("there").status().get("phase").text().to_owned();
    bench.cluster.relieve("stop").expect("relieved");
    assert_eq!(phase, "Pending", "no kubelet starts it");
    bench
        .await_that("the kubelet's work", |bench| bench.get("pods", "late").is_ok_and(|pod| pod.status().get("phase").text() == "Running"));
}

#[test]
fn a_stopped_node_is_not_ready_and_comes_back() {
    if std::env::var("AIOPSLAB_TEST_CLUSTER").is_err() {
        println!("skipped: these nodes are not the tests' to break");
        return;
    }
    let Some(mut bench) = bench("node") else { return };
    let node = bench.raise();
    let ready =
        |bench: &mut Bench| bench.get("nodes", &node).is_ok_and(|n| n.condition("Ready").is_some_and(|c| c.get("status").text() == "True"));
    bench.cluster.disturb("stop", &Disturbance::NodeStop { node: node.as_str().into() }).expect("stopped");
    bench.await_that("silence", |bench| !ready(bench));
    assert!(bench.reaches("client", "server") || bench.get("pods", "server").is_ok(), "what runs on the node goes on");
    assert!(bench.cluster.is_disturbed("stop").expect("its helper answers"));
    bench.cluster.relieve("stop").expect("relieved");
    bench.await_that("the node", ready);
    bench.close();
}

#[test]
fn helpers_of_an_environment_have_a_port_of_their_own() {
    let app = Catalog::embedded().app("hotel-reservation").expect("embedded").clone();
    let ports: std::collections::BTreeSet<u16> =
        ["", "2", "3", "4"].iter().map(|suffix| nodes::port(&aiopslab::cluster::environment::Place::of(&app, suffix))).collect();
    assert_eq!(ports.len(), 4);
    assert!(ports.iter().all(|port| (20_000..29_000).contains(port)));
}
