//! The one resolution: names, Services, endpoints, policies and rules, on worlds that hold objects only.

use aiopslab::app::Catalog;
use aiopslab::cluster::sim::history::{Launch, RunEnd};
use aiopslab::cluster::sim::kubelet;
use aiopslab::cluster::sim::network::rules::{self, Direction};
use aiopslab::cluster::sim::network::{self, Connection, Effect, Origin, Place, Reach, Rule, Socket, Transport, Wire, dns};
use aiopslab::cluster::sim::store::{Key, Kind};
use aiopslab::cluster::sim::world::World;
use aiopslab::object::{Json, Object};
use aiopslab::time::SimTime;
use aiopslab::{array, object};
use std::sync::Arc;

const NS: &str = "shop";

struct Fixture {
    world: World,
}

impl Fixture {
    fn new() -> Self {
        let mut fixture = Fixture { world: World::new(SimTime::from_secs(1_000), 7, Arc::new(Catalog::default())) };
        for (name, labels) in [(NS, object! { "team" => "a" }), ("other", object! { "team" => "b" })] {
            fixture.put(Kind::NAMESPACE, object! { "metadata" => object! { "name" => name, "labels" => labels } });
        }
        for (name, ip) in [("node-1", "172.18.0.3"), ("node-2", "172.18.0.4")] {
            let status = object! { "addresses" => array![object! { "type" => "InternalIP", "address" => ip }] };
            fixture.put(Kind::NODE, object! { "metadata" => object! { "name" => name }, "status" => status });
        }
        fixture
    }

    fn put(&mut self, kind: Kind, json: Json) {
        let object = Object(json);
        self.world.store.put(Key::of(kind, &object), object);
        self.world.settle(&mut |_| false);
    }

    fn remove(&mut self, kind: Kind, namespace: &str, name: &str) {
        self.world.store.remove(&Key::new(kind, namespace, name));
        self.world.settle(&mut |_| false);
    }

    /// A pod with one running container that listens on `ports`.
    fn pod(&mut self, namespace: &str, name: &str, ip: &str, node: &str, ports: &[u16]) {
        let meta =
            object! { "name" => name, "namespace" => namespace, "uid" => format!("uid-{name}"), "labels" => object! { "app" => name } };
        let port = object! { "name" => "main", "containerPort" => i64::from(ports.first().copied().unwrap_or(1)) };
        let spec = object! { "nodeName" => node, "containers" => array![object! { "name" => "c", "ports" => array![port] }] };
        self.put(Kind::POD, object! { "metadata" => meta, "spec" => spec, "status" => object! { "podIP" => ip, "phase" => "Running" } });
        let launch = Launch {
            namespace: namespace.into(),
            pod: name.into(),
            pod_uid: format!("uid-{name}").into(),
            pod_ip: ip.into(),
            node: node.into(),
            container: "c".into(),
            image: "i".into(),
            argv: Vec::new().into(),
            env: Default::default(),
            files: Default::default(),
            data: Default::default(),
            memory_limit: None,
            resources: Default::default(),
        };
        let run = self.world.history.start(Arc::new(launch), 0, self.world.now);
        for port in ports {
            network::listen(&mut self.world, run, Socket::tcp(*port, Wire::Http { tls: false }));
        }
    }

    fn service(&mut self, name: &str, ip: &str, port: i64, endpoints: &[(&str, bool)]) {
        let ports =
            array![object! { "name" => "p", "port" => port, "targetPort" => port, "protocol" => "TCP", "nodePort" => 30_000 + port }];
        let meta = object! { "name" => name, "namespace" => NS, "uid" => format!("uid-svc-{name}") };
        let spec = object! { "clusterIP" => ip, "ports" => ports };
        self.put(Kind::SERVICE, object! { "metadata" => meta, "spec" => spec });
        self.slice(name, port, endpoints);
    }

