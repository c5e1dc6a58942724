//! The virtual file system: a persistent map from absolute paths to nodes, so a clone is a pointer copy.
//!
//! Modification times are the episode's. Not modelled: owners, hard links, devices, permissions (modes are stored and shown, not
//! enforced).

use crate::time::SimTime;
use imbl::OrdMap;
use std::sync::Arc;

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A file and its content.
    File(Arc<Vec<u8>>),
    /// A folder.
    Folder,
    /// A symbolic link and its target.
    Link(String),
}

/// What `stat` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// What is there.
    pub node: Node,
    /// Mode bits, `0o644`.
    pub mode: u32,
    /// When it was last written.
    pub modified: SimTime,
}

/// Why a file operation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// Nothing is there.
    #[error("No such file or directory")]
    NotFound,
    /// Something is there already.
    #[error("File exists")]
    Exists,
    /// A folder is where a file is needed.
    #[error("Is a directory")]
    IsFolder,
    /// A file is where a folder is needed.
    #[error("Not a directory")]
    NotFolder,
    /// A folder has content.
    #[error("Directory not empty")]
    NotEmpty,
    /// All files together may not be larger.
    #[error("No space left on device")]
    NoSpace,
    /// Links go round.
    #[error("Too many levels of symbolic links")]
    LinkLoop,
}

/// Bytes that all files together may hold.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// Nodes that there may be.
const NODES_MAX: usize = 20_000;

/// Files and folders by absolute path.
#[derive(Clone, Debug)]
pub struct Files {
    nodes: OrdMap<String, Metadata>,
    bytes: usize,
    now: SimTime,
}

impl Files {
    /// A file system with only the root folder.
    pub fn new(now: SimTime) -> Self {
        let mut nodes = OrdMap::new();
        nodes.insert("/".to_owned(), Metadata { node: Node::Folder, mode: 0o755, modified: now });
        Files { nodes, bytes: 0, now }
    }

    /// The time that writes carry.
    pub fn now(&self) -> SimTime {
        self.now
    }

    /// The time that writes carry from now on.
    pub fn set_now(&mut self, now: SimTime) {
        self.now = now;
    }

