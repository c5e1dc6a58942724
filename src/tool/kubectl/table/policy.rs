//! Tables of rules and measures: rights, budgets, quotas, admission, priorities, autoscaling, resource metrics.

use super::{Cells, Fill};
use crate::object::quantity::Quantity;
use crate::object::{Json, Object, ResourceType};

/// Columns and cells of such a kind.
pub fn layout(resource: &ResourceType) -> Option<(&'static [&'static str], Fill)> {
    Some(match (resource.group.as_str(), resource.plural.as_str()) {
        ("policy", "poddisruptionbudgets") => {
            (&["NAME", "MIN AVAILABLE", "MAX UNAVAILABLE", "ALLOWED DISRUPTIONS", "AGE"], disruption_budget)
        }
        ("autoscaling", "horizontalpodautoscalers") => {
            (&["NAME", "REFERENCE", "TARGETS", "MINPODS", "MAXPODS", "REPLICAS", "AGE"], autoscaler)
        }
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => {
            (&["NAME", "ROLE", "AGE", "*USERS", "*GROUPS", "*SERVICEACCOUNTS"], binding)
        }
        ("", "serviceaccounts") => (&["NAME", "SECRETS", "AGE"], service_account),
        ("", "resourcequotas") => (&["NAME", "REQUEST", "LIMIT", "AGE"], quota),
        ("scheduling.k8s.io", "priorityclasses") => (&["NAME", "VALUE", "GLOBAL-DEFAULT", "AGE", "PREEMPTIONPOLICY"], priority_class),
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations" | "validatingwebhookconfigurations") => {
            (&["NAME", "WEBHOOKS", "AGE"], webhooks)
        }
        ("admissionregistration.k8s.io", "validatingadmissionpolicies") => (&["NAME", "VALIDATIONS", "PARAMKIND", "AGE"], admission_policy),
        ("admissionregistration.k8s.io", "validatingadmissionpolicybindings") => {
            (&["NAME", "POLICYNAME", "PARAMREF", "AGE"], admission_binding)
        }
        ("metrics.k8s.io", _) => (&["NAME", "CPU", "MEMORY", "WINDOW"], metrics),
        _ => return None,
    })
}

/// What a pod's containers or a node use.
fn metrics(object: &Object, cells: &mut Cells) {
    cells.name(object);
    let containers = object.get("containers").items().iter().map(|container| container.get("usage"));
    let all: Vec<&Json> = if object.get("usage").is_null() { containers.collect() } else { vec![object.get("usage")] };
    for amount in ["cpu", "memory"] {
        let sum = all.iter().filter_map(|usage| Quantity::of(usage.get(amount))).reduce(Quantity::plus);
        cells.text(&sum.map_or_else(|| "0".to_owned(), |sum| sum.to_string()));
    }
    cells.text(object.get("window").text());
}

/// An IntOrString as text.
fn int_or_text(value: &Json, absent: &str) -> String {
    match value {
        Json::Null => absent.to_owned(),
        Json::Str(text) => text.to_string(),
        number => number.to_compact(),
    }
}

fn disruption_budget(object: &Object, cells: &mut Cells) {
    cells.name(object);
    cells.text(&int_or_text(object.spec().get("minAvailable"), "N/A"));
    cells.text(&int_or_text(object.spec().get("maxUnavailable"), "N/A"));
    cells.number(object.status().get("disruptionsAllowed").as_i64().unwrap_or(0));
    cells.age(object);
}

/// The field of a metric source that its type names.
fn source<'m>(metric: &'m Json, kind: &str) -> &'m Json {
    let mut field = kind.to_owned();
    if let Some(first) = field.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    metric.get(&field)
}

fn metric(spec: &Json, status: &Json) -> String {
    let kind = spec.get("type").text();
    let (wanted, current) = (source(spec, kind), source(status, kind).get("current"));
    let target = wanted.get("target");
    let or_unknown = |value: &Json| int_or_text(value, "<unknown>");
    let average = target.get("averageValue");
    match kind {
        "External" | "Object" if !average.is_null() => {
            format!("{}/{} (avg)", or_unknown(current.get("averageValue")), average.text())
        }
        "External" | "Object" => format!("{}/{}", or_unknown(current.get("value")), int_or_text(target.get("value"), "0")),
        "Pods" => format!("{}/{}", or_unknown(current.get("averageValue")), int_or_text(average, "0")),
        "Resource" | "ContainerResource" if !average.is_null() => {
            format!("{}: {}/{}", wanted.get("name").text(), or_unknown(current.get("averageValue")), average.text())
        }
        "Resource" | "ContainerResource" => {
            let percent = |value: &Json, absent: &str| value.as_i64().map_or(absent.to_owned(), |n| format!("{n}%"));
            let now = percent(current.get("averageUtilization"), "<unknown>");
            format!("{}: {now}/{}", wanted.get("name").text(), percent(target.get("averageUtilization"), "<auto>"))
        }
        _ => "<unknown type>".to_owned(),
    }
}

