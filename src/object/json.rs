//! [`Json`]: a JSON value whose parts are shared, so that cloning an object is one reference count.
//!
//! Objects, patches and statuses are all this one type. Reads chain ([`Json::get`] of an absent field is
//! [`Json::Null`]), writes copy only the path they touch ([`Arc::make_mut`]), and map keys are kept sorted, which is the
//! order Kubernetes prints.

use super::words::word;
use arcstr::ArcStr;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use std::fmt;
use std::sync::Arc;

/// A JSON value. Cloning is cheap: text, arrays and maps are shared.
#[derive(Clone, Default)]
pub enum Json {
    /// `null`, and what an absent field reads as.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Str(ArcStr),
    /// An array.
    Arr(Arc<Vec<Json>>),
    /// A map, sorted by key.
    Obj(Arc<Map>),
}

impl PartialEq for Json {
    /// Parts that are shared are equal without a look at them.
    fn eq(&self, other: &Json) -> bool {
        match (self, other) {
            (Json::Null, Json::Null) => true,
            (Json::Bool(a), Json::Bool(b)) => a == b,
            (Json::Int(a), Json::Int(b)) => a == b,
            (Json::Float(a), Json::Float(b)) => a == b,
            (Json::Str(a), Json::Str(b)) => a == b,
            (Json::Arr(a), Json::Arr(b)) => Arc::ptr_eq(a, b) || a == b,
            (Json::Obj(a), Json::Obj(b)) => Arc::ptr_eq(a, b) || a == b,
            _ => false,
        }
    }
}

/// What an absent field reads as.
pub static NULL: Json = Json::Null;

/// A map from text to [`Json`], sorted by key.
#[derive(Clone, PartialEq, Default)]
pub struct Map(Vec<Entry>);

/// An entry, with the first bytes of its key beside it: they nearly always tell keys apart without a look at the texts.
#[derive(Clone, PartialEq)]
struct Entry {
    head: u64,
    key: ArcStr,
    value: Json,
}

/// The first eight bytes of a text, such that heads compare as their texts do, or are equal.
#[inline]
pub(crate) fn head_of(text: &str) -> u64 {
    let bytes = text.as_bytes();
    match bytes.first_chunk::<8>() {
        Some(first) => u64::from_be_bytes(*first),
        None => bytes.iter().zip([56, 48, 40, 32, 24, 16, 8]).fold(0, |head, (byte, shift)| head | (u64::from(*byte) << shift)),
    }
}

impl Entry {
    fn new(key: ArcStr, value: Json) -> Self {
        Entry { head: head_of(&key), key, value }
    }
}

/// What a key can be made of.
pub trait IntoKey {
    /// The key.
    fn into_key(self) -> ArcStr;
}

impl IntoKey for &str {
    #[inline]
    fn into_key(self) -> ArcStr {
        word(self)
    }
}
impl IntoKey for String {
    fn into_key(self) -> ArcStr {
        word(&self)
    }
}
impl IntoKey for &String {
    fn into_key(self) -> ArcStr {
        word(self)
    }
}
impl IntoKey for ArcStr {
    #[inline]
    fn into_key(self) -> ArcStr {
        self
    }
}
impl IntoKey for &ArcStr {
    #[inline]
    fn into_key(self) -> ArcStr {
        self.clone()
    }
}

impl Map {
    /// An empty map.
    pub const fn new() -> Self {
        Map(Vec::new())
    }

    /// An empty map with room for so many entries.
    pub fn with_capacity(entries: usize) -> Self {
        Map(Vec::with_capacity(entries))
    }

    // Inlined, so that the head of a key that is written in the source is known when it is compiled.
    #[inline]
    fn find(&self, key: &str) -> Result<usize, usize> {
        self.search(head_of(key), key)
    }

    fn search(&self, head: u64, key: &str) -> Result<usize, usize> {
        let mut place = self.0.partition_point(|entry| entry.head < head);
        while let Some(entry) = self.0.get(place).filter(|entry| entry.head == head) {
            // Equal heads of equal lengths up to eight are equal keys.
            if entry.key.len() == key.len() && (key.len() <= 8 || entry.key == key) {
                return Ok(place);
            }
            if entry.key.as_str() > key {
                break;
            }
            place += 1;
        }
        Err(place)
    }

