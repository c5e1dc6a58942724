//! The kinds that run pods: Deployment, ReplicaSet, StatefulSet, DaemonSet, Job, CronJob.

use super::path::Path;
use super::{FieldErrors, complain, immutable, internal, meta, non_negative, pod, storage};
use crate::cluster::sim::api::errors::Cause;
use crate::cluster::sim::store::Kind;
use crate::object::selector::object_matches;
use crate::object::{Json, Object, names};

pub(super) fn check(kind: Kind, object: &Object, errors: &mut FieldErrors) {
    let (spec, path) = (object.spec(), Path::new("spec"));
    match kind {
        Kind::DEPLOYMENT => deployment(spec, &path, errors),
        Kind::STATEFUL_SET => stateful_set(spec, &path, errors),
        Kind::DAEMON_SET => daemon_set(spec, &path, errors),
        Kind::JOB => {
            job(spec, &path, errors);
            meta::selector(spec.get("selector"), &path.child("selector"), errors);
            template_labels(spec, &path.child("template"), errors);
        }
        Kind::CRON_JOB => cron_job(spec, &path, errors),
        _ => {
            non_negative(spec.get("replicas"), &path.child("replicas"), errors);
            non_negative(spec.get("minReadySeconds"), &path.child("minReadySeconds"), errors);
            selector(spec, "empty selector is invalid for deployment", &path, errors);
            template(spec, "ReplicaSet", &path.child("template"), errors);
        }
    }
}

pub(super) fn on_update(kind: Kind, old: &Object, new: &Object, errors: &mut FieldErrors) {
    let path = Path::new("spec");
    let (before, after) = (old.spec(), new.spec());
    match kind {
        Kind::DEPLOYMENT | Kind::REPLICA_SET | Kind::DAEMON_SET => {
            immutable(before.get("selector"), after.get("selector"), &path.child("selector"), errors);
        }
        Kind::STATEFUL_SET => {
            const FREE: [&str; 7] = [
                "replicas",
                "template",
                "updateStrategy",
                "minReadySeconds",
                "ordinals",
                "revisionHistoryLimit",
                "persistentVolumeClaimRetentionPolicy",
            ];
            let rest = |spec: &Json| {
                let mut rest = spec.clone();
                FREE.iter().for_each(|field| drop(rest.remove(field)));
                rest
            };
            if rest(before) != rest(after) {
                let text = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
                errors.forbidden(path, text);
            }
        }
        Kind::JOB => job_update(before, after, &path, errors),
        _ => {}
    }
}

fn job_update(before: &Json, after: &Json, path: &Path, errors: &mut FieldErrors) {
    if after.get("completionMode").text() != "Indexed" {
        immutable(before.get("completions"), after.get("completions"), &path.child("completions"), errors);
    }
    immutable(before.get("selector"), after.get("selector"), &path.child("selector"), errors);
    if before.get("template") != after.get("template") {
        let shown = internal::compact(after.get("template"), "core.PodTemplateSpec");
        errors.shown(Cause::Invalid, path.child("template"), &shown, "field is immutable");
    }
    for field in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
        immutable(before.get(field), after.get(field), &path.child(field), errors);
    }
}

fn selector(spec: &Json, empty: &str, path: &Path, errors: &mut FieldErrors) {
    let (selector, path) = (spec.get("selector"), path.child("selector"));
    if selector.is_null() {
        return errors.required(path, "");
    }
    meta::selector(selector, &path, errors);
    if selector.get("matchLabels").is_empty() && selector.get("matchExpressions").is_empty() {
        errors.invalid(path, selector, empty);
    }
}

/// The selector must select the template's pods.
fn template_labels(spec: &Json, path: &Path, errors: &mut FieldErrors) {
    let (selector, labels) = (spec.get("selector"), spec.at(&["template", "metadata", "labels"]));
    let empty = !selector.is_null() && selector.get("matchLabels").is_empty() && selector.get("matchExpressions").is_empty();
    if !empty && !object_matches(selector, labels) {
        errors.invalid(path.child("metadata").child("labels"), labels, "`selector` does not match template `labels`");
    }
}

