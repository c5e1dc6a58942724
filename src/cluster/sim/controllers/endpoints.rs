//! The Endpoints and EndpointSlice controllers: which pods stand behind a Service.
//!
//! Not modelled: slices of more than one address family, topology hints, mirroring of Endpoints written by hand, truncation.

use super::pods::{self, controller_reference, is_finished, is_namespace_terminating};
use super::selector::is_subset;
use super::{Loop, Outcome, enqueue, identity, md5};
use crate::cluster::sim::network::service;
use crate::cluster::sim::store::{Change, Key, Kind};
use crate::cluster::sim::world::World;
use crate::object;
use crate::object::{Json, Object};
use crate::time::SimTime;
use arcstr::ArcStr;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

const TRIGGER: &str = "endpoints.kubernetes.io/last-change-trigger-time";
const HEADLESS: &str = "service.kubernetes.io/headless";
const SERVICE_NAME: &str = "kubernetes.io/service-name";
const SLICE_MANAGER: (&str, &str) = ("endpointslice.kubernetes.io/managed-by", "endpointslice-controller.k8s.io");
const MANAGER: (&str, &str) = ("endpoints.kubernetes.io/managed-by", "endpoint-controller");
/// Endpoints in a slice at most.
const SLICE_SIZE: usize = 100;

/// Puts the Services that a change concerns on the queues of both controllers.
pub fn on_change(world: &mut World, change: &Change) {
    let mut services: Vec<Key> = Vec::new();
    match change.key.kind {
        Kind::SERVICE => services.push(change.key.clone()),
        Kind::POD => services.extend(services_of_pod(world, change)),
        Kind::ENDPOINT_SLICE if change.after.is_none() => {
            let name = change.before.as_ref().and_then(|s| s.label(SERVICE_NAME)).unwrap_or_default();
            services.push(Key::new(Kind::SERVICE, change.key.namespace.clone(), name));
        }
        Kind::ENDPOINTS => services.push(Key { kind: Kind::SERVICE, ..change.key.clone() }),
        _ => {}
    }
    for key in services {
        enqueue(world, Loop::Endpoints, key.clone());
        enqueue(world, Loop::EndpointSlice, key);
    }
}

/// What Services see of a pod.
fn visible(pod: &Object) -> [&Json; 6] {
    let (meta, spec, status) = (pod.meta(), pod.spec(), pod.status());
    [
        meta.get("labels"),
        meta.get("deletionTimestamp"),
        status.get("podIP"),
        spec.get("nodeName"),
        spec.get("hostname"),
        spec.get("subdomain"),
    ]
}

fn services_of_pod(world: &World, change: &Change) -> Vec<Key> {
    let (before, after) = (change.before.as_ref(), change.after.as_ref());
    let state = |p: &Object| (pods::is_ready(p), is_finished(p));
    if before.map(visible) == after.map(visible) && before.map(state) == after.map(state) {
        return Vec::new();
    }
    let sides: Vec<&Json> = before.into_iter().chain(after).map(|p| p.meta().get("labels")).collect();
    let selects = move |s: &Object| {
        let selector = s.spec().get("selector");
        !selector.is_empty() && sides.iter().any(|labels| is_subset(selector, labels))
    };
    let services = world.store.list_by(Kind::SERVICE, Some(&change.key.namespace), selects);
    services.map(|(key, _)| key.clone()).collect()
}

/// Pods behind a Service, terminating ones only if asked for.
fn members(world: &World, service: &Object, terminating: bool) -> Vec<Object> {
    let selector = service.spec().get("selector");
    let belongs = move |p: &Object| {
        let here = !is_finished(p) && !p.status().get("podIP").is_empty() && (terminating || !p.is_terminating());
        here && is_subset(selector, p.meta().get("labels"))
    };
    world.store.list_by(Kind::POD, Some(service.namespace()), belongs).map(|(_, pod)| pod.clone()).collect()
}

