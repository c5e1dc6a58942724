//! A pod's status as the kubelet writes it: phase, conditions, container statuses.

use super::actions::{is_sidecar, should_restart};
use super::pod::{Container, End, Instance, Pod};
use super::{look, nodes, probes};
use crate::cluster::sim::world::World;
use crate::object;
use crate::object::{Json, Object, qos};
use arcstr::ArcStr;

const UNKNOWN: &str = "ContainerStatusUnknown";
/// Conditions that the kubelet writes, in the order in which it writes them.
const OWN_CONDITIONS: [&str; 5] = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];

/// Writes a pod's status if it differs from what the API has, and returns its phase. `terminal` says that its containers are
/// dead for good.
pub fn write(world: &mut World, uid: &str, terminal: bool) -> &'static str {
    let Some((record, Some(object))) = look(world, uid) else { return "" };
    let draft = Draft { world, pod: &record, object: &object, terminal };
    let (status, phase) = draft.build();
    if status != *object.status() {
        let _ = world.set_status(&record.key, |s| *s = status);
    }
    probes::after_status(world, uid);
    phase
}

/// The last status of a pod that goes: whatever has no end is given one.
pub fn write_last(world: &mut World, uid: &str) {
    write(world, uid, true);
    let Some((record, Some(object))) = look(world, uid) else { return };
    let mut status = object.status().clone();
    let started = record.containers.iter().any(|c| object.spec().get("containers").find("name", &c.name).is_some());
    if started || object.spec().get("initContainers").is_empty() {
        for container in status.get_mut("containerStatuses").items_mut() {
            if container.at(&["state", "terminated"]).is_null() {
                container
                    .set("state", object! { "terminated" => unknown("The container could not be located when the pod was terminated") });
            }
        }
    }
    if !matches!(status.get("phase").text(), "Succeeded" | "Failed") {
        status.set("phase", "Failed");
    }
    if status != *object.status() {
        let _ = world.set_status(&record.key, |s| *s = status);
    }
}

fn unknown(message: &str) -> Json {
    object! { "exitCode" => 137, "reason" => UNKNOWN, "message" => message, "startedAt" => Json::Null, "finishedAt" => Json::Null }
}

struct Draft<'a> {
    world: &'a World,
    pod: &'a Pod,
    object: &'a Object,
    terminal: bool,
}

