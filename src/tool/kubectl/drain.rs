//! `kubectl cordon`, `uncordon` and `drain`.

use super::builder::{Builder, CHUNK_SIZE, Info, SELECTOR};
use super::command::{Call, Command};
use super::failure::{Failure, quote};
use super::flags::Flag;
use super::mutation::{self, DRY_RUN, DryRun, Writer};
use super::pods;
use super::printing::qualified_name;
use crate::cluster::{ApiRequest, Options, PatchKind, Subresource, Woken};
use crate::object;
use crate::object::{Json, Object, ResourceRef};
use crate::time::SimTime;
use std::time::Duration;

static FLAGS: &[Flag] = &[
    Flag::switch("delete-emptydir-data", "Go on where pods keep data in an emptyDir, which is lost."),
    Flag::switch("disable-eviction", "Delete the pods, without regard to PodDisruptionBudgets."),
    Flag::switch("force", "Go on where pods have no controller, and are lost."),
    Flag::int("grace-period", "-1", "Seconds given to each pod to end; negative for its own."),
    Flag::switch("ignore-daemonsets", "Leave pods of DaemonSets where they are."),
    Flag::text("pod-selector", "Label query that the pods must match."),
    Flag::int("skip-wait-for-delete-timeout", "0", "Do not wait for pods that have been ending for longer than so many seconds."),
    Flag::duration("timeout", "0s", "How long to go on; 0 for as long as it takes."),
];

/// `kubectl cordon`.
pub static CORDON: Command = Command::leaf("kubectl cordon", "NODE", "Mark node as unschedulable", &[SELECTOR, DRY_RUN], run_cordon);

/// `kubectl uncordon`.
pub static UNCORDON: Command = Command::leaf("kubectl uncordon", "NODE", "Mark node as schedulable", &[SELECTOR, DRY_RUN], run_uncordon);

/// `kubectl drain`.
pub static DRAIN: Command =
    Command::leaf("kubectl drain", "NODE", "Drain node in preparation for maintenance", &[FLAGS, CHUNK_SIZE, SELECTOR, DRY_RUN], run_drain);

fn run_cordon(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let dry_run = DryRun::of(call)?;
    let nodes = nodes(call)?;
    cordon(call, dry_run, &nodes, true);
    Ok(())
}

fn run_uncordon(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let dry_run = DryRun::of(call)?;
    let nodes = nodes(call)?;
    cordon(call, dry_run, &nodes, false);
    Ok(())
}

fn nodes(call: &mut Call<'_, '_>) -> Result<Vec<Info>, Failure> {
    let labels = call.flags.text("selector");
    if call.args.is_empty() && !call.flags.changed("selector") {
        let verb = call.path.rsplit(' ').next().unwrap_or_default();
        return Err(Failure::usage(call, format!("USAGE: {verb} NODE [flags]")));
    }
    if !call.args.is_empty() && !labels.is_empty() {
        return Err(Failure::usage(call, "error: cannot specify both a node name and a --selector option"));
    }
    let args = call.args.clone();
    let mut builder = Builder::new(call).names_of("nodes", &args).single_type();
    if !labels.is_empty() {
        builder = builder.labels(&labels).types(&["nodes".to_owned()]);
    }
    let found = builder.fetch(call)?.objects()?;
    match found.iter().find(|info| info.resource.kind != "Node") {
        None => Ok(found),
        Some(other) => {
            let r = &other.resource;
            let gvr = format!("{}/{}, Resource={}", r.group, r.version, r.plural);
            Err(format!("error: expected resource of type node, got {}", quote(&gvr)).into())
        }
    }
}

fn cordon(call: &mut Call<'_, '_>, dry_run: DryRun, nodes: &[Info], desired: bool) {
    let verb = if desired { "cordon" } else { "uncordon" };
    for node in nodes {
        let said = if node.object.at(&["spec", "unschedulable"]).is_true() == desired {
            format!("already {verb}ed")
        } else {
            let value = if desired { Json::Bool(true) } else { Json::Null };
            let patch = object! { "spec" => object! { "unschedulable" => value } };
            let writer = Writer { dry_run, ..Writer::default() };
            let sent = if dry_run == DryRun::Client { Ok(()) } else { writer.patch(call, node, PatchKind::Merge, patch).map(|_| ()) };
            if let Err(failure) = sent {
                call.complain(format!("error: unable to {verb} node {}: {failure}", quote(&node.name)));
                continue;
            }
            format!("{verb}ed")
        };
        call.say(format!("node/{} {said}{}", node.name, dry_run.suffix()));
    }
}

