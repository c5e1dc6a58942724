//! An episode's own names: pods, uids, container ids and addresses of a baseline replaced everywhere at once.
//!
//! Episodes fork one settled baseline, so without this every episode's pods would be called alike and a policy could learn their
//! names. What a name consists of is found once per baseline; a fork draws new ones of the same shape from its seed and replaces
//! them in every text of the world in one pass (Aho and Corasick, CACM 18(6), 1975). Parts without a name stay shared.
//! Not renamed: ReplicaSets (their suffix is a hash of the template), nodes, anything that the application's manifests name.

use super::store::{Key, Kind};
use super::world::World;
use crate::object::{Json, Map, Object};
use crate::rng::Key as RandomKey;
use aho_corasick::{AhoCorasick, MatchKind};
use arcstr::ArcStr;
use imbl::OrdMap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The names in a baseline, and what each is.
#[derive(Debug)]
pub struct Names {
    automaton: AhoCorasick,
    old: Vec<(ArcStr, Sort)>,
}

/// What a name names, and so how a new one looks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Sort {
    /// A generated name: this much of it stays, the rest is five characters.
    Generated(ArcStr),
    /// A uid.
    Uid,
    /// A container id.
    Container,
    /// A pod's address in this range, `10.244.1.`
    PodAddress(ArcStr),
    /// A Service's address.
    ServiceAddress,
}

/// New names for old ones.
#[derive(Debug)]
pub struct Renaming {
    names: Arc<Names>,
    new: Vec<ArcStr>,
    /// By how much pod addresses are shifted.
    pub shift: u32,
}

/// Services whose addresses every cluster has.
const FIXED_ADDRESSES: [&str; 2] = ["10.96.0.1", "10.96.0.10"];

impl Names {
    /// Finds the names in a settled world.
    ///
    /// # Panics
    /// Never: the patterns are plain texts, far fewer than the automaton can hold.
    pub fn find(world: &World) -> Arc<Names> {
        let mut found = BTreeSet::new();
        for (key, object) in world.store.iter() {
            found.insert((object.meta().get("uid").as_text().cloned().unwrap_or_default(), Sort::Uid));
            match key.kind {
                Kind::POD | Kind::ENDPOINT_SLICE => found.extend(generated(object).map(|kept| (key.name.clone(), Sort::Generated(kept)))),
                Kind::SERVICE => found.extend(service_addresses(object)),
                _ => {}
            }
            if key.kind == Kind::POD {
                found.extend(pod_names(object));
            }
        }
        found.retain(|(text, _)| !text.is_empty());
        let old: Vec<(ArcStr, Sort)> = found.into_iter().collect();
        let automaton = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(old.iter().map(|(text, _)| text.as_str()));
        Arc::new(Names { automaton: automaton.expect("a few hundred plain texts make an automaton"), old })
    }

    /// Draws new names from a seed; no two are alike.
    pub fn draw(self: &Arc<Self>, seed: u64) -> Renaming {
        let shift = RandomKey::new(seed).part("pod-address").stream().below(100) as u32;
        let mut taken = BTreeSet::new();
        let mut new = Vec::with_capacity(self.old.len());
        for (at, (old, sort)) in self.old.iter().enumerate() {
            let mut stream = RandomKey::new(seed).part("name").number(at as u64).stream();
            let mut name = drawn(sort, old, shift, &mut stream);
            while !taken.insert(name.clone()) {
                name = drawn(sort, old, shift, &mut stream);
            }
            new.push(ArcStr::from(name));
        }
        Renaming { names: Arc::clone(self), new, shift }
    }

    /// The old names.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.old.iter().map(|(text, _)| text.as_str())
    }
}

/// What stays of a generated name.
fn generated(object: &Object) -> Option<ArcStr> {
    let kept = object.meta().get("generateName").as_text()?;
    (object.name().len() == kept.len() + 5).then(|| kept.clone())
}

fn service_addresses(service: &Object) -> Vec<(ArcStr, Sort)> {
    let addresses = service.spec().get("clusterIPs").items().iter().filter_map(Json::as_text);
    let own = addresses.filter(|a| a.as_str() != "None" && !FIXED_ADDRESSES.contains(&a.as_str()));
    own.map(|address| (address.clone(), Sort::ServiceAddress)).collect()
}

fn pod_names(pod: &Object) -> Vec<(ArcStr, Sort)> {
    let mut found = Vec::new();
    let address = pod.status().get("podIP").as_text().filter(|_| !pod.spec().get("hostNetwork").is_true());
    if let Some((address, (range, _))) = address.and_then(|a| Some((a, a.rsplit_once('.')?))) {
        found.push((address.clone(), Sort::PodAddress(format!("{range}.").into())));
    }
    for status in pod.status().get("containerStatuses").items() {
        let ids = [status.get("containerID"), status.at(&["lastState", "terminated", "containerID"])];
        let ids = ids.into_iter().filter_map(|id| id.as_str()?.rsplit('/').next());
        found.extend(ids.map(|id| (ArcStr::from(id), Sort::Container)));
    }
    found
}