    /// The value under `key`.
    #[inline]
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.find(key).ok().map(|i| &self.0[i].value)
    }

    /// The value under `key`, for changing.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Json> {
        self.find(key).ok().map(|i| &mut self.0[i].value)
    }

    /// Puts `value` under `key` and returns what stood there.
    pub fn insert(&mut self, key: impl IntoKey, value: Json) -> Option<Json> {
        let key = key.into_key();
        match self.find(&key) {
            Ok(i) => Some(std::mem::replace(&mut self.0[i].value, value)),
            Err(i) => {
                self.0.insert(i, Entry::new(key, value));
                None
            }
        }
    }

    /// As [`Map::insert`], quick when entries come in order of their keys.
    pub fn push_last(&mut self, key: ArcStr, value: Json) {
        match self.0.last() {
            Some(last) if last.key >= key => drop(self.insert(key, value)),
            _ => self.0.push(Entry::new(key, value)),
        }
    }

    /// Takes the entry under `key` out.
    pub fn remove(&mut self, key: &str) -> Option<Json> {
        self.find(key).ok().map(|i| self.0.remove(i).value)
    }

    /// Whether `key` is present.
    pub fn contains_key(&self, key: &str) -> bool {
        self.find(key).is_ok()
    }

    /// Entries in order of their keys.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&ArcStr, &Json)> + ExactSizeIterator {
        self.0.iter().map(|entry| (&entry.key, &entry.value))
    }

    /// Entries in order of their keys, values for changing.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&ArcStr, &mut Json)> {
        self.0.iter_mut().map(|entry| (&entry.key, &mut entry.value))
    }

    /// The value of the entry at a position in the order of keys, for changing.
    pub fn nth_mut(&mut self, at: usize) -> Option<&mut Json> {
        self.0.get_mut(at).map(|entry| &mut entry.value)
    }

    /// Keeps the entries for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &Json) -> bool) {
        self.0.retain(|entry| keep(&entry.key, &entry.value));
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: IntoKey> FromIterator<(K, Json)> for Map {
    fn from_iter<I: IntoIterator<Item = (K, Json)>>(entries: I) -> Self {
        let entries = entries.into_iter();
        let mut map = Map::with_capacity(entries.size_hint().0);
        for (key, value) in entries {
            map.insert(key, value);
        }
        map
    }
}

/// Builds a [`Json`] map: `object! { "kind" => "Pod", "spec" => object! { "replicas" => 1 } }`.
#[macro_export]
macro_rules! object {
    ($($key:expr => $value:expr),* $(,)?) => {{
        #[allow(unused_mut)]
        let mut map = $crate::object::Map::with_capacity(0 $(+ { let _ = stringify!($key); 1 })*);
        $(map.insert($key, $crate::object::Json::from($value));)*
        $crate::object::Json::from(map)
    }};
}

/// Builds a [`Json`] array: `array![1, "two", object! {}]`.
#[macro_export]
macro_rules! array {
    ($($value:expr),* $(,)?) => { $crate::object::Json::from(vec![$($crate::object::Json::from($value)),*]) };
}

impl Json {
    /// The field `key`; [`Json::Null`] when this is no map or has no such field.
    #[inline]
    pub fn get(&self, key: &str) -> &Json {
        match self {
            Json::Obj(map) => map.get(key).unwrap_or(&NULL),
            _ => &NULL,
        }
    }

    /// The field at a path of keys: `pod.at(&["spec", "nodeName"])`.
    #[inline]
    pub fn at(&self, path: &[&str]) -> &Json {
        path.iter().fold(self, |value, key| value.get(key))
    }

    /// The element `index`; [`Json::Null`] when there is none.
    pub fn nth(&self, index: usize) -> &Json {
        self.items().get(index).unwrap_or(&NULL)
    }

    /// The elements; empty when this is no array.
    pub fn items(&self) -> &[Json] {
        match self {
            Json::Arr(items) => items,
            _ => &[],
        }
    }