impl Draft<'_> {
    fn build(&self) -> (Json, &'static str) {
        let spec = self.object.spec();
        let mains: Vec<Json> = sorted(spec.get("containers").items().iter().map(|c| self.container(c, false)));
        let inits: Vec<Json> = spec.get("initContainers").items().iter().map(|c| self.container(c, true)).collect();
        let ephemeral: Vec<Json> = spec.get("ephemeralContainers").items().iter().map(|c| self.container(c, false)).collect();
        let phase = self.phase(&mains, &inits);
        let old = self.object.status();
        let mut status = object! {
            "phase" => phase, "qosClass" => qos::class_of(self.object), "observedGeneration" => self.object.generation(),
            "startTime" => if old.get("startTime").is_null() { Json::from(self.world.now.rfc3339()) } else { old.get("startTime").clone() },
        };
        self.add_addresses(&mut status);
        for (field, list) in [("containerStatuses", &mains), ("initContainerStatuses", &inits), ("ephemeralContainerStatuses", &ephemeral)]
        {
            if !list.is_empty() {
                status.set(field, Json::from(list.clone()));
            }
        }
        if let Some(verdict) = &self.pod.verdict {
            status.set("reason", &verdict.reason);
            status.set("message", &verdict.message);
        } else if old.get("phase").text() == phase {
            for field in ["reason", "message"] {
                if !old.get(field).is_empty() {
                    status.set(field, old.get(field));
                }
            }
        }
        for foreign in ["nominatedNodeName", "resourceClaimStatuses"] {
            if !old.get(foreign).is_null() {
                status.set(foreign, old.get(foreign));
            }
        }
        status.set("conditions", self.conditions(phase, &mains, &inits));
        (status, phase)
    }

    fn add_addresses(&self, status: &mut Json) {
        let host = nodes::address(self.world, &self.pod.node);
        if !host.is_empty() {
            status.set("hostIP", &host);
            status.set("hostIPs", Json::from(vec![object! { "ip" => &host }]));
        }
        let on_host = self.object.spec().get("hostNetwork").is_true();
        let ip = if on_host { Some(host) } else { self.pod.sandbox.as_ref().map(|s| s.ip.clone()) };
        if let Some(ip) = ip.filter(|ip| !ip.is_empty()) {
            status.set("podIP", &ip);
            status.set("podIPs", Json::from(vec![object! { "ip" => &ip }]));
        }
    }

    fn container(&self, spec: &Json, init: bool) -> Json {
        let name = spec.get("name").text();
        let old = self.object.status().get(if init { "initContainerStatuses" } else { "containerStatuses" }).find("name", name);
        let container = self.pod.container(name);
        let mut status = match container {
            Some(container) => self.created(spec, container),
            None => self.never_created(spec, old),
        };
        self.show_reason(&mut status, spec, container, init);
        let running = !status.at(&["state", "running"]).is_null();
        let started = running && probes::has_started(self.pod, spec);
        let finished_init = init && !is_sidecar(spec) && status.at(&["state", "terminated", "exitCode"]).as_i64() == Some(0);
        let ready = if init && !is_sidecar(spec) { finished_init } else { started && probes::is_ready(self.pod, spec) };
        status.set("started", started);
        status.set("ready", ready);
        status
    }

    fn created(&self, spec: &Json, container: &Container) -> Json {
        let current = &container.current;
        let last = container.previous.as_ref().and_then(|p| p.end.as_ref().map(|end| terminated(p, end)));
        let mut status = object! {
            "name" => &container.name, "restartCount" => container.restarts, "image" => &current.image, "imageID" => &current.image_id,
            "containerID" => format!("containerd://{}", current.id), "state" => state(current),
            "lastState" => last.map_or_else(|| object! {}, |t| object! { "terminated" => t }),
            "resources" => spec.get("resources"),
        };
        let requests = spec.at(&["resources", "requests"]);
        if !requests.is_empty() {
            status.set("allocatedResources", requests);
        }
        add_mounts(&mut status, spec);
        status
    }

    fn never_created(&self, spec: &Json, old: Option<&Json>) -> Json {
        if let Some(old) = old.filter(|o| !o.at(&["state", "terminated"]).is_null()) {
            return old.clone();
        }
        let waits = if self.object.spec().get("initContainers").is_empty() { "ContainerCreating" } else { "PodInitializing" };
        let mut status = object! {
            "name" => spec.get("name"), "restartCount" => old.and_then(|o| o.get("restartCount").as_i64()).unwrap_or(0),
            "image" => spec.get("image"), "imageID" => "", "lastState" => old.map_or_else(|| object! {}, |o| o.get("lastState").clone()),
            "state" => object! { "waiting" => object! { "reason" => waits } },
        };
        add_mounts(&mut status, spec);
        status
    }

    /// A container that waits for its next start shows why the last attempt did not start it.
    fn show_reason(&self, status: &mut Json, spec: &Json, container: Option<&Container>, init: bool) {
        let done = init && container.is_some_and(|c| c.current.end.as_ref().is_some_and(|e| e.code == 0));
        if self.terminal || done && !is_sidecar(spec) || !should_restart(self.object, spec, container) {
            return;
        }
        let Some(reason) = self.pod.reason(spec.get("name").text()) else { return };
        let terminated = status.at(&["state", "terminated"]).clone();
        if !terminated.is_null() {
            status.set("lastState", object! { "terminated" => terminated });
        }
        let mut waiting = object! { "reason" => &reason.reason };
        if !reason.message.is_empty() {
            waiting.set("message", &reason.message);
        }
        status.set("state", object! { "waiting" => waiting });
    }

    fn phase(&self, mains: &[Json], inits: &[Json]) -> &'static str {
        let old = self.object.status().get("phase").text();
        if self.pod.verdict.is_some() || old == "Failed" {
            return "Failed";
        }
        if old == "Succeeded" {
            return "Succeeded";
        }
        self.counted_phase(mains, inits)
    }

    fn counted_phase(&self, mains: &[Json], inits: &[Json]) -> &'static str {
        let spec = self.object.spec();
        let policy = spec.get("restartPolicy").text();
        let specs = spec.get("initContainers").items();
        let pair = |status: &Json| specs.iter().find(|s| s.get("name") == status.get("name")).is_some_and(is_sidecar);
        let mut pending = 0;
        for status in inits.iter().filter(|s| !pair(s)) {
            match ended(status) {
                Some(code) if code != 0 && policy == "Never" => return "Failed",
                Some(_) => {}
                None => pending += 1,
            }
        }
        let mains_started = mains.iter().any(|s| !s.get("containerID").is_null());
        let sidecars_pending = inits.iter().filter(|s| pair(s) && ended(s).is_none() && !s.get("started").is_true()).count();
        let waiting = mains.iter().filter(|s| is_waiting(s) && ended(s).is_none()).count();
        if waiting > 0 || !mains_started && pending + sidecars_pending > 0 {
            return "Pending";
        }
        let sidecar_runs = inits.iter().any(|s| pair(s) && !s.at(&["state", "running"]).is_null());
        let running = mains.iter().any(|s| !s.at(&["state", "running"]).is_null());
        if running || sidecar_runs && mains.iter().any(|s| restartable(s, policy)) {
            return "Running";
        }
        let all_well = mains.iter().all(|s| ended(s) == Some(0));
        if self.terminal {
            return if all_well { "Succeeded" } else { "Failed" };
        }
        match policy {
            "Always" | "" => "Running",
            _ if sidecar_runs && !self.pod.plan.is_empty() => "Running",
            _ if all_well => "Succeeded",
            "Never" => "Failed",
            _ => "Running",
        }
    }

    fn conditions(&self, phase: &str, mains: &[Json], inits: &[Json]) -> Json {
        let old = self.object.status().get("conditions");
        let foreign = old.items().iter().filter(|c| !OWN_CONDITIONS.contains(&c.get("type").text())).cloned();
        let ready = self.containers_ready(phase, mains, inits);
        let gated = if ready.0 { self.gates(old) } else { ready.clone() };
        let own = [
            (OWN_CONDITIONS[0], (self.pod.has_sandbox(), "", String::new())),
            (OWN_CONDITIONS[1], self.initialized(phase, mains, inits)),
            (OWN_CONDITIONS[2], gated),
            (OWN_CONDITIONS[3], ready),
            (OWN_CONDITIONS[4], (true, "", String::new())),
        ];
        foreign.chain(own.into_iter().map(|(kind, verdict)| self.condition(old, kind, verdict))).collect()
    }

    fn condition(&self, old: &Json, kind: &str, (holds, reason, message): Verdict) -> Json {
        let value = if holds { "True" } else { "False" };
        let before = old.find("type", kind).filter(|c| c.get("status").text() == value).map(|c| c.get("lastTransitionTime").clone());
        let mut condition = object! {
            "type" => kind, "status" => value, "lastProbeTime" => Json::Null, "observedGeneration" => self.object.generation(),
            "lastTransitionTime" => before.unwrap_or_else(|| Json::from(self.world.now.rfc3339())),
        };
        if !reason.is_empty() {
            condition.set("reason", reason);
        }
        if !message.is_empty() {
            condition.set("message", message);
        }
        condition
    }

    fn containers_ready(&self, phase: &str, mains: &[Json], inits: &[Json]) -> Verdict {
        match phase {
            "Succeeded" => return (false, "PodCompleted", String::new()),
            "Failed" => return (false, "PodFailed", String::new()),
            _ => {}
        }
        let specs = self.object.spec().get("initContainers").items();
        let sidecars = inits.iter().zip(specs).filter(|(_, spec)| is_sidecar(spec)).map(|(status, _)| status);
        let by_name = |name: &Json| mains.iter().find(|s| s.get("name") == name);
        let listed = self.object.spec().get("containers").items().iter().filter_map(|c| by_name(c.get("name")));
        let unready: Vec<&str> = sidecars.chain(listed).filter(|s| !s.get("ready").is_true()).map(|s| s.get("name").text()).collect();
        if unready.is_empty() {
            return (true, "", String::new());
        }
        (false, "ContainersNotReady", format!("containers with unready status: [{}]", unready.join(" ")))
    }

    fn gates(&self, old: &Json) -> Verdict {
        let mut unmet = Vec::new();
        for gate in self.object.spec().get("readinessGates").items() {
            let kind = gate.get("conditionType").text();
            match old.find("type", kind).map(|c| c.get("status").text()) {
                None => unmet.push(format!("corresponding condition of pod readiness gate {kind:?} does not exist.")),
                Some("True") => {}
                Some(value) => unmet.push(format!("the status of pod readiness gate {kind:?} is not \"True\", but {value}")),
            }
        }
        if unmet.is_empty() { (true, "", String::new()) } else { (false, "ReadinessGatesNotReady", unmet.join(", ")) }
    }

    fn initialized(&self, phase: &str, mains: &[Json], inits: &[Json]) -> Verdict {
        if phase == "Succeeded" {
            return (true, "PodCompleted", String::new());
        }
        let running = |s: &Json| s.get("started").is_true() || !s.at(&["state", "running"]).is_null() || ended(s).is_some();
        if mains.iter().any(running) {
            return (true, "", String::new());
        }
        let specs = self.object.spec().get("initContainers").items();
        let done = |(status, spec): &(&Json, &Json)| {
            if is_sidecar(spec) { status.get("started").is_true() } else { status.get("ready").is_true() }
        };
        let open: Vec<&str> = inits.iter().zip(specs).filter(|pair| !done(pair)).map(|(s, _)| s.get("name").text()).collect();
        if open.is_empty() {
            return (true, "", String::new());
        }
        (false, "ContainersNotInitialized", format!("containers with incomplete status: [{}]", open.join(" ")))
    }
}

