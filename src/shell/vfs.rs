//! The virtual file system of an episode's shell: folders, files and links in memory, times from the episode's clock.
//!
//! Persistent, so a fork shares what it did not change. Paths are absolute and normal (`/a/b`, no `.` or `..`). Bounded in files and
//! bytes. Not modelled: owners, hard links, pipes, permissions beyond the mode bits that `ls -l` prints.

use crate::time::SimTime;
use arcstr::ArcStr;
use imbl::OrdMap;
use std::sync::Arc;

/// What lies at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A file and its content.
    File(Arc<Vec<u8>>),
    /// A symbolic link and its target.
    Link(ArcStr),
}

/// A folder, file or link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// When its content last changed.
    pub modified: SimTime,
}

impl Node {
    /// Size in bytes, as `ls -l` prints it.
    pub fn size(&self) -> u64 {
        match &self.kind {
            Kind::Folder => 4096,
            Kind::File(content) => content.len() as u64,
            Kind::Link(target) => target.len() as u64,
        }
    }
}

/// Why an operation failed; displays as the C library words it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each says itself what it is")]
pub enum FileError {
    #[error("No such file or directory")]
    NotFound,
    #[error("Is a directory")]
    IsFolder,
    #[error("Not a directory")]
    NotFolder,
    #[error("File exists")]
    Exists,
    #[error("Directory not empty")]
    NotEmpty,
    #[error("No space left on device")]
    NoSpace,
    #[error("Too many levels of symbolic links")]
    Loop,
    #[error("Invalid argument")]
    Invalid,
}

/// Most bytes that all files hold together.
const BYTES_LIMIT: u64 = 64 << 20;
/// Most entries.
const ENTRIES_LIMIT: usize = 20_000;
/// Most links that a path may lead through.
const LINKS_LIMIT: usize = 40;

/// A file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vfs {
    nodes: OrdMap<ArcStr, Node>,
    bytes: u64,
    /// What new entries are stamped with.
    pub now: SimTime,
}

impl Vfs {
    /// A file system with an empty root folder.
    pub fn new(now: SimTime) -> Self {
        let root = Node { kind: Kind::Folder, mode: 0o755, modified: now };
        Vfs { nodes: OrdMap::unit(arcstr::literal!("/"), root), bytes: 0, now }
    }

    /// What lies at a path; a link itself.
    pub fn entry(&self, path: &str) -> Option<&Node> {
        self.nodes.get(normal("/", path).as_str())
    }