    fn slice(&mut self, service: &str, port: i64, endpoints: &[(&str, bool)]) {
        let labels = object! { "kubernetes.io/service-name" => service };
        let meta = object! { "name" => format!("{service}-x"), "namespace" => NS, "labels" => labels };
        let endpoint = |(ip, ready): &(&str, bool)| {
            let conditions = object! { "ready" => *ready, "serving" => *ready, "terminating" => false };
            object! { "addresses" => array![*ip], "nodeName" => "node-1", "conditions" => conditions }
        };
        let ports = array![object! { "name" => "p", "port" => port, "protocol" => "TCP" }];
        let endpoints: Json = endpoints.iter().map(endpoint).collect();
        self.put(Kind::ENDPOINT_SLICE, object! { "metadata" => meta, "endpoints" => endpoints, "ports" => ports });
    }

    fn connect(&self, from: &Origin, host: &str, port: u16) -> Connection {
        network::connect(&self.world, from, host, port, Transport::Tcp, 0)
    }

    fn check(&self, from: &Origin, host: &str, port: u16, expect: &str) {
        assert_eq!(show(&self.connect(from, host, port)), expect, "{from:?} → {host}:{port}");
    }
}

fn show(connection: &Connection) -> String {
    match &connection.reach {
        Reach::Peer(network::Peer::Process { pod, socket, .. }) => format!("{pod}:{}", socket.port),
        other => format!("{other:?}"),
    }
}

/// Two pods `geo` (listens on 8083) and `web` (on 80) behind Services, and a client pod.
fn shop() -> (Fixture, Origin) {
    let mut f = Fixture::new();
    f.pod(NS, "geo", "10.244.1.5", "node-1", &[8083]);
    f.pod(NS, "web", "10.244.2.6", "node-2", &[80]);
    f.pod(NS, "client", "10.244.1.9", "node-1", &[]);
    f.service("geo", "10.96.3.3", 8083, &[("10.244.1.5", true)]);
    f.service("web", "10.96.3.4", 80, &[("10.244.2.6", true)]);
    (f, Origin::pod(NS, "client"))
}

#[test]
fn names_lead_to_peers() {
    let (mut f, client) = shop();
    let outsider = Origin::pod("other", "nobody");
    for host in
        ["geo", "geo.shop", "geo.shop.svc", "geo.shop.svc.cluster.local", "geo.shop.svc.cluster.local.", "GEO", "10.96.3.3", "10.244.1.5"]
    {
        f.check(&client, host, 8083, "geo:8083");
    }
    f.check(&client, "10-244-1-5.shop.pod", 8083, "geo:8083");
    f.check(&outsider, "geo", 8083, "NoName");
    f.check(&outsider, "geo.shop", 8083, "geo:8083");
    f.check(&client, "geo.", 8083, "NoName");
    f.check(&client, "shop.svc.cluster.local", 80, "NoName");
    f.check(&client, "example.com", 443, "NoName");
    f.check(&Origin::Workstation, "geo.shop.svc.cluster.local", 8083, "geo:8083");

    let external = object! { "metadata" => object! { "name" => "alias", "namespace" => NS }, "spec" => object! { "type" => "ExternalName", "externalName" => "web.shop.svc.cluster.local" } };
    f.put(Kind::SERVICE, external);
    f.check(&client, "alias", 80, "web:80");
    let headless = object! { "metadata" => object! { "name" => "bare", "namespace" => NS }, "spec" => object! { "clusterIP" => "None", "ports" => array![] } };
    f.put(Kind::SERVICE, headless);
    f.check(&client, "bare", 8083, "NoName");
    f.slice("bare", 8083, &[("10.244.1.5", true), ("10.244.2.6", false)]);
    f.check(&client, "bare", 8083, "geo:8083");
    f.check(&client, "10-244-1-5.bare", 8083, "geo:8083");
    f.check(&client, "10-244-2-6.bare", 8083, "NoName");
    f.remove(Kind::SERVICE, NS, "geo");
    f.check(&client, "geo", 8083, "NoName");
    f.check(&client, "10.96.3.3", 8083, "Silence");
}

