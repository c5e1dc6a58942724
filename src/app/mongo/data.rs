//! What one MongoDB server holds: users and roles, databases and documents.
//!
//! Not modelled: indices beyond their names, roles of one's own.

use crate::app::{Access, Credentials, Seed};
use crate::object::Json;
use arcstr::ArcStr;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a client of a server is told whose credentials are wrong.
pub const AUTHENTICATION_FAILED: ArcStr = arcstr::literal!("server returned error on SASL authentication step: Authentication failed.");

/// What the entry point writes when the scripts of an empty volume have run.
pub const INITIALISED: [&str; 3] = ["", "MongoDB init process complete; ready for start up.", ""];

/// Everything on one volume.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Database {
    /// Whether a server has run on it; initialisation scripts are skipped then.
    pub initialised: bool,
    /// Users, in order of creation.
    pub users: Vec<User>,
    /// Collections by database and name.
    pub databases: BTreeMap<ArcStr, BTreeMap<ArcStr, Collection>>,
    /// Object ids given out so far.
    pub ids: u64,
}

/// A user.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// Name.
    pub name: ArcStr,
    /// The database that holds it.
    pub database: ArcStr,
    /// Password.
    pub password: ArcStr,
    /// Roles.
    pub roles: Vec<Role>,
    /// A UUID.
    pub id: ArcStr,
}

/// A role of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// `readWrite` …
    pub role: ArcStr,
    /// The database on which it holds.
    pub database: ArcStr,
}

/// A collection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Collection {
    /// Documents, in order of insertion.
    pub documents: Arc<Vec<Json>>,
}

/// What a command wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read documents, count, list collections, statistics of a database.
    Read,
    /// Write documents, create and drop collections.
    Write,
    /// Change users and roles.
    ManageUsers,
    /// See users.
    ViewUsers,
    /// List databases.
    ListDatabases,
    /// Look at the server.
    Monitor,
    /// Change the server.
    Administer,
}

impl Database {
    /// The user with this name in this database.
    pub fn user(&self, database: &str, name: &str) -> Option<&User> {
        self.users.iter().find(|u| u.name == name && u.database == database)
    }

    /// As [`Database::user`], for changing.
    pub fn user_mut(&mut self, database: &str, name: &str) -> Option<&mut User> {
        self.users.iter_mut().find(|u| u.name == name && u.database == database)
    }

    /// Whether credentials are right.
    pub fn knows(&self, who: &Credentials) -> bool {
        self.user(&who.database, &who.user).is_some_and(|u| u.password == who.password)
    }

    /// What a server creates on an empty volume.
    pub fn initialise(&mut self) {
        self.initialised = true;
        for name in ["admin", "config", "local"] {
            self.databases.entry(name.into()).or_default();
        }
    }

    /// Whether a client may do something in a database of a server that demands authentication or not; `command` is the command as
    /// the error quotes it.
    ///
    /// # Errors
    /// MongoDB's text.
    pub fn access(&self, demands: bool, who: Option<&Credentials>, what: (&str, Access), command: &str) -> Result<(), ArcStr> {
        let action = if what.1 == Access::Read { Action::Read } else { Action::Write };
        if who.is_some_and(|who| !self.knows(who)) {
            return Err(AUTHENTICATION_FAILED);
        }
        if !demands || who.and_then(|w| self.user(&w.database, &w.user)).is_some_and(|u| u.may(action, what.0)) {
            return Ok(());
        }
        Err(match who {
            Some(_) => format!("not authorized on {} to execute command {command}", what.0).into(),
            None => {
                format!("command {} requires authentication", command.trim_start_matches("{ ").split(':').next().unwrap_or("find")).into()
            }
        })
    }

    /// The documents that a seed would write: those whose key is not there yet.
    pub fn missing(&self, seed: &Seed, documents: &[Json]) -> Vec<Json> {
        let there: Vec<&Json> = self.collection(&seed.database, &seed.collection).into_iter().flat_map(|c| c.documents.iter()).collect();
        let keys: BTreeSet<&str> = there.iter().map(|d| d.get(&seed.key).text()).collect();
        documents.iter().filter(|d| !keys.contains(d.get(&seed.key).text())).cloned().collect()
    }

