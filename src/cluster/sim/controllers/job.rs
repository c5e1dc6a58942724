//! The Job controller: pods that run to completion.
//!
//! Not modelled: pod failure policies, success policies, per-index back-off, finalizers on pods (pods are counted as they are).

use super::conditions::with_condition;
use super::events::{self, Severity, Source};
use super::pods::{self, Maker, is_active, is_ready};
use super::{Loop, Outcome, enqueue, enqueue_after, identity};
use crate::cluster::Propagation;
use crate::cluster::sim::store::{Change, Key, Kind};
use crate::cluster::sim::world::World;
use crate::object;
use crate::object::{Json, Object};
use crate::time::SimTime;
use std::collections::BTreeSet;
use std::time::Duration;

const CONTROLLER: &str = "job-controller";
const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// Delay before a failed pod is replaced: it doubles with each failure.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(600));
/// Time for which changes of a Job's pods are gathered.
const BATCH: Duration = Duration::from_secs(1);

/// Puts the Job of a pod on the queue.
pub fn on_pod(world: &mut World, change: &Change) {
    for pod in change.before.iter().chain(change.after.iter()) {
        if let Some(owner) = pod.controller().filter(|o| o.get("kind").text() == "Job") {
            enqueue_after(world, Loop::Job, Key::new(Kind::JOB, pod.namespace(), owner.get("name").text()), BATCH);
        }
    }
}

/// Whether a Job has come to its end.
pub fn is_finished(job: &Object) -> bool {
    ["Complete", "Failed"].iter().any(|kind| has(job, kind))
}

fn has(job: &Object, kind: &str) -> bool {
    job.condition(kind).is_some_and(|c| c.get("status").text() == "True")
}

/// The state of a Job's pods.
struct Tally {
    active: Vec<Object>,
    terminating: usize,
    succeeded: usize,
    failed: usize,
    last_failure: Option<SimTime>,
    /// Indices that are done.
    done: BTreeSet<i64>,
}

fn finished_at(pod: &Object) -> Option<SimTime> {
    let statuses = pod.status().get("containerStatuses").items().iter();
    statuses.filter_map(|s| SimTime::parse_rfc3339(s.at(&["state", "terminated", "finishedAt"]).text())).max()
}

fn index_of(pod: &Object) -> Option<i64> {
    pod.annotation(INDEX).and_then(|i| i.parse().ok())
}

fn tally(world: &World, job: &Object) -> Tally {
    let mut tally = Tally { active: Vec::new(), terminating: 0, succeeded: 0, failed: 0, last_failure: None, done: BTreeSet::new() };
    for pod in world.store.list(Kind::POD, Some(job.namespace())).filter(|p| pods::is_controlled_by(p, job.uid())) {
        match pod.status().get("phase").text() {
            "Succeeded" => {
                tally.succeeded += 1;
                tally.done.extend(index_of(pod));
            }
            "Failed" => {
                tally.failed += 1;
                tally.last_failure = tally.last_failure.max(finished_at(pod));
            }
            _ if is_active(pod) => tally.active.push(pod.clone()),
            _ => tally.terminating += 1,
        }
    }
    if is_indexed(job) {
        tally.succeeded = tally.done.len();
    }
    // Pods that were deleted meanwhile stay counted.
    let counted = |field: &str| usize::try_from(job.status().get(field).as_i64().unwrap_or(0)).unwrap_or(0);
    tally.succeeded = tally.succeeded.max(counted("succeeded"));
    tally.failed = tally.failed.max(counted("failed"));
    tally
}

fn is_indexed(job: &Object) -> bool {
    job.spec().get("completionMode").text() == "Indexed"
}

