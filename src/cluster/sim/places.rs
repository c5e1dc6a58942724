//! Where names stand in a JSON value: found once, so that other names are put there without another look at the rest.
//!
//! A settled baseline keeps the [`Places`] of each of its objects; an episode that reads the object copies the path to every place and
//! shares everything beside it.

use super::rename::{Names, Renaming};
use crate::object::{Json, Map};
use arcstr::ArcStr;

/// The places of names in a value.
#[derive(Debug)]
pub(super) enum Places {
    /// The value is a text with names in it.
    Text(Words),
    /// Elements of an array, by index.
    Items(Vec<(usize, Places)>),
    /// Values of a map, by the position of their key.
    Fields(Vec<(usize, Places)>),
    /// As fields, where keys hold names too (managedFields select list items by them): what holds any, by position.
    Keyed(Vec<(usize, Option<Words>, Option<Places>)>),
}

/// The names in a text.
#[derive(Debug)]
pub(super) enum Words {
    /// It is this name.
    Whole(usize),
    /// These stretches of it are names: start, end, name.
    Parts(Vec<(usize, usize, usize)>),
}

impl Words {
    /// The names in a text; `None` when it holds none.
    pub(super) fn find(names: &Names, text: &str) -> Option<Words> {
        let parts: Vec<_> = names.within(text).collect();
        match parts.as_slice() {
            [] => None,
            [(0, end, name)] if *end == text.len() => Some(Words::Whole(*name)),
            _ => Some(Words::Parts(parts)),
        }
    }

    /// The new name, of a text that is a name.
    pub(super) fn whole<'a>(&self, renaming: &'a Renaming) -> Option<&'a str> {
        match self {
            Words::Whole(name) => Some(renaming.name(*name)),
            Words::Parts(_) => None,
        }
    }

    /// Whether the text, with new names, is `text` (asked of whole names only).
    pub(super) fn is(&self, text: &str, renaming: &Renaming) -> bool {
        self.whole(renaming) == Some(text)
    }

    /// The text with new names.
    pub(super) fn renamed(&self, text: &str, renaming: &Renaming) -> ArcStr {
        match self {
            Words::Whole(name) => renaming.name(*name).clone(),
            Words::Parts(parts) => {
                let mut out = String::with_capacity(text.len() + 8);
                let mut copied = 0;
                for (start, end, name) in parts {
                    out.push_str(text.get(copied..*start).unwrap_or_default());
                    out.push_str(renaming.name(*name));
                    copied = *end;
                }
                out.push_str(text.get(copied..).unwrap_or_default());
                out.into()
            }
        }
    }
}

impl Places {
    /// The places of names in a value; `None` when it holds none.
    pub(super) fn find(names: &Names, value: &Json) -> Option<Places> {
        match value {
            Json::Str(text) => Words::find(names, text).map(Places::Text),
            Json::Arr(items) => {
                let found = items.iter().enumerate().filter_map(|(at, item)| Some((at, Places::find(names, item)?)));
                Some(found.collect::<Vec<_>>()).filter(|found| !found.is_empty()).map(Places::Items)
            }
            Json::Obj(map) => Places::in_map(names, map),
            _ => None,
        }
    }

    fn in_map(names: &Names, map: &Map) -> Option<Places> {
        let in_key = |key: &ArcStr| if key.starts_with("k:{") || key.starts_with("v:") { Words::find(names, key) } else { None };
        let entries = map.iter().enumerate().map(|(at, (key, value))| (at, in_key(key), Places::find(names, value)));
        let found: Vec<_> = entries.filter(|(_, key, value)| key.is_some() || value.is_some()).collect();
        if found.is_empty() {
            None
        } else if found.iter().any(|(_, key, _)| key.is_some()) {
            Some(Places::Keyed(found))
        } else {
            Some(Places::Fields(found.into_iter().filter_map(|(at, _, value)| Some((at, value?))).collect()))
        }
    }

    /// The value with new names; what holds none stays shared.
    pub(super) fn renamed(&self, value: &Json, renaming: &Renaming) -> Json {
        match (self, value) {
            (Places::Text(words), Json::Str(text)) => Json::Str(words.renamed(text, renaming)),
            (Places::Items(places), Json::Arr(items)) => {
                let mut items = items.to_vec();
                for (at, places) in places {
                    if let Some(item) = items.get_mut(*at) {
                        *item = places.renamed(item, renaming);
                    }
                }
                Json::from(items)
            }
            (Places::Fields(places), Json::Obj(map)) => {
                let mut map = (**map).clone();
                for (at, places) in places {
                    if let Some(field) = map.nth_mut(*at) {
                        *field = places.renamed(field, renaming);
                    }
                }
                Json::from(map)
            }
            (Places::Keyed(places), Json::Obj(map)) => {
                let mut places = places.iter().peekable();
                let entry = |(at, (key, value)): (usize, (&ArcStr, &Json))| match places.next_if(|(place, ..)| *place == at) {
                    Some((_, in_key, in_value)) => (
                        in_key.as_ref().map_or_else(|| key.clone(), |words| words.renamed(key, renaming)),
                        in_value.as_ref().map_or_else(|| value.clone(), |places| places.renamed(value, renaming)),
                    ),
                    None => (key.clone(), value.clone()),
                };
                map.iter().enumerate().map(entry).collect::<Map>().into()
            }
            _ => value.clone(),
        }
    }
}
