//! Logs, derived: the lines of a container's run out of what is remembered.
//!
//! A line comes from the run itself (start-up, crash), from something that it complained about, from the load (a walk of every
//! request that is known to write), or from a request made by hand. Nothing is stored for a line of the last two kinds, and
//! a reader who wants the last lines pays for those.
//!
//! Not modelled: log rotation as files (the last [`KEPT_BYTES`] of a run are kept), partial lines, separate streams.

use super::graph::{Act, Graph, Sequence, StoreWay};
use super::history::{Complaint, ContainerRun, RunId};
use super::network::{self, Origin, Reach, Transport};
use super::store::{Key, Kind};
use super::traffic::{PATIENCE, Plan, Regime};
use super::world::World;
use crate::cluster::{ApiError, LogQuery};
use crate::object::{Json, Object};
use crate::rng::Key as RandomKey;
use crate::time::SimTime;
use arcstr::ArcStr;
use std::time::Duration;

/// How much of a run's log is kept: `containerLogMaxSize` of the kubelet.
const KEPT_BYTES: usize = 10 << 20;

/// A stretch of a log that is derived at once, to begin with.
const FIRST_STRETCH: Duration = Duration::from_secs(4);

/// What takes longer than this in a graph without slow calls is cut to it, in the log.
const QUICK: Duration = Duration::from_secs(1);

/// So many requests that write may be under way at an instant of a log; of more, lines are cut to a shorter time after their request, so
/// that what a reader pays does not follow the rate.
const UNDER_WAY: f64 = 500.0;

/// Lines that are derived at once, at most, about.
const STRETCH_LINES: f64 = 25_000.0;

/// Lines with their times, oldest first.
type Lines = Vec<(SimTime, String)>;

