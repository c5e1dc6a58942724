//! Metrics, derived: what a Prometheus would have collected, from recorded history alone.
//!
//! A sample is a function of a target, an instant and the history up to that instant: container runs, regimes of the load, requests
//! made by hand. Nothing is collected or kept. Every target is scraped every [`SCRAPE`] at an offset of its own that the seed gives;
//! AIOpsLab's Prometheus scrapes once a minute and is asked in steps of 15 seconds, which shows each value four times and leaves five
//! values in the five minutes that agents look back, so here it is 15 seconds.
//!
//! * `work`: what one request of a flow does, in expectation; `load`: that times counts of arrivals, by process.
//! * `cpu`, `memory`, `container`: cAdvisor's series of a container and its pod.
//! * `requests`: what programs count themselves.
//! * `server`: metrics-server, which has scrapes of its own.
//!
//! Not modelled: scrapes that fail (a stopped kubelet's node keeps its series), cAdvisor's own housekeeping interval and timestamps,
//! containers of other namespaces than an application's that are asked for by name.

mod container;
mod cpu;
pub mod load;
pub mod memory;
mod requests;
pub mod server;
pub mod work;

use super::api::rbac;
use super::history::ContainerRun;
use super::programs;
use super::store::Kind;
use super::world::World;
use crate::app::{Behaviour, Instance, Port, Program, Start};
use crate::cluster::{ApiError, ApiRequest, Identity, MetricsQuery};
use crate::rng::Key as RandomKey;
use crate::telemetry::{BOUNDS, Series};
use crate::time::SimTime;
use arcstr::ArcStr;
use load::{Counts, Load};
use requests::Requests;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// From one scrape of a target to the next.
pub const SCRAPE: Duration = Duration::from_secs(15);

/// The metrics of a namespace.
///
/// # Errors
/// When the asker may not list its pods.
pub fn metrics(world: &World, who: &Identity, query: &MetricsQuery) -> Result<Vec<Series>, ApiError> {
    let pods = world.store.resource(Kind::POD);
    rbac::authorize(world, who, &ApiRequest::list(pods, Some(&query.namespace)), pods)?;
    Ok(derive(world, query))
}

/// The metrics of a namespace, whoever asks.
pub fn derive(world: &World, query: &MetricsQuery) -> Vec<Series> {
    let query = MetricsQuery { until: query.until.min(world.now), ..query.clone() };
    let instants = query.instants();
    let Some(last) = instants.last().copied() else { return Vec::new() };
    let scene = Scene::of(world, &query.namespace, last);
    let mut found = Found { query: &query, series: BTreeMap::new() };
    scene.containers(&instants, &mut found);
    scene.applications(&instants, &mut found);
    scene.restarts(&instants, &mut found);
    let named = |((place, name, more), samples): (Seat, Vec<(SimTime, f64)>)| {
        let mut labels = scene.labels(place);
        labels.extend(more);
        labels.sort();
        Series { name: name.into(), labels, samples }
    };
    let mut series: Vec<Series> = found.series.into_iter().map(named).collect();
    series.sort_by(|a, b| (&a.name, &a.labels).cmp(&(&b.name, &b.labels)));
    series
}

/// A run and its program.
struct Life<'w> {
    run: &'w ContainerRun,
    instance: Option<Arc<Instance>>,
}

impl Life<'_> {
    fn is_alive(&self, at: SimTime) -> bool {
        self.run.started_at <= at && self.run.end.as_ref().is_none_or(|end| at < end.at)
    }
}

/// A pod with the runs of its containers, oldest first.
struct Pod<'w> {
    lives: Vec<Life<'w>>,
    gone: Option<SimTime>,
}

impl Pod<'_> {
    fn is_there(&self, at: SimTime) -> bool {
        self.lives.first().is_some_and(|life| life.run.started_at <= at) && self.gone.is_none_or(|gone| at < gone)
    }
}

