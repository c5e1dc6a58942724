//! An episode's own names: pods, uids, container ids and addresses of a baseline replaced everywhere at once.
//!
//! Episodes fork one settled baseline, so without this every episode's pods would be called alike and a policy could learn their
//! names. What a name consists of is found once per baseline; a fork draws new ones of the same shape from its seed and replaces
//! them in every text of the world in one pass (Aho and Corasick, CACM 18(6), 1975). Parts without a name stay shared.
//! Not renamed: ReplicaSets (their suffix is a hash of the template), nodes, anything that the application's manifests name.

use super::history::RunId;
use super::places::Words;
use super::store::{Key, Kind};
use super::world::World;
use crate::object::{Json, Object, head_of};
use crate::rng::{Key as RandomKey, Stream, hexadecimal};
use aho_corasick::{AhoCorasick, MatchKind};
use arcstr::ArcStr;
use imbl::OrdMap;
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

/// The names in a baseline, and what each is.
#[derive(Debug)]
pub struct Names {
    automaton: AhoCorasick,
    /// In order of the texts.
    old: Vec<(ArcStr, Sort)>,
    /// Their first bytes.
    heads: Vec<u64>,
    /// Those for which the same new name might be drawn twice.
    short: Vec<usize>,
    /// Lines of the history that hold names: whose, and which.
    lines: Vec<(RunId, usize)>,
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

/// New names for old ones. Those that are drawn without regard to others are drawn when they are first needed.
#[derive(Debug)]
pub struct Renaming {
    names: Arc<Names>,
    seed: u64,
    new: Box<[OnceLock<ArcStr>]>,
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
        let short = |(at, (_, sort)): (usize, &(ArcStr, Sort))| (!matches!(sort, Sort::Uid | Sort::Container)).then_some(at);
        let short = old.iter().enumerate().filter_map(short).collect();
        let automaton = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(old.iter().map(|(text, _)| text.as_str()));
        let automaton = automaton.expect("a few hundred plain texts make an automaton");
        let heads = old.iter().map(|(text, _)| head_of(text)).collect();
        let mut names = Names { automaton, old, heads, short, lines: Vec::new() };
        let lines = world.history.runs().flat_map(|run| run.lines.iter().enumerate().map(move |(at, (_, line))| (run.id, at, line)));
        names.lines = lines.filter(|(_, _, line)| names.within(line).next().is_some()).map(|(run, at, _)| (run, at)).collect();
        Arc::new(names)
    }

    /// Draws new names from a seed; no two are alike (of uids and container ids, which are long enough, because they are random).
    pub fn draw(self: &Arc<Self>, seed: u64) -> Arc<Renaming> {
        let shift = RandomKey::new(seed).part("pod-address").stream().below(100) as u32;
        let new: Box<[OnceLock<ArcStr>]> = self.old.iter().map(|_| OnceLock::new()).collect();
        let renaming = Renaming { names: Arc::clone(self), seed, new, shift };
        for (place, at) in self.short.iter().enumerate() {
            let (mut stream, mut name) = renaming.drawn(*at);
            let earlier = self.short.get(..place).unwrap_or_default();
            while self.is_taken(&renaming, *at, earlier, &name) {
                name = renaming.again(*at, &mut stream);
            }
            renaming.new.get(*at).map(|cell| cell.get_or_init(|| name));
        }
        Arc::new(renaming)
    }

    /// Whether one of the names before has this new name already. Generated names of one prefix stand together, in order of the old texts.
    fn is_taken(&self, renaming: &Renaming, at: usize, earlier: &[usize], name: &str) -> bool {
        let sort = |at: usize| self.old.get(at).map(|(_, sort)| sort);
        let is_name = |other: &usize| renaming.name(*other) == name;
        match sort(at) {
            own @ Some(Sort::Generated(_)) => earlier.iter().rev().take_while(|other| sort(**other) == own).any(is_name),
            own @ Some(Sort::ServiceAddress) => earlier.iter().filter(|other| sort(**other) == own).any(is_name),
            _ => false,
        }
    }

