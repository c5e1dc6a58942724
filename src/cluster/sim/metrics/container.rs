//! cAdvisor's series of a pod and its containers.
//!
//! Not modelled: bytes of probes, of start-up, of Consul's and Jaeger's own traffic; drops and errors of interfaces (lost packets are
//! dropped by rules and queues, which interfaces do not count); per-filesystem series.

use super::super::flow::sharing::PERIOD_S;
use super::load::Counts;
use super::{Found, Life, Place, Pod, Scene, Subject, cpu, memory};
use crate::time::SimTime;
use arcstr::ArcStr;

/// Memory and CPU time of the process that holds a pod's namespaces.
const PAUSE_BYTES: f64 = 270_336.0;
const PAUSE_CPU_S: f64 = 0.02;

/// What a node's kubelet tells of one pod at a scrape.
pub(super) fn scrape(
    scene: &Scene<'_>,
    (index, pod): (usize, &Pod<'_>),
    (at, counts): (SimTime, &Counts),
    instant: SimTime,
    found: &mut Found<'_>,
) {
    let (mut spent, mut used, mut threads) = (cpu::Spent::default(), memory::Memory::default(), 0.0);
    for (life_at, life) in pod.lives.iter().enumerate().filter(|(_, life)| life.run.started_at <= at) {
        let subject = scene.subject(life, at, counts);
        let own = cpu::spent(&subject);
        spent = sum(&spent, &own);
        if life.is_alive(at) {
            let memory = memory::used(&subject);
            let own_threads = subject.program().map_or(1.0, |program| memory::threads(program.behaviour));
            let place = Place::Container(index, life_at);
            times(place, &own, subject.run.launch.resources.cpu_limit_m.is_some(), instant, found);
            amounts(place, &memory, own_threads, instant, found);
            limits(place, &subject, instant, found);
            used = both(&used, &memory);
            threads += own_threads;
        }
    }
    let place = Place::Pod(index);
    spent.usage += PAUSE_CPU_S;
    used = both(&used, &memory::Memory { rss: PAUSE_BYTES / 2.0, working_set: PAUSE_BYTES, usage: PAUSE_BYTES, cache: 0.0, mapped: 0.0 });
    let limited = pod.lives.iter().any(|life| life.run.launch.resources.cpu_limit_m.is_some());
    times(place, &spent, limited, instant, found);
    amounts(place, &used, threads + 1.0, instant, found);
    network(scene, (index, pod), counts, instant, found);
}

fn sum(a: &cpu::Spent, b: &cpu::Spent) -> cpu::Spent {
    cpu::Spent {
        usage: a.usage + b.usage,
        periods: a.periods + b.periods,
        throttled: a.throttled + b.throttled,
        waited: a.waited + b.waited,
    }
}

fn both(a: &memory::Memory, b: &memory::Memory) -> memory::Memory {
    memory::Memory {
        rss: a.rss + b.rss,
        cache: a.cache + b.cache,
        mapped: a.mapped + b.mapped,
        working_set: a.working_set + b.working_set,
        usage: a.usage + b.usage,
    }
}

fn times(place: Place, spent: &cpu::Spent, limited: bool, instant: SimTime, found: &mut Found<'_>) {
    let micro = |seconds: f64| libm::floor(seconds * 1e6) / 1e6;
    let mut add = |name, value| found.add(place, name, Vec::new(), (instant, value));
    add("container_cpu_usage_seconds_total", micro(spent.usage));
    add("container_cpu_user_seconds_total", micro(spent.user()));
    add("container_cpu_system_seconds_total", micro(spent.system()));
    add("container_cpu_load_average_10s", 0.0);
    if limited {
        add("container_cpu_cfs_periods_total", libm::floor(spent.periods));
        add("container_cpu_cfs_throttled_periods_total", libm::floor(spent.throttled));
        add("container_cpu_cfs_throttled_seconds_total", micro(spent.waited));
    }
}

fn amounts(place: Place, used: &memory::Memory, threads: f64, instant: SimTime, found: &mut Found<'_>) {
    let pages = |bytes: f64| libm::floor(bytes / 4096.0) * 4096.0;
    let mut add = |name, value| found.add(place, name, Vec::new(), (instant, value));
    add("container_memory_usage_bytes", pages(used.usage));
    add("container_memory_working_set_bytes", pages(used.working_set));
    add("container_memory_rss", pages(used.rss));
    add("container_memory_cache", pages(used.cache));
    add("container_memory_mapped_file", pages(used.mapped));
    add("container_threads", threads);
    // Nothing limits them.
    add("container_threads_max", 0.0);
}

fn limits(place: Place, subject: &Subject<'_>, instant: SimTime, found: &mut Found<'_>) {
    let launch = &subject.run.launch;
    let mut add = |name, value| found.add(place, name, Vec::new(), (instant, value));
    add("container_start_time_seconds", subject.run.started_at.as_secs() as f64);
    add("container_spec_cpu_period", PERIOD_S * 1e6);
    if let Some(limit) = launch.resources.cpu_limit_m {
        add("container_spec_cpu_quota", (limit as f64 * 100.0).max(1000.0));
    }
    let shares = launch.resources.cpu_request_m.or(launch.resources.cpu_limit_m).map_or(2.0, |m| libm::floor(m as f64 * 1.024).max(2.0));
    add("container_spec_cpu_shares", shares);
    add("container_spec_memory_limit_bytes", launch.memory_limit.map_or(0.0, |bytes| bytes as f64));
    add("container_spec_memory_reservation_limit_bytes", 0.0);
    add("container_spec_memory_swap_limit_bytes", 0.0);
}

fn network(scene: &Scene<'_>, (index, pod): (usize, &Pod<'_>), counts: &Counts, instant: SimTime, found: &mut Found<'_>) {
    let total = scene.exchanged(pod, counts);
    let whole = |value: f64| libm::floor(value + 1e-6);
    let mut add = |name, value| found.add(Place::Network(index), name, Vec::new(), (instant, value));
    add("container_network_receive_bytes_total", whole(total.received.0));
    add("container_network_receive_packets_total", whole(total.received.1));
    add("container_network_receive_errors_total", 0.0);
    add("container_network_receive_packets_dropped_total", 0.0);
    add("container_network_transmit_bytes_total", whole(total.sent.0));
    add("container_network_transmit_packets_total", whole(total.sent.1));
    add("container_network_transmit_errors_total", 0.0);
    add("container_network_transmit_packets_dropped_total", 0.0);
}

