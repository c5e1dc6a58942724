//! The event recorder: `core/v1` Events as client-go's recorder and correlator write them, and the scheduler's series.
//!
//! An event that was seen before raises `count`; ten different messages of one reason fold into `(combined from similar
//! events)`; a source may write 25 events about one object and then one every five minutes. The memory is the sender's,
//! so an Event object that was deleted comes back with its old count. Objects expire an hour after their last write,
//! which [`expired`] computes when they are read: time alone costs nothing.
//! Not modelled: the least-recently-used bound (4096 entries) of the correlator's caches.

use crate::cluster::sim::store::{Key, Kind};
use crate::cluster::sim::world::World;
use crate::object;
use crate::object::{Json, Object};
use crate::rng::Key as Hash;
use crate::time::SimTime;
use arcstr::ArcStr;
use imbl::{OrdMap, OrdSet};
use std::time::Duration;

/// How long the API server keeps an Event after its last write.
const TTL: Duration = Duration::from_secs(3600);
/// Different messages of one reason from which on they are combined, and the time without one after which that ends.
const COMBINE_FROM: usize = 10;
const COMBINE_WITHIN: Duration = Duration::from_secs(600);
/// Events that a source may write about one object at once, and the time after which it may write one more.
const BURST: f64 = 25.0;
const REFILL_S: f64 = 300.0;
/// Time after which the scheduler's recorder forgets an event, so that the next one is a new object.
const SERIES_ENDS_AFTER: Duration = Duration::from_secs(360);

/// Who reports an event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// `deployment-controller`, `kubelet` …
    pub component: ArcStr,
    /// The node, for what runs on nodes.
    pub host: ArcStr,
}

impl Source {
    /// A component of the control plane.
    pub fn component(name: &str) -> Self {
        Source { component: name.into(), host: ArcStr::new() }
    }

    /// The kubelet of a node.
    pub fn kubelet(node: &str) -> Self {
        Source { component: arcstr::literal!("kubelet"), host: node.into() }
    }
}

#[derive(Clone, Debug)]
struct Seen {
    host: ArcStr,
    count: i64,
    first: SimTime,
    name: ArcStr,
}

#[derive(Clone, Debug)]
struct Series {
    key: Key,
    count: i64,
    last: SimTime,
}

/// What recorders remember.
#[derive(Clone, Debug, Default)]
pub struct State {
    seen: OrdMap<u64, Seen>,
    tokens: OrdMap<u64, (f64, SimTime)>,
    similar: OrdMap<u64, (OrdSet<ArcStr>, SimTime)>,
    series: OrdMap<u64, Series>,
    /// Names taken at an instant are made distinct by this counter, as nanoseconds make them on a real clock.
    written: u64,
}

/// `Normal` or `Warning`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub enum Severity {
    Normal,
    Warning,
}

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Severity::Normal => "Normal",
            Severity::Warning => "Warning",
        }
    }
}

/// Records an event about an object.
pub fn record(world: &mut World, source: &Source, about: &Object, severity: Severity, (reason, message): (&str, &str)) {
    record_ref(world, source, reference(about), severity, (reason, message));
}

/// The reference by which events name an object.
pub fn reference(about: &Object) -> Json {
    let mut reference = object! {
        "apiVersion" => about.get("apiVersion"), "kind" => about.get("kind"), "name" => about.name(), "uid" => about.uid(),
    };
    for field in ["namespace", "resourceVersion"] {
        if !about.meta().get(field).is_empty() {
            reference.set(field, about.meta().get(field));
        }
    }
    reference
}

/// Records an event about what a reference names, after correlation.
pub fn record_ref(world: &mut World, source: &Source, about: Json, severity: Severity, (reason, message): (&str, &str)) {
    let now = world.now;
    let object_key = key_of_object(source, &about).part(severity.as_str());
    if !take_token(world, object_key.value()) {
        return;
    }
    let (key, message) = combine(world, &object_key, &about, reason, message);
    let seen = world.controllers.events.seen.get(&key).cloned();
    let (name, first, count) = match &seen {
        Some(seen) => (seen.name.clone(), seen.first, seen.count + 1),
        None => (new_name(world, &about), now, 1),
    };
    let memory = Seen { host: source.host.clone(), count, first, name: name.clone() };
    world.controllers.events.seen.insert(key, memory);
    let namespace = namespace_of(&about);
    let at = Key::new(Kind::EVENT, namespace.clone(), name.clone());
    let known = seen.is_some().then(|| world.store.get(&at)).flatten().filter(|e| !expired(e, now)).cloned();
    let stored = match known {
        Some(mut event) => {
            event.set("count", count);
            event.set("lastTimestamp", now.rfc3339());
            event.set("message", message);
            event
        }
        None => new_event(world, (source, about, severity), (reason, &message), (&name, first, count)),
    };
    world.store.put(at, stored);
}

type What<'a> = (&'a Source, Json, Severity);

fn new_event(
    world: &mut World,
    (source, about, severity): What<'_>,
    (reason, message): (&str, &str),
    (name, first, count): (&ArcStr, SimTime, i64),
) -> Object {
    let mut from = object! { "component" => &source.component };
    if !source.host.is_empty() {
        from.set("host", &source.host);
    }
    Object(object! {
        "apiVersion" => "v1", "kind" => "Event", "metadata" => metadata(world, &about, name),
        "involvedObject" => about, "reason" => reason, "message" => message, "type" => severity.as_str(),
        "source" => from, "reportingComponent" => &source.component, "reportingInstance" => &source.host,
        "firstTimestamp" => first.rfc3339(), "lastTimestamp" => world.now.rfc3339(), "count" => count, "eventTime" => Json::Null,
    })
}

