//! Nodes.

use super::Scene;
use super::sheet::{Sheet, date, joined, shown};
use crate::cluster::Options;
use crate::object::{Json, Object, Quantity};
use crate::tool::kubectl::failure::Failure;
use crate::tool::kubectl::table::{age, node_roles};
use std::collections::BTreeMap;

/// A Node.
pub fn node(scene: &mut Scene<'_, '_, '_>, object: &Object, sheet: &mut Sheet) -> Result<(), Failure> {
    let field_selector = format!("spec.nodeName={},status.phase!=Failed,status.phase!=Succeeded", object.name());
    let pods = match scene.try_list("", "pods", None, Options { field_selector, ..Options::default() }) {
        Ok(pods) => Some(pods),
        Err(failure) if failure.reason() == Some("Forbidden") => None,
        Err(failure) => return Err(failure),
    };
    let (spec, status) = (object.spec(), object.status());
    sheet.field(0, "Name", object.name());
    let roles = node_roles(object);
    sheet.field(0, "Roles", if roles.is_empty() { "<none>".to_owned() } else { roles.join(",") });
    sheet.metadata(object);
    sheet.field(0, "CreationTimestamp", date(object.meta().get("creationTimestamp")));
    sheet.field(0, "Taints", taints(spec.get("taints")));
    sheet.field(0, "Unschedulable", spec.get("unschedulable").is_true());
    lease(scene, object, sheet);
    conditions(status, sheet);
    sheet.line(0, "Addresses:");
    for address in status.get("addresses").items() {
        sheet.field(1, address.get("type").text(), address.get("address").text());
    }
    for (title, field) in [("Capacity:", "capacity"), ("Allocatable:", "allocatable")] {
        if !status.get(field).is_empty() {
            sheet.line(0, title);
        }
        for (name, quantity) in status.get(field).entries() {
            sheet.field(1, name, shown(quantity, "0"));
        }
    }
    system(status.get("nodeInfo"), sheet);
    for (title, text) in [
        ("PodCIDR", spec.get("podCIDR").text().to_owned()),
        ("PodCIDRs", joined(spec.get("podCIDRs"), ",")),
        ("ProviderID", spec.get("providerID").text().to_owned()),
    ] {
        if !text.is_empty() {
            sheet.field(0, title, text);
        }
    }
    match pods {
        Some(pods) => workload(scene, object, &pods, sheet),
        None => sheet.field(0, "Pods", "not authorized"),
    }
    let mut events = scene.events_of(object);
    events.extend(scene.events_about(object, object.kind(), object.name()));
    scene.write_these_events(events, sheet);
    Ok(())
}

fn taints(taints: &Json) -> String {
    let taint = |taint: &Json| {
        let (key, value, effect) = (taint.get("key").text(), taint.get("value").text(), taint.get("effect").text());
        let text = match (value, effect) {
            ("", "") => key.to_owned(),
            (value, "") => format!("{key}={value}:"),
            ("", effect) => format!("{key}:{effect}"),
            (value, effect) => format!("{key}={value}:{effect}"),
        };
        (format!("{effect},{key}"), text)
    };
    let mut texts: Vec<(String, String)> = taints.items().iter().map(taint).collect();
    texts.sort_by(|a, b| a.0.cmp(&b.0));
    if texts.is_empty() {
        return "<none>".to_owned();
    }
    texts.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("\n\t")
}

fn lease(scene: &mut Scene<'_, '_, '_>, node: &Object, sheet: &mut Sheet) {
    match scene.read("coordination.k8s.io", "leases", Some("kube-node-lease"), node.name()) {
        Ok(lease) => {
            let spec = lease.spec();
            sheet.line(0, "Lease:");
            sheet.field(1, "HolderIdentity", shown(spec.get("holderIdentity"), "<unset>"));
            for (title, field) in [("AcquireTime", "acquireTime"), ("RenewTime", "renewTime")] {
                let time = spec.get(field);
                sheet.field(1, title, if time.is_null() { "<unset>".to_owned() } else { date(time) });
            }
        }
        Err(failure) => sheet.field(0, "Lease", format_args!("Failed to get lease: {failure}")),
    }
}

fn conditions(status: &Json, sheet: &mut Sheet) {
    let conditions = status.get("conditions").items();
    if conditions.is_empty() {
        return;
    }
    sheet.line(0, "Conditions:\n  Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage");
    sheet.line(1, "----\t------\t-----------------\t------------------\t------\t-------");
    for condition in conditions {
        let text = |field: &str| condition.get(field).text();
        let (beat, changed) = (date(condition.get("lastHeartbeatTime")), date(condition.get("lastTransitionTime")));
        sheet
            .line(1, format_args!("{} \t{} \t{beat} \t{changed} \t{} \t{}", text("type"), text("status"), text("reason"), text("message")));
    }
}

fn system(info: &Json, sheet: &mut Sheet) {
    sheet.line(0, "System Info:");
    for (title, field) in [
        ("Machine ID", "machineID"),
        ("System UUID", "systemUUID"),
        ("Boot ID", "bootID"),
        ("Kernel Version", "kernelVersion"),
        ("OS Image", "osImage"),
        ("Operating System", "operatingSystem"),
        ("Architecture", "architecture"),
        ("Container Runtime Version", "containerRuntimeVersion"),
        ("Kubelet Version", "kubeletVersion"),
        ("Kube-Proxy Version", "kubeProxyVersion"),
    ] {
        sheet.field(1, title, info.get(field).text());
    }
}