/// A template of pods that always restart; `owner` names the kind in refusals.
fn template(spec: &Json, owner: &str, path: &Path, errors: &mut FieldErrors) {
    template_labels(spec, path, errors);
    pod::check_template(spec.get("template"), path, errors);
    always_restarts(spec, owner, path, errors);
}

fn always_restarts(spec: &Json, owner: &str, path: &Path, errors: &mut FieldErrors) {
    let pod = spec.at(&["template", "spec"]);
    let policy = pod.get("restartPolicy").text();
    let below = path.child("spec");
    if policy != "Always" {
        errors.not_supported(below.child("restartPolicy"), policy, &["Always"]);
    }
    if !pod.get("activeDeadlineSeconds").is_null() {
        errors.forbidden(below.child("activeDeadlineSeconds"), &format!("activeDeadlineSeconds in {owner} is not Supported"));
    }
}

fn deployment(spec: &Json, path: &Path, errors: &mut FieldErrors) {
    non_negative(spec.get("replicas"), &path.child("replicas"), errors);
    selector(spec, "empty selector is invalid for deployment", path, errors);
    template(spec, "ReplicaSet", &path.child("template"), errors);
    strategy(spec.get("strategy"), &path.child("strategy"), errors);
    for field in ["minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"] {
        non_negative(spec.get(field), &path.child(field), errors);
    }
    if let Some(deadline) = spec.get("progressDeadlineSeconds").as_i64()
        && deadline <= spec.get("minReadySeconds").as_i64().unwrap_or(0)
    {
        errors.invalid(path.child("progressDeadlineSeconds"), deadline, "must be greater than minReadySeconds");
    }
}

fn strategy(strategy: &Json, path: &Path, errors: &mut FieldErrors) {
    let (update, below) = (strategy.get("rollingUpdate"), path.child("rollingUpdate"));
    match strategy.get("type").text() {
        "Recreate" => {
            if !update.is_null() {
                errors.forbidden(below, "may not be specified when strategy `type` is 'Recreate'");
            }
        }
        "RollingUpdate" => {
            for field in ["maxUnavailable", "maxSurge"] {
                number_or_percent(update.get(field), &below.child(field), errors);
            }
            if amount(update.get("maxUnavailable")) == 0 && amount(update.get("maxSurge")) == 0 {
                errors.invalid(below.child("maxUnavailable"), update.get("maxUnavailable"), "may not be 0 when `maxSurge` is 0");
            }
            at_most_all(update.get("maxUnavailable"), &below.child("maxUnavailable"), errors);
        }
        _ => {
            let shown = internal::compact(strategy, "apps.DeploymentStrategy");
            errors.shown(Cause::NotSupported, path, &shown, "supported values: \"Recreate\", \"RollingUpdate\"");
        }
    }
}

/// A count, or a share of the replicas.
pub(super) fn number_or_percent(value: &Json, path: &Path, errors: &mut FieldErrors) {
    match value.as_str() {
        Some(text) => complain(names::percent(text), text, path, errors),
        None => non_negative(value, path, errors),
    }
}

fn amount(value: &Json) -> i64 {
    value.as_i64().or_else(|| value.text().trim_end_matches('%').parse().ok()).unwrap_or(0)
}

/// A share must not be more than all.
pub(super) fn at_most_all(value: &Json, path: &Path, errors: &mut FieldErrors) {
    if value.text().strip_suffix('%').and_then(|n| n.parse::<i64>().ok()).is_some_and(|n| n > 100) {
        errors.invalid(path, value, "must not be greater than 100%");
    }
}

