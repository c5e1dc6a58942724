//! The CronJob controller: Jobs on a schedule.
//!
//! Not modelled: time zones other than UTC.

use super::events::{self, Severity, Source};
use super::pods::{controller_reference, is_controlled_by};
use super::{Loop, Outcome, enqueue, enqueue_after, identity, job};
use crate::cluster::Propagation;
use crate::cluster::sim::store::{Change, Key, Kind};
use crate::cluster::sim::world::World;
use crate::object;
use crate::object::{Json, Object};
use crate::time::SimTime;
use std::time::Duration;

const CONTROLLER: &str = "cronjob-controller";
/// Minutes looked ahead for the next run; a schedule without one in that time never runs.
const HORIZON_MINUTES: u64 = 5 * 366 * 24 * 60;

/// A schedule: for each field the values that fit, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Schedule {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether day of month and day of week are both restricted, so that either suffices.
    either: bool,
}

/// The bits of one field: `*`, `*/5`, `1-5`, `1,2`, names of months and weekdays.
fn field(text: &str, (low, high): (u64, u64), names: &[&str]) -> Option<u64> {
    let number = |t: &str| t.parse::<u64>().ok().or_else(|| names.iter().position(|n| n.eq_ignore_ascii_case(t)).map(|p| p as u64 + low));
    let mut bits = 0;
    for part in text.split(',') {
        let (range, step) = part.split_once('/').map_or((part, 1), |(r, s)| (r, s.parse::<u64>().unwrap_or(0)));
        let (from, to) = match range.split_once('-') {
            _ if range == "*" || range == "?" => (low, high),
            Some((a, b)) => (number(a)?, number(b)?),
            None if part.contains('/') => (number(range)?, high),
            None => (number(range)?, number(range)?),
        };
        if step == 0 || from < low || to > high || from > to {
            return None;
        }
        for value in (from..=to).step_by(usize::try_from(step).ok()?) {
            bits |= 1 << value;
        }
    }
    Some(bits)
}

impl Schedule {
    fn parse(text: &str) -> Option<Schedule> {
        let text = match text.trim() {
            "@hourly" => "0 * * * *",
            "@daily" | "@midnight" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            "@yearly" | "@annually" => "0 0 1 1 *",
            other => other,
        };
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else { return None };
        const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
        const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
        let mut weekdays = field(weekday, (0, 7), &DAYS)?;
        weekdays |= weekdays >> 7 & 1;
        let open = |t: &str| t.starts_with('*') || t.starts_with('?');
        Some(Schedule {
            minutes: field(minute, (0, 59), &[])?,
            hours: field(hour, (0, 23), &[])?,
            days: field(day, (1, 31), &[])?,
            months: field(month, (1, 12), &MONTHS)?,
            weekdays,
            either: !open(day) && !open(weekday),
        })
    }

    fn fits(&self, minute: u64) -> bool {
        let at = SimTime::from_secs(minute * 60).timestamp().to_zoned(jiff::tz::TimeZone::UTC);
        let bit = |bits: u64, value: i8| bits >> u64::try_from(value).unwrap_or(63) & 1 == 1;
        let day = bit(self.days, at.day());
        let weekday = bit(self.weekdays, at.weekday().to_sunday_zero_offset());
        let date = if self.either { day || weekday } else { day && weekday };
        bit(self.minutes, at.minute()) && bit(self.hours, at.hour()) && date && bit(self.months, at.month())
    }

    /// The first run after an instant.
    fn next(&self, after: SimTime) -> Option<SimTime> {
        let first = after.as_secs() / 60 + 1;
        let mut minute = first;
        while minute < first + HORIZON_MINUTES {
            if self.fits(minute) {
                return Some(SimTime::from_secs(minute * 60));
            }
            // Whole hours that cannot fit are passed over.
            let hour = minute / 60 % 24;
            minute += if self.hours >> hour & 1 == 0 { 60 - minute % 60 } else { 1 };
        }
        None
    }
}

