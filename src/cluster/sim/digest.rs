//! The digest of a world: equal for worlds that are the same in everything that can influence the future.
//!
//! Objects, documents and file systems are shared between clones of a world, so the digest of each is kept for as long as it
//! lives; small parts are hashed through their `Debug` text, which names every field. Not in it: what is derived from the
//! rest (the load, the policy).

use super::world::World;
use crate::object::{Json, Map};
use crate::shell::Vfs;
use imbl::OrdMap;
use std::fmt::{self, Debug, Write};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use xxhash_rust::xxh3::Xxh3;

/// Digests of what is shared, by address. The weak reference keeps the address from being used again.
struct Kept<T>(Mutex<OrdMap<usize, (Weak<T>, u128)>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Kept(Mutex::default())
    }
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Kept(Mutex::new(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()))
    }
}

impl<T> Kept<T> {
    fn digest(&self, shared: &Arc<T>, compute: impl FnOnce(&T) -> u128) -> u128 {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let address = Arc::as_ptr(shared).addr();
        if let Some((weak, digest)) = kept.get(&address)
            && weak.strong_count() > 0
        {
            return *digest;
        }
        let digest = compute(shared);
        kept.insert(address, (Arc::downgrade(shared), digest));
        digest
    }

    /// Forgets what no longer lives.
    fn tidy(&self) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let dead: Vec<usize> = kept.iter().filter(|(_, (weak, _))| weak.strong_count() == 0).map(|(address, _)| *address).collect();
        for address in dead {
            kept.remove(&address);
        }
    }
}

/// Digests that are known already.
#[derive(Clone, Default)]
pub struct Known {
    maps: Kept<Map>,
    lists: Kept<Vec<Json>>,
    files: Kept<Vfs>,
}

/// A digest that is being made.
pub struct Digest<'a> {
    hash: Xxh3,
    known: &'a Known,
}

impl Write for Digest<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.hash.update(text.as_bytes());
        Ok(())
    }
}

impl Digest<'_> {
    /// Takes a number in.
    pub fn number(&mut self, number: u64) {
        self.hash.update(&number.to_le_bytes());
    }

    /// Takes a text in.
    pub fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.hash.update(text.as_bytes());
    }

    /// Takes anything in by its `Debug` text.
    pub fn debug(&mut self, part: &dyn Debug) {
        // Writing to a hash cannot fail.
        let _ = write!(self, "{part:?};");
    }

    fn wide(&mut self, digest: u128) {
        self.hash.update(&digest.to_le_bytes());
    }

    /// Takes a document in.
    pub fn json(&mut self, json: &Json) {
        let digest = match json {
            Json::Obj(map) => self.known.maps.digest(map, |_| of_json(json)),
            Json::Arr(items) => return self.list(items),
            other => of_json(other),
        };
        self.wide(digest);
    }

    /// Takes a list of documents in.
    pub fn list(&mut self, items: &Arc<Vec<Json>>) {
        let digest = self.known.lists.digest(items, |_| of_json(&Json::Arr(Arc::clone(items))));
        self.wide(digest);
    }

    /// Takes a file system in.
    pub fn files(&mut self, files: &Arc<Vfs>) {
        let digest = self.known.files.digest(files, |files| {
            let mut text = Text(Xxh3::new());
            let _ = write!(text, "{files:?}");
            text.0.digest128()
        });
        self.wide(digest);
    }
}

/// A hash that takes text.
struct Text(Xxh3);

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

fn of_json(json: &Json) -> u128 {
    let mut hash = Xxh3::new();
    walk(&mut hash, json);
    hash.digest128()
}

fn walk(hash: &mut Xxh3, json: &Json) {
    let mut tagged = |tag: u8, number: u64| {
        hash.update(&[tag]);
        hash.update(&number.to_le_bytes());
    };
    match json {
        Json::Null => tagged(0, 0),
        Json::Bool(value) => tagged(1, u64::from(*value)),
        Json::Int(number) => tagged(2, number.cast_unsigned()),
        Json::Float(number) => tagged(3, number.to_bits()),
        Json::Str(text) => {
            tagged(4, text.len() as u64);
            hash.update(text.as_bytes());
        }
        Json::Arr(items) => {
            tagged(5, items.len() as u64);
            items.iter().for_each(|item| walk(hash, item));
        }
        Json::Obj(map) => {
            tagged(6, map.len() as u64);
            for (key, value) in map.iter() {
                hash.update(&(key.len() as u64).to_le_bytes());
                hash.update(key.as_bytes());
                walk(hash, value);
            }
        }
    }
}

impl World {
    /// The digest of this world.
    pub fn digest(&self) -> u128 {
        let known = &self.digests;
        let mut digest = Digest { hash: Xxh3::new(), known };
        for number in [self.now.as_nanos(), self.seed, self.drawn, self.store.revision(), self.store.cursor() - self.seen] {
            digest.number(number);
        }
        for (_, object) in self.store.iter() {
            digest.json(object);
        }
        for (at, event) in self.queue.iter() {
            digest.number(at.as_nanos());
            digest.debug(event);
        }
        digest.debug(&self.controllers);
        digest.debug(&self.scheduler);
        digest.debug(&self.kubelet);
        digest.debug(&self.network);
        digest.debug(&self.disturbances);
        self.programs.digest(&mut digest);
        for run in self.history.runs() {
            for number in [run.id.0, u64::from(run.restart), run.started_at.as_nanos(), run.lines.len() as u64] {
                digest.number(number);
            }
            digest.debug(&run.end);
        }
        known.maps.tidy();
        known.lists.tidy();
        known.files.tidy();
        digest.hash.digest128()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Catalog;
    use crate::cluster::sim::store::{Key, Kind};
    use crate::object::Object;
    use crate::time::SimTime;

    #[test]
    fn equal_worlds_have_equal_digests() {
        let key = Key::new(Kind::CONFIG_MAP, "default", "a");
        let world = || World::new(SimTime::from_secs(5), 3, Arc::new(Catalog::default()));
        let with = |mut world: World, text: &str| {
            world.store.put(key.clone(), Object(Json::parse(text).expect("json")));
            world
        };
        let (one, two) = (with(world(), r#"{"data":{"a":"1"}}"#), with(world(), r#"{"data":{"a":"1"}}"#));
        assert_eq!(one.digest(), two.digest());
        assert_eq!(one.digest(), one.clone().digest());
        let other = with(world(), r#"{"data":{"a":"2"}}"#);
        assert_ne!(one.digest(), other.digest());
        // What is known does not outlive a change of the object.
        let mut changed = one.clone();
        changed.digest();
        let before = changed.digest();
        changed = with(changed, r#"{"data":{"a":"1","b":[1,2.5,true,null]}}"#);
        assert_ne!(changed.digest(), before);
        let mut drawn = one.clone();
        drawn.draw("x");
        assert_ne!(drawn.digest(), one.digest());
    }
}