fn stateful_set(spec: &Json, path: &Path, errors: &mut FieldErrors) {
    let management = spec.get("podManagementPolicy").text();
    if !matches!(management, "OrderedReady" | "Parallel") {
        errors.invalid(path.child("podManagementPolicy"), management, "must be 'OrderedReady' or 'Parallel'");
    }
    let (strategy, below) = (spec.get("updateStrategy"), path.child("updateStrategy"));
    match strategy.get("type").text() {
        "RollingUpdate" => {
            let rolling = below.child("rollingUpdate");
            non_negative(strategy.at(&["rollingUpdate", "partition"]), &rolling.child("partition"), errors);
        }
        "OnDelete" if !strategy.get("rollingUpdate").is_null() => {
            errors.invalid(below.child("rollingUpdate"), strategy.get("rollingUpdate"), "only allowed for updateStrategy 'RollingUpdate'");
        }
        "OnDelete" => {}
        _ => errors.invalid(below, strategy, "must be 'RollingUpdate' or 'OnDelete'"),
    }
    let claims = path.child("volumeClaimTemplates");
    for (at, claim) in spec.get("volumeClaimTemplates").items().iter().enumerate() {
        storage::check_claim(claim.get("spec"), &claims.index(at).child("spec"), errors);
    }
    for field in ["replicas", "minReadySeconds"] {
        non_negative(spec.get(field), &path.child(field), errors);
    }
    let service = spec.get("serviceName").text();
    if !service.is_empty() {
        complain(names::dns1123_label(service), service, &path.child("serviceName"), errors);
    }
    selector(spec, "empty selector is invalid for statefulset", path, errors);
    let template = path.child("template");
    template_labels(spec, &template, errors);
    pod::check_template(&with_claims(spec), &template, errors);
    always_restarts(spec, "StatefulSet", &template, errors);
}

/// The template with the volumes that the controller adds for the claim templates.
fn with_claims(spec: &Json) -> Json {
    let mut template = spec.get("template").clone();
    for claim in spec.get("volumeClaimTemplates").items() {
        let name = claim.at(&["metadata", "name"]);
        let volumes = template.get_mut("spec").get_mut("volumes");
        if volumes.find("name", name.text()).is_none() {
            let source = crate::object! { "claimName" => name };
            volumes.push(crate::object! { "name" => name, "persistentVolumeClaim" => source });
        }
    }
    template
}

fn daemon_set(spec: &Json, path: &Path, errors: &mut FieldErrors) {
    selector(spec, "empty selector is invalid for daemonset", path, errors);
    template_labels(spec, &path.child("template"), errors);
    pod::check_template(spec.get("template"), &path.child("template"), errors);
    always_restarts(spec, "DaemonSet", &path.child("template"), errors);
    for field in ["minReadySeconds", "revisionHistoryLimit"] {
        non_negative(spec.get(field), &path.child(field), errors);
    }
    let (strategy, below) = (spec.get("updateStrategy"), path.child("updateStrategy"));
    match strategy.get("type").text() {
        "OnDelete" => {}
        "RollingUpdate" => {
            let (update, below) = (strategy.get("rollingUpdate"), below.child("rollingUpdate"));
            for field in ["maxUnavailable", "maxSurge"] {
                number_or_percent(update.get(field), &below.child(field), errors);
                at_most_all(update.get(field), &below.child(field), errors);
            }
            match (amount(update.get("maxUnavailable")), amount(update.get("maxSurge"))) {
                (0, 0) => errors.required(below.child("maxUnavailable"), "cannot be 0 when maxSurge is 0"),
                (u, s) if u != 0 && s != 0 => {
                    errors.invalid(below.child("maxSurge"), update.get("maxSurge"), "may not be set when maxUnavailable is non-zero");
                }
                _ => {}
            }
        }
        _ => {
            let shown = internal::compact(strategy, "apps.DaemonSetUpdateStrategy");
            errors.shown(Cause::NotSupported, below, &shown, "supported values: \"RollingUpdate\", \"OnDelete\"");
        }
    }
}