/// A run at an instant.
struct Subject<'a> {
    seed: u64,
    /// The instant, at most that of its end.
    at: SimTime,
    run: &'a ContainerRun,
    instance: Option<&'a Instance>,
    load: &'a Load<'a>,
    counts: &'a Counts,
}

impl Subject<'_> {
    /// Seconds since its start.
    fn alive(&self) -> f64 {
        self.at.since(self.run.started_at).as_secs_f64()
    }

    fn program(&self) -> Option<&Program> {
        self.instance.map(|instance| &*instance.program)
    }
}

/// Whose series it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// A pod's cgroup.
    Pod(usize),
    /// A pod's network interface.
    Network(usize),
    /// A run of a container.
    Container(usize, usize),
    /// A container, as the API server tells of it.
    Restarts(usize, usize),
    /// A program's own.
    Application(usize, usize),
}

/// A series: whose, its name, further labels.
type Seat = (Place, &'static str, Vec<(ArcStr, ArcStr)>);

/// Series as they grow.
struct Found<'q> {
    query: &'q MetricsQuery,
    series: BTreeMap<Seat, Vec<(SimTime, f64)>>,
}

impl Found<'_> {
    fn wants_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.query.wants(name))
    }

    fn add(&mut self, place: Place, name: &'static str, more: Vec<(ArcStr, ArcStr)>, sample: (SimTime, f64)) {
        if self.query.wants(name) {
            self.series.entry((place, name, more)).or_default().push(sample);
        }
    }
}

/// All that metrics of a namespace derive from.
struct Scene<'w> {
    world: &'w World,
    namespace: ArcStr,
    load: Load<'w>,
    pods: Vec<Pod<'w>>,
}

/// When a target was scraped last.
fn scraped(world: &World, job: &str, target: &str, by: SimTime) -> SimTime {
    let every = SCRAPE.as_nanos() as u64;
    let offset = RandomKey::new(world.seed).part("scrape").part(job).part(target).stream().below(every);
    let since = by.as_nanos().saturating_sub(offset);
    SimTime::from_nanos(since - since % every + offset)
}

fn whole(count: f64) -> f64 {
    libm::floor(count + 1e-6)
}

fn text(name: &str, value: impl Into<ArcStr>) -> (ArcStr, ArcStr) {
    (name.into(), value.into())
}