    /// The map, when this is one.
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Json::Obj(map) => Some(map),
            _ => None,
        }
    }

    /// Entries in order of their keys; none when this is no map.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = (&ArcStr, &Json)> {
        self.as_map().into_iter().flat_map(Map::iter)
    }

    /// The text, when this is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Json::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The text, shared, when this is one.
    pub fn as_text(&self) -> Option<&ArcStr> {
        match self {
            Json::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The text, or an empty one.
    pub fn text(&self) -> &str {
        self.as_str().unwrap_or("")
    }

    /// The whole number, when this is one (a float without fraction counts).
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Json::Int(n) => Some(*n),
            Json::Float(x) if *x == libm::trunc(*x) && libm::fabs(*x) < 9.0e18 => Some(*x as i64),
            _ => None,
        }
    }

    /// The number, when this is one.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Json::Int(n) => Some(*n as f64),
            Json::Float(x) => Some(*x),
            _ => None,
        }
    }

    /// The truth value, when this is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Json::Bool(b) => Some(*b),
            _ => None,
        }
    }

    /// Whether this is `true`.
    pub fn is_true(&self) -> bool {
        matches!(self, Json::Bool(true))
    }

    /// Whether this is `null` or absent.
    pub fn is_null(&self) -> bool {
        matches!(self, Json::Null)
    }

    /// Whether this is null, or an array, map or text without content.
    pub fn is_empty(&self) -> bool {
        match self {
            Json::Null => true,
            Json::Str(text) => text.is_empty(),
            Json::Arr(items) => items.is_empty(),
            Json::Obj(map) => map.is_empty(),
            _ => false,
        }
    }

    /// The map for changing; anything else is replaced by an empty map first.
    pub fn map_mut(&mut self) -> &mut Map {
        if !matches!(self, Json::Obj(_)) {
            *self = Json::Obj(Arc::new(Map::new()));
        }
        match self {
            Json::Obj(map) => Arc::make_mut(map),
            _ => unreachable!("made a map above"),
        }
    }

    /// The elements for changing; anything else is replaced by an empty array first.
    pub fn items_mut(&mut self) -> &mut Vec<Json> {
        if !matches!(self, Json::Arr(_)) {
            *self = Json::Arr(Arc::new(Vec::new()));
        }
        match self {
            Json::Arr(items) => Arc::make_mut(items),
            _ => unreachable!("made an array above"),
        }
    }

    /// The field `key` for changing, created as null when absent.
    pub fn get_mut(&mut self, key: &str) -> &mut Json {
        let map = self.map_mut();
        if !map.contains_key(key) {
            map.insert(key, Json::Null);
        }
        map.get_mut(key).unwrap_or_else(|| unreachable!("inserted above"))
    }

    /// The field at a path for changing; maps on the way are created.
    pub fn at_mut(&mut self, path: &[&str]) -> &mut Json {
        path.iter().fold(self, |value, key| value.get_mut(key))
    }

    /// Puts `value` under `key`.
    pub fn set(&mut self, key: &str, value: impl Into<Json>) {
        let value = value.into();
        match self.map_mut().get_mut(key) {
            Some(slot) => *slot = value,
            None => {
                self.map_mut().insert(key, value);
            }
        }
    }

    /// Puts `value` at a path; maps on the way are created.
    pub fn set_at(&mut self, path: &[&str], value: impl Into<Json>) {
        *self.at_mut(path) = value.into();
    }

    /// Takes the field `key` out; null when absent. Never creates or copies anything when absent.
    pub fn remove(&mut self, key: &str) -> Json {
        match self {
            Json::Obj(map) if map.contains_key(key) => Arc::make_mut(map).remove(key).unwrap_or_default(),
            _ => Json::Null,
        }
    }

    /// Takes the field at a path out; null when absent. Never creates anything.
    pub fn remove_at(&mut self, path: &[&str]) -> Json {
        match path {
            [] => Json::Null,
            [key] => self.remove(key),
            [key, rest @ ..] if self.as_map().is_some_and(|m| m.contains_key(key)) => self.get_mut(key).remove_at(rest),
            _ => Json::Null,
        }
    }

    /// Appends to an array (created when this is none).
    pub fn push(&mut self, value: impl Into<Json>) {
        let value = value.into();
        self.items_mut().push(value);
    }

    /// The element of an array whose field `field` is the text `value`: `containers.find("name", "geo")`.
    pub fn find(&self, field: &str, value: &str) -> Option<&Json> {
        self.items().iter().find(|item| item.get(field).as_str() == Some(value))
    }

    /// As [`Json::find`], for changing.
    pub fn find_mut(&mut self, field: &str, value: &str) -> Option<&mut Json> {
        let at = self.items().iter().position(|item| item.get(field).as_str() == Some(value))?;
        self.items_mut().get_mut(at)
    }

    /// JSON text without white space, keys sorted.
    pub fn to_compact(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Parses JSON text.
    ///
    /// # Errors
    /// The parser's error, with line and column.
    pub fn parse(text: &str) -> Result<Json, serde_json::Error> {
        serde_json::from_str(text)
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_compact())
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Json::Str(word(text))
    }
}
impl From<String> for Json {
    fn from(text: String) -> Self {
        Json::Str(word(&text))
    }
}
impl From<&String> for Json {
    fn from(text: &String) -> Self {
        Json::Str(word(text))
    }
}
impl From<ArcStr> for Json {
    fn from(text: ArcStr) -> Self {
        Json::Str(text)
    }
}
impl From<&ArcStr> for Json {
    fn from(text: &ArcStr) -> Self {
        Json::Str(text.clone())
    }
}
impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Json::Bool(value)
    }
}
impl From<i64> for Json {
    fn from(value: i64) -> Self {
        Json::Int(value)
    }
}
impl From<i32> for Json {
    fn from(value: i32) -> Self {
        Json::Int(i64::from(value))
    }
}
impl From<u32> for Json {
    fn from(value: u32) -> Self {
        Json::Int(i64::from(value))
    }
}
impl From<usize> for Json {
    fn from(value: usize) -> Self {
        Json::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}
impl From<f64> for Json {
    fn from(value: f64) -> Self {
        Json::Float(value)
    }
}
impl From<Vec<Json>> for Json {
    fn from(items: Vec<Json>) -> Self {
        Json::Arr(Arc::new(items))
    }
}
impl From<Map> for Json {
    fn from(map: Map) -> Self {
        Json::Obj(Arc::new(map))
    }
}
impl From<&Json> for Json {
    fn from(value: &Json) -> Self {
        value.clone()
    }
}
impl<T: Into<Json>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Self {
        value.map_or(Json::Null, Into::into)
    }
}
impl FromIterator<Json> for Json {
    fn from_iter<I: IntoIterator<Item = Json>>(items: I) -> Self {
        Json::from(items.into_iter().collect::<Vec<_>>())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Json::Null => serializer.serialize_unit(),
            Json::Bool(b) => serializer.serialize_bool(*b),
            Json::Int(n) => serializer.serialize_i64(*n),
            Json::Float(x) => serializer.serialize_f64(*x),
            Json::Str(text) => serializer.serialize_str(text),
            Json::Arr(items) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                for item in items.iter() {
                    seq.serialize_element(item)?;
                }
                seq.end()
            }
            Json::Obj(map) => {
                let mut out = serializer.serialize_map(Some(map.len()))?;
                for (key, value) in map.iter() {
                    out.serialize_entry(key.as_str(), value)?;
                }
                out.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }
    fn visit_none<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        Json::deserialize(deserializer)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Int(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(i64::try_from(value).map_or(Json::Float(value as f64), Json::Int))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Float(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::from(value))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut items = Vec::with_capacity(seq.size_hint().unwrap_or(0).min(1024));
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::from(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut map = Map::new();
        while let Some((key, value)) = access.next_entry::<String, Json>()? {
            map.insert(key, value);
        }
        Ok(Json::from(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_chain_and_writes_copy_only_their_path() {
        let a = object! { "spec" => object! { "replicas" => 1, "template" => object! { "x" => true } } };
        let mut b = a.clone();
        b.set_at(&["spec", "replicas"], 2);
        assert_eq!(a.at(&["spec", "replicas"]).as_i64(), Some(1));
        assert_eq!(b.at(&["spec", "replicas"]).as_i64(), Some(2));
        let (Json::Obj(x), Json::Obj(y)) = (a.at(&["spec", "template"]), b.at(&["spec", "template"])) else { panic!() };
        assert!(Arc::ptr_eq(x, y), "untouched parts stay shared");
        assert!(a.at(&["status", "phase"]).is_null());
        assert!(b.remove_at(&["status", "phase"]).is_null() && b.get("status").is_null());
    }

    #[test]
    fn keys_sort_as_texts() {
        let keys = ["", "\0", "a", "a\0", "ab", "container", "containerStatuses", "containers", "metadata", "metadata2", "ä"];
        let map: Map = keys.iter().rev().enumerate().map(|(at, key)| (*key, Json::from(at))).collect();
        assert_eq!(map.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), keys);
        for (at, key) in keys.iter().rev().enumerate() {
            assert_eq!(map.get(key), Some(&Json::from(at)), "{key:?}");
        }
        assert_eq!(map.get("containe"), None);
    }

    #[test]
    fn round_trips_with_sorted_keys() {
        let text = r#"{"b":[1,2.5,"x",null],"a":{"z":true}}"#;
        assert_eq!(Json::parse(text).expect("valid").to_compact(), r#"{"a":{"z":true},"b":[1,2.5,"x",null]}"#);
    }
}