    /// The path that `path` leads to when every link on it is followed; its last part need not exist.
    ///
    /// # Errors
    /// [`FileError::Loop`] when links lead in a circle.
    pub fn follow(&self, path: &str) -> Result<String, FileError> {
        let mut path = normal("/", path);
        'links: for _ in 0..LINKS_LIMIT {
            let mut ends: Vec<usize> = path.match_indices('/').map(|(at, _)| at).skip(1).collect();
            ends.push(path.len());
            for end in ends {
                if let Some(Node { kind: Kind::Link(target), .. }) = self.nodes.get(&path[..end]) {
                    let folder = parent(&path[..end]);
                    path = normal(&normal(folder, target), path[end..].trim_start_matches('/'));
                    continue 'links;
                }
            }
            return Ok(path);
        }
        Err(FileError::Loop)
    }

    /// The content of a file.
    ///
    /// # Errors
    /// When there is none or it is a folder.
    pub fn read(&self, path: &str) -> Result<Arc<Vec<u8>>, FileError> {
        match self.nodes.get(self.follow(path)?.as_str()).map(|node| &node.kind) {
            Some(Kind::File(content)) => Ok(content.clone()),
            Some(Kind::Folder) => Err(FileError::IsFolder),
            Some(Kind::Link(_)) | None => Err(FileError::NotFound),
        }
    }

    /// Names and entries directly in a folder, in order of their names.
    ///
    /// # Errors
    /// When there is none or it is a file.
    pub fn list(&self, path: &str) -> Result<Vec<(ArcStr, &Node)>, FileError> {
        let path = self.follow(path)?;
        match self.nodes.get(path.as_str()).map(|node| &node.kind) {
            None => return Err(FileError::NotFound),
            Some(Kind::Folder) => {}
            Some(_) => return Err(FileError::NotFolder),
        }
        let prefix = if path == "/" { path } else { format!("{path}/") };
        let below = self.nodes.range(ArcStr::from(prefix.as_str())..).take_while(|(key, _)| key.starts_with(&prefix));
        let direct = below.filter(|(key, _)| key.len() > prefix.len() && !key[prefix.len()..].contains('/'));
        let mut found: Vec<_> = direct.map(|(key, node)| (ArcStr::from(&key[prefix.len()..]), node)).collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    /// Writes a file, replacing what it held.
    ///
    /// # Errors
    /// When its folder is missing, the path is a folder, or there is no space.
    pub fn write(&mut self, path: &str, content: &[u8]) -> Result<(), FileError> {
        let path = self.follow(path)?;
        self.require_folder(parent(&path))?;
        let (old, mode) = match self.nodes.get(path.as_str()) {
            Some(Node { kind: Kind::Folder, .. }) => return Err(FileError::IsFolder),
            Some(node) => (node.size(), node.mode),
            None if self.nodes.len() >= ENTRIES_LIMIT => return Err(FileError::NoSpace),
            None => (0, 0o644),
        };
        let bytes = self.bytes - old.min(self.bytes) + content.len() as u64;
        if bytes > BYTES_LIMIT {
            return Err(FileError::NoSpace);
        }
        self.bytes = bytes;
        let node = Node { kind: Kind::File(Arc::new(content.to_vec())), mode, modified: self.now };
        self.nodes.insert(path.into(), node);
        Ok(())
    }

    /// Appends to a file, created when absent.
    ///
    /// # Errors
    /// As [`Vfs::write`].
    pub fn append(&mut self, path: &str, content: &[u8]) -> Result<(), FileError> {
        let mut whole = match self.read(path) {
            Ok(old) => old.to_vec(),
            Err(FileError::NotFound) => Vec::new(),
            Err(other) => return Err(other),
        };
        whole.extend_from_slice(content);
        self.write(path, &whole)
    }

    /// Makes a folder; with `parents`, those above it too, and one that exists is fine.
    ///
    /// # Errors
    /// When something is in the way or the folder above is missing.
    pub fn make_folder(&mut self, path: &str, parents: bool) -> Result<(), FileError> {
        let path = self.follow(path)?;
        match self.nodes.get(path.as_str()).map(|node| &node.kind) {
            Some(Kind::Folder) if parents => return Ok(()),
            Some(_) => return Err(FileError::Exists),
            None => {}
        }
        if self.nodes.len() >= ENTRIES_LIMIT {
            return Err(FileError::NoSpace);
        }
        let above = parent(&path);
        match self.require_folder(above) {
            Err(FileError::NotFound) if parents => self.make_folder(above, true)?,
            other => other?,
        }
        self.nodes.insert(path.into(), Node { kind: Kind::Folder, mode: 0o755, modified: self.now });
        Ok(())
    }

    /// Makes a symbolic link.
    ///
    /// # Errors
    /// When something lies at `link` already or its folder is missing.
    pub fn link(&mut self, target: &str, link: &str) -> Result<(), FileError> {
        let link = normal("/", link);
        self.require_folder(&self.follow(parent(&link))?)?;
        if self.nodes.contains_key(link.as_str()) {
            return Err(FileError::Exists);
        }
        self.nodes.insert(link.into(), Node { kind: Kind::Link(target.into()), mode: 0o777, modified: self.now });
        Ok(())
    }

    /// Removes a file or link, or a folder (with `recursive`, all that is in it).
    ///
    /// # Errors
    /// When there is none, or the folder is not empty.
    pub fn remove(&mut self, path: &str, recursive: bool) -> Result<(), FileError> {
        let path = normal("/", path);
        if path == "/" {
            return Err(FileError::Invalid);
        }
        let node = self.nodes.get(path.as_str()).ok_or(FileError::NotFound)?;
        let below: Vec<ArcStr> = match node.kind {
            Kind::Folder => self.below(&path),
            _ => Vec::new(),
        };
        if !below.is_empty() && !recursive {
            return Err(FileError::NotEmpty);
        }
        for key in below.iter().map(ArcStr::as_str).chain([path.as_str()]) {
            if let Some(node) = self.nodes.remove(key)
                && matches!(node.kind, Kind::File(_))
            {
                self.bytes -= node.size().min(self.bytes);
            }
        }
        Ok(())
    }

    /// Moves an entry with all that is below it; what lies at `to` is replaced unless it is a folder that is not empty.
    ///
    /// # Errors
    /// When `from` is missing or `to` cannot take it.
    pub fn rename(&mut self, from: &str, to: &str) -> Result<(), FileError> {
        let (from, to) = (normal("/", from), normal("/", to));
        let node = self.nodes.get(from.as_str()).ok_or(FileError::NotFound)?.clone();
        if to == from {
            return Ok(());
        }
        if to.starts_with(&format!("{from}/")) {
            return Err(FileError::Invalid);
        }
        self.require_folder(parent(&to))?;
        if let Some(there) = self.nodes.get(to.as_str()) {
            match (&there.kind, &node.kind) {
                (Kind::Folder, Kind::Folder) => self.remove(&to, false)?,
                (Kind::Folder, _) => return Err(FileError::IsFolder),
                (_, Kind::Folder) => return Err(FileError::NotFolder),
                _ => self.remove(&to, false)?,
            }
        }
        let moved: Vec<(ArcStr, ArcStr)> =
            self.below(&from).into_iter().map(|key| (key.clone(), ArcStr::from(format!("{to}{}", &key[from.len()..])))).collect();
        for (old, new) in moved.into_iter().chain([(ArcStr::from(from), ArcStr::from(to))]) {
            if let Some(node) = self.nodes.remove(old.as_str()) {
                self.nodes.insert(new, node);
            }
        }
        Ok(())
    }

    /// Sets the permission bits.
    ///
    /// # Errors
    /// When there is no such entry.
    pub fn set_mode(&mut self, path: &str, mode: u32) -> Result<(), FileError> {
        let path = self.follow(path)?;
        let node = self.nodes.get_mut(path.as_str()).ok_or(FileError::NotFound)?;
        node.mode = mode & 0o7777;
        Ok(())
    }

    /// Stamps an entry with the present.
    ///
    /// # Errors
    /// When there is no such entry.
    pub fn touch(&mut self, path: &str) -> Result<(), FileError> {
        let path = self.follow(path)?;
        let now = self.now;
        self.nodes.get_mut(path.as_str()).ok_or(FileError::NotFound)?.modified = now;
        Ok(())
    }

    /// Every path, node pair in order; for digests.
    pub fn iter(&self) -> impl Iterator<Item = (&ArcStr, &Node)> {
        self.nodes.iter()
    }

    fn below(&self, path: &str) -> Vec<ArcStr> {
        let prefix = format!("{}/", path.trim_end_matches('/'));
        let keys = self.nodes.range(ArcStr::from(prefix.as_str())..).map(|(key, _)| key);
        keys.take_while(|key| key.starts_with(&prefix)).filter(|key| key.len() > prefix.len()).cloned().collect()
    }

    fn require_folder(&self, path: &str) -> Result<(), FileError> {
        match self.nodes.get(path).map(|node| &node.kind) {
            Some(Kind::Folder) => Ok(()),
            Some(_) => Err(FileError::NotFolder),
            None => Err(FileError::NotFound),
        }
    }
}