/// Puts the CronJobs that a change concerns on the queue.
pub fn on_change(world: &mut World, change: &Change) {
    if change.key.kind == Kind::CRON_JOB {
        return enqueue(world, Loop::CronJob, change.key.clone());
    }
    for job in change.before.iter().chain(change.after.iter()) {
        if let Some(owner) = job.controller().filter(|o| o.get("kind").text() == "CronJob") {
            enqueue(world, Loop::CronJob, Key::new(Kind::CRON_JOB, job.namespace(), owner.get("name").text()));
        }
    }
}

fn report(world: &mut World, cron: &Object, severity: Severity, what: (&str, &str)) {
    events::record(world, &Source::component(CONTROLLER), cron, severity, what);
}

/// Brings one CronJob up to date: finished Jobs are noted, due ones started.
pub fn sync(world: &mut World, key: &Key) -> Outcome {
    let Some(cron) = world.store.get(key).filter(|c| !c.is_terminating()).cloned() else { return Ok(()) };
    let ours = |j: &&Object| is_controlled_by(j, cron.uid());
    let jobs: Vec<Object> = world.store.list(Kind::JOB, Some(&key.namespace)).filter(ours).cloned().collect();
    note_finished(world, key, &cron, &jobs)?;
    clean_up(world, &cron, &jobs)?;
    if cron.spec().get("suspend").is_true() {
        return Ok(());
    }
    let Some(schedule) = Schedule::parse(cron.spec().get("schedule").text()) else {
        let message = format!("unparseable schedule: {:?}", cron.spec().get("schedule").text());
        report(world, &cron, Severity::Warning, ("UnparseableSchedule", &message));
        return Ok(());
    };
    let last = SimTime::parse_rfc3339(cron.status().get("lastScheduleTime").text()).or_else(|| cron.created_at()).unwrap_or(world.now);
    if let Some(due) = schedule.next(last).filter(|at| *at <= world.now) {
        let latest = std::iter::successors(Some(due), |at| schedule.next(*at).filter(|n| *n <= world.now)).take(100).last().unwrap_or(due);
        start(world, key, &cron, &jobs, latest)?;
    }
    if let Some(next) = schedule.next(world.now) {
        enqueue_after(world, Loop::CronJob, key.clone(), (next - world.now) + Duration::from_millis(100));
    }
    Ok(())
}

fn start(world: &mut World, key: &Key, cron: &Object, jobs: &[Object], due: SimTime) -> Outcome {
    let deadline = cron.spec().get("startingDeadlineSeconds").as_i64().and_then(|s| u64::try_from(s).ok());
    if deadline.is_some_and(|s| due + Duration::from_secs(s) < world.now) {
        let message = format!("Missed scheduled time to start a job: {}", due.timestamp().strftime("%a, %d %b %Y %H:%M:%S +0000"));
        report(world, cron, Severity::Warning, ("MissSchedule", &message));
        return Ok(());
    }
    let active: Vec<&Object> = jobs.iter().filter(|j| !job::is_finished(j)).collect();
    match cron.spec().get("concurrencyPolicy").text() {
        "Forbid" if !active.is_empty() => {
            let message = "Not starting job because prior execution is running and concurrency policy is Forbid";
            report(world, cron, Severity::Normal, ("JobAlreadyActive", message));
            return Ok(());
        }
        "Replace" => {
            for old in active {
                delete(world, cron, old)?;
            }
        }
        _ => {}
    }
    let job = draft(cron, due);
    let made = world.create(&identity(CONTROLLER), Kind::JOB, &key.namespace, job)?;
    report(world, cron, Severity::Normal, ("SuccessfulCreate", &format!("Created job {}", made.name())));
    let reference = object! {
        "apiVersion" => "batch/v1", "kind" => "Job", "name" => made.name(), "namespace" => made.namespace(), "uid" => made.uid(),
        "resourceVersion" => made.resource_version(),
    };
    world.set_status(key, |s| {
        s.get_mut("active").push(reference);
        s.set("lastScheduleTime", due.rfc3339());
    })?;
    Ok(())
}

