//! Autoscalers, disruption budgets, priority classes.

use super::Scene;
use super::sheet::{Sheet, date, labels_line, shown};
use crate::object::{Json, Object};
use crate::tool::kubectl::failure::{Failure, quote};
use crate::tool::kubectl::table::selector_text;

/// A PodDisruptionBudget.
pub fn disruption_budget(scene: &mut Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    let (spec, status) = (object.spec(), object.status());
    sheet.field(0, "Name", object.name());
    sheet.field(0, "Namespace", object.namespace());
    let bounds = [("Min available", "minAvailable"), ("Max unavailable", "maxUnavailable")];
    if let Some((title, field)) = bounds.iter().find(|(_, field)| !spec.get(field).is_null()) {
        sheet.field(0, title, shown(spec.get(field), ""));
    }
    match spec.get("selector") {
        Json::Null => sheet.field(0, "Selector", "<unset>"),
        selector => sheet.field(0, "Selector", selector_text(selector)),
    }
    sheet.line(0, "Status:");
    for (title, field) in [
        ("Allowed disruptions", "disruptionsAllowed"),
        ("Current", "currentHealthy"),
        ("Desired", "desiredHealthy"),
        ("Total", "expectedPods"),
    ] {
        sheet.field(2, title, status.get(field).as_i64().unwrap_or(0));
    }
    scene.write_events(object, sheet);
    Ok(())
}

/// A PriorityClass.
pub fn priority_class(scene: &mut Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    sheet.field(0, "Name", object.name());
    sheet.field(0, "Value", object.get("value").as_i64().unwrap_or(0));
    sheet.field(0, "GlobalDefault", object.get("globalDefault").is_true());
    sheet.field(0, "PreemptionPolicy", object.get("preemptionPolicy").text());
    sheet.field(0, "Description", object.get("description").text());
    sheet.field(0, "Annotations", labels_line(object.meta().get("annotations")));
    scene.write_events(object, sheet);
    Ok(())
}

/// A HorizontalPodAutoscaler.
pub fn autoscaler(scene: &mut Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    let (spec, status) = (object.spec(), object.status());
    sheet.head(object);
    sheet.field(0, "CreationTimestamp", date(object.meta().get("creationTimestamp")));
    let target = spec.get("scaleTargetRef");
    sheet.field(0, "Reference", format_args!("{}/{}", target.get("kind").text(), target.get("name").text()));
    sheet.field(0, "Metrics", "( current / target )");
    for (at, metric) in spec.get("metrics").items().iter().enumerate() {
        sheet.line(1, metric_line(metric, status.get("currentMetrics").nth(at)));
    }
    sheet.field(0, "Min replicas", shown(spec.get("minReplicas"), "<unset>"));
    sheet.field(0, "Max replicas", spec.get("maxReplicas").as_i64().unwrap_or(0));
    let behavior = spec.get("behavior");
    if !behavior.is_null() {
        sheet.line(0, "Behavior:");
        direction("Scale Up:", behavior.get("scaleUp"), sheet);
        direction("Scale Down:", behavior.get("scaleDown"), sheet);
    }
    let count = |field: &str| status.get(field).as_i64().unwrap_or(0);
    let title = format!("{} pods", target.get("kind").text());
    sheet.field(0, &title, format_args!("{} current / {} desired", count("currentReplicas"), count("desiredReplicas")));
    let conditions = status.get("conditions").items();
    if !conditions.is_empty() {
        sheet.line(0, "Conditions:");
        sheet.line(1, "Type\tStatus\tReason\tMessage");
        sheet.line(1, "----\t------\t------\t-------");
    }
    for condition in conditions {
        let text = |field: &str| condition.get(field).text();
        sheet.line(1, format_args!("{}\t{}\t{}\t{}", text("type"), text("status"), text("reason"), text("message")));
    }
    scene.write_events(object, sheet);
    Ok(())
}

fn metric_line(metric: &Json, current: &Json) -> String {
    let kind = metric.get("type").text();
    let field = match kind {
        "External" => "external",
        "Pods" => "pods",
        "Object" => "object",
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        _ => return format!("<unknown metric type {}>", quote(kind)),
    };
    let (source, now) = (metric.get(field), current.get(field).get("current"));
    let target = source.get("target");
    let pair = |value: &str| format!("{} / {}", shown(now.get(value), "<unknown>"), shown(target.get(value), "0"));
    let (name, average) = (source.at(&["metric", "name"]).text(), !target.get("averageValue").is_null());
    let value = if average { ("average value", "averageValue") } else { ("value", "value") };
    match kind {
        "External" => format!("{} (target {}):\t{}", quote(name), value.0, pair(value.1)),
        "Pods" => format!("{} on pods:\t{}", quote(name), pair("averageValue")),
        "Object" => {
            let described = source.get("describedObject");
            let (of, called) = (described.get("kind").text(), described.get("name").text());
            format!("\"{name}\" on {of}/{called} (target {}):\t{}", value.0, pair(value.1))
        }
        _ => {
            let container = match source.get("container").text() {
                "" => String::new(),
                container => format!(" of container \"{container}\""),
            };
            let title = format!("resource {}{container} on pods", source.get("name").text());
            if average {
                return format!("{title}:\t{}", pair("averageValue"));
            }
            let used = now.get("averageUtilization").as_i64();
            let used = used.map_or("<unknown>".to_owned(), |n| format!("{n}% ({})", shown(now.get("averageValue"), "0")));
            let wanted = target.get("averageUtilization").as_i64().map_or("<auto>".to_owned(), |n| format!("{n}%"));
            format!("{title}  (as a percentage of request):\t{used} / {wanted}")
        }
    }
}

fn direction(title: &str, rules: &Json, sheet: &mut Sheet) {
    if rules.is_null() {
        return;
    }
    sheet.line(1, title);
    if let Some(seconds) = rules.get("stabilizationWindowSeconds").as_i64() {
        sheet.line(2, format_args!("Stabilization Window: {seconds} seconds"));
    }
    if rules.get("policies").is_empty() {
        return;
    }
    sheet.line(2, format_args!("Select Policy: {}", shown(rules.get("selectPolicy"), "Max")));
    sheet.line(2, "Policies:");
    for policy in rules.get("policies").items() {
        let number = |field: &str| policy.get(field).as_i64().unwrap_or(0);
        let (kind, value, period) = (policy.get("type").text(), number("value"), number("periodSeconds"));
        sheet.line(3, format_args!("- Type: {kind}\tValue: {value}\tPeriod: {period} seconds"));
    }
}