fn autoscaler(object: &Object, cells: &mut Cells) {
    let spec = object.spec();
    cells.name(object);
    let target = spec.get("scaleTargetRef");
    cells.text(&format!("{}/{}", target.get("kind").text(), target.get("name").text()));
    let current = object.status().get("currentMetrics");
    let metrics: Vec<String> = spec.get("metrics").items().iter().enumerate().map(|(at, m)| metric(m, current.nth(at))).collect();
    match metrics.len() {
        0 => cells.text("<none>"),
        1 | 2 => cells.text(&metrics.join(", ")),
        more => cells.text(&format!("{} + {} more...", metrics[..2].join(", "), more - 2)),
    }
    match spec.get("minReplicas").as_i64() {
        Some(n) => cells.number(n),
        None => cells.text("<unset>"),
    }
    cells.number(spec.get("maxReplicas").as_i64().unwrap_or(0));
    cells.number(object.status().get("currentReplicas").as_i64().unwrap_or(0));
    cells.age(object);
}

fn binding(object: &Object, cells: &mut Cells) {
    cells.name(object);
    let role = object.get("roleRef");
    cells.text(&format!("{}/{}", role.get("kind").text(), role.get("name").text()));
    cells.age(object);
    if !cells.wide {
        return;
    }
    for kind in ["User", "Group", "ServiceAccount"] {
        let of_kind = object.get("subjects").items().iter().filter(|s| s.get("kind").text() == kind);
        let names = of_kind.map(|s| match kind {
            "ServiceAccount" => format!("{}/{}", s.get("namespace").text(), s.get("name").text()),
            _ => s.get("name").text().to_owned(),
        });
        cells.text(&names.collect::<Vec<_>>().join(", "));
    }
}

fn service_account(object: &Object, cells: &mut Cells) {
    cells.name(object);
    cells.number(i64::try_from(object.get("secrets").items().len()).unwrap_or(0));
    cells.age(object);
}

fn quota(object: &Object, cells: &mut Cells) {
    cells.name(object);
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (name, hard) in object.status().get("hard").entries() {
        let used = int_or_text(object.status().get("used").get(name), "0");
        let text = format!("{name}: {used}/{}", int_or_text(hard, "0"));
        if name.starts_with("limits.") { limits.push(text) } else { requests.push(text) }
    }
    cells.text(&requests.join(", "));
    cells.text(&limits.join(", "));
    cells.age(object);
}

fn priority_class(object: &Object, cells: &mut Cells) {
    cells.name(object);
    cells.number(object.get("value").as_i64().unwrap_or(0));
    cells.bool(object.get("globalDefault").is_true());
    cells.age(object);
    cells.text(object.get("preemptionPolicy").text());
}

fn webhooks(object: &Object, cells: &mut Cells) {
    cells.name(object);
    cells.number(i64::try_from(object.get("webhooks").items().len()).unwrap_or(0));
    cells.age(object);
}

fn admission_policy(object: &Object, cells: &mut Cells) {
    cells.name(object);
    cells.number(i64::try_from(object.spec().get("validations").items().len()).unwrap_or(0));
    match object.spec().get("paramKind") {
        Json::Null => cells.text("<unset>"),
        kind => cells.text(&format!("{}/{}", kind.get("apiVersion").text(), kind.get("kind").text())),
    }
    cells.age(object);
}

fn admission_binding(object: &Object, cells: &mut Cells) {
    let spec = object.spec();
    cells.name(object);
    cells.text(spec.get("policyName").text());
    let reference = spec.get("paramRef");
    let (name, namespace) = (reference.get("name").text(), reference.get("namespace").text());
    match (name, namespace) {
        ("", _) => cells.text("<unset>"),
        (name, "") => cells.text(&format!("*/{name}")),
        (name, namespace) => cells.text(&format!("{namespace}/{name}")),
    }
    cells.age(object);
}