impl<'w> Scene<'w> {
    fn of(world: &'w World, namespace: &str, until: SimTime) -> Scene<'w> {
        let mut pods: Vec<Pod<'w>> = Vec::new();
        let mut places: BTreeMap<&ArcStr, usize> = BTreeMap::new();
        for run in world.history.all_runs().filter(|run| run.launch.namespace == namespace && run.started_at <= until) {
            let life = Life { run, instance: programs::instance(world, run.id) };
            match places.get(&run.launch.pod_uid).and_then(|at| pods.get_mut(*at)) {
                Some(pod) => pod.lives.push(life),
                None => {
                    places.insert(&run.launch.pod_uid, pods.len());
                    pods.push(Pod { lives: vec![life], gone: world.history.gone_at(&run.launch.pod_uid) });
                }
            }
        }
        Scene { world, namespace: namespace.into(), load: Load::of(world, namespace, until), pods }
    }

    fn subject<'a>(&'a self, life: &'a Life<'w>, at: SimTime, counts: &'a Counts) -> Subject<'a> {
        let at = life.run.end.as_ref().map_or(at, |end| end.at.min(at));
        Subject { seed: self.world.seed, at, run: life.run, instance: life.instance.as_deref(), load: &self.load, counts }
    }

    /// cAdvisor's series: each kubelet is a target.
    fn containers(&self, instants: &[SimTime], found: &mut Found<'_>) {
        if !found.query.names.is_empty() && !found.query.names.iter().any(|name| name.starts_with("container_")) {
            return;
        }
        let mut nodes: Vec<&ArcStr> = self.pods.iter().flat_map(|pod| pod.lives.first()).map(|life| &life.run.launch.node).collect();
        nodes.sort();
        nodes.dedup();
        for node in nodes {
            for instant in instants {
                let at = scraped(self.world, "kubernetes-cadvisor", node, *instant);
                let counts = self.load.counts(at);
                for (index, pod) in self.pods.iter().enumerate() {
                    let here = pod.lives.first().is_some_and(|life| life.run.launch.node == *node);
                    if here && pod.is_there(at) {
                        container::scrape(self, (index, pod), (at, &counts), *instant, found);
                    }
                }
            }
        }
    }

    /// What programs count themselves: each process is a target.
    fn applications(&self, instants: &[SimTime], found: &mut Found<'_>) {
        let timed = found.wants_any(&["request_duration_seconds_bucket", "request_duration_seconds_sum"]);
        if !timed && !found.wants_any(&["requests_total", "request_duration_seconds_count", "process_start_time_seconds"]) {
            return;
        }
        let Some(last) = instants.last() else { return };
        let requests = Requests::of(self.world, &self.load, *last, timed);
        for (pod_at, pod) in self.pods.iter().enumerate() {
            for (life_at, life) in pod.lives.iter().enumerate().filter(|(_, life)| is_application(life)) {
                for instant in instants {
                    let at = scraped(self.world, "kubernetes-pods", &life.run.launch.pod_uid, *instant);
                    if life.is_alive(at) {
                        self.application((pod_at, life_at, life), (at, &requests), *instant, found);
                    }
                }
            }
        }
    }

    fn application(
        &self,
        (pod, at, life): (usize, usize, &Life<'_>),
        scrape: (SimTime, &Requests),
        instant: SimTime,
        found: &mut Found<'_>,
    ) {
        let (place, (now, requests)) = (Place::Application(pod, at), scrape);
        found.add(place, "process_start_time_seconds", Vec::new(), (instant, life.run.started_at.as_nanos() as f64 / 1e9));
        let service = life.instance.as_ref().map_or_else(ArcStr::new, |instance| instance.program.service.clone());
        for ((_, operation), counted) in requests.counted(&self.load, &self.load.counts(now), (life.run.id, now)) {
            let labels = || vec![text("service", service.clone()), text("operation", operation.clone())];
            for (status, count) in &counted.by_status {
                let count = whole(*count);
                if count > 0.0 {
                    let mut labels = labels();
                    labels.push(text("status", status.clone()));
                    found.add(place, "requests_total", labels, (instant, count));
                }
            }
            let all = whole(counted.all);
            if all <= 0.0 {
                continue;
            }
            for (bucket, bound) in counted.buckets.iter().zip(BOUNDS) {
                let mut labels = labels();
                labels.push(text("le", bound.to_string()));
                found.add(place, "request_duration_seconds_bucket", labels, (instant, whole(*bucket).min(all)));
            }
            let mut last = labels();
            last.push(text("le", "+Inf"));
            found.add(place, "request_duration_seconds_bucket", last, (instant, all));
            found.add(place, "request_duration_seconds_sum", labels(), (instant, counted.seconds));
            found.add(place, "request_duration_seconds_count", labels(), (instant, all));
        }
    }

    /// Restarts, as kube-state-metrics tells them.
    fn restarts(&self, instants: &[SimTime], found: &mut Found<'_>) {
        let name = "kube_pod_container_status_restarts_total";
        if !found.query.wants(name) {
            return;
        }
        for instant in instants {
            let at = scraped(self.world, "kube-state-metrics", "", *instant);
            for (index, pod) in self.pods.iter().enumerate().filter(|(_, pod)| pod.is_there(at)) {
                let mut latest: BTreeMap<&ArcStr, (usize, u32)> = BTreeMap::new();
                for (life_at, life) in pod.lives.iter().enumerate().filter(|(_, life)| life.run.started_at <= at) {
                    let first = latest.get(&life.run.launch.container).map_or(life_at, |(first, _)| *first);
                    latest.insert(&life.run.launch.container, (first, life.run.restart));
                }
                let uid = pod.lives.first().map_or("", |life| life.run.launch.pod_uid.as_str());
                for refusal in self.world.history.refusals(uid).filter(|refusal| refusal.at <= at) {
                    if let Some((_, restart)) = latest.get_mut(&refusal.container) {
                        *restart = (*restart).max(refusal.restart);
                    }
                }
                for (life_at, restart) in latest.values() {
                    found.add(Place::Restarts(index, *life_at), name, Vec::new(), (*instant, f64::from(*restart)));
                }
            }
        }
    }

    fn labels(&self, place: Place) -> Vec<(ArcStr, ArcStr)> {
        let life = |pod: usize, at: usize| self.pods.get(pod).and_then(|pod| pod.lives.get(at));
        let mut labels = vec![text("namespace", self.namespace.clone())];
        match place {
            Place::Pod(pod) | Place::Network(pod) => {
                let Some(launch) = life(pod, 0).map(|life| &life.run.launch) else { return labels };
                labels.extend([text("instance", launch.node.clone()), text("job", "kubernetes-cadvisor")]);
                labels.extend([text("pod", launch.pod.clone()), text("id", container::cgroup(self.pods.get(pod), None))]);
                if matches!(place, Place::Network(_)) {
                    labels.extend([text("interface", "eth0"), text("image", "registry.k8s.io/pause:3.10")]);
                }
            }
            Place::Container(pod, at) => {
                let Some(life) = life(pod, at) else { return labels };
                let launch = &life.run.launch;
                labels.extend([text("instance", launch.node.clone()), text("job", "kubernetes-cadvisor"), text("pod", launch.pod.clone())]);
                labels.extend([text("container", launch.container.clone()), text("image", launch.image.clone())]);
                labels.extend([
                    text("name", life.run.container_id.clone()),
                    text("id", container::cgroup(self.pods.get(pod), Some(&life.run.container_id))),
                ]);
            }
            Place::Restarts(pod, at) => {
                let Some(launch) = life(pod, at).map(|life| &life.run.launch) else { return labels };
                labels.extend([text("instance", "kube-state-metrics"), text("job", "kube-state-metrics"), text("pod", launch.pod.clone())]);
                labels.extend([text("container", launch.container.clone()), text("uid", launch.pod_uid.clone())]);
            }
            Place::Application(pod, at) => {
                let Some(life) = life(pod, at) else { return labels };
                let launch = &life.run.launch;
                let port = life.instance.as_ref().and_then(|instance| port(instance)).unwrap_or(0);
                labels.extend([text("instance", format!("{}:{port}", launch.pod_ip)), text("job", "kubernetes-pods")]);
                labels.extend([text("node", launch.node.clone()), text("pod", launch.pod.clone())]);
            }
        }
        labels
    }

    /// All that the runs of a pod have exchanged with others by then.
    fn exchanged(&self, pod: &Pod<'_>, counts: &Counts) -> load::Dose {
        let mut total = load::Dose::default();
        pod.lives.iter().for_each(|life| total.add(&self.load.total(life.run.id, counts), 1.0));
        total
    }
}

/// Whether a program counts its requests.
fn is_application(life: &Life<'_>) -> bool {
    let program = life.instance.as_ref().map(|instance| &instance.program);
    program.is_some_and(|p| p.behaviour == Behaviour::Service && !(p.operations.is_empty() && p.handlers.is_empty()))
}

/// The first port that a program opens.
fn port(instance: &Instance) -> Option<u16> {
    let opened = instance.program.start.iter().find_map(|step| match step {
        Start::Listen(ports) => ports.first(),
        _ => None,
    })?;
    match opened.port {
        Port::Fixed(port) => Some(port),
        Port::Setting(setting) => instance.setting(setting).rsplit(':').next()?.parse().ok(),
    }
}