/// The number of a Service's port on a pod; a named target port is looked up in the pod.
fn target_port(port: &Json, pod: &Object) -> Option<i64> {
    let target = port.get("targetPort");
    if let Some(number) = target.as_i64() {
        return Some(if number == 0 { port.get("port").as_i64()? } else { number });
    }
    let Some(name) = target.as_str() else { return port.get("port").as_i64() };
    let protocol = port.get("protocol").as_str().unwrap_or("TCP");
    let sidecars = pod.spec().get("initContainers").items().iter().filter(|c| c.get("restartPolicy").text() == "Always");
    let mut ports = pod.spec().get("containers").items().iter().chain(sidecars).flat_map(|c| c.get("ports").items());
    let found = ports.find(|p| p.get("name").text() == name && p.get("protocol").as_str().unwrap_or("TCP") == protocol);
    found.and_then(|p| p.get("containerPort").as_i64())
}

/// The ports of a Service on a pod; `None` when it offers none of them.
fn ports(service: &Object, pod: &Object, in_slice: bool) -> Option<Vec<Json>> {
    let wanted = service.spec().get("ports").items();
    if wanted.is_empty() {
        return is_headless(service).then(Vec::new);
    }
    let mut found = Vec::new();
    for port in wanted {
        let Some(number) = target_port(port, pod) else { continue };
        let mut entry = object! { "port" => number, "protocol" => port.get("protocol").as_str().unwrap_or("TCP") };
        let name = port.get("name").text();
        if in_slice || !name.is_empty() {
            entry.set("name", name);
        }
        if !port.get("appProtocol").is_null() {
            entry.set("appProtocol", port.get("appProtocol"));
        }
        found.push(entry);
    }
    (!found.is_empty()).then_some(found)
}

fn is_headless(service: &Object) -> bool {
    service.spec().get("clusterIP").text() == "None"
}

fn shows_host_name(service: &Object, pod: &Object) -> bool {
    let (host, domain) = (pod.spec().get("hostname").text(), pod.spec().get("subdomain").text());
    !host.is_empty() && domain == service.name() && pod.namespace() == service.namespace()
}

fn target_reference(pod: &Object) -> Json {
    object! { "kind" => "Pod", "namespace" => pod.namespace(), "name" => pod.name(), "uid" => pod.uid() }
}

fn labels(service: &Object, reserved: &[&str], own: &[(&str, &str)]) -> Json {
    let mut labels = object! {};
    for (key, value) in service.meta().get("labels").entries().filter(|(k, _)| !reserved.contains(&k.as_str())) {
        labels.set(key, value);
    }
    if is_headless(service) {
        labels.set(HEADLESS, "");
    } else {
        labels.remove(HEADLESS);
    }
    for (key, value) in own {
        labels.set(key, *value);
    }
    labels
}

/// Brings a Service's Endpoints up to date.
pub fn sync(world: &mut World, key: &Key) -> Outcome {
    let at = Key { kind: Kind::ENDPOINTS, ..key.clone() };
    let Some(service) = world.store.get(key).cloned() else {
        if world.store.get(&at).is_some() {
            world.delete(&identity("endpoint-controller"), &at, None, None)?;
        }
        return Ok(());
    };
    if service.spec().get("selector").is_null() || service.spec().get("type").text() == "ExternalName" {
        return Ok(());
    }
    let early = service.spec().get("publishNotReadyAddresses").is_true();
    let members = members(world, &service, early);
    let subsets = subsets(&service, &members, early);
    let labels = labels(&service, &[], &[MANAGER]);
    let old = world.store.get(&at).cloned();
    let unchanged = old.as_ref().is_some_and(|o| *o.get("subsets") == subsets && *o.meta().get("labels") == labels);
    if unchanged {
        return Ok(());
    }
    let known = |pod: &Object, ready: bool| {
        let list = if ready { "addresses" } else { "notReadyAddresses" };
        let old = old.as_ref().map(|o| o.get("subsets").items()).unwrap_or_default();
        old.iter().flat_map(|s| s.get(list).items()).any(|a| a.at(&["targetRef", "uid"]).text() == pod.uid())
    };
    let changed: Vec<&Object> = members.iter().filter(|p| !known(p, early || pods::is_ready(p))).collect();
    let trigger = trigger(&service, old.is_none(), &changed);
    let write = |endpoints: &mut Json| {
        endpoints.set_at(&["metadata", "labels"], labels);
        set_trigger(endpoints, trigger);
        if subsets.is_null() {
            endpoints.remove("subsets");
        } else {
            endpoints.set("subsets", subsets);
        }
    };
    if old.is_some() {
        world.update(&at, write)?;
        return Ok(());
    }
    let mut endpoints = object! { "metadata" => object! { "name" => service.name() } };
    write(&mut endpoints);
    created(world.create(&identity("endpoint-controller"), Kind::ENDPOINTS, service.namespace(), endpoints))
}