#[test]
fn services_lead_to_sockets() {
    let (mut f, client) = shop();
    f.check(&client, "geo", 27777, "Refused"); // A port that the Service does not define.
    f.check(&client, "10.244.1.5", 9999, "Refused"); // Nobody listens.
    f.check(&client, "10.244.9.9", 80, "Silence"); // No such pod.
    f.check(&client, "localhost", 80, "Refused");
    f.check(&Origin::pod(NS, "web"), "localhost", 80, "web:80");
    f.check(&Origin::pod(NS, "web"), "web", 80, "web:80");
    f.check(&Origin::Node("node-1".into()), "172.18.0.4", 30_080, "web:80");
    f.check(&client, "172.18.0.4", 10250, "Peer(Kubelet(\"node-2\"))");
    kubelet::stop_node(&mut f.world, "node-2");
    f.check(&client, "172.18.0.4", 10250, "Refused");
    f.check(&client, "web", 80, "web:80"); // Containers go on without it.
    f.check(&client, "172.18.0.4", 81, "Refused");
    f.slice("geo", 8083, &[("10.244.1.5", false)]);
    f.check(&client, "geo", 8083, "Refused"); // No ready endpoint.
    f.slice("geo", 9999, &[("10.244.1.5", true)]);
    f.check(&client, "geo", 8083, "Refused"); // A target port on which nobody listens.
    f.slice("geo", 8083, &[("10.244.1.5", true)]);
    let run = f.connect(&client, "geo", 8083).run().expect("a process");
    f.world.history.end(run, RunEnd { at: f.world.now, exit_code: 2, reason: "Error".into() });
    network::closed(&mut f.world, run);
    f.check(&client, "geo", 8083, "Refused"); // The container ended, its pod did not.
}

#[test]
fn sessions_choose_among_ready_endpoints_and_stay() {
    let (mut f, client) = shop();
    f.pod(NS, "geo-2", "10.244.2.7", "node-2", &[8083]);
    f.slice("geo", 8083, &[("10.244.1.5", true), ("10.244.2.7", true)]);
    let choose = |session| show(&network::connect(&f.world, &client, "geo", 8083, Transport::Tcp, session));
    let first: Vec<_> = (0..40).map(choose).collect();
    assert_eq!(first, (0..40).map(choose).collect::<Vec<_>>());
    let twos = first.iter().filter(|to| *to == "geo-2:8083").count();
    assert!((8..=32).contains(&twos), "{twos} of 40 went to the second endpoint");
}

#[test]
fn policies_close_and_open() {
    let policy = |spec: Json| object! { "metadata" => object! { "name" => "p", "namespace" => NS }, "spec" => spec };
    let geo = || object! { "matchLabels" => object! { "app" => "geo" } };
    let check = |spec: Json, from_client: &str, from_other: &str| {
        let (mut f, client) = shop();
        f.pod("other", "guest", "10.244.2.9", "node-2", &[]);
        let text = spec.to_compact();
        f.put(Kind::NETWORK_POLICY, policy(spec));
        assert_eq!(show(&f.connect(&client, "geo", 8083)), from_client, "client under {text}");
        assert_eq!(show(&f.connect(&Origin::pod("other", "guest"), "geo.shop", 8083)), from_other, "guest under {text}");
        f.check(&client, "web", 80, "web:80");
        f.check(&Origin::Node("node-1".into()), "10.244.1.5", 8083, "geo:8083");
    };
    let (open, shut) = ("geo:8083", "Silence");
    let ingress = |rule: Json| object! { "podSelector" => geo(), "ingress" => array![rule] };
    check(object! { "podSelector" => geo() }, shut, shut);
    check(object! { "podSelector" => geo(), "policyTypes" => array!["Egress"] }, open, open);
    check(ingress(object! {}), open, open);
    check(ingress(object! { "from" => array![object! { "podSelector" => object! {} }] }), open, shut);
    check(
        ingress(object! { "from" => array![object! { "podSelector" => object! { "matchLabels" => object! { "app" => "web" } } }] }),
        shut,
        shut,
    );
    let team_b = object! { "matchExpressions" => array![object! { "key" => "team", "operator" => "In", "values" => array!["b"] }] };
    check(ingress(object! { "from" => array![object! { "namespaceSelector" => team_b }] }), shut, open);
    let block = object! { "cidr" => "10.244.0.0/16", "except" => array!["10.244.2.0/24"] };
    check(ingress(object! { "from" => array![object! { "ipBlock" => block }] }), open, shut);
    check(ingress(object! { "ports" => array![object! { "port" => 8083 }] }), open, open);
    check(ingress(object! { "ports" => array![object! { "port" => "main" }] }), open, open);
    check(ingress(object! { "ports" => array![object! { "port" => 8000, "endPort" => 8082 }] }), shut, shut);
    check(ingress(object! { "ports" => array![object! { "port" => 8083, "protocol" => "UDP" }] }), shut, shut);

    let (mut f, client) = shop();
    let out = object! { "podSelector" => object! { "matchLabels" => object! { "app" => "client" } }, "policyTypes" => array!["Egress"],
    "egress" => array![object! { "to" => array![object! { "podSelector" => geo() }] }] };
    f.put(Kind::NETWORK_POLICY, policy(out));
    f.check(&client, "geo", 8083, "geo:8083");
    f.check(&client, "web", 80, "Silence");
    f.check(&client, "172.18.0.4", 10250, "Silence");
}

