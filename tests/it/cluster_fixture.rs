//! A small simulated cluster for timelines: two nodes, a namespace `app`, a catalogue with images that only wait.

use aiopslab::app::{Behaviour, Body, Catalog, Executable, Handler, Image, Listen, Memory, OnTerm, Port, Program, Protocol, Reply, Start};
use aiopslab::cluster::Identity;
use aiopslab::cluster::sim::history::RunId;
use aiopslab::cluster::sim::kubelet::{self, NodeSpec};
use aiopslab::cluster::sim::store::{Key, Kind};
use aiopslab::cluster::sim::world::World;
use aiopslab::object::{Json, Object};
use aiopslab::time::SimTime;
use arcstr::ArcStr;
use std::sync::Arc;
use std::time::Duration;

/// A world with convenience around it.
#[derive(Clone)]
pub struct Fixture {
    /// The world.
    pub world: World,
}

/// A Deployment's manifest with one replica; `extra` is JSON appended to the container.
pub fn deployment(name: &str, image: &str, extra: &str) -> String {
    format!(
        r#"{{"apiVersion":"apps/v1","kind":"Deployment","metadata":{{"name":"{name}"}},"spec":{{"replicas":1,"progressDeadlineSeconds":600,
        "revisionHistoryLimit":10,"selector":{{"matchLabels":{{"app":"{name}"}}}},
        "strategy":{{"type":"RollingUpdate","rollingUpdate":{{"maxSurge":"25%","maxUnavailable":"25%"}}}},
        "template":{{"metadata":{{"labels":{{"app":"{name}"}}}},"spec":{{"restartPolicy":"Always","terminationGracePeriodSeconds":30,
        "tolerations":[{{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}},
        {{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}}],
        "containers":[{{"name":"main","image":"{image}","imagePullPolicy":"IfNotPresent","resources":{{}}{extra}}}]}}}}}}}}"#
    )
}

/// A program that does these steps when it starts.
fn program(start: Vec<Start>) -> Program {
    Program { on_term: OnTerm::Default(2), behaviour: Behaviour::Service, start, ..(*Program::command()).clone() }
}

/// The programs of `tests/fidelity/app`, as far as timelines need them.
fn programs() -> Vec<(&'static str, Program)> {
    let listen = Start::Listen(vec![Listen { port: Port::Fixed(8080), protocol: Protocol::Http, udp: false }]);
    let health = |status: u16| Handler {
        methods: Vec::new(),
        path: "/healthz".into(),
        exact: true,
        span: None,
        checks: Vec::new(),
        cpu_ms: None,
        steps: Vec::new(),
        reply: Reply { status, headers: Vec::new(), body: Body::Text("health".into()) },
        error_status: 500,
        error_body: None,
    };
    let polite = OnTerm::Graceful { code: 0, after: Duration::from_millis(5) };
    let greedy = Memory { start: 64 << 20, working: 64 << 20, ..Memory::default() };
    vec![
        ("idle", program(vec![Start::Serve])),
        ("web", Program { handlers: vec![Arc::new(health(200))], ..program(vec![listen.clone(), Start::Serve]) }),
        ("lines", program(vec![Start::Serve])),
        ("tick", program(vec![Start::Serve])),
        ("stubborn", Program { on_term: OnTerm::Ignore, ..program(vec![Start::Serve]) }),
        ("crash", program(vec![Start::Exit(1)])),
        ("done", program(vec![Start::Exit(0)])),
        ("init", program(vec![Start::Exit(0)])),
        ("eat", Program { memory: greedy, ..program(vec![Start::Serve]) }),
        ("unready", Program { handlers: vec![Arc::new(health(503))], on_term: polite, ..program(vec![listen, Start::Serve]) }),
    ]
}

fn image(name: &str, tags: &[&str], folder: &str, programs: Vec<(&str, Program)>) -> Arc<Image> {
    let entry = |(name, program): (&str, Program)| (ArcStr::from(name), (ArcStr::from(folder), Executable::Program(Arc::new(program))));
    Arc::new(Image {
        repositories: vec![format!("docker.io/{name}").into()],
        tags: tags.iter().map(|t| ArcStr::from(*t)).collect(),
        entrypoint: vec!["app".into()],
        cmd: Vec::new(),
        env: Vec::new(),
        workdir: "/".into(),
        uid: 0,
        user: "root".into(),
        shell: None,
        os: "Debian GNU/Linux 12 (bookworm)".into(),
        executables: programs.into_iter().map(entry).collect(),
        files: Default::default(),
        size_bytes: 30_000_000,
    })
}

fn images() -> Vec<Arc<Image>> {
    let app = vec![("app", program(vec![Start::Serve]))];
    let mut all = vec![image("img/app", &["1", "2"], "/usr/bin", app)];
    all.extend(["web", "worker", "tools"].map(|name| image(&format!("fidelity/{name}"), &["1.0"], "", programs())));
    all
}

impl Fixture {
    /// A cluster with two nodes.
    pub fn new(seed: u64) -> Self {
        Fixture::with_nodes(seed, 2)
    }