/// Why a Job ends, if it does: condition, reason, message.
type Verdict = (&'static str, &'static str, &'static str);

fn verdict(world: &World, job: &Object, tally: &Tally) -> Option<Verdict> {
    let spec = job.spec();
    let limit = spec.get("backoffLimit").as_i64().unwrap_or(6);
    let retries = tally
        .active
        .iter()
        .flat_map(|p| p.status().get("containerStatuses").items())
        .filter_map(|c| c.get("restartCount").as_i64())
        .sum::<i64>();
    let failures = i64::try_from(tally.failed).unwrap_or(i64::MAX);
    let on_failure = spec.at(&["template", "spec", "restartPolicy"]).text() == "OnFailure";
    if failures > limit || on_failure && retries > 0 && retries >= limit {
        return Some(("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit"));
    }
    let started = SimTime::parse_rfc3339(job.status().get("startTime").text());
    let seconds = spec.get("activeDeadlineSeconds").as_i64().and_then(|s| u64::try_from(s).ok());
    if started.zip(seconds).is_some_and(|(at, s)| at + Duration::from_secs(s) <= world.now) {
        return Some(("Failed", "DeadlineExceeded", "Job was active longer than specified deadline"));
    }
    let succeeded = i64::try_from(tally.succeeded).unwrap_or(i64::MAX);
    let complete = match spec.get("completions").as_i64() {
        None => succeeded > 0 && tally.active.is_empty(),
        Some(n) => succeeded >= n,
    };
    complete.then_some(("Complete", "CompletionsReached", "Reached expected number of succeeded pods"))
}

/// Brings one Job closer to its end.
pub fn sync(world: &mut World, key: &Key) -> Outcome {
    let Some(job) = world.store.get(key).cloned() else { return Ok(()) };
    if job.is_terminating() {
        return Ok(());
    }
    if is_finished(&job) {
        return expire(world, key, &job);
    }
    let mut tally = tally(world, &job);
    let mut conditions = job.status().get("conditions").clone();
    let suspended = job.spec().get("suspend").is_true();
    let end = if suspended { None } else { verdict(world, &job, &tally) };
    let mut outcome = Ok(());
    if let Some((kind, reason, message)) = end {
        conditions = conclude(world, &job, &mut tally, conditions, (kind, reason, message))?;
    } else {
        conditions = note_suspension(world, &job, conditions, suspended);
        outcome = manage(world, key, &job, &mut tally, suspended);
    }
    write_status(world, key, &job, &tally, conditions)?;
    if let Some(seconds) =
        job.spec().get("activeDeadlineSeconds").as_i64().and_then(|s| u64::try_from(s).ok()).filter(|_| end.is_none() && !suspended)
    {
        let started = SimTime::parse_rfc3339(job.status().get("startTime").text()).unwrap_or(world.now);
        let left = (started + Duration::from_secs(seconds)) - world.now;
        enqueue_after(world, Loop::Job, key.clone(), left.max(Duration::from_secs(1)));
    }
    outcome
}

fn condition(world: &World, kind: &str, status: &str, (reason, message): (&str, &str)) -> Json {
    let now = world.now.rfc3339();
    object! {
        "type" => kind, "status" => status, "reason" => reason, "message" => message, "lastProbeTime" => now.as_str(),
        "lastTransitionTime" => now.as_str(),
    }
}

/// First the condition that names the outcome, then, once no pod is left, the final one.
fn conclude(
    world: &mut World,
    job: &Object,
    tally: &mut Tally,
    conditions: Json,
    verdict: Verdict,
) -> Result<Json, crate::cluster::ApiError> {
    let (kind, reason, message) = verdict;
    let first = if kind == "Complete" { "SuccessCriteriaMet" } else { "FailureTarget" };
    let mut conditions = with_condition(&conditions, condition(world, first, "True", (reason, message)));
    let maker = Maker { controller: CONTROLLER, owner: job };
    for pod in std::mem::take(&mut tally.active) {
        maker.delete(world, &pod)?;
        tally.terminating += 1;
    }
    let was_set = job.condition(first).is_some();
    if tally.terminating == 0 && (kind == "Complete" || was_set) {
        conditions = with_condition(&conditions, condition(world, kind, "True", (reason, message)));
        let (severity, event, text) =
            if kind == "Complete" { (Severity::Normal, "Completed", "Job completed") } else { (Severity::Warning, reason, message) };
        events::record(world, &Source::component(CONTROLLER), job, severity, (event, text));
    }
    Ok(conditions)
}

fn note_suspension(world: &mut World, job: &Object, conditions: Json, suspended: bool) -> Json {
    let noted = has(job, "Suspended");
    let (status, reason, message) = match (suspended, noted) {
        (true, false) => ("True", "JobSuspended", "Job suspended"),
        (false, true) => ("False", "JobResumed", "Job resumed"),
        _ => return conditions,
    };
    let event = if suspended { "Suspended" } else { "Resumed" };
    events::record(world, &Source::component(CONTROLLER), job, Severity::Normal, (event, message));
    with_condition(&conditions, condition(world, "Suspended", status, (reason, message)))
}

/// Makes or deletes pods so that as many run as are wanted.
fn manage(world: &mut World, key: &Key, job: &Object, tally: &mut Tally, suspended: bool) -> Outcome {
    let spec = job.spec();
    let parallelism = if suspended { 0 } else { spec.get("parallelism").as_i64().unwrap_or(1) };
    let done = i64::try_from(tally.succeeded).unwrap_or(i64::MAX);
    let active = i64::try_from(tally.active.len()).unwrap_or(i64::MAX);
    let wanted = match spec.get("completions").as_i64() {
        None if done > 0 => active,
        None => parallelism,
        Some(n) => (n - done).max(0).min(parallelism),
    };
    let maker = Maker { controller: CONTROLLER, owner: job };
    if active > wanted {
        let surplus = usize::try_from(active - wanted).unwrap_or(0);
        pods::sort_for_deletion(&mut tally.active, &[], world.now);
        for pod in tally.active.drain(..surplus.min(tally.active.len())).collect::<Vec<_>>() {
            maker.delete(world, &pod)?;
            tally.terminating += 1;
        }
        return Ok(());
    }
    if let Some(at) = tally.last_failure.filter(|_| tally.failed > 0 && active < wanted) {
        let doublings = u32::try_from(tally.failed - 1).unwrap_or(u32::MAX).min(10);
        let due = at + (BACKOFF.0 * 2_u32.pow(doublings)).min(BACKOFF.1);
        if due > world.now {
            enqueue_after(world, Loop::Job, key.clone(), due - world.now);
            return Ok(());
        }
    }
    for _ in active..wanted {
        let index = is_indexed(job).then(|| free_index(tally));
        let made = maker.create(world, draft(job, index))?;
        tally.active.push(made);
    }
    Ok(())
}

fn free_index(tally: &Tally) -> i64 {
    let used: BTreeSet<i64> = tally.active.iter().filter_map(index_of).chain(tally.done.iter().copied()).collect();
    (0..).find(|i| !used.contains(i)).unwrap_or(0)
}

fn draft(job: &Object, index: Option<i64>) -> Json {
    let mut pod = Maker { controller: CONTROLLER, owner: job }.from_template(job.spec().get("template"));
    if let Some(index) = index {
        pod.set_at(&["metadata", "annotations", INDEX], index.to_string());
        pod.set_at(&["metadata", "labels", INDEX], index.to_string());
        pod.set_at(&["metadata", "generateName"], format!("{}-{index}-", job.name()));
        pod.set_at(&["spec", "hostname"], format!("{}-{index}", job.name()));
    }
    pod
}

fn write_status(world: &mut World, key: &Key, job: &Object, tally: &Tally, conditions: Json) -> Outcome {
    let now = world.now.rfc3339();
    let old = job.status();
    let mut status = object! {
        "ready" => tally.active.iter().filter(|p| is_ready(p)).count(), "terminating" => tally.terminating, "uncountedTerminatedPods" => object! {},
    };
    for (field, n) in [("active", tally.active.len()), ("succeeded", tally.succeeded), ("failed", tally.failed)] {
        if n > 0 {
            status.set(field, n);
        }
    }
    if is_indexed(job) && !tally.done.is_empty() {
        status.set("completedIndexes", ranges(&tally.done));
    }
    let suspended = job.spec().get("suspend").is_true();
    if !suspended {
        status.set("startTime", if old.get("startTime").is_null() { Json::from(now.as_str()) } else { old.get("startTime").clone() });
    }
    if conditions.find("type", "Complete").is_some() {
        status.set("completionTime", now);
    }
    if !conditions.is_empty() {
        status.set("conditions", conditions);
    }
    world.set_status(key, |s| *s = status)?;
    Ok(())
}

/// `0-2,4`.
fn ranges(indices: &BTreeSet<i64>) -> String {
    let mut spans: Vec<(i64, i64)> = Vec::new();
    for index in indices {
        match spans.last_mut() {
            Some((_, last)) if *last + 1 == *index => *last = *index,
            _ => spans.push((*index, *index)),
        }
    }
    let text = |(a, b): &(i64, i64)| match b - a {
        0 => a.to_string(),
        1 => format!("{a},{b}"),
        _ => format!("{a}-{b}"),
    };
    spans.iter().map(text).collect::<Vec<_>>().join(",")
}

/// Deletes a finished Job when its time to live is over.
fn expire(world: &mut World, key: &Key, job: &Object) -> Outcome {
    let Some(seconds) = job.spec().get("ttlSecondsAfterFinished").as_i64().and_then(|s| u64::try_from(s).ok()) else { return Ok(()) };
    let ended = ["Complete", "Failed"].iter().find_map(|k| SimTime::parse_rfc3339(job.condition(k)?.get("lastTransitionTime").text()));
    let Some(due) = ended.map(|at| at + Duration::from_secs(seconds)) else { return Ok(()) };
    if due > world.now {
        enqueue_after(world, Loop::Job, key.clone(), due - world.now);
        return Ok(());
    }
    world.delete(&identity("ttl-after-finished-controller"), key, None, Some(Propagation::Foreground))?;
    Ok(())
}

/// Puts a Job itself on the queue.
pub fn on_job(world: &mut World, change: &Change) {
    enqueue(world, Loop::Job, change.key.clone());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_written_as_ranges() {
        let check = |indices: &[i64], expect: &str| assert_eq!(ranges(&indices.iter().copied().collect()), expect);
        check(&[0, 1, 2, 4], "0-2,4");
        check(&[0, 1], "0,1");
        check(&[], "");
    }
}
