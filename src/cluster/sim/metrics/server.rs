//! The resource metrics API (`metrics.k8s.io/v1beta1`), as metrics-server 0.8 answers it: what containers and nodes use at present.
//!
//! Every [`SCRAPE`] all kubelets are asked for points: CPU time so far and working set, as of some seconds earlier, when cAdvisor last
//! looked. Two points of a container make its usage, so one that has just started has none, unless it is old enough (ten seconds) for its
//! start to be the first point; a pod is shown when each of its running containers has two. A node whose kubelet is stopped is left out.
//!
//! Not modelled: metrics-server itself (its Deployment, its APIService, its failures), swap, `watch`, points of a kubelet that was stopped
//! and started again within the last half minute.

use super::load::Counts;
use super::{SCRAPE, Scene, Subject, cpu, memory, scraped};
use crate::cluster::sim::api::call::Call;
use crate::cluster::sim::api::errors;
use crate::cluster::sim::history::ContainerRun;
use crate::cluster::sim::kubelet;
use crate::cluster::sim::store::{Key, Kind};
use crate::cluster::sim::world::World;
use crate::cluster::{ApiError, ReplyBody, Verb};
use crate::object;
use crate::object::quantity::{Format, Quantity};
use crate::object::{FieldSelector, Json, Object, ResourceType, Selector};
use crate::rng::Key as RandomKey;
use crate::time::SimTime;
use arcstr::ArcStr;
use std::collections::BTreeMap;
use std::time::Duration;

/// The API group.
pub const GROUP: &str = "metrics.k8s.io";

/// How old a container has to be for its start to be its first point.
const FRESH: Duration = Duration::from_secs(10);

/// cAdvisor looks at a container at least this often, and at the node as a whole just as often, in milliseconds.
const HOUSEKEEPING_MS: u64 = 10_000;

/// What a node spends on its kubelet, its container runtime and its kernel, in cores, and on every pod besides.
const NODE_CPU: f64 = 0.045;
const NODE_CPU_POD: f64 = 0.0012;

/// What these hold in memory, pages of files that are in use included, in bytes, and for every pod besides.
const NODE_MEMORY: f64 = 612e6;
const NODE_MEMORY_POD: f64 = 4.2e6;

/// The kinds that metrics-server serves.
pub fn kinds() -> [ResourceType; 2] {
    [("NodeMetrics", "nodes", false), ("PodMetrics", "pods", true)].map(|(kind, plural, namespaced)| ResourceType {
        group: GROUP.to_owned(),
        version: "v1beta1".to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        // Discovery names none; clients make it of the kind.
        singular: kind.to_lowercase(),
        short_names: Vec::new(),
        namespaced,
        categories: Vec::new(),
        verbs: ["get", "list"].map(str::to_owned).to_vec(),
    })
}

/// Answers a request that the caller may make.
///
/// # Errors
/// What does not exist, or is not measured yet, by name; anything but reads.
pub fn answer(world: &World, call: &Call<'_>) -> Result<ReplyBody, ApiError> {
    let kind = if call.resource.namespaced { Kind::POD } else { Kind::NODE };
    match call.request.verb {
        Verb::Get if call.request.subresource.is_none() => {
            let key = Key { kind, ..call.key() };
            let object = world.store.get(&key).ok_or_else(|| unknown(world, &key))?;
            let measured = measure(world, kind, vec![object.clone()]).pop();
            measured.map(ReplyBody::Object).ok_or_else(|| unmeasured(&call.resource, &key))
        }
        Verb::List => {
            let items = measure(world, kind, chosen(world, call, kind)?);
            Ok(ReplyBody::List { resource_version: ArcStr::new(), items })
        }
        _ => Err(errors::method_not_allowed()),
    }
}

/// The answer about something that is not there. Nodes are called by their singular.
fn unknown(world: &World, key: &Key) -> ApiError {
    let kind = world.store.resource(key.kind);
    if key.kind == Kind::POD {
        return ApiError::not_found(kind, &key.name);
    }
    ApiError::not_found(&ResourceType { plural: kind.singular.clone(), ..(**kind).clone() }, &key.name)
}

/// The answer about something that is there and has no metrics.
fn unmeasured(resource: &ResourceType, key: &Key) -> ApiError {
    let name = if key.namespace.is_empty() { key.name.to_string() } else { format!("{}/{}", key.namespace, key.name) };
    let named = ResourceType { plural: resource.kind.to_lowercase(), ..resource.clone() };
    ApiError::not_found(&named, &name)
}

