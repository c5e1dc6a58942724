//! `kubectl`, over `Cluster::api` only, so that it serves simulated and real clusters alike.
//!
//! Output is what kubectl 1.34 prints for the same objects, byte for byte, errors included.

use crate::cluster::{Cluster, Identity};
use crate::time::SimTime;

/// Files that a command may read and write: the virtual file system of the shell it runs in.
pub trait Files {
    /// The content of a file; `None` when there is none.
    fn read(&mut self, path: &str) -> Option<Vec<u8>>;
    /// The paths of the files directly in a folder, sorted; `None` when it is no folder.
    fn list(&mut self, path: &str) -> Option<Vec<String>>;
    /// Writes a file.
    ///
    /// # Errors
    /// A reason, as the shell words it (`No such file or directory`).
    fn write(&mut self, path: &str, content: &[u8]) -> Result<(), String>;
}

/// What a command works with.
pub struct Context<'a> {
    /// The cluster.
    pub cluster: &'a mut dyn Cluster,
    /// In whose name.
    pub who: &'a Identity,
    /// Namespace of the current context.
    pub namespace: &'a str,
    /// Files it may read and write.
    pub files: &'a mut dyn Files,
    /// What it reads.
    pub stdin: &'a [u8],
    /// When the tool's time is over; a command that blocks stops waiting then.
    pub deadline: SimTime,
}

/// What a command printed and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Exit code.
    pub exit_code: i32,
}