#[test]
fn rules_cut_and_slow_and_heal() {
    let (mut f, client) = shop();
    let geo = || Place::Pod { namespace: NS.into(), pod: "geo".into() };
    let rule = |effect| Rule { at: geo(), with: Place::Anywhere, direction: Direction::Both, effect };
    let cut = rules::install(&mut f.world, rule(Effect::Partition));
    f.check(&client, "geo", 8083, "Silence");
    f.check(&client, "web", 80, "web:80");
    f.check(&Origin::pod(NS, "geo"), "web", 80, "Silence");
    f.check(&Origin::pod(NS, "geo"), "localhost", 8083, "geo:8083");
    rules::remove(&mut f.world, cut);
    f.check(&client, "geo", 8083, "geo:8083");
    let latency = std::time::Duration::from_secs(10);
    rules::install(&mut f.world, Rule { direction: Direction::Leaving, ..rule(Effect::Delay { latency, jitter: Default::default() }) });
    assert_eq!(f.connect(&client, "geo", 8083).path.latency, latency);
    assert!(f.connect(&client, "web", 80).path.is_clear());
    let before = f.world.network.epoch();
    rules::install(&mut f.world, Rule { at: Place::Node("node-2".into()), ..rule(Effect::Loss(0.5)) });
    assert!(f.world.network.epoch() > before);
    assert!(f.connect(&client, "web", 80).path.loss > 0.7);
}

#[test]
fn cluster_dns_can_break() {
    let (mut f, client) = shop();
    let ports = array![object! { "name" => "dns", "port" => 53, "protocol" => "UDP" }];
    let meta = object! { "name" => "kube-dns", "namespace" => "kube-system", "uid" => "u" };
    f.put(Kind::SERVICE, object! { "metadata" => meta, "spec" => object! { "clusterIP" => dns::SERVER, "ports" => ports } });
    f.check(&client, "geo", 8083, "NoResolver");
    f.check(&client, "10.96.3.3", 8083, "geo:8083");
    assert_eq!(dns::query(&f.world, &client, "geo.shop.svc.cluster.local"), dns::Answer::NoServer);
}

#[test]
fn the_epoch_rises_only_with_what_matters() {
    let (mut f, _) = shop();
    f.world.run_until(SimTime::from_secs(1_001));
    let before = f.world.network.epoch();
    f.put(Kind::CONFIG_MAP, object! { "metadata" => object! { "name" => "c", "namespace" => NS } });
    let mut pod = f.world.store.get(&Key::new(Kind::POD, NS, "geo")).expect("stored").clone();
    pod.set_at(&["status", "conditions"], array![object! { "type" => "Ready", "status" => "True" }]);
    f.put(Kind::POD, pod.0);
    assert_eq!(f.world.network.epoch(), before);
    f.slice("geo", 8083, &[]);
    assert!(f.world.network.epoch() > before);
}