fn job(spec: &Json, path: &Path, errors: &mut FieldErrors) {
    for field in ["parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished", "backoffLimitPerIndex"]
    {
        non_negative(spec.get(field), &path.child(field), errors);
    }
    let mode = spec.get("completionMode").text();
    if !matches!(mode, "" | "NonIndexed" | "Indexed") {
        errors.not_supported(path.child("completionMode"), mode, &["NonIndexed", "Indexed"]);
    }
    if mode == "Indexed" && spec.get("completions").is_null() {
        errors.required(path.child("completions"), "when completion mode is Indexed");
    }
    let template = path.child("template");
    pod::check_template(spec.get("template"), &template, errors);
    let policy = spec.at(&["template", "spec", "restartPolicy"]).text();
    let below = template.child("spec");
    match policy {
        "OnFailure" | "Never" => {}
        "" | "Always" => errors.required(below.child("restartPolicy"), "valid values: \"OnFailure\", \"Never\""),
        other => errors.not_supported(below.child("restartPolicy"), other, &["OnFailure", "Never"]),
    }
}

fn cron_job(spec: &Json, path: &Path, errors: &mut FieldErrors) {
    let schedule = spec.get("schedule").text();
    if schedule.is_empty() {
        errors.required(path.child("schedule"), "");
    } else {
        if let Err(text) = parse_schedule(schedule) {
            errors.invalid(path.child("schedule"), schedule, &text);
        }
        if schedule.contains("TZ") {
            errors.invalid(path.child("schedule"), schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
        }
    }
    non_negative(spec.get("startingDeadlineSeconds"), &path.child("startingDeadlineSeconds"), errors);
    let policy = spec.get("concurrencyPolicy").text();
    super::one_of(policy, &["Allow", "Forbid", "Replace"], &path.child("concurrencyPolicy"), errors);
    job(spec.at(&["jobTemplate", "spec"]), &path.child("jobTemplate").child("spec"), errors);
    for field in ["successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
        non_negative(spec.get(field), &path.child(field), errors);
    }
}

/// Bounds of the five fields of a schedule.
const BOUNDS: [(u32, u32); 5] = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)];
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// Checks a cron schedule.
fn parse_schedule(schedule: &str) -> Result<(), String> {
    if let Some(word) = schedule.strip_prefix('@') {
        return match word {
            "yearly" | "annually" | "monthly" | "weekly" | "daily" | "midnight" | "hourly" => Ok(()),
            every if every.starts_with("every ") => Ok(()),
            _ => Err(format!("unrecognized descriptor: {schedule}")),
        };
    }
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    if fields.len() != 5 {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
    }
    for (at, (field, bounds)) in fields.iter().zip(BOUNDS).enumerate() {
        for part in field.split(',') {
            parse_range(part, at, bounds)?;
        }
    }
    Ok(())
}

fn parse_range(part: &str, field: usize, (low, high): (u32, u32)) -> Result<(), String> {
    let number = |text: &str| -> Result<u32, String> {
        let named = match field {
            3 => MONTHS.iter().position(|m| m.eq_ignore_ascii_case(text)).map(|at| at + 1),
            4 => DAYS.iter().position(|d| d.eq_ignore_ascii_case(text)),
            _ => None,
        };
        match named {
            Some(at) => Ok(u32::try_from(at).unwrap_or(0)),
            None => text.parse().map_err(|_| format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax")),
        }
    };
    let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
    let (start, end) = match range {
        "*" | "?" => (low, high),
        _ => match range.split_once('-') {
            Some((start, end)) => (number(start)?, number(end)?),
            None => {
                let start = number(range)?;
                (start, if step.is_some() { high } else { start })
            }
        },
    };
    if let Some(step) = step
        && number(step)? == 0
    {
        return Err(format!("step of range should be a positive number: {part}"));
    }
    if start < low {
        return Err(format!("beginning of range ({start}) below minimum ({low}): {part}"));
    }
    if end > high {
        return Err(format!("end of range ({end}) above maximum ({high}): {part}"));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {part}"));
    }
    Ok(())
}