/// How pods are taken off a node.
struct Drain {
    dry_run: DryRun,
    force: bool,
    ignore_daemon_sets: bool,
    delete_local_data: bool,
    disable_eviction: bool,
    grace_period: i64,
    selector: String,
    skip_seconds: i64,
    until: SimTime,
    pods: ResourceRef,
}

fn run_drain(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let dry_run = DryRun::of(call)?;
    let nodes = nodes(call)?;
    let timeout = call.flags.nanos("timeout");
    let drain = Drain {
        dry_run,
        force: call.flags.on("force"),
        ignore_daemon_sets: call.flags.on("ignore-daemonsets"),
        delete_local_data: call.flags.on("delete-emptydir-data"),
        disable_eviction: call.flags.on("disable-eviction"),
        grace_period: call.flags.int("grace-period"),
        selector: call.flags.text("pod-selector"),
        skip_seconds: call.flags.int("skip-wait-for-delete-timeout"),
        until: mutation::from_now(call, if timeout == 0 { -1 } else { timeout }),
        pods: pods::kind(call)?,
    };
    cordon(call, dry_run, &nodes, true);
    let (mut failures, mut pending) = (Vec::new(), Vec::new());
    for node in &nodes {
        match drain.node(call, &node.name) {
            Ok(()) => call.say(format!("node/{} drained{}", node.name, dry_run.suffix())),
            Err(cut @ Failure::Exit(_)) => return Err(cut),
            Err(failure) => {
                let name = quote(&node.name);
                call.complain(format!("error: unable to drain node {name} due to error: {failure}, continuing command..."));
                failures.push(failure);
                pending.push(node.name.clone());
            }
        }
    }
    if !pending.is_empty() {
        call.complain("There are pending nodes to be drained:");
        for name in pending {
            call.complain(format!(" {name}"));
        }
    }
    // kubectl collects them twice, and prints such a collection without its usual prefix.
    Failure::all(failures.into_iter().map(|failure| Failure::Program { message: failure.to_string(), code: 1 }).collect())
}

/// What a filter says of a pod.
enum Verdict {
    Go,
    Stay,
    /// It goes (or stays), with a warning.
    Warn(bool, String),
    Refuse(String),
}

impl Drain {
    fn node(&self, call: &mut Call<'_, '_>, node: &str) -> Result<(), Failure> {
        let pods = self.pods_to_go(call, node, true)?;
        if self.dry_run == DryRun::Client {
            for pod in &pods {
                call.say(format!("evicting pod {}/{} (dry run)", pod.namespace(), pod.name()));
            }
            return Ok(());
        }
        let done = self.remove(call, &pods);
        if let Err(failure) = &done {
            self.report_pending(call, node, failure)?;
        }
        done
    }

    fn report_pending(&self, call: &mut Call<'_, '_>, node: &str, failure: &Failure) -> Result<(), Failure> {
        let left = self.pods_to_go(call, node, false)?;
        if !left.is_empty() {
            call.complain(format!("There are pending pods in node {} when an error occurred: {failure}", quote(node)));
            for pod in left {
                call.complain(format!("pod/{}", pod.name()));
            }
        }
        Ok(())
    }

    /// The pods that have to go; complains of those that may not.
    fn pods_to_go(&self, call: &mut Call<'_, '_>, node: &str, warn: bool) -> Result<Vec<Object>, Failure> {
        let options =
            Options { label_selector: self.selector.clone(), field_selector: format!("spec.nodeName={node}"), ..Options::default() };
        let listed = call.api(&ApiRequest::list(&self.pods, None).options(options))?.into_items();
        let mut go = Vec::new();
        let (mut warnings, mut refusals): (Notes, Notes) = (Vec::new(), Vec::new());
        for pod in listed {
            let name = format!("{}/{}", pod.namespace(), pod.name());
            match self.verdict(call, &pod) {
                Verdict::Go => go.push(pod),
                Verdict::Stay => {}
                Verdict::Warn(goes, words) => {
                    note(&mut warnings, words, name);
                    if goes {
                        go.push(pod);
                    }
                }
                Verdict::Refuse(words) => note(&mut refusals, words, name),
            }
        }
        let refused = refusals.iter().map(|(words, pods)| Failure::from(format!("cannot delete {words}: {}", pods.join(", "))));
        Failure::all(refused.collect())?;
        if warn && !warnings.is_empty() {
            let texts: Vec<String> = warnings.iter().map(|(words, pods)| format!("{words}: {}", pods.join(", "))).collect();
            call.complain(format!("Warning: {}", texts.join("; ")));
        }
        Ok(go)
    }