type Amounts = BTreeMap<String, Quantity>;

fn amounts(list: &Json) -> Amounts {
    list.entries().filter_map(|(name, value)| Some((name.to_string(), Quantity::of(value)?))).collect()
}

fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        sum.entry(name.clone()).and_modify(|present| *present = present.plus(*amount)).or_insert(*amount);
    }
}

fn raise(most: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        let present = most.entry(name.clone()).or_insert(*amount);
        if *amount > *present {
            *present = *amount;
        }
    }
}

/// What a pod requests (`requests`) or may use (`limits`) in all.
pub fn pod_amounts(pod: &Object, field: &str) -> BTreeMap<String, Quantity> {
    let spec = pod.spec();
    let mut sum = Amounts::new();
    for container in spec.get("containers").items() {
        add(&mut sum, &container_amounts(pod, container, field));
    }
    let (mut sidecars, mut most) = (Amounts::new(), Amounts::new());
    for container in spec.get("initContainers").items() {
        let mut own = container_amounts(pod, container, field);
        if container.get("restartPolicy").text() == "Always" {
            add(&mut sum, &own);
            add(&mut sidecars, &own);
            own = sidecars.clone();
        } else {
            add(&mut own, &sidecars);
        }
        raise(&mut most, &own);
    }
    raise(&mut sum, &most);
    let overhead = amounts(spec.get("overhead"));
    if field == "requests" {
        add(&mut sum, &overhead);
    } else {
        let counted = overhead.into_iter().filter(|(name, _)| sum.get(name).is_some_and(|amount| !amount.is_zero())).collect();
        add(&mut sum, &counted);
    }
    sum
}

/// A container's own amounts; requests take what its status says was allocated into account.
fn container_amounts(pod: &Object, container: &Json, field: &str) -> Amounts {
    let mut own = amounts(container.at(&["resources", field]));
    if field != "requests" {
        return own;
    }
    let name = container.get("name").text();
    let statuses = ["containerStatuses", "initContainerStatuses"];
    let status = statuses.iter().find_map(|list| pod.status().get(list).find("name", name));
    if let Some(status) = status.filter(|status| !status.get("resources").is_null()) {
        raise(&mut own, &amounts(status.at(&["resources", "requests"])));
        raise(&mut own, &amounts(status.get("allocatedResources")));
    }
    own
}

fn percent(part: i64, whole: i64) -> i64 {
    if whole == 0 { 0 } else { (part as f64 / whole as f64 * 100.0) as i64 }
}

/// An amount and its share of what the node has: `100m (2%)`.
fn share(amounts: &Amounts, name: &str, allocatable: &Amounts) -> String {
    let amount = amounts.get(name).copied().unwrap_or(Quantity::ZERO);
    let whole = allocatable.get(name).copied().unwrap_or(Quantity::ZERO);
    let part = match name {
        "cpu" => percent(amount.milli_value(), whole.milli_value()),
        _ => percent(amount.value(), whole.value()),
    };
    format!("{amount} ({part}%)")
}

fn workload(scene: &Scene<'_, '_, '_>, node: &Object, pods: &[Object], sheet: &mut Sheet) {
    let status = node.status();
    let allocatable = amounts(if status.get("allocatable").is_empty() { status.get("capacity") } else { status.get("allocatable") });
    let (mut requests, mut limits) = (Amounts::new(), Amounts::new());
    sheet.field(0, "Non-terminated Pods", format_args!("({} in total)", pods.len()));
    sheet.line(1, "Namespace\tName\t\tCPU Requests\tCPU Limits\tMemory Requests\tMemory Limits\tAge");
    sheet.line(1, "---------\t----\t\t------------\t----------\t---------------\t-------------\t---");
    for pod in pods {
        let (wanted, allowed) = (pod_amounts(pod, "requests"), pod_amounts(pod, "limits"));
        let cells = [
            share(&wanted, "cpu", &allocatable),
            share(&allowed, "cpu", &allocatable),
            share(&wanted, "memory", &allocatable),
            share(&allowed, "memory", &allocatable),
            age(pod.meta().get("creationTimestamp"), scene.now),
        ];
        sheet.line(1, format_args!("{}\t{}\t\t{}", pod.namespace(), pod.name(), cells.join("\t")));
        add(&mut requests, &wanted);
        add(&mut limits, &allowed);
    }
    sheet.line(0, "Allocated resources:\n  (Total limits may be over 100 percent, i.e., overcommitted.)");
    sheet.line(1, "Resource\tRequests\tLimits");
    sheet.line(1, "--------\t--------\t------");
    let standard = ["cpu", "memory", "ephemeral-storage"];
    let huge = allocatable.keys().map(String::as_str).filter(|name| name.starts_with("hugepages-"));
    for name in standard.into_iter().chain(huge) {
        sheet.line(1, format_args!("{name}\t{}\t{}", share(&requests, name, &allocatable), share(&limits, name, &allocatable)));
    }
    let other = |name: &&String| !standard.contains(&name.as_str()) && !name.starts_with("hugepages-") && name.as_str() != "pods";
    for name in allocatable.keys().filter(other) {
        let amount = |amounts: &Amounts| amounts.get(name).copied().unwrap_or(Quantity::ZERO);
        sheet.line(1, format_args!("{name}\t{}\t{}", amount(&requests), amount(&limits)));
    }
}