/// The pods or nodes that a list is about.
fn chosen(world: &World, call: &Call<'_>, kind: Kind) -> Result<Vec<Object>, ApiError> {
    let options = &call.request.options;
    let namespace = call.request.namespace.as_deref().filter(|_| call.resource.namespaced);
    let labels = Selector::parse(&options.label_selector).map_err(errors::bad_request)?;
    let fields = FieldSelector::parse(&options.field_selector).map_err(errors::bad_request)?;
    if let Some(field) =
        fields.0.iter().map(|term| term.field.as_str()).find(|field| !["metadata.name", "metadata.namespace"].contains(field))
    {
        let known = "only \"metadata.name\", \"metadata.namespace\"";
        return Err(errors::bad_request(format!("{} is not a known field selector: {known}", errors::quote(field))));
    }
    let all = world.store.list(kind, namespace).filter(|o| labels.matches(o.meta().get("labels")) && fields.matches(o));
    let mut all: Vec<Object> = all.cloned().collect();
    all.sort_by(|a, b| (a.namespace(), a.name()).cmp(&(b.namespace(), b.name())));
    Ok(all)
}

/// Metrics of the pods or nodes that have some.
fn measure(world: &World, kind: Kind, objects: Vec<Object>) -> Vec<Object> {
    let last = scraped(world, "metrics-server", "", world.now);
    let mut server = Server { world, last, before: last - SCRAPE, scenes: BTreeMap::new() };
    if kind == Kind::NODE {
        return objects.iter().filter_map(|node| server.node(node)).collect();
    }
    objects.iter().filter_map(|pod| server.pod(pod)).collect()
}

/// A namespace with its load, counted as of the last two scrapes.
struct Place<'w> {
    scene: Scene<'w>,
    counts: [Counts; 2],
}

/// All that metrics-server knows.
struct Server<'w> {
    world: &'w World,
    /// The last two scrapes.
    last: SimTime,
    before: SimTime,
    scenes: BTreeMap<ArcStr, Place<'w>>,
}

/// Usage over a window, as of an instant.
#[derive(Clone, Copy)]
struct Usage {
    cpu: f64,
    memory: f64,
    at: SimTime,
    window: Duration,
}

impl Usage {
    fn amounts(&self) -> Json {
        let nanos = Quantity::from_nanos((self.cpu * 1e9) as i64);
        let bytes = Quantity::from_bytes(self.memory as i64).with_format(Format::BinarySi);
        object! { "cpu" => nanos, "memory" => bytes }
    }
}

impl<'w> Server<'w> {
    fn place(&mut self, namespace: &ArcStr) -> &Place<'w> {
        let (world, last, before) = (self.world, self.last, self.before);
        self.scenes.entry(namespace.clone()).or_insert_with(|| {
            let scene = Scene::of(world, namespace, last);
            let counts = [scene.load.counts(last), scene.load.counts(before)];
            Place { scene, counts }
        })
    }

    /// Whether a node's kubelet answered the last two scrapes.
    fn is_asked(&self, node: &str) -> bool {
        kubelet::stopped_at(self.world, node).is_none_or(|stopped| stopped > self.last)
    }

    fn pod(&mut self, pod: &Object) -> Option<Object> {
        let (last, before) = (self.last, self.before);
        if !self.is_asked(pod.spec().get("nodeName").text()) {
            return None;
        }
        let place = self.place(pod.meta().get("namespace").as_text()?);
        let own = |found: &&super::Pod<'_>| found.lives.first().is_some_and(|life| life.run.launch.pod_uid == pod.uid());
        let lives = &place.scene.pods.iter().find(own)?.lives;
        let mut containers = Vec::new();
        let mut earliest: Option<Usage> = None;
        for life in lives.iter().filter(|life| life.is_alive(last)) {
            let Some(at) = looked(life.run, last) else { continue };
            let start = life.run.started_at;
            let age = at.since(start);
            let first = if age < SCRAPE && age >= FRESH { start } else { looked(life.run, before).filter(|first| *first > start)? };
            let usage = place.usage(life, first, at);
            earliest = earliest.filter(|known| known.at <= usage.at).or(Some(usage));
            containers.push(object! { "name" => &life.run.launch.container, "usage" => usage.amounts() });
        }
        // A pod of which no container runs has no points at all.
        Some(self.shown("PodMetrics", pod, earliest?, ("containers", containers.into())))
    }

    fn node(&mut self, node: &Object) -> Option<Object> {
        let (last, before) = (self.last, self.before);
        if !self.is_asked(node.name()) || node_start(node).is_none_or(|start| start > before) {
            return None;
        }
        let runs = self.world.history.all_runs().filter(|run| run.launch.node == node.name() && run.started_at <= last);
        let mut namespaces: Vec<ArcStr> = runs.map(|run| run.launch.namespace.clone()).collect();
        namespaces.sort();
        namespaces.dedup();
        let (mut cpu, mut memory) = (NODE_CPU * (1.0 + wander(self.world, node.name(), last)), NODE_MEMORY);
        for namespace in namespaces {
            let place = self.place(&namespace);
            for pod in &place.scene.pods {
                let here = pod.lives.first().is_some_and(|life| life.run.launch.node == node.name());
                if !here || !pod.is_there(last) {
                    continue;
                }
                cpu += NODE_CPU_POD;
                memory += NODE_MEMORY_POD;
                for life in &pod.lives {
                    cpu += place.spent(life).0 / SCRAPE.as_secs_f64();
                    memory += if life.is_alive(last) { place.usage(life, before, last).memory } else { 0.0 };
                }
            }
        }
        memory *= 1.0 + 0.1 * wander(self.world, node.name(), last);
        let (at, first) = (looked_at_node(node.name(), last), looked_at_node(node.name(), before));
        let usage = Usage { cpu, memory: libm::floor(memory / 4096.0) * 4096.0, at, window: at.since(first) };
        Some(self.shown("NodeMetrics", node, usage, ("usage", usage.amounts())))
    }

    fn shown(&self, kind: &str, of: &Object, usage: Usage, (field, value): (&str, Json)) -> Object {
        let mut meta = object! { "name" => of.name(), "creationTimestamp" => self.world.now.rfc3339() };
        if !of.namespace().is_empty() {
            meta.set("namespace", of.namespace());
        }
        if !of.meta().get("labels").is_null() {
            meta.set("labels", of.meta().get("labels"));
        }
        let mut object = object! {
            "kind" => kind, "apiVersion" => "metrics.k8s.io/v1beta1", "metadata" => meta,
            "timestamp" => usage.at.rfc3339(), "window" => seconds(usage.window),
        };
        object.set(field, value);
        Object(object)
    }
}

