//! [`Lazy`]: a value under the names of an episode, renamed when it is first read.
//!
//! What it reads as follows from the value in the baseline and the episode's names alone, so it does not matter who reads first, or when.

use super::rename::Renaming;
use arcstr::ArcStr;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// What can be given other names.
pub trait Rename {
    /// The same under the names of an episode.
    #[must_use]
    fn renamed(&self, names: &Renaming) -> Self;

    /// Whether there is anything in it that is called differently.
    fn holds_names(&self, names: &Renaming) -> bool;
}

/// A shared value that may still have to be renamed. Reads as the value.
pub struct Lazy<T>(Arc<State<T>>);

enum State<T> {
    /// As it was made; whether it holds no names of its baseline, once somebody asked.
    Own { value: T, nameless: OnceLock<bool> },
    /// That of a baseline, to be given the names of an episode.
    Inherited { old: Lazy<T>, names: Arc<Renaming>, new: OnceLock<T> },
}

impl<T> Lazy<T> {
    /// A value as it is.
    pub fn new(value: T) -> Self {
        Lazy(Arc::new(State::Own { value, nameless: OnceLock::new() }))
    }

    /// The same under the names of an episode, from the first read on. What holds no names is shared by all episodes.
    #[must_use]
    pub fn later(&self, names: &Arc<Renaming>) -> Self
    where
        T: Rename,
    {
        if let State::Own { value, nameless } = &*self.0
            && *nameless.get_or_init(|| !value.holds_names(names))
        {
            return self.clone();
        }
        Lazy(Arc::new(State::Inherited { old: self.clone(), names: Arc::clone(names), new: OnceLock::new() }))
    }
}

impl<T: Rename> Deref for Lazy<T> {
    type Target = T;
    fn deref(&self) -> &T {
        match &*self.0 {
            State::Own { value, .. } => value,
            State::Inherited { old, names, new } => new.get_or_init(|| old.renamed(names)),
        }
    }
}

impl<T: Default> Default for Lazy<T> {
    fn default() -> Self {
        Lazy::new(T::default())
    }
}

impl<T> Clone for Lazy<T> {
    fn clone(&self) -> Self {
        Lazy(Arc::clone(&self.0))
    }
}

impl<T: Rename + PartialEq> PartialEq for Lazy<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || **self == **other
    }
}

impl<T: Rename + fmt::Debug> fmt::Debug for Lazy<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T> From<T> for Lazy<T> {
    fn from(value: T) -> Self {
        Lazy::new(value)
    }
}

impl Rename for BTreeMap<ArcStr, ArcStr> {
    fn renamed(&self, names: &Renaming) -> Self {
        self.iter().map(|(key, value)| (key.clone(), names.text(value))).collect()
    }

    fn holds_names(&self, names: &Renaming) -> bool {
        self.values().any(|value| names.is_in(value))
    }
}

impl Rename for Vec<ArcStr> {
    fn renamed(&self, names: &Renaming) -> Self {
        self.iter().map(|text| names.text(text)).collect()
    }

    fn holds_names(&self, names: &Renaming) -> bool {
        self.iter().any(|text| names.is_in(text))
    }
}