    /// The name that a text is.
    fn whole(&self, text: &str) -> Option<usize> {
        let head = head_of(text);
        let first = self.heads.partition_point(|known| *known < head);
        let alike = self.heads.iter().enumerate().skip(first).take_while(|(_, known)| **known == head);
        alike.map(|(at, _)| at).find(|at| self.old.get(*at).is_some_and(|(old, _)| old == text))
    }

    /// The names that a text is made of: start, end and which.
    pub(super) fn within<'a>(&'a self, text: &'a str) -> impl Iterator<Item = (usize, usize, usize)> + 'a {
        let found = self.automaton.find_iter(text).filter(|m| !is_part_of_a_number(text, m.start(), m.end()));
        found.map(|m| (m.start(), m.end(), m.pattern().as_usize()))
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

fn drawn(sort: &Sort, old: &str, shift: u32, stream: &mut Stream) -> String {
    match sort {
        Sort::Generated(kept) => {
            let mut name = String::with_capacity(kept.len() + 5);
            name.push_str(kept);
            name.push_str(&stream.name_suffix(5));
            name
        }
        Sort::Uid => stream.uuid(),
        Sort::Container => {
            let mut id = String::with_capacity(64);
            (0..4).for_each(|_| hexadecimal(&mut id, stream.bits(), 16));
            id
        }
        Sort::PodAddress(range) => {
            let last: u32 = old.rsplit('.').next().and_then(|last| last.parse().ok()).unwrap_or(2);
            format!("{range}{}", last + shift)
        }
        Sort::ServiceAddress => format!("10.{}.{}.{}", 96 + stream.below(16), stream.below(256), 1 + stream.below(254)),
    }
}

impl Renaming {
    /// The new name for an old one.
    ///
    /// # Panics
    /// Never: names are found by the list that the new ones are drawn for.
    pub(super) fn name(&self, at: usize) -> &ArcStr {
        self.new[at].get_or_init(|| self.drawn(at).1)
    }

    /// Lines of the history that hold names: whose, and which.
    pub(super) fn lines(&self) -> &[(RunId, usize)] {
        &self.names.lines
    }

    /// A new name, and the stream from which others can be drawn for the same old one.
    fn drawn(&self, at: usize) -> (Stream, ArcStr) {
        let mut stream = RandomKey::new(self.seed).part("name").number(at as u64).stream();
        let name = self.again(at, &mut stream);
        (stream, name)
    }

    fn again(&self, at: usize, stream: &mut Stream) -> ArcStr {
        self.names.old.get(at).map(|(old, sort)| drawn(sort, old, self.shift, stream).into()).unwrap_or_default()
    }

    /// A text with new names; shared with the old one when it holds none.
    pub fn text(&self, text: &ArcStr) -> ArcStr {
        if let Some(at) = self.names.whole(text) {
            return self.name(at).clone();
        }
        Words::find(&self.names, text).map_or_else(|| text.clone(), |words| words.renamed(text, self))
    }

    /// Whether a text holds something that gets a new name.
    pub fn is_in(&self, text: &str) -> bool {
        self.names.within(text).next().is_some()
    }

    /// A store key with new names.
    pub fn key(&self, key: &Key) -> Key {
        match key.kind {
            Kind::POD | Kind::ENDPOINT_SLICE | Kind::EVENT => Key { name: self.text(&key.name), ..key.clone() },
            _ => key.clone(),
        }
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
pub fn rename(world: &mut World, renaming: &Arc<Renaming>) {
    world.store.rename(renaming);
    world.kubelet.rename(renaming);
    world.network.rename(renaming);
    world.programs.rename(renaming);
    world.scheduler.rename(renaming);
    world.controllers.rename(renaming);
    world.history.rename(renaming);
}
