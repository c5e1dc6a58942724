//! What `kubectl get pods` says about a pod.

use super::Cells;
use crate::object::{Json, Object};
use crate::time::SimTime;
use std::borrow::Cow;

/// Columns of pods.
pub const COLUMNS: &[&str] = &["NAME", "READY", "STATUS", "RESTARTS", "AGE", "*IP", "*NODE", "*NOMINATED NODE", "*READINESS GATES"];

/// What READY, STATUS and RESTARTS show.
#[derive(Debug, Clone, PartialEq)]
pub struct Status<'p> {
    /// Containers that are ready.
    pub ready: i64,
    /// Containers that count: the regular ones and restartable init containers.
    pub total: i64,
    /// STATUS.
    pub reason: Cow<'p, str>,
    /// How often containers restarted.
    pub restarts: i64,
    /// When a container last ended before it was restarted.
    pub last_restart: Option<SimTime>,
}

fn is_sidecar(pod: &Object, name: &str) -> bool {
    let container = pod.spec().get("initContainers").find("name", name);
    container.is_some_and(|c| c.get("restartPolicy").text() == "Always")
}

fn last_end(status: &Json) -> Option<SimTime> {
    SimTime::parse_rfc3339(status.at(&["lastState", "terminated", "finishedAt"]).as_str()?)
}

fn ended_reason<'p>(ended: &'p Json, prefix: &str) -> Cow<'p, str> {
    let reason = ended.get("reason").text();
    if !reason.is_empty() {
        return if prefix.is_empty() { reason.into() } else { format!("{prefix}{reason}").into() };
    }
    match ended.get("signal").as_i64() {
        Some(signal) if signal != 0 => format!("{prefix}Signal:{signal}").into(),
        _ => format!("{prefix}ExitCode:{}", ended.get("exitCode").as_i64().unwrap_or(0)).into(),
    }
}

/// The status of a pod's init containers: `Some` text while one is not done.
struct Init<'p> {
    reason: Option<Cow<'p, str>>,
    ready: i64,
    restarts: i64,
    last: Option<SimTime>,
    sidecar_restarts: i64,
    sidecar_last: Option<SimTime>,
}

fn init_status(pod: &Object) -> Init<'_> {
    let mut init = Init { reason: None, ready: 0, restarts: 0, last: None, sidecar_restarts: 0, sidecar_last: None };
    for (at, status) in pod.status().get("initContainerStatuses").items().iter().enumerate() {
        let count = status.get("restartCount").as_i64().unwrap_or(0);
        let last = last_end(status);
        init.restarts += count;
        init.last = init.last.max(last);
        let sidecar = is_sidecar(pod, status.get("name").text());
        if sidecar {
            init.sidecar_restarts += count;
            init.sidecar_last = init.sidecar_last.max(last);
        }
        let (ended, waiting) = (status.at(&["state", "terminated"]), status.at(&["state", "waiting", "reason"]).text());
        if !ended.is_null() && ended.get("exitCode").as_i64().unwrap_or(0) == 0 {
            continue;
        }
        if sidecar && status.get("started").is_true() {
            init.ready += i64::from(status.get("ready").is_true());
            continue;
        }
        init.reason = Some(if !ended.is_null() {
            ended_reason(ended, "Init:")
        } else if !waiting.is_empty() && waiting != "PodInitializing" {
            format!("Init:{waiting}").into()
        } else {
            format!("Init:{at}/{}", pod.spec().get("initContainers").items().len()).into()
        });
        break;
    }
    init
}

fn has_condition(pod: &Object, kind: &str) -> bool {
    pod.condition(kind).is_some_and(|c| c.get("status").text() == "True")
}

/// The status of a pod by kubectl's rules.
pub fn status(pod: &Object) -> Status<'_> {
    let (spec, state) = (pod.spec(), pod.status());
    let phase = state.get("phase").text();
    let mut reason: Cow<'_, str> = phase.into();
    if !state.get("reason").text().is_empty() {
        reason = state.get("reason").text().into();
    }
    if pod.condition("PodScheduled").is_some_and(|c| c.get("reason").text() == "SchedulingGated") {
        reason = "SchedulingGated".into();
    }
    let sidecars = spec.get("initContainers").items().iter().filter(|c| c.get("restartPolicy").text() == "Always").count();
    let total = i64::try_from(spec.get("containers").items().len() + sidecars).unwrap_or(0);
    let init = init_status(pod);
    let (mut ready, mut restarts, mut last) = (init.ready, init.restarts, init.last);
    let initializing = init.reason.is_some();
    reason = init.reason.unwrap_or(reason);
    if !initializing || has_condition(pod, "Initialized") {
        (restarts, last) = (init.sidecar_restarts, init.sidecar_last);
        let mut running = false;
        for container in state.get("containerStatuses").items().iter().rev() {
            restarts += container.get("restartCount").as_i64().unwrap_or(0);
            last = last.max(last_end(container));
            let state = container.get("state");
            let (waiting, ended) = (state.at(&["waiting", "reason"]).text(), state.get("terminated"));
            if !waiting.is_empty() {
                reason = waiting.into();
            } else if !ended.is_null() {
                reason = ended_reason(ended, "");
            } else if container.get("ready").is_true() && !state.get("running").is_null() {
                running = true;
                ready += 1;
            }
        }
        if reason == "Completed" && running {
            reason = if has_condition(pod, "Ready") { "Running" } else { "NotReady" }.into();
        }
    }
    if pod.is_terminating() && state.get("reason").text() == "NodeLost" {
        reason = "Unknown".into();
    } else if pod.is_terminating() && !matches!(phase, "Succeeded" | "Failed") {
        reason = "Terminating".into();
    }
    Status { ready, total, reason, restarts, last_restart: last }
}

/// The row of a pod.
pub fn fill(pod: &Object, cells: &mut Cells) {
    let status = status(pod);
    cells.name(pod);
    cells.ratio(status.ready, status.total);
    cells.text(&status.reason);
    match status.last_restart.filter(|_| status.restarts != 0) {
        Some(at) => {
            let age = super::human(super::seconds_between(at, cells.now));
            cells.text(&format!("{} ({age} ago)", status.restarts));
        }
        None => cells.number(status.restarts),
    }
    cells.age(pod);
    if !cells.wide {
        return;
    }
    cells.text_or_none(pod.status().get("podIPs").nth(0).get("ip").text());
    cells.text_or_none(pod.spec().get("nodeName").text());
    cells.text_or_none(pod.status().get("nominatedNodeName").text());
    let gates = pod.spec().get("readinessGates").items();
    if gates.is_empty() {
        cells.text("<none>");
    } else {
        let met = gates.iter().filter(|gate| has_condition(pod, gate.get("conditionType").text())).count();
        cells.text(&format!("{met}/{}", gates.len()));
    }
}
