//! Layers of images: tar archives whose bytes follow from their content alone.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use tar::{Builder, EntryType, Header};

/// The time that every file carries, in seconds since the epoch.
pub const TIME: u64 = 1_700_000_000;

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Folder {
        mode: u32,
        uid: u32,
    },
    File {
        mode: u32,
        content: Arc<[u8]>,
    },
    /// Another name of a file in the same layer.
    Link(String),
    Symlink(String),
}

/// A layer under construction: entries by path, without the first slash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layer(BTreeMap<String, Entry>);

fn relative(path: &str) -> String {
    path.trim_matches('/').to_owned()
}

impl Layer {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a folder.
    pub fn folder(&mut self, path: &str, mode: u32, uid: u32) {
        if !relative(path).is_empty() {
            self.0.insert(relative(path), Entry::Folder { mode, uid });
        }
    }

    /// Adds a file.
    pub fn file(&mut self, path: &str, mode: u32, content: impl Into<Arc<[u8]>>) {
        self.0.insert(relative(path), Entry::File { mode, content: content.into() });
    }

    /// Adds a symbolic link.
    pub fn symlink(&mut self, path: &str, to: &str) {
        self.0.insert(relative(path), Entry::Symlink(to.to_owned()));
    }

    /// Adds one program under several names.
    pub fn program(&mut self, names: &BTreeSet<String>, content: &Arc<[u8]>) {
        let mut names = names.iter();
        let Some(first) = names.next() else { return };
        self.0.insert(relative(first), Entry::File { mode: 0o755, content: content.clone() });
        for name in names {
            self.0.insert(relative(name), Entry::Link(relative(first)));
        }
    }

    /// The archive.
    ///
    /// # Errors
    /// When a path is too long for one.
    pub fn archive(&self) -> io::Result<Vec<u8>> {
        let mut builder = Builder::new(Vec::new());
        let mut folders = BTreeSet::new();
        for (path, entry) in &self.0 {
            let parents = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
            for parent in parents.filter(|p| !self.0.contains_key(*p)) {
                if folders.insert(parent.to_owned()) {
                    append(&mut builder, parent, &Entry::Folder { mode: 0o755, uid: 0 })?;
                }
            }
            append(&mut builder, path, entry)?;
        }
        builder.into_inner()
    }
}

fn append(builder: &mut Builder<Vec<u8>>, path: &str, entry: &Entry) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_mtime(TIME);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    header.set_mode(0o777);
    match entry {
        Entry::Folder { mode, uid } => {
            header.set_entry_type(EntryType::Directory);
            header.set_mode(*mode);
            header.set_uid(u64::from(*uid));
            header.set_gid(u64::from(*uid));
            builder.append_data(&mut header, format!("{path}/"), io::empty())
        }
        Entry::File { mode, content } => {
            header.set_entry_type(EntryType::Regular);
            header.set_mode(*mode);
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, path, &content[..])
        }
        Entry::Link(to) => {
            header.set_entry_type(EntryType::Link);
            header.set_mode(0o755);
            builder.append_link(&mut header, path, to)
        }
        Entry::Symlink(to) => {
            header.set_entry_type(EntryType::Symlink);
            builder.append_link(&mut header, path, to)
        }
    }
}