/// The folder of a normal path.
fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(at) => &path[..at],
    }
}

/// A path made absolute against `base` and freed of `.`, `..` and doubled slashes.
pub fn normal(base: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{base}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Vfs {
        let mut fs = Vfs::new(SimTime::from_secs(5));
        fs.make_folder("/home/user/wiki", true).expect("made");
        fs.write("/home/user/a.txt", b"one").expect("written");
        fs.write("/home/user/wiki/b", b"two").expect("written");
        fs
    }

    #[test]
    fn files_and_folders() {
        let mut fs = some();
        let names: Vec<_> = fs.list("/home/user").expect("a folder").into_iter().map(|(name, _)| name.to_string()).collect();
        assert_eq!(names, ["a.txt", "wiki"]);
        fs.append("/home/user/a.txt", b"more").expect("appended");
        assert_eq!(fs.read("/home/user/../user/./a.txt").expect("read").as_slice(), b"onemore");
        for (result, error) in [
            (fs.write("/nowhere/x", b""), FileError::NotFound),
            (fs.write("/home/user", b""), FileError::IsFolder),
            (fs.write("/home/user/a.txt/x", b""), FileError::NotFolder),
            (fs.make_folder("/home/user", false), FileError::Exists),
            (fs.remove("/home/user", false), FileError::NotEmpty),
            (fs.remove("/x", false), FileError::NotFound),
            (fs.remove("/", true), FileError::Invalid),
            (fs.rename("/home", "/home/user/x"), FileError::Invalid),
        ] {
            assert_eq!(result, Err(error));
        }
        fs.rename("/home/user", "/home/agent").expect("moved");
        assert_eq!(fs.read("/home/agent/wiki/b").expect("read").as_slice(), b"two");
        fs.remove("/home", true).expect("removed");
        assert_eq!(fs, Vfs::new(SimTime::from_secs(5)));
    }

    #[test]
    fn links_are_followed_and_circles_end() {
        let mut fs = some();
        fs.link("wiki", "/home/user/w").expect("linked");
        assert_eq!(fs.read("/home/user/w/b").expect("read").as_slice(), b"two");
        fs.link("/home/user/y", "/home/user/x").expect("linked");
        fs.link("x", "/home/user/y").expect("linked");
        assert_eq!(fs.read("/home/user/x"), Err(FileError::Loop));
        fs.remove("/home/user/w", false).expect("removes the link only");
        assert!(fs.read("/home/user/wiki/b").is_ok());
    }

    #[test]
    fn space_is_bounded() {
        let mut fs = some();
        assert_eq!(fs.write("/big", &vec![0; (BYTES_LIMIT + 1) as usize]), Err(FileError::NoSpace));
        fs.write("/big", &vec![0; 1 << 20]).expect("fits");
        fs.write("/big", b"").expect("fits");
        assert_eq!(fs.bytes, 6);
    }
}