impl Place<'_> {
    /// A run at an instant of its life.
    fn subject<'a>(&'a self, life: &'a super::Life<'_>, at: SimTime, counts: &'a Counts) -> Subject<'a> {
        let at = life.run.end.as_ref().map_or(at, |end| end.at.min(at)).max(life.run.started_at);
        let (seed, instance) = (self.scene.world.seed, life.instance.as_deref());
        Subject { seed, at, run: life.run, instance, load: &self.scene.load, counts }
    }

    /// CPU seconds that a run spent between the last two scrapes, and seconds of these that it was there.
    fn spent(&self, life: &super::Life<'_>) -> (f64, f64) {
        let [last, before] = &self.counts;
        let (now, then) = (self.subject(life, last.at(), last), self.subject(life, before.at(), before));
        let spent = cpu::spent(&now).usage - cpu::spent(&then).usage;
        (spent.max(0.0), now.at.since(then.at).as_secs_f64())
    }

    /// What a run used between two instants. Arrivals are counted between scrapes, which are some seconds later.
    fn usage(&self, life: &super::Life<'_>, from: SimTime, at: SimTime) -> Usage {
        let (spent, seconds) = self.spent(life);
        let cpu = if seconds > 0.0 { spent / seconds } else { 0.0 };
        let memory = memory::used(&self.subject(life, at, &self.counts[0])).working_set;
        Usage { cpu, memory: libm::floor(memory / 4096.0) * 4096.0, at, window: at.since(from) }
    }
}

/// When cAdvisor had last looked at a run when a scrape came; `None` before it ever did.
fn looked(run: &ContainerRun, scrape: SimTime) -> Option<SimTime> {
    let key = RandomKey::new(run.id.0).part("cadvisor").number(scrape.as_nanos());
    let at = scrape - Duration::from_millis(key.stream().below(HOUSEKEEPING_MS));
    (at > run.started_at).then_some(at)
}

/// When cAdvisor had last looked at a node as a whole when a scrape came.
fn looked_at_node(node: &str, scrape: SimTime) -> SimTime {
    let every = HOUSEKEEPING_MS * 1_000_000;
    let phase = RandomKey::new(0).part("cadvisor").part(node).stream().below(every);
    let late = RandomKey::new(scrape.as_nanos()).part(node).stream().below(100);
    let at = scrape.as_nanos().saturating_sub(phase);
    SimTime::from_nanos(at - at % every + phase).min(scrape - Duration::from_millis(100)) + Duration::from_millis(late)
}

/// Between -1 and 1 from minute to minute, times a small share.
fn wander(world: &World, node: &str, at: SimTime) -> f64 {
    let key = RandomKey::new(world.seed).part("node").part(node).number(at.as_nanos() / SCRAPE.as_nanos() as u64);
    key.stream().range(-0.12, 0.12)
}

fn node_start(node: &Object) -> Option<SimTime> {
    SimTime::parse_rfc3339(node.meta().get("creationTimestamp").text())
}

/// A span as Go prints it, to the millisecond: `14.976s`.
fn seconds(span: Duration) -> String {
    format!("{}s", span.as_millis() as f64 / 1e3)
}