fn draft(cron: &Object, due: SimTime) -> Json {
    let template = cron.spec().get("jobTemplate");
    let mut metadata = object! {
        "name" => format!("{}-{}", cron.name(), due.as_secs() / 60), "ownerReferences" => Json::from(vec![controller_reference(cron)]),
        "annotations" => object! {},
    };
    for field in ["labels", "annotations"] {
        if !template.at(&["metadata", field]).is_empty() {
            metadata.set(field, template.at(&["metadata", field]));
        }
    }
    metadata.set_at(&["annotations", "batch.kubernetes.io/cronjob-scheduled-timestamp"], due.rfc3339());
    object! { "metadata" => metadata, "spec" => template.get("spec") }
}

fn note_finished(world: &mut World, key: &Key, cron: &Object, jobs: &[Object]) -> Outcome {
    let listed = cron.status().get("active").items();
    let mut left = Vec::new();
    let mut succeeded: Option<SimTime> = None;
    for reference in listed {
        let uid = reference.get("uid").text();
        match jobs.iter().find(|j| j.uid() == uid) {
            Some(job) if job::is_finished(job) => {
                let kind = if job.condition("Complete").is_some() { "Complete" } else { "Failed" };
                let message = format!("Saw completed job: {}, condition: {kind}", job.name());
                report(world, cron, Severity::Normal, ("SawCompletedJob", &message));
                succeeded = succeeded.max(SimTime::parse_rfc3339(job.status().get("completionTime").text()));
            }
            Some(_) => left.push(reference.clone()),
            None => {
                let message = format!("Active job went missing: {}", reference.get("name").text());
                report(world, cron, Severity::Normal, ("MissingJob", &message));
            }
        }
    }
    if left.len() == listed.len() {
        return Ok(());
    }
    world.set_status(key, |s| {
        if left.is_empty() {
            s.remove("active");
        } else {
            s.set("active", Json::from(left));
        }
        if let Some(at) = succeeded {
            s.set("lastSuccessfulTime", at.rfc3339());
        }
    })?;
    Ok(())
}

fn delete(world: &mut World, cron: &Object, job: &Object) -> Outcome {
    world.delete(&identity(CONTROLLER), &Key::of(Kind::JOB, job), None, Some(Propagation::Background))?;
    report(world, cron, Severity::Normal, ("SuccessfulDelete", &format!("Deleted job {}", job.name())));
    Ok(())
}

/// Deletes the oldest finished Jobs beyond the limits.
fn clean_up(world: &mut World, cron: &Object, jobs: &[Object]) -> Outcome {
    for (kind, field, default) in [("Complete", "successfulJobsHistoryLimit", 3), ("Failed", "failedJobsHistoryLimit", 1)] {
        let limit = usize::try_from(cron.spec().get(field).as_i64().unwrap_or(default)).unwrap_or(0);
        let mut done: Vec<&Object> = jobs.iter().filter(|j| j.condition(kind).is_some() && !j.is_terminating()).collect();
        done.sort_by_key(|j| (j.created_at(), j.name().to_owned()));
        let surplus = done.len().saturating_sub(limit);
        for job in done.into_iter().take(surplus) {
            delete(world, cron, job)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_say_when() {
        let check = |schedule: &str, after: &str, expect: &str| {
            let after = SimTime::parse_rfc3339(after).expect("time");
            let next = Schedule::parse(schedule).and_then(|s| s.next(after)).map(SimTime::rfc3339);
            assert_eq!(next.as_deref().unwrap_or("never"), expect, "{schedule}");
        };
        check("*/5 * * * *", "2026-01-01T00:02:10Z", "2026-01-01T00:05:00Z");
        check("0 3 * * *", "2026-01-01T03:00:00Z", "2026-01-02T03:00:00Z");
        check("30 12 * * mon-fri", "2026-01-02T13:00:00Z", "2026-01-05T12:30:00Z");
        check("0 0 13 * 5", "2026-01-03T00:00:00Z", "2026-01-09T00:00:00Z");
        check("@hourly", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z");
        check("0 0 31 2 *", "2026-01-01T00:00:00Z", "never");
        check("61 * * * *", "2026-01-01T00:00:00Z", "never");
    }
}