/// Whether a condition holds, its reason and its message.
type Verdict = (bool, &'static str, String);

fn sorted(statuses: impl Iterator<Item = Json>) -> Vec<Json> {
    let mut statuses: Vec<Json> = statuses.collect();
    statuses.sort_by(|a, b| a.get("name").text().cmp(b.get("name").text()));
    statuses
}

/// The exit code of a container that has ended, be it that it waits for its next start.
fn ended(status: &Json) -> Option<i64> {
    let now = status.at(&["state", "terminated", "exitCode"]).as_i64();
    let before = || status.at(&["lastState", "terminated", "exitCode"]).as_i64().filter(|_| is_waiting(status));
    now.or_else(before)
}

fn is_waiting(status: &Json) -> bool {
    status.at(&["state", "waiting"]).as_map().is_some()
}

fn restartable(status: &Json, policy: &str) -> bool {
    match (policy, ended(status)) {
        (_, None) | ("Always" | "", _) => true,
        ("OnFailure", Some(code)) => code != 0,
        _ => false,
    }
}

fn state(instance: &Instance) -> Json {
    match &instance.end {
        None => object! { "running" => object! { "startedAt" => instance.started_at.rfc3339() } },
        Some(end) => object! { "terminated" => terminated(instance, end) },
    }
}

fn terminated(instance: &Instance, end: &End) -> Json {
    let mut state = object! {
        "containerID" => format!("containerd://{}", instance.id), "exitCode" => end.code, "reason" => &end.reason,
        "startedAt" => instance.started_at.rfc3339(), "finishedAt" => end.at.rfc3339(),
    };
    if !end.message.is_empty() {
        state.set("message", &end.message);
    }
    state
}

fn add_mounts(status: &mut Json, spec: &Json) {
    let mounts: Vec<Json> = spec.get("volumeMounts").items().iter().map(mount_status).collect();
    if !mounts.is_empty() {
        status.set("volumeMounts", Json::from(mounts));
    }
}

fn mount_status(mount: &Json) -> Json {
    let mut status = object! { "name" => mount.get("name"), "mountPath" => mount.get("mountPath") };
    if mount.get("readOnly").is_true() {
        let recursive = ArcStr::from(match mount.get("recursiveReadOnly").text() {
            "Enabled" | "IfPossible" => "Enabled",
            _ => "Disabled",
        });
        status.set("readOnly", true);
        status.set("recursiveReadOnly", recursive);
    }
    status
}