    /// kubectl's filters in their order; the last warning counts.
    fn verdict(&self, call: &mut Call<'_, '_>, pod: &Object) -> Verdict {
        let finished = matches!(pod.at(&["status", "phase"]).text(), "Succeeded" | "Failed");
        if self.is_skipped(call, pod) {
            return Verdict::Stay;
        }
        let mut verdict = Verdict::Go;
        if let Some(owner) = pod.controller().filter(|owner| !finished && owner.get("kind").text() == "DaemonSet") {
            match self.of_daemon_set(call, pod, owner.get("name").text()) {
                goes @ Verdict::Warn(true, _) => verdict = goes,
                other => return other,
            }
        }
        if pod.annotation("kubernetes.io/config.mirror").is_some() {
            return Verdict::Stay;
        }
        let local = pod.at(&["spec", "volumes"]).items().iter().any(|volume| !volume.get("emptyDir").is_null());
        if local && !finished {
            if !self.delete_local_data {
                return Verdict::Refuse("Pods with local storage (use --delete-emptydir-data to override)".to_owned());
            }
            verdict = Verdict::Warn(true, "deleting Pods with local storage".to_owned());
        } else {
            verdict = match verdict {
                Verdict::Warn(..) if finished => Verdict::Go,
                other => other,
            };
        }
        match (finished || pod.controller().is_some(), self.force) {
            (true, _) => {
                if matches!(verdict, Verdict::Warn(..)) && pod.controller().is_none() {
                    verdict
                } else {
                    Verdict::Go
                }
            }
            (false, true) => Verdict::Warn(true, "deleting Pods that declare no controller".to_owned()),
            (false, false) => Verdict::Refuse("cannot delete Pods that declare no controller (use --force to override)".to_owned()),
        }
    }

    fn of_daemon_set(&self, call: &mut Call<'_, '_>, pod: &Object, owner: &str) -> Verdict {
        let read = call
            .mapper()
            .and_then(|mapper| mapper.resolve("daemonsets.apps"))
            .and_then(|resource| call.api(&ApiRequest::get(&resource, Some(pod.namespace()), owner)));
        match read {
            Err(failure) if failure.is_not_found() && self.force => Verdict::Warn(true, failure.to_string()),
            Err(failure) => Verdict::Refuse(failure.to_string()),
            Ok(_) if self.ignore_daemon_sets => Verdict::Warn(false, "ignoring DaemonSet-managed Pods".to_owned()),
            Ok(_) => Verdict::Refuse("DaemonSet-managed Pods (use --ignore-daemonsets to ignore)".to_owned()),
        }
    }

    fn is_skipped(&self, call: &Call<'_, '_>, pod: &Object) -> bool {
        let ending_since = SimTime::parse_rfc3339(pod.meta().get("deletionTimestamp").text());
        let limit = Duration::from_secs(self.skip_seconds.max(0).unsigned_abs());
        self.skip_seconds > 0 && ending_since.is_some_and(|since| call.now().since(since) > limit)
    }