    /// `path` made absolute against `cwd`, without `.` and `..`.
    pub fn absolute(cwd: &str, path: &str) -> String {
        let joined = if path.starts_with('/') { path.to_owned() } else { format!("{cwd}/{path}") };
        let mut parts: Vec<&str> = Vec::new();
        for part in joined.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop();
                }
                part => parts.push(part),
            }
        }
        format!("/{}", parts.join("/"))
    }

    fn parent(path: &str) -> &str {
        match path.rfind('/') {
            Some(0) | None => "/",
            Some(at) => &path[..at],
        }
    }

    /// The path after following links, also those on the way.
    fn resolve(&self, path: &str) -> Result<String, FileError> {
        let mut path = path.to_owned();
        for _ in 0..40 {
            let Some((link, target)) = self.first_link(&path) else { return Ok(path) };
            let rest = path[link.len()..].trim_start_matches('/').to_owned();
            let base = Self::absolute(Self::parent(&link), &target);
            path = if rest.is_empty() { base } else { Self::absolute(&base, &rest) };
        }
        Err(FileError::LinkLoop)
    }

    fn first_link(&self, path: &str) -> Option<(String, String)> {
        let ends = path.match_indices('/').map(|(at, _)| at).skip(1).chain([path.len()]);
        ends.map(|end| &path[..end]).find_map(|prefix| match &self.nodes.get(prefix)?.node {
            Node::Link(target) => Some((prefix.to_owned(), target.clone())),
            _ => None,
        })
    }

    /// What is at a path, links not followed at its end.
    ///
    /// # Errors
    /// [`FileError::NotFound`], [`FileError::LinkLoop`].
    pub fn lstat(&self, path: &str) -> Result<Metadata, FileError> {
        let parent = self.resolve(Self::parent(path))?;
        let name = path.rsplit('/').next().unwrap_or("");
        let path = if path == "/" { path.to_owned() } else { Self::absolute(&parent, name) };
        self.nodes.get(&path).cloned().ok_or(FileError::NotFound)
    }

    /// What is at a path, links followed.
    ///
    /// # Errors
    /// [`FileError::NotFound`], [`FileError::LinkLoop`].
    pub fn stat(&self, path: &str) -> Result<Metadata, FileError> {
        self.nodes.get(&self.resolve(path)?).cloned().ok_or(FileError::NotFound)
    }

    /// A file's content.
    ///
    /// # Errors
    /// [`FileError::NotFound`], [`FileError::IsFolder`], [`FileError::LinkLoop`].
    pub fn read(&self, path: &str) -> Result<Arc<Vec<u8>>, FileError> {
        match self.stat(path)?.node {
            Node::File(content) => Ok(content),
            _ => Err(FileError::IsFolder),
        }
    }

    /// Writes a file, replacing its content; its folder must exist.
    ///
    /// # Errors
    /// [`FileError::NotFound`] (no such folder), [`FileError::IsFolder`], [`FileError::NotFolder`], [`FileError::NoSpace`].
    pub fn write(&mut self, path: &str, content: &[u8]) -> Result<(), FileError> {
        let path = self.resolve(path)?;
        self.need_folder(Self::parent(&path))?;
        let (old, mode) = match self.nodes.get(&path) {
            Some(Metadata { node: Node::File(old), mode, .. }) => (old.len(), *mode),
            Some(_) => return Err(FileError::IsFolder),
            None => (0, 0o644),
        };
        if self.bytes - old + content.len() > BYTES_MAX || self.nodes.len() >= NODES_MAX {
            return Err(FileError::NoSpace);
        }
        self.bytes = self.bytes - old + content.len();
        self.nodes.insert(path, Metadata { node: Node::File(Arc::new(content.to_vec())), mode, modified: self.now });
        Ok(())
    }

    fn need_folder(&self, path: &str) -> Result<(), FileError> {
        match self.nodes.get(path).map(|m| &m.node) {
            Some(Node::Folder) => Ok(()),
            Some(_) => Err(FileError::NotFolder),
            None => Err(FileError::NotFound),
        }
    }

    /// Makes a folder; its parent must exist.
    ///
    /// # Errors
    /// [`FileError::Exists`], [`FileError::NotFound`], [`FileError::NotFolder`], [`FileError::NoSpace`].
    pub fn make_folder(&mut self, path: &str) -> Result<(), FileError> {
        let path = self.resolve(path)?;
        if self.nodes.contains_key(&path) {
            return Err(FileError::Exists);
        }
        self.need_folder(Self::parent(&path))?;
        if self.nodes.len() >= NODES_MAX {
            return Err(FileError::NoSpace);
        }
        self.nodes.insert(path, Metadata { node: Node::Folder, mode: 0o755, modified: self.now });
        Ok(())
    }

    /// Makes a folder and those above it, where they are missing.
    pub fn make_folders(&mut self, path: &str) {
        let ends: Vec<usize> = path.match_indices('/').map(|(at, _)| at).skip(1).chain([path.len()]).collect();
        for end in ends {
            // An existing folder is what was asked for; a file in the way shows at the next write.
            let _ = self.make_folder(&path[..end]);
        }
    }

    /// Makes a symbolic link.
    ///
    /// # Errors
    /// [`FileError::Exists`], [`FileError::NotFound`], [`FileError::NotFolder`].
    pub fn link(&mut self, target: &str, path: &str) -> Result<(), FileError> {
        if self.nodes.contains_key(path) {
            return Err(FileError::Exists);
        }
        self.need_folder(Self::parent(path))?;
        self.nodes.insert(path.to_owned(), Metadata { node: Node::Link(target.to_owned()), mode: 0o777, modified: self.now });
        Ok(())
    }

    /// Removes what is at a path, and with `recursive` what is below it.
    ///
    /// # Errors
    /// [`FileError::NotFound`], [`FileError::NotEmpty`].
    pub fn remove(&mut self, path: &str, recursive: bool) -> Result<(), FileError> {
        if !self.nodes.contains_key(path) {
            return Err(FileError::NotFound);
        }
        let below = self.below(path);
        if !below.is_empty() && !recursive {
            return Err(FileError::NotEmpty);
        }
        for gone in below.iter().map(String::as_str).chain([path].into_iter().filter(|p| *p != "/")) {
            if let Some(Metadata { node: Node::File(content), .. }) = self.nodes.remove(gone) {
                self.bytes -= content.len();
            }
        }
        Ok(())
    }

    fn below(&self, path: &str) -> Vec<String> {
        let prefix = if path == "/" { "/".to_owned() } else { format!("{path}/") };
        let from = self.nodes.range(prefix.clone()..);
        from.map(|(p, _)| p).take_while(|p| p.starts_with(&prefix)).filter(|p| p.as_str() != "/").cloned().collect()
    }

    /// Names directly in a folder, sorted.
    ///
    /// # Errors
    /// [`FileError::NotFound`], [`FileError::NotFolder`].
    pub fn list(&self, path: &str) -> Result<Vec<(String, Metadata)>, FileError> {
        let path = self.resolve(path)?;
        self.need_folder(&path)?;
        let start = if path == "/" { 1 } else { path.len() + 1 };
        let direct = self.below(&path).into_iter().filter(|p| !p[start..].contains('/'));
        Ok(direct.filter_map(|p| self.nodes.get(&p).map(|m| (p[start..].to_owned(), m.clone()))).collect())
    }

    /// Moves what is at a path, with what is below it; a file at the destination is replaced.
    ///
    /// # Errors
    /// [`FileError::NotFound`], [`FileError::NotFolder`], [`FileError::NotEmpty`].
    pub fn rename(&mut self, from: &str, to: &str) -> Result<(), FileError> {
        let moved = self.nodes.get(from).cloned().ok_or(FileError::NotFound)?;
        self.need_folder(Self::parent(to))?;
        if from == to {
            return Ok(());
        }
        if self.nodes.contains_key(to) {
            self.remove(to, false)?;
        }
        for path in self.below(from) {
            if let Some(metadata) = self.nodes.remove(&path) {
                self.nodes.insert(format!("{to}{}", &path[from.len()..]), metadata);
            }
        }
        self.nodes.remove(from);
        self.nodes.insert(to.to_owned(), moved);
        Ok(())
    }

    /// Sets mode bits.
    ///
    /// # Errors
    /// [`FileError::NotFound`].
    pub fn set_mode(&mut self, path: &str, mode: u32) -> Result<(), FileError> {
        let path = self.resolve(path)?;
        self.nodes.get_mut(&path).map(|m| m.mode = mode).ok_or(FileError::NotFound)
    }

    /// Sets the modification time.
    ///
    /// # Errors
    /// [`FileError::NotFound`].
    pub fn set_modified(&mut self, path: &str, modified: SimTime) -> Result<(), FileError> {
        let path = self.resolve(path)?;
        self.nodes.get_mut(&path).map(|m| m.modified = modified).ok_or(FileError::NotFound)
    }

    /// Every path with its metadata, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Metadata)> {
        self.nodes.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Files {
        let mut files = Files::new(SimTime::from_secs(7));
        files.make_folders("/a/b");
        files.write("/a/b/c", b"text").expect("folder exists");
        files
    }

    #[test]
    fn writes_read_back_and_carry_the_episodes_time() {
        let files = files();
        assert_eq!(**files.read("/a/b/c").expect("written"), *b"text");
        assert_eq!(files.stat("/a/b/c").expect("written").modified, SimTime::from_secs(7));
        assert_eq!(files.list("/a").expect("folder").len(), 1);
        assert_eq!(files.list("/").expect("folder").len(), 1);
    }

    #[test]
    fn errors_are_those_of_the_system() {
        let mut files = files();
        assert_eq!(files.read("/x"), Err(FileError::NotFound));
        assert_eq!(files.read("/a"), Err(FileError::IsFolder));
        assert_eq!(files.write("/x/y", b""), Err(FileError::NotFound));
        assert_eq!(files.write("/a/b/c/d", b""), Err(FileError::NotFolder));
        assert_eq!(files.remove("/a", false), Err(FileError::NotEmpty));
        assert_eq!(files.make_folder("/a"), Err(FileError::Exists));
        assert_eq!(files.write("/a/big", &vec![0; BYTES_MAX]), Err(FileError::NoSpace));
        files.link("/l2", "/l1").expect("new");
        files.link("/l1", "/l2").expect("new");
        assert_eq!(files.read("/l1"), Err(FileError::LinkLoop));
    }

    #[test]
    fn links_moves_and_removals() {
        let mut files = files();
        files.link("b", "/a/link").expect("new");
        assert_eq!(**files.read("/a/link/c").expect("followed"), *b"text");
        files.rename("/a/b", "/z").expect("moves");
        assert_eq!(**files.read("/z/c").expect("moved"), *b"text");
        files.remove("/z", true).expect("removes");
        assert_eq!(files.bytes, 0);
        assert_eq!(Files::absolute("/a/b", "../.././x//y"), "/x/y");
    }
}