    /// The collection of a name, if there is one.
    pub fn collection(&self, database: &str, name: &str) -> Option<&Collection> {
        self.databases.get(database)?.get(name)
    }

    /// The collection of a name, created when there is none.
    pub fn collection_mut(&mut self, database: &str, name: &str) -> &mut Collection {
        self.databases.entry(database.into()).or_default().entry(name.into()).or_default()
    }
}

impl User {
    /// Whether the user may do something on a database.
    pub fn may(&self, action: Action, database: &str) -> bool {
        self.roles.iter().any(|r| r.allows(action, database))
    }
}

impl Role {
    /// Whether the role allows something on a database, by MongoDB's table of built-in roles.
    pub fn allows(&self, action: Action, database: &str) -> bool {
        use Action::{ListDatabases, ManageUsers, Monitor, Read, ViewUsers, Write};
        let here = self.database == database;
        let everywhere = self.database == "admin" && !matches!(database, "local" | "config");
        match self.role.as_str() {
            "read" => here && action == Read,
            "readWrite" => here && matches!(action, Read | Write),
            "dbAdmin" => here && matches!(action, Monitor),
            "userAdmin" => here && matches!(action, ManageUsers | ViewUsers),
            "dbOwner" => here && matches!(action, Read | Write | ManageUsers | ViewUsers | Monitor),
            "readAnyDatabase" => matches!(action, ListDatabases) || (everywhere && action == Read),
            "readWriteAnyDatabase" => matches!(action, ListDatabases) || (everywhere && matches!(action, Read | Write)),
            "userAdminAnyDatabase" => self.database == "admin" && matches!(action, ManageUsers | ViewUsers | ListDatabases),
            "dbAdminAnyDatabase" | "clusterMonitor" => self.database == "admin" && matches!(action, ListDatabases | Monitor),
            "clusterAdmin" | "clusterManager" | "hostManager" => {
                self.database == "admin" && matches!(action, ListDatabases | Monitor | Action::Administer)
            }
            "root" | "__system" => self.database == "admin",
            _ => false,
        }
    }

    /// Whether MongoDB knows a built-in role of this name in a database.
    pub fn exists(role: &str, database: &str) -> bool {
        let everywhere = ["read", "readWrite", "dbAdmin", "dbOwner", "userAdmin", "enableSharding"];
        let admin = [
            "readAnyDatabase",
            "readWriteAnyDatabase",
            "userAdminAnyDatabase",
            "dbAdminAnyDatabase",
            "clusterMonitor",
            "clusterAdmin",
            "clusterManager",
            "hostManager",
            "root",
            "backup",
            "restore",
            "__system",
        ];
        everywhere.contains(&role) || (database == "admin" && admin.contains(&role))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_roles() {
        let check = |role: &str, of: &str, action: Action, on: &str, expect: bool| {
            let role = Role { role: role.into(), database: of.into() };
            assert_eq!(role.allows(action, on), expect, "{role:?} {action:?} on {on}");
        };
        check("readWrite", "geo-db", Action::Write, "geo-db", true);
        check("readWrite", "geo-db", Action::Read, "rate-db", false);
        check("userAdminAnyDatabase", "admin", Action::ManageUsers, "geo-db", true);
        check("userAdminAnyDatabase", "admin", Action::Read, "geo-db", false);
        check("userAdminAnyDatabase", "geo-db", Action::ManageUsers, "geo-db", false);
        check("root", "admin", Action::Write, "geo-db", true);
        check("read", "geo-db", Action::Write, "geo-db", false);
        check("readAnyDatabase", "admin", Action::Read, "geo-db", true);
        assert!(Role::exists("readWrite", "geo-db") && !Role::exists("root", "geo-db") && !Role::exists("readwrite", "geo-db"));
    }
}