/// Records an event in the style of `events.k8s.io`, as the scheduler and the taint eviction controller do: a repetition
/// starts a series, whose further members are only counted.
pub fn record_series(world: &mut World, component: &str, about: &Object, severity: Severity, what: (&str, &str, &str)) {
    let (reason, action, message) = what;
    let about = reference(about);
    let now = world.now;
    let stable = about_key(Hash::new(2).part(component).part(severity.as_str()).part(reason).part(action), &about).value();
    if let Some(series) = world.controllers.events.series.get(&stable).filter(|s| now - s.last < SERIES_ENDS_AFTER).cloned() {
        let series = Series { count: series.count + 1, last: now, ..series };
        if series.count == 2
            && let Some(mut event) = world.store.get(&series.key).cloned()
        {
            event.set("series", object! { "count" => series.count, "lastObservedTime" => now.rfc3339_micro() });
            world.store.put(series.key.clone(), event);
        }
        world.controllers.events.series.insert(stable, series);
        return;
    }
    let name = new_name(world, &about);
    let key = Key::new(Kind::EVENT, namespace_of(&about), name.clone());
    let event = Object(object! {
        "apiVersion" => "v1", "kind" => "Event", "metadata" => metadata(world, &about, &name),
        "involvedObject" => about, "reason" => reason, "action" => action, "message" => message, "type" => severity.as_str(),
        "source" => object! {}, "reportingComponent" => component, "reportingInstance" => format!("{component}-control-plane"),
        "firstTimestamp" => Json::Null, "lastTimestamp" => Json::Null, "eventTime" => now.rfc3339_micro(),
    });
    world.controllers.events.series.insert(stable, Series { key: key.clone(), count: 1, last: now });
    world.store.put(key, event);
}

/// Whether the API server has dropped an Event by `now`.
pub fn expired(event: &Object, now: SimTime) -> bool {
    let times = [
        event.get("lastTimestamp"),
        event.at(&["series", "lastObservedTime"]),
        event.get("eventTime"),
        event.meta().get("creationTimestamp"),
    ];
    let written = times.iter().filter_map(|t| SimTime::parse_rfc3339(t.as_str()?)).max();
    written.is_some_and(|at| now - at >= TTL)
}

/// Takes Events out of the store that have expired, as etcd does; nothing sees the difference but the cost of a copy.
pub fn sweep(world: &mut World) {
    let now = world.now;
    let gone: Vec<Key> = world.store.list_keyed(Kind::EVENT, None).filter(|(_, e)| expired(e, now)).map(|(key, _)| key.clone()).collect();
    for key in gone {
        world.store.remove(&key);
    }
}

/// Forgets what the recorders on a node remember: its kubelet started anew.
pub fn forget_host(world: &mut World, host: &str) {
    let gone: Vec<u64> = world.controllers.events.seen.iter().filter(|(_, s)| s.host == host).map(|(k, _)| *k).collect();
    for key in gone {
        world.controllers.events.seen.remove(&key);
    }
}

fn metadata(world: &mut World, about: &Json, name: &ArcStr) -> Json {
    let uid = world.draw("event-uid").uuid();
    object! { "name" => name, "namespace" => namespace_of(about), "uid" => uid, "creationTimestamp" => world.now.rfc3339() }
}

fn namespace_of(about: &Json) -> ArcStr {
    about.get("namespace").as_text().filter(|n| !n.is_empty()).cloned().unwrap_or(arcstr::literal!("default"))
}

fn new_name(world: &mut World, about: &Json) -> ArcStr {
    let state = &mut world.controllers.events;
    state.written += 1;
    // Real clocks never give two events the same nanosecond; the virtual one does.
    let nanos = world.now.as_nanos() + state.written % 1_000_000;
    format!("{}.{nanos:x}", about.get("name").text()).into()
}

fn about_key(key: Hash, about: &Json) -> Hash {
    ["kind", "namespace", "name", "uid", "apiVersion"].iter().fold(key, |key, field| key.part(about.get(field).text()))
}

fn key_of_object(source: &Source, about: &Json) -> Hash {
    about_key(Hash::new(1).part(&source.component).part(&source.host), about)
}

fn take_token(world: &mut World, key: u64) -> bool {
    let now = world.now;
    let tokens = &mut world.controllers.events.tokens;
    let (left, at) = tokens.get(&key).copied().unwrap_or((BURST, now));
    let left = (left + (now - at).as_secs_f64() / REFILL_S).min(BURST);
    let granted = left >= 1.0;
    tokens.insert(key, (if granted { left - 1.0 } else { left }, now));
    granted
}

/// The key under which an event is counted, and its message; both are those of the combination once there are too many.
fn combine(world: &mut World, object_key: &Hash, about: &Json, reason: &str, message: &str) -> (u64, ArcStr) {
    let now = world.now;
    let all = object_key.clone().part(reason).value();
    let own = object_key.clone().part(about.get("fieldPath").text()).part(reason).part(message).value();
    let similar = &mut world.controllers.events.similar;
    let (mut messages, last) = similar.get(&all).cloned().unwrap_or((OrdSet::new(), now));
    if now - last > COMBINE_WITHIN {
        messages = OrdSet::new();
    }
    messages.insert(message.into());
    let combined = messages.len() >= COMBINE_FROM;
    if combined {
        messages.remove_min();
    }
    similar.insert(all, (messages, now));
    if combined { (all, format!("(combined from similar events): {message}").into()) } else { (own, message.into()) }
}
