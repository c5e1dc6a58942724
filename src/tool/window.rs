//! What telemetry tools have in common: the window they look at, and files as tables.

use super::table::ToolContext;
use crate::cluster::ApiRequest;
use crate::object::{Json, resource};
use crate::shell::HOME;
use crate::shell::vfs::{FileError, normal};
use crate::time::SimTime;
use std::time::Duration;

/// The longest that a window can be, in minutes: a year.
const MINUTES: i64 = 60 * 24 * 365;

/// A namespace and a window, as a tool's arguments ask for them.
pub struct Window {
    /// The namespace.
    pub namespace: String,
    /// From when.
    pub since: SimTime,
    /// Until when: the present.
    pub until: SimTime,
}

impl Window {
    /// The arguments of a tool: namespace and minutes.
    ///
    /// # Errors
    /// What the agent is told about arguments that mean nothing.
    pub fn of(context: &mut ToolContext<'_>, arguments: &[Json]) -> Result<Window, String> {
        let namespace = arguments.first().map_or("", Json::text).to_owned();
        let minutes = arguments.get(1).and_then(Json::as_i64).unwrap_or(5);
        if !(1..=MINUTES).contains(&minutes) {
            return Err(format!("Error: duration is {minutes}; it is the number of minutes to look back, 1 to {MINUTES}."));
        }
        let known = resource::builtin_named("", "namespaces").map(|kind| ApiRequest::get(kind, None, &namespace));
        // Whoever may not ask for a namespace may still ask for what is in it.
        let missing = known.is_some_and(|request| context.cluster.api(context.who, &request).is_err_and(|error| error.code == 404));
        if namespace.is_empty() || missing {
            return Err(format!("Error: namespace \"{namespace}\" does not exist. Use kubectl to check."));
        }
        let until = context.cluster.now();
        Ok(Window { namespace, since: until - Duration::from_secs(minutes.unsigned_abs() * 60), until })
    }

    /// How long it is, in minutes.
    pub fn minutes(&self) -> u64 {
        self.until.since(self.since).as_secs() / 60
    }
}

/// A file of the agent's as a table, in the words of AIOpsLab's tools for files of this kind.
pub fn read(context: &ToolContext<'_>, path: &str, kind: &str, table: fn(&str) -> Result<String, String>) -> String {
    let failed = |why: &str| format!("Failed to read {}: {why}", kind.to_lowercase());
    match context.shell.files.read(&normal(HOME, path)) {
        Err(FileError::IsFolder) => failed(&format!("[Errno 21] Is a directory: '{path}'")),
        Err(_) => format!("error: {kind} file '{path}' not found."),
        Ok(content) => match std::str::from_utf8(&content) {
            Ok(text) => table(text).unwrap_or_else(|why| failed(&why)),
            Err(error) => {
                let at = error.valid_up_to();
                let byte = content.get(at).copied().unwrap_or_default();
                failed(&format!("'utf-8' codec can't decode byte 0x{byte:02x} in position {at}: invalid start byte"))
            }
        },
    }
}
