//! Namespaces, quotas and limit ranges.

use super::sheet::{Sheet, shown};
use super::{Scene, network};
use crate::cluster::Options;
use crate::object::{Json, Object, Quantity};
use crate::tool::kubectl::failure::Failure;
use std::collections::BTreeSet;

/// A Namespace.
pub fn namespace(scene: &mut Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    let quotas = absent_kinds(scene.try_list("", "resourcequotas", Some(object.name()), Options::default()))?;
    let limits = absent_kinds(scene.try_list("", "limitranges", Some(object.name()), Options::default()))?;
    sheet.field(0, "Name", object.name());
    sheet.metadata(object);
    sheet.field(0, "Status", object.status().get("phase").text());
    let conditions = object.status().get("conditions").items();
    if !conditions.is_empty() {
        network::full_conditions(conditions, sheet);
    }
    if let Some(quotas) = quotas {
        sheet.line(0, "");
        all_quotas(quotas, sheet);
    }
    if let Some(limits) = limits {
        sheet.line(0, "");
        all_limits(&limits, sheet);
    }
    Ok(())
}

/// `None` for kinds that the server does not know.
fn absent_kinds(listed: Result<Vec<Object>, Failure>) -> Result<Option<Vec<Object>>, Failure> {
    match listed {
        Ok(objects) => Ok(Some(objects)),
        Err(failure) if failure.is_not_found() => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn scope_help(scope: &str) -> &'static str {
    match scope {
        "Terminating" => {
            "Matches all pods that have an active deadline. These pods have a limited lifespan on a node before being actively terminated by the system."
        }
        "NotTerminating" => {
            "Matches all pods that do not have an active deadline. These pods usually include long running pods whose container command is not expected to terminate."
        }
        "BestEffort" => "Matches all pods that do not have resource requirements set. These pods have a best effort quality of service.",
        "NotBestEffort" => {
            "Matches all pods that have at least one resource requirement set. These pods have a burstable or guaranteed quality of service."
        }
        _ => "",
    }
}

fn scopes(quota: &Object, level: usize, bullet: &str, sheet: &mut Sheet) {
    let mut scopes: Vec<&str> = quota.spec().get("scopes").items().iter().map(Json::text).collect();
    if scopes.is_empty() {
        return;
    }
    scopes.sort_unstable();
    sheet.field(level, "Scopes", scopes.join(", "));
    for help in scopes.iter().map(|scope| scope_help(scope)).filter(|help| !help.is_empty()) {
        sheet.line(level, format_args!("{bullet}{help}"));
    }
}

fn all_quotas(mut quotas: Vec<Object>, sheet: &mut Sheet) {
    if quotas.is_empty() {
        return sheet.line(0, "No resource quota.");
    }
    quotas.sort_by(|a, b| a.name().cmp(b.name()));
    sheet.line(0, "Resource Quotas");
    for quota in &quotas {
        sheet.field(1, "Name", quota.name());
        scopes(quota, 1, "* ", sheet);
        sheet.line(1, "Resource\tUsed\tHard");
        sheet.line(1, "--------\t---\t---");
        for (name, hard) in quota.status().get("hard").entries() {
            let used = shown(quota.status().get("used").get(name), "0");
            sheet.line(1, format_args!("{name}\t{used}\t{}", shown(hard, "0")));
        }
    }
}

fn all_limits(limits: &[Object], sheet: &mut Sheet) {
    if limits.is_empty() {
        return sheet.line(0, "No LimitRange resource.");
    }
    sheet.line(0, "Resource Limits\n Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio");
    sheet.line(0, " ----\t--------\t---\t---\t---------------\t-------------\t-----------------------");
    for range in limits {
        limit_rows(range, " ", sheet);
    }
}

/// The rows of a LimitRange. kubectl prints the resources of a type in random order; here they are sorted.
fn limit_rows(range: &Object, prefix: &str, sheet: &mut Sheet) {
    for item in range.spec().get("limits").items() {
        let columns = ["min", "max", "defaultRequest", "default", "maxLimitRequestRatio"];
        let names: BTreeSet<&str> = columns.iter().flat_map(|c| item.get(c).entries()).map(|(name, _)| name.as_str()).collect();
        for name in names {
            let values: Vec<String> = columns.iter().map(|column| shown(item.get(column).get(name), "-")).collect();
            sheet.line(0, format_args!("{prefix}{}\t{name}\t{}", item.get("type").text(), values.join("\t")));
        }
    }
}

/// A LimitRange.
pub fn limit_range(_: &mut Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    sheet.field(0, "Name", object.name());
    sheet.field(0, "Namespace", object.namespace());
    sheet.line(0, "Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio");
    sheet.line(0, "----\t--------\t---\t---\t---------------\t-------------\t-----------------------");
    limit_rows(object, "", sheet);
    Ok(())
}

/// A ResourceQuota.
pub fn quota(_: &mut Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    sheet.field(0, "Name", object.name());
    sheet.field(0, "Namespace", object.namespace());
    scopes(object, 0, " * ", sheet);
    sheet.line(0, "Resource\tUsed\tHard");
    sheet.line(0, "--------\t----\t----");
    for (name, hard) in object.status().get("hard").entries() {
        let used = object.status().get("used").get(name);
        let text = match (Quantity::of(used), Quantity::of(hard)) {
            (Some(u), Some(h)) if u.format() != h.format() => Quantity::from_int(u.value()).with_format(h.format()).to_string(),
            _ => shown(used, "0"),
        };
        sheet.line(0, format_args!("{name}\t{text}\t{}", shown(hard, "0")));
    }
    Ok(())
}