fn created(result: Result<Object, crate::cluster::ApiError>) -> Outcome {
    match result {
        Err(error) if !is_namespace_terminating(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Addresses with the same ports make a subset; null when there are none.
fn subsets(service: &Object, members: &[Object], early: bool) -> Json {
    let mut groups: Vec<(Vec<Json>, Vec<&Object>)> = Vec::new();
    for pod in members {
        let Some(mut ports) = ports(service, pod, false) else { continue };
        ports.sort_by_key(place);
        match groups.iter_mut().find(|(p, _)| *p == ports) {
            Some((_, pods)) => pods.push(pod),
            None => groups.push((ports, vec![pod])),
        }
    }
    if groups.is_empty() {
        return Json::Null;
    }
    let list = |pods: &[&Object], ready: bool| {
        let mut chosen: Vec<&&Object> = pods.iter().filter(|p| (early || pods::is_ready(p)) == ready).collect();
        chosen.sort_by_key(|p| (p.status().get("podIP").text().parse::<Ipv4Addr>().ok(), p.uid().to_owned()));
        chosen.into_iter().map(|p| address(service, p)).collect::<Json>()
    };
    let subset = |(ports, pods): (Vec<Json>, Vec<&Object>)| {
        let mut subset = object! {};
        for (field, ready) in [("addresses", true), ("notReadyAddresses", false)] {
            let list = list(&pods, ready);
            if !list.is_empty() {
                subset.set(field, list);
            }
        }
        if !ports.is_empty() {
            subset.set("ports", Json::from(ports));
        }
        subset
    };
    groups.into_iter().map(subset).collect()
}

/// Where a port stands among others: by the digest of Go's dump of it.
fn place(port: &Json) -> [u8; 16] {
    let text = |field: &str, default: &str| port.get(field).as_str().unwrap_or(default).to_owned();
    let number = port.get("port").as_i64().unwrap_or(0);
    let (name, protocol, application) = (text("name", ""), text("protocol", "TCP"), text("appProtocol", "<nil>"));
    let dump = format!(
        "(v1.EndpointPort){{Name:(string){name} Port:(int32){number} Protocol:(v1.Protocol){protocol} AppProtocol:(*string){application}}}"
    );
    md5::digest(dump.as_bytes())
}

fn address(service: &Object, pod: &Object) -> Json {
    let mut address = object! { "ip" => pod.status().get("podIP"), "targetRef" => target_reference(pod) };
    if !pod.spec().get("nodeName").is_empty() {
        address.set("nodeName", pod.spec().get("nodeName"));
    }
    if shows_host_name(service, pod) {
        address.set("hostname", pod.spec().get("hostname"));
    }
    address
}

/// The instant that set a change off: the first of the changed pods to become ready or unready, and the creation of a Service
/// that is new.
fn trigger(service: &Object, is_new: bool, changed: &[&Object]) -> Option<SimTime> {
    let turned = |p: &&Object| SimTime::parse_rfc3339(p.condition("Ready")?.get("lastTransitionTime").text());
    let service = service.created_at().filter(|_| is_new);
    changed.iter().filter_map(turned).chain(service).min()
}

fn set_trigger(object: &mut Json, trigger: Option<SimTime>) {
    match trigger {
        Some(at) => object.set_at(&["metadata", "annotations", TRIGGER], at.rfc3339_nano()),
        None => {
            object.remove_at(&["metadata", "annotations", TRIGGER]);
            if object.at(&["metadata", "annotations"]).is_empty() {
                object.remove_at(&["metadata", "annotations"]);
            }
        }
    }
}

/// Slices that the controller keeps for a Service, oldest first.
fn slices_of(world: &World, service: &Object) -> Vec<Object> {
    let ours = |s: &&Object| s.label(SLICE_MANAGER.0) == Some(SLICE_MANAGER.1);
    let mut slices: Vec<Object> = service::slices(world, service).filter(ours).cloned().collect();
    slices.sort_by_key(|s| (s.created_at(), s.name().to_owned()));
    slices
}

/// Brings a Service's EndpointSlices up to date.
pub fn sync_slices(world: &mut World, key: &Key) -> Outcome {
    let Some(service) = world.store.get(key).cloned() else { return Ok(()) };
    if service.spec().get("selector").is_null() || service.spec().get("type").text() == "ExternalName" || service.is_terminating() {
        return Ok(());
    }
    let members = members(world, &service, true);
    let mut groups: Vec<(Json, Vec<&Object>)> = Vec::new();
    for pod in &members {
        let Some(ports) = ports(&service, pod, true).map(Json::from) else { continue };
        match groups.iter_mut().find(|(p, _)| *p == ports) {
            Some((_, pods)) => pods.push(pod),
            None => groups.push((ports, vec![pod])),
        }
    }
    let existing = slices_of(world, &service);
    let wanted = arrange(world, &service, &groups, &existing);
    let labels = labels(&service, &[SERVICE_NAME, SLICE_MANAGER.0, HEADLESS], &[(SERVICE_NAME, service.name()), SLICE_MANAGER]);
    let trigger = trigger(&service, existing.is_empty(), &changed(&members, &existing));
    let (mut spare, mut fresh) = (Vec::new(), Vec::new());
    for (slot, slice) in wanted.slots.into_iter().zip(&existing) {
        match slot {
            Some(content) => write_slice(world, slice, content, &labels, trigger)?,
            None => spare.push(slice),
        }
    }
    fresh.extend(wanted.fresh);
    let mut spare = spare.into_iter();
    for content in fresh {
        match spare.next() {
            Some(slice) => write_slice(world, slice, content, &labels, trigger)?,
            None => create_slice(world, &service, content, &labels, trigger)?,
        }
    }
    for slice in spare {
        world.delete(&identity("endpointslice-controller"), &Key::of(Kind::ENDPOINT_SLICE, slice), None, None)?;
    }
    Ok(())
}

/// Pods that the slices do not show as they are now.
fn changed<'a>(members: &'a [Object], existing: &[Object]) -> Vec<&'a Object> {
    let shown: BTreeMap<&str, bool> = existing
        .iter()
        .flat_map(|s| s.get("endpoints").items())
        .map(|e| (e.at(&["targetRef", "uid"]).text(), e.at(&["conditions", "serving"]).is_true()))
        .collect();
    members.iter().filter(|p| shown.get(p.uid()) != Some(&pods::is_ready(p))).collect()
}

/// Ports and endpoints of one slice.
struct Content {
    ports: Json,
    endpoints: Vec<Json>,
}

/// What existing slices become (`None`: not needed), and what new ones are to hold.
struct Arrangement {
    slots: Vec<Option<Content>>,
    fresh: Vec<Content>,
}

fn arrange(world: &World, service: &Object, groups: &[(Json, Vec<&Object>)], existing: &[Object]) -> Arrangement {
    let mut slots: Vec<Option<Content>> = existing.iter().map(|_| None).collect();
    let mut fresh = Vec::new();
    for (ports, pods) in groups {
        let mut left: BTreeMap<&str, Json> = pods.iter().map(|p| (p.uid(), endpoint(world, service, p))).collect();
        for (slot, slice) in slots.iter_mut().zip(existing).filter(|(_, s)| s.get("ports") == ports) {
            // Endpoints keep their places; those that are gone leave.
            let kept = slice.get("endpoints").items().iter().filter_map(|e| left.remove(e.at(&["targetRef", "uid"]).text()));
            let endpoints: Vec<Json> = kept.collect();
            if !endpoints.is_empty() {
                *slot = Some(Content { ports: ports.clone(), endpoints });
            }
        }
        let mut rest = pods.iter().filter_map(|p| left.remove(p.uid())).peekable();
        for slot in slots.iter_mut().flatten().filter(|c| c.ports == *ports) {
            while slot.endpoints.len() < SLICE_SIZE && rest.peek().is_some() {
                slot.endpoints.extend(rest.next());
            }
        }
        while rest.peek().is_some() {
            fresh.push(Content { ports: ports.clone(), endpoints: rest.by_ref().take(SLICE_SIZE).collect() });
        }
    }
    if groups.is_empty() {
        match slots.first_mut() {
            Some(first) => *first = Some(Content { ports: Json::Null, endpoints: Vec::new() }),
            None => fresh.push(Content { ports: Json::Null, endpoints: Vec::new() }),
        }
    }
    Arrangement { slots, fresh }
}

fn endpoint(world: &World, service: &Object, pod: &Object) -> Json {
    let serving = pods::is_ready(pod);
    let early = service.spec().get("publishNotReadyAddresses").is_true();
    let mut endpoint = object! {
        "addresses" => Json::from(vec![pod.status().get("podIP").clone()]), "targetRef" => target_reference(pod),
        "conditions" => object! {
            "ready" => early || serving && !pod.is_terminating(), "serving" => serving, "terminating" => pod.is_terminating(),
        },
    };
    let node = pod.spec().get("nodeName");
    if !node.is_empty() {
        endpoint.set("nodeName", node);
        let zone = world.store.get(&Key::new(Kind::NODE, "", node.text())).and_then(|n| n.label("topology.kubernetes.io/zone"));
        if let Some(zone) = zone {
            endpoint.set("zone", zone);
        }
    }
    if shows_host_name(service, pod) {
        endpoint.set("hostname", pod.spec().get("hostname"));
    }
    endpoint
}

fn fill(slice: &mut Json, content: Content, labels: &Json, trigger: Option<SimTime>) {
    let endpoints = if content.endpoints.is_empty() { Json::Null } else { Json::from(content.endpoints) };
    slice.set("endpoints", endpoints);
    slice.set("ports", if content.ports.is_empty() { Json::Null } else { content.ports });
    slice.set_at(&["metadata", "labels"], labels);
    set_trigger(slice, trigger);
}

fn write_slice(world: &mut World, slice: &Object, content: Content, labels: &Json, trigger: Option<SimTime>) -> Outcome {
    let endpoints = slice.get("endpoints").items();
    if *slice.get("ports") == content.ports && endpoints == content.endpoints.as_slice() && slice.meta().get("labels") == labels {
        return Ok(());
    }
    let generation = slice.generation();
    world.update(&Key::of(Kind::ENDPOINT_SLICE, slice), |s| {
        fill(s, content, labels, trigger);
        s.set_at(&["metadata", "generation"], generation + 1);
    })?;
    Ok(())
}

fn create_slice(world: &mut World, service: &Object, content: Content, labels: &Json, trigger: Option<SimTime>) -> Outcome {
    let prefix: ArcStr = format!("{}-", service.name()).into();
    let mut slice = object! {
        "addressType" => "IPv4",
        "metadata" => object! { "generateName" => prefix, "ownerReferences" => Json::from(vec![controller_reference(service)]) },
    };
    fill(&mut slice, content, labels, trigger);
    created(world.create(&identity("endpointslice-controller"), Kind::ENDPOINT_SLICE, service.namespace(), slice))
}