fn drawn(sort: &Sort, old: &str, shift: u32, stream: &mut crate::rng::Stream) -> String {
    match sort {
        Sort::Generated(kept) => format!("{kept}{}", stream.name_suffix(5)),
        Sort::Uid => stream.uuid(),
        Sort::Container => (0..4).map(|_| format!("{:016x}", stream.bits())).collect(),
        Sort::PodAddress(range) => {
            let last: u32 = old.rsplit('.').next().and_then(|last| last.parse().ok()).unwrap_or(2);
            format!("{range}{}", last + shift)
        }
        Sort::ServiceAddress => format!("10.{}.{}.{}", 96 + stream.below(16), stream.below(256), 1 + stream.below(254)),
    }
}

impl Renaming {
    /// A text with new names; shared with the old one when it holds none.
    pub fn text(&self, text: &ArcStr) -> ArcStr {
        self.changed(text).map_or_else(|| text.clone(), ArcStr::from)
    }

    fn changed(&self, text: &str) -> Option<String> {
        let mut out = String::new();
        let mut copied = 0;
        for found in self.names.automaton.find_iter(text) {
            if is_part_of_a_number(text, found.start(), found.end()) {
                continue;
            }
            out.push_str(text.get(copied..found.start())?);
            out.push_str(self.new.get(found.pattern().as_usize())?);
            copied = found.end();
        }
        if copied == 0 {
            return None;
        }
        out.push_str(text.get(copied..)?);
        Some(out)
    }

    /// A value with new names; parts without any stay shared.
    pub fn json(&self, value: &Json) -> Json {
        self.changed_json(value).unwrap_or_else(|| value.clone())
    }

    fn changed_json(&self, value: &Json) -> Option<Json> {
        match value {
            Json::Str(text) => self.changed(text).map(Json::from),
            Json::Arr(items) => {
                let changed: Vec<Option<Json>> = items.iter().map(|item| self.changed_json(item)).collect();
                let any = changed.iter().any(Option::is_some);
                any.then(|| changed.into_iter().zip(items.iter()).map(|(new, old)| new.unwrap_or_else(|| old.clone())).collect())
            }
            Json::Obj(map) => self.changed_map(map).map(Json::from),
            _ => None,
        }
    }

    fn changed_map(&self, map: &Map) -> Option<Map> {
        let changed: Vec<_> = map.iter().map(|(key, value)| (self.changed_key(key), self.changed_json(value))).collect();
        if changed.iter().all(|(key, value)| key.is_none() && value.is_none()) {
            return None;
        }
        let pairs = changed.into_iter().zip(map.iter());
        Some(
            pairs
                .map(|((key, value), (old_key, old))| {
                    (key.map_or_else(|| old_key.clone(), ArcStr::from), value.unwrap_or_else(|| old.clone()))
                })
                .collect(),
        )
    }

    /// Names stand in keys only where managedFields selects list items by them.
    fn changed_key(&self, key: &ArcStr) -> Option<String> {
        if key.starts_with("k:{") || key.starts_with("v:") { self.changed(key) } else { None }
    }

    /// A store key with new names.
    pub fn key(&self, key: &Key) -> Key {
        match key.kind {
            Kind::POD | Kind::ENDPOINT_SLICE | Kind::EVENT => Key { name: self.text(&key.name), ..key.clone() },
            _ => key.clone(),
        }
    }

    /// A map of texts with new names in its values.
    pub fn values(&self, map: &BTreeMap<ArcStr, ArcStr>) -> BTreeMap<ArcStr, ArcStr> {
        map.iter().map(|(key, value)| (key.clone(), self.text(value))).collect()
    }
}

/// Whether a match is an address that goes on to either side: `10.0.0.1` within `10.0.0.12`.
fn is_part_of_a_number(text: &str, start: usize, end: usize) -> bool {
    let bytes = text.as_bytes();
    let is_number = bytes.get(start..end).is_some_and(|found| found.iter().all(|b| b.is_ascii_digit() || *b == b'.'));
    let digit = |b: Option<&u8>| b.is_some_and(u8::is_ascii_digit);
    is_number && (digit(bytes.get(end)) || (start > 0 && digit(bytes.get(start - 1))))
}

/// Changes every value of a persistent map.
pub(super) fn each<K: Ord + Clone, V: Clone>(map: &mut OrdMap<K, V>, mut change: impl FnMut(&mut V)) {
    let changed = map.iter().map(|(key, value)| {
        let mut value = value.clone();
        change(&mut value);
        (key.clone(), value)
    });
    *map = changed.collect();
}

/// Gives a fork of a settled world new names everywhere.
pub fn rename(world: &mut World, renaming: &Renaming) {
    let objects: Vec<(Key, Object)> = world.store.iter().map(|(key, object)| (renaming.key(key), Object(renaming.json(object)))).collect();
    world.store.rewrite(objects);
    world.kubelet.rename(renaming);
    world.network.rename(renaming);
    world.programs.rename(renaming);
    world.scheduler.rename(renaming);
    world.controllers.rename(renaming);
    world.history.rename(renaming);
    // Last: indices are built anew from the store, and would be renamed a second time above.
    world.forget_changes();
}