    /// Evicts (or deletes) the pods, tries again where a budget forbids it, and waits until they are gone.
    fn remove(&self, call: &mut Call<'_, '_>, pods: &[Object]) -> Result<(), Failure> {
        let mut waiting: Vec<Object> = pods.to_vec();
        let mut pending: Vec<Object> = Vec::new();
        let mut failures = Vec::new();
        let server = self.dry_run == DryRun::Server;
        while !waiting.is_empty() {
            let mut refused = Vec::new();
            for pod in std::mem::take(&mut waiting) {
                match self.ask(call, &pod) {
                    Ok(()) => pending.push(pod),
                    Err(failure) if failure.is_not_found() => {}
                    Err(failure) if failure.reason() == Some("TooManyRequests") => {
                        let (name, namespace) = (quote(pod.name()), quote(pod.namespace()));
                        call.complain(format!("error when evicting pods/{name} -n {namespace} (will retry after 5s): {failure}"));
                        refused.push(pod);
                    }
                    Err(failure) => {
                        let (name, namespace) = (quote(pod.name()), quote(pod.namespace()));
                        failures.push(Failure::from(format!("error when evicting pods/{name} -n {namespace}: {failure}")));
                    }
                }
            }
            if refused.is_empty() {
                break;
            }
            let retry = call.now() + Duration::from_secs(5);
            if retry > self.until {
                failures.extend(refused.iter().map(|pod| {
                    let (name, namespace) = (quote(pod.name()), quote(pod.namespace()));
                    Failure::from(format!("error when evicting pods/{name} -n {namespace}: global timeout reached"))
                }));
                break;
            }
            self.until_gone(call, &mut pending, retry)?;
            waiting = refused;
        }
        if !server {
            self.until_gone(call, &mut pending, self.until)?;
            failures.extend(pending.iter().map(|pod| {
                let (name, namespace) = (quote(pod.name()), quote(pod.namespace()));
                Failure::from(format!("error when waiting for pod {name} in namespace {namespace} to terminate: context deadline exceeded"))
            }));
        }
        Failure::all(failures)
    }

    /// One eviction or deletion.
    fn ask(&self, call: &mut Call<'_, '_>, pod: &Object) -> Result<(), Failure> {
        let options = Options {
            dry_run: self.dry_run == DryRun::Server,
            grace_period_s: (self.grace_period >= 0).then_some(self.grace_period),
            ..Options::default()
        };
        if self.disable_eviction {
            call.api(&ApiRequest::delete(&self.pods, Some(pod.namespace()), pod.name()).options(options))?;
            return Ok(());
        }
        call.say(format!("evicting pod {}/{}{}", pod.namespace(), pod.name(), self.dry_run.suffix()));
        let mut eviction = object! {
            "apiVersion" => "policy/v1", "kind" => "Eviction",
            "metadata" => object! { "name" => pod.name(), "namespace" => pod.namespace() },
        };
        if self.grace_period >= 0 {
            eviction.set("deleteOptions", object! { "gracePeriodSeconds" => self.grace_period });
        }
        let mut request =
            ApiRequest::create(&self.pods, Some(pod.namespace()), eviction).subresource(Subresource::Eviction).options(options);
        request.name = Some(pod.name().into());
        call.api(&request)?;
        Ok(())
    }

    /// Waits until the pods are gone, looking once a second as kubectl does; leaves those that are still there at `until`.
    fn until_gone(&self, call: &mut Call<'_, '_>, pending: &mut Vec<Object>, until: SimTime) -> Result<(), Failure> {
        loop {
            let mut left = Vec::new();
            for pod in std::mem::take(pending) {
                let there = match call.api(&ApiRequest::get(&self.pods, Some(pod.namespace()), pod.name())) {
                    Err(failure) if failure.is_not_found() => false,
                    Err(failure) => return Err(failure),
                    Ok(reply) => reply.into_object().uid() == pod.uid(),
                };
                if there {
                    left.push(pod);
                } else {
                    let how = if self.disable_eviction { "deleted" } else { "evicted" };
                    call.say(format!("{} {how}{}", qualified_name(&pod), self.dry_run.suffix()));
                }
            }
            *pending = left;
            if pending.is_empty() || call.now() >= until {
                return Ok(());
            }
            let next = (call.now() + Duration::from_secs(1)).min(until);
            let woken = mutation::wait(call, next, &[])?;
            debug_assert_eq!(woken, Woken::Time);
        }
    }
}

/// Words, and the pods that they are about.
type Notes = Vec<(String, Vec<String>)>;

fn note(notes: &mut Notes, words: String, pod: String) {
    match notes.iter_mut().find(|(known, _)| *known == words) {
        Some((_, pods)) => pods.push(pod),
        None => notes.push((words, vec![pod])),
    }
}