/// The cgroup of a pod or one of its containers, as systemd names it.
pub(super) fn cgroup(pod: Option<&Pod<'_>>, container: Option<&ArcStr>) -> String {
    let Some(first) = pod.and_then(|pod| pod.lives.first()) else { return String::new() };
    let lives = pod.map_or(&[][..], |pod| pod.lives.as_slice());
    let uid = first.run.launch.pod_uid.replace('-', "_");
    let (parent, name) = match class(lives) {
        "" => ("kubepods.slice".to_owned(), format!("kubepods-pod{uid}.slice")),
        class => (format!("kubepods.slice/kubepods-{class}.slice"), format!("kubepods-{class}-pod{uid}.slice")),
    };
    let scope = container.map_or_else(String::new, |id| format!("/cri-containerd-{id}.scope"));
    format!("/{parent}/{name}{scope}")
}

/// The quality of service as cgroups name it: empty when guaranteed.
fn class(lives: &[Life<'_>]) -> &'static str {
    let held = |life: &Life<'_>| {
        let (launch, asked) = (&life.run.launch, &life.run.launch.resources);
        let cpu = asked.cpu_limit_m.is_some() && asked.cpu_request_m.is_none_or(|request| Some(request) == asked.cpu_limit_m);
        cpu && launch.memory_limit.is_some() && asked.memory_request.is_none_or(|request| Some(request) == launch.memory_limit)
    };
    let asks = |life: &Life<'_>| {
        let (launch, asked) = (&life.run.launch, &life.run.launch.resources);
        asked.cpu_request_m.is_some() || asked.cpu_limit_m.is_some() || asked.memory_request.is_some() || launch.memory_limit.is_some()
    };
    match () {
        () if lives.iter().all(held) => "",
        () if lives.iter().any(asks) => "burstable",
        () => "besteffort",
    }
}