    /// A cluster with some nodes.
    pub fn with_nodes(seed: u64, nodes: u32) -> Self {
        let catalog = Catalog { images: images(), apps: Vec::new(), registries: vec!["docker.io".into()] };
        let mut world = World::new(SimTime::from_secs(1_767_225_600), seed, Arc::new(catalog));
        for namespace in ["default", "kube-system", "app"] {
            let object = aiopslab::object! { "metadata" => aiopslab::object! { "name" => namespace } };
            world.create(&Identity::operator(), Kind::NAMESPACE, "", object).expect("created");
        }
        for at in 1..=nodes {
            let spec = NodeSpec {
                name: format!("node-{at}").into(),
                address: format!("172.18.0.{}", at + 1).into(),
                pod_cidr: format!("10.244.{at}.0/24").into(),
                cpu: 2,
                memory_kib: 4 << 20,
                labels: Vec::new(),
            };
            kubelet::register_node(&mut world, &spec);
        }
        let mut fixture = Fixture { world };
        fixture.run(1.0);
        for node in (1..=nodes).map(|at| format!("node-{at}")) {
            for image in ["img/app:1", "img/app:2", "fidelity/web:1.0", "fidelity/worker:1.0", "fidelity/tools:1.0"] {
                kubelet::preload(&mut fixture.world, &node, image);
            }
        }
        fixture
    }

    /// The present instant.
    pub fn now(&self) -> SimTime {
        self.world.now
    }

    /// Lets seconds pass.
    pub fn run(&mut self, seconds: f64) {
        let until = self.world.now + Duration::from_secs_f64(seconds);
        self.world.run_until(until);
    }

    /// Handles the next piece of work, or lets a second pass when there is none.
    pub fn step(&mut self) {
        self.world.settle(&mut |_| false);
        let next = self.world.queue.next_time().unwrap_or(self.world.now + Duration::from_secs(1));
        self.world.run_until(next);
    }

    /// Lets time pass until a condition holds; at most ten minutes.
    pub fn run_until(&mut self, holds: impl Fn(&Fixture) -> bool) {
        let limit = self.world.now + Duration::from_secs(600);
        while !holds(self) {
            assert!(self.world.now < limit, "never came");
            self.step();
        }
    }

    /// Creates an object from JSON, in the namespace `app`.
    pub fn create(&mut self, kind: Kind, json: &str) -> Object {
        let object = Json::parse(json).expect("valid JSON");
        self.world.create(&Identity::operator(), kind, "app", object).expect("created")
    }

    /// Changes an object of the namespace `app`.
    pub fn update(&mut self, kind: Kind, name: &str, change: impl FnOnce(&mut Json)) {
        self.world.update(&self.key(kind, name), change).expect("there");
    }

    /// Deletes an object of the namespace `app`.
    pub fn delete(&mut self, kind: Kind, name: &str) {
        let key = self.key(kind, name);
        self.world.delete(&Identity::operator(), &key, None, None).expect("there");
    }

    fn key(&self, kind: Kind, name: &str) -> Key {
        let namespaced = self.world.store.resource(kind).namespaced;
        Key::new(kind, if namespaced { "app" } else { "" }, name)
    }

    /// An object, if it is there.
    pub fn find(&self, kind: Kind, name: &str) -> Option<Object> {
        self.world.store.get(&self.key(kind, name)).cloned()
    }

    /// An object that must be there.
    pub fn get(&self, kind: Kind, name: &str) -> Object {
        self.find(kind, name).unwrap_or_else(|| panic!("no {name}"))
    }

    /// Pods of the namespace `app`.
    pub fn pods(&self) -> Vec<Object> {
        self.world.store.list(Kind::POD, Some("app")).cloned().collect()
    }

    /// The run of the first pod whose name begins so.
    pub fn running_run(&self, prefix: &str) -> Option<RunId> {
        let pod = self.pods().into_iter().find(|p| p.name().starts_with(prefix))?;
        let container = pod.spec().get("containers").nth(0).get("name").text().to_owned();
        kubelet::run_of(&self.world, "app", pod.name(), &container)
    }

    /// Events of the namespace `app`, random parts masked, sorted.
    pub fn event_lines(&self) -> Vec<String> {
        let mask = regex::Regex::new(r"\b([a-z][a-z-]*?)-[b-df-hj-np-tv-z2-9]{8,10}(-[a-z0-9]{5})?\b").expect("valid");
        let masked = |text: &str| {
            let replaced =
                mask.replace_all(text, |c: &regex::Captures<'_>| format!("{}-{}", &c[1], if c.get(2).is_some() { "POD" } else { "RS" }));
            replaced.into_owned()
        };
        let mut lines: Vec<String> = self
            .world
            .store
            .list(Kind::EVENT, Some("app"))
            .map(|e| {
                let about = e.get("involvedObject");
                let count = e.get("count").as_i64().or(e.at(&["series", "count"]).as_i64()).unwrap_or(1);
                let line = format!(
                    "{}/{} {} {} x{count} {}",
                    about.get("kind").text().to_lowercase(),
                    about.get("name").text(),
                    e.get("type").text(),
                    e.get("reason").text(),
                    e.get("message").text()
                );
                masked(&line)
            })
            .collect();
        lines.sort();
        lines
    }
}