/// The answer to `pods/log`.
///
/// # Errors
/// Those of the API server (no such pod or container) and of the kubelet (no log yet).
pub fn logs(world: &World, query: &LogQuery) -> Result<String, ApiError> {
    let key = Key::new(Kind::POD, query.namespace.clone(), query.pod.clone());
    let pod = world.store.get(&key).ok_or_else(|| ApiError::not_found(world.store.resource(Kind::POD), &query.pod))?;
    let container = container_of(pod, query.container.as_deref())?;
    let Some(node) = pod.spec().get("nodeName").as_text() else { return Ok(String::new()) };
    kubelet_answers(world, pod, node, &container)?;
    let Some(run) = run_of(world, pod, &container, query.previous)? else { return Ok(String::new()) };
    let mut text = String::new();
    for (at, line) in read(world, run, query.since, query.tail) {
        if query.timestamps {
            text.push_str(&format!("{:.9} ", at.timestamp()));
        }
        text.push_str(&line);
        text.push('\n');
    }
    if let Some(limit) = query.limit_bytes {
        let end = (0..=limit.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
    Ok(text)
}

fn bad_request(message: String) -> ApiError {
    ApiError::new(400, "BadRequest", message)
}

/// The container that is meant, as the API server decides.
fn container_of(pod: &Object, asked: Option<&str>) -> Result<ArcStr, ApiError> {
    let lists = ["initContainers", "containers", "ephemeralContainers"];
    let mut names = lists.iter().flat_map(|list| pod.spec().get(list).items()).filter_map(|c| c.get("name").as_text());
    match asked.filter(|name| !name.is_empty()) {
        Some(name) => match names.find(|n| *n == name) {
            Some(found) => Ok(found.clone()),
            None => Err(bad_request(format!("container {name} is not valid for pod {}", pod.name()))),
        },
        None => match pod.spec().get("containers").items() {
            [only] => Ok(only.get("name").as_text().cloned().unwrap_or_default()),
            _ => {
                let all: Vec<_> = names.map(ArcStr::as_str).collect();
                let text = format!("a container name must be specified for pod {}, choose one of: [{}]", pod.name(), all.join(" "));
                Err(bad_request(text))
            }
        },
    }
}

/// The API server fetches logs from the pod's kubelet.
fn kubelet_answers(world: &World, pod: &Object, node: &ArcStr, container: &str) -> Result<(), ApiError> {
    let Some(object) = world.store.get(&Key::new(Kind::NODE, "", node.clone())) else {
        return Err(ApiError::not_found(world.store.resource(Kind::NODE), node));
    };
    let address = super::network::address::node_address(object).unwrap_or_default();
    let control_plane = world.store.list(Kind::NODE, None).find(|n| n.label("node-role.kubernetes.io/control-plane").is_some());
    let from = control_plane.map_or(Origin::Workstation, |n| Origin::Node(n.name().into()));
    let connection = network::connect(world, &from, address, 10250, Transport::Tcp, 0);
    match connection.dial_error(address, "i/o timeout") {
        Some(error) if connection.reach != Reach::NoName => {
            let path = format!("/containerLogs/{}/{}/{container}", pod.namespace(), pod.name());
            Err(ApiError::new(500, "", format!("Get \"https://{address}:10250{path}\": {error}")))
        }
        _ => Ok(()),
    }
}

/// The run whose log is meant, as the kubelet decides from the container's status.
fn run_of(world: &World, pod: &Object, container: &str, previous: bool) -> Result<Option<RunId>, ApiError> {
    let quoted = format!("container {container:?} in pod {:?}", pod.name());
    let lists = ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"];
    let Some(status) = lists.iter().find_map(|list| pod.status().get(list).find("name", container)) else {
        return Err(bad_request(format!("{quoted} is not available")));
    };
    let of_container = |run: &&ContainerRun| run.launch.pod_uid == pod.uid() && run.launch.container == container;
    let runs: Vec<RunId> = world.history.runs().filter(of_container).map(|run| run.id).collect();
    let (state, last) = (status.get("state"), status.at(&["lastState", "terminated"]));
    let started = |terminated: &Json| !terminated.get("containerID").is_empty();
    let (newest, before) = (runs.last().copied(), runs.iter().rev().nth(1).copied());
    let present = !state.get("running").is_null() || started(state.get("terminated"));
    if previous {
        return match started(last) {
            true => Ok(if present { before } else { newest }),
            false => Err(bad_request(format!("previous terminated {quoted} not found"))),
        };
    }
    if present || started(last) {
        return Ok(newest);
    }
    if !state.get("terminated").is_null() || !last.is_null() {
        return Err(bad_request(format!("{quoted} is terminated")));
    }
    let why = match state.at(&["waiting", "reason"]).text() {
        _ if state.get("waiting").is_null() => return Err(bad_request(format!("{quoted} is waiting to start - no logs yet"))),
        "ErrImagePull" => "image can't be pulled",
        "ImagePullBackOff" => "trying and failing to pull image",
        reason => reason,
    };
    Err(bad_request(format!("{quoted} is waiting to start: {why}")))
}

/// The lines of a run by now: from `since` on, and only the last `tail`.
pub fn read(world: &World, run: RunId, since: Option<SimTime>, tail: Option<usize>) -> Lines {
    let Some(run) = world.history.run(run) else { return Lines::new() };
    let first = since.unwrap_or(SimTime::ZERO).max(run.started_at);
    let last = run.end.as_ref().map_or(world.now, |end| end.at).min(world.now);
    let wanted = tail.unwrap_or(usize::MAX);
    let mut pace = Pace::of(world, run, wanted);
    // Stretches from the end backwards, each with a clear bound; the first ends just after the last instant.
    let (mut stretches, mut count, mut bytes) = (Vec::new(), 0, 0);
    let mut until = last + Duration::from_nanos(1);
    while until > first && count < wanted && bytes < KEPT_BYTES {
        let from = pace.next(until, last, count).max(first);
        let lines = between(world, run, from, until);
        count += lines.len();
        bytes += lines.iter().map(|(_, line)| line.len() + 1).sum::<usize>();
        stretches.push(lines);
        until = from;
    }
    let mut lines: Lines = stretches.into_iter().rev().flatten().collect();
    let mut kept = 0;
    let fits = lines.iter().rev().take(wanted).take_while(|(_, line)| {
        kept += line.len() + 1;
        kept <= KEPT_BYTES
    });
    let keep = fits.count();
    lines.drain(..lines.len() - keep);
    lines
}

/// How long the stretches of a log are that are derived at once: long enough to be few, and hardly longer than what is wanted.
struct Pace {
    /// When requests made the run write: from, until, requests per second that write.
    busy: Vec<(SimTime, SimTime, f64)>,
    wanted: f64,
    length: Duration,
}

impl Pace {
    fn of(world: &World, run: &ContainerRun, wanted: usize) -> Pace {
        let regimes = world.history.regimes(&run.launch.namespace).filter(|regime| writes(&regime.plan.graph, run.id));
        let busy = |regime: &Regime| {
            let until = regime.until.map_or(SimTime::MAX, |until| until + latest(&regime.plan));
            (regime.from, until, noise(&regime.plan))
        };
        Pace { busy: regimes.map(busy).collect(), wanted: (wanted as f64).clamp(100.0, 1e6), length: Duration::ZERO }
    }

    /// Where the stretch that ends at `until` begins, when so many lines were found since `begun`.
    fn next(&mut self, until: SimTime, begun: SimTime, count: usize) -> SimTime {
        let before = || self.busy.iter().filter(|(from, ..)| *from < until);
        let Some(end) = before().map(|(_, end, _)| *end).max() else { return SimTime::ZERO };
        if end < until {
            return end;
        }
        let rate = before().filter(|(_, end, _)| *end >= until).map(|(.., rate)| *rate).fold(1.0, f64::max);
        let time_of = |lines: f64| Duration::from_secs_f64((lines / rate).max(1e-6));
        let so_far = begun.since(until);
        if self.length.is_zero() {
            self.length = FIRST_STRETCH.min(time_of(self.wanted));
        } else if count > 0 {
            let left = (self.wanted - count as f64).max(50.0) / count as f64;
            self.length = (self.length * 2).min(Duration::from_secs_f64((so_far.as_secs_f64() * left * 1.1).min(1e9)));
        } else {
            self.length *= 2;
        }
        self.length = self.length.min(time_of(STRETCH_LINES)).max(Duration::from_micros(1));
        until - self.length
    }
}

/// Whether requests can make a run write: some call that a vertex of its makes can fail, and it says so when one does.
fn writes(graph: &Graph, run: RunId) -> bool {
    graph.vertices.iter().any(|vertex| vertex.run == run && may_write(&vertex.body))
}

fn may_write(sequence: &Sequence) -> bool {
    sequence.acts.iter().any(|act| match act {
        Act::Compute(_) => false,
        Act::Call(call) => {
            call.on_error.log.is_some() && (call.late.share > 0.0 || call.attempt.iter().any(|(outcome, p)| p > 0.0 && !outcome.served()))
        }
        Act::Store(store) => {
            let fails = store.on_error.log.is_some() && matches!(store.way, StoreWay::Fails { .. });
            fails || store.miss.as_ref().is_some_and(|miss| may_write(&miss.body))
        }
        Act::Parallel { branches, .. } => branches.iter().any(may_write),
    })
}

/// Lines that a run wrote in `from..until`.
fn between(world: &World, run: &ContainerRun, from: SimTime, until: SimTime) -> Lines {
    let within = |at: SimTime| from <= at && at < until;
    let mut lines: Vec<(SimTime, String)> = Vec::new();
    lines.extend(run.lines.iter().filter(|(at, _)| within(*at)).map(|(at, text)| (*at, text.to_string())));
    for complaint in world.history.complaints(run.id) {
        complaints(world, complaint, (from, until), &mut lines);
    }
    for regime in world.history.regimes(&run.launch.namespace).rev() {
        if regime.until.is_some_and(|end| end + PATIENCE <= from) {
            break;
        }
        requests(world, regime, run.id, (from, until), &mut lines);
    }
    for visit in world.history.visits().rev() {
        if visit.at + visit.patience + QUICK < from {
            break;
        }
        let written = visit.walk(false, true).lines.into_iter();
        lines.extend(written.filter(|line| line.run == run.id && within(line.at)).map(|line| (line.at, line.text)));
    }
    lines.sort_by_key(|(at, _)| *at);
    if lines.iter().any(|(_, text)| text.contains('\n')) {
        let split = |(at, text): &(SimTime, String)| text.split('\n').map(|l| (*at, l.to_owned())).collect::<Vec<_>>();
        lines = lines.iter().flat_map(split).collect();
    }
    lines
}

/// Lines about something that lasts: the first at once, then at its pace, each within a fifth of it.
fn complaints(world: &World, complaint: &Complaint, window: (SimTime, SimTime), lines: &mut Lines) {
    let end = complaint.until.unwrap_or(window.1).min(window.1);
    let every = u64::try_from(complaint.every.as_nanos()).unwrap_or(u64::MAX).max(1_000_000);
    let back = window.0.as_nanos().saturating_sub(complaint.from.as_nanos());
    let key = RandomKey::new(world.seed).part("complaint").number(complaint.run.0).part(&complaint.about);
    let key = key.number(complaint.from.as_nanos());
    let mut index = (back / every).saturating_sub(1);
    loop {
        let shift = if index == 0 { 0 } else { key.clone().number(index).stream().below(every / 5) };
        let at = complaint.from + Duration::from_nanos(index.saturating_mul(every).saturating_add(shift));
        if at >= end {
            break;
        }
        if at >= window.0 {
            lines.push((at, complaint.line.render(at, &|name| (name == "error").then(|| complaint.error.clone()))));
        }
        index += 1;
    }
}

/// Requests per second that write lines.
fn noise(plan: &Plan) -> f64 {
    plan.flows.iter().filter(|flow| flow.outcome.noisy).map(|flow| flow.process.rate_per_s()).sum()
}

/// How long after its request a line may be written.
fn latest(plan: &Plan) -> Duration {
    let longest = if plan.graph.slow { PATIENCE } else { QUICK };
    Duration::from_secs_f64(longest.as_secs_f64().min(UNDER_WAY / noise(plan).max(1.0)))
}

/// Lines that requests of the load made a run write.
fn requests(world: &World, regime: &Regime, run: RunId, window: (SimTime, SimTime), lines: &mut Lines) {
    let late = latest(&regime.plan);
    let from = (window.0 - late).max(regime.from);
    let until = regime.until.unwrap_or(window.1).min(window.1);
    if !writes(&regime.plan.graph, run) {
        return;
    }
    for flow in regime.plan.flows.iter().filter(|flow| flow.outcome.noisy) {
        for arrival in flow.process.window(from, until, false) {
            let walked = regime.request(world.seed, flow, arrival, false, true);
            for line in walked.lines.into_iter().filter(|line| line.run == run) {
                let at = line.at.min(arrival.at + late);
                if window.0 <= at && at < window.1 {
                    lines.push((at, line.text));
                }
            }
        }
    }
}
