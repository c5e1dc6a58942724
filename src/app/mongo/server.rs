//! What a MongoDB server answers to commands: rights first, then the data on its volume.
//!
//! Not modelled: aggregation pipelines, change streams, transactions, sharding; commands that are not known are refused as the
//! server refuses them.

use super::data::{Action, Database, Role, User};
use super::query;
use crate::app::Credentials;
use crate::object::Json;
use crate::time::SimTime;
use crate::{array, object};
use arcstr::ArcStr;
use std::sync::Arc;

/// A server as its clients see it.
pub trait Server {
    /// Answers a command that is sent to a database.
    fn command(&mut self, database: &str, command: &Json) -> Json;
    /// Logs in; whether the server accepts that.
    fn log_in(&mut self, who: Credentials) -> bool;
    /// Logs out.
    fn log_out(&mut self);
}

/// Where a server runs, and where it keeps what it holds.
pub trait Keep {
    /// What it holds.
    fn data(&self) -> Arc<Database>;
    /// Changes what it holds.
    fn change<R>(&mut self, edit: impl FnOnce(&mut Database) -> R) -> R;
    /// Whether it demands that clients say who they are.
    fn demands_authentication(&self) -> bool;
    /// The name of its machine.
    fn host(&self) -> ArcStr;
    /// The present instant.
    fn now(&self) -> SimTime;
    /// A new UUID.
    fn uuid(&mut self) -> ArcStr;
}

/// A connection to a server, at the server's end.
pub struct Connection<K> {
    /// The server.
    pub keep: K,
    /// Who is logged in.
    pub who: Option<Credentials>,
    /// Whether the client is on the server's own machine, where the first user may be created without one.
    pub local: bool,
    /// Whether the server asks nobody who they are, whatever it was started with (while it is being initialised).
    pub open: bool,
}

/// `{"ok": 0, …}`.
fn failure(code: i64, name: &str, message: impl Into<String>) -> Json {
    object! { "ok" => 0, "errmsg" => message.into(), "code" => code, "codeName" => name }
}

fn ok(mut reply: Json) -> Json {
    reply.set("ok", 1);
    reply
}

/// Commands with what they need on the database they are sent to; `None` for those that anyone may send.
const COMMANDS: &[(&str, Option<Action>)] = &[
    ("ping", None),
    ("hello", None),
    ("isMaster", None),
    ("ismaster", None),
    ("buildInfo", None),
    ("buildinfo", None),
    ("connectionStatus", None),
    ("logout", None),
    ("whatsmyuri", None),
    ("listDatabases", Some(Action::ListDatabases)),
    ("usersInfo", Some(Action::ViewUsers)),
    ("createUser", Some(Action::ManageUsers)),
    ("updateUser", Some(Action::ManageUsers)),
    ("dropUser", Some(Action::ManageUsers)),
    ("grantRolesToUser", Some(Action::ManageUsers)),
    ("revokeRolesFromUser", Some(Action::ManageUsers)),
    ("listCollections", Some(Action::Read)),
    ("count", Some(Action::Read)),
    ("find", Some(Action::Read)),
    ("distinct", Some(Action::Read)),
    ("dbStats", Some(Action::Read)),
    ("collStats", Some(Action::Read)),
    ("dbHash", Some(Action::Read)),
    ("listIndexes", Some(Action::Read)),
    ("insert", Some(Action::Write)),
    ("update", Some(Action::Write)),
    ("delete", Some(Action::Write)),
    ("create", Some(Action::Write)),
    ("drop", Some(Action::Write)),
    ("dropDatabase", Some(Action::Write)),
    ("createIndexes", Some(Action::Write)),
    ("serverStatus", Some(Action::Monitor)),
    ("getCmdLineOpts", Some(Action::Monitor)),
    ("replSetGetStatus", Some(Action::Monitor)),
    ("shutdown", Some(Action::Administer)),
    ("getParameter", Some(Action::Administer)),
];

impl<K: Keep> Server for Connection<K> {
    fn log_in(&mut self, who: Credentials) -> bool {
        let known = self.data().knows(&who);
        if known {
            self.who = Some(who);
        }
        known
    }

    fn log_out(&mut self) {
        self.who = None;
    }

    fn command(&mut self, database: &str, command: &Json) -> Json {
        let found = COMMANDS.iter().find(|(name, _)| command.as_map().is_some_and(|m| m.contains_key(name)));
        let Some((name, needs)) = found else {
            let name = command.entries().next().map(|(k, _)| k.to_string()).unwrap_or_default();
            return failure(59, "CommandNotFound", format!("no such command: '{name}'"));
        };
        if let Some(action) = needs
            && !self.may(*action, database)
        {
            return match self.who {
                None => failure(13, "Unauthorized", format!("command {name} requires authentication")),
                Some(_) => {
                    let shown = super::show::one_line(command).replace(" : ", ": ").replace("{  }", "{}");
                    let bare = with_bare_keys(&shown);
                    let text = format!(
                        "not authorized on {database} to execute command {}, $db: \"{database}\" }}",
                        bare.strip_suffix(" }").unwrap_or(&bare)
                    );
                    failure(13, "Unauthorized", text)
                }
            };
        }
        self.answer(name, database, command)
    }
}

impl<K: Keep> Connection<K> {
    fn data(&self) -> Arc<Database> {
        self.keep.data()
    }

    fn may(&self, action: Action, database: &str) -> bool {
        if self.open || !self.keep.demands_authentication() {
            return true;
        }
        let data = self.data();
        let first_user = self.local && data.users.is_empty() && database == "admin" && action == Action::ManageUsers;
        let user = self.who.as_ref().and_then(|who| data.user(&who.database, &who.user));
        first_user || user.is_some_and(|u| u.may(action, database))
    }

    fn answer(&mut self, name: &str, database: &str, command: &Json) -> Json {
        match name {
            "ping" | "logout" | "createIndexes" => ok(object! {}),
            "hello" | "isMaster" | "ismaster" => ok(self.hello()),
            "buildInfo" | "buildinfo" => ok(object! { "version" => "4.4.6", "versionArray" => array![4, 4, 6, 0], "bits" => 64 }),
            "whatsmyuri" => ok(object! { "you" => "127.0.0.1:40000" }),
            "connectionStatus" => ok(self.status()),
            "replSetGetStatus" => failure(76, "NoReplicationEnabled", "not running with --replSet"),
            "listDatabases" => ok(self.list_databases()),
            "listCollections" => ok(self.list_collections(database)),
            "dbStats" => ok(self.statistics(database)),
            "dbHash" => ok(self.hashes(database, command)),
            "serverStatus" => ok(object! { "host" => self.host(), "version" => "4.4.6", "process" => "mongod", "pid" => 1 }),
            "getCmdLineOpts" => ok(self.options()),
            "usersInfo" => ok(self.users_info(database, command.get("usersInfo"))),
            "createUser" | "updateUser" | "dropUser" | "grantRolesToUser" | "revokeRolesFromUser" => self.manage(name, database, command),
            "shutdown" | "getParameter" => failure(115, "CommandNotSupported", format!("{name} is not part of this simulated server")),
            _ => self.documents(name, database, command),
        }
    }

    fn host(&self) -> ArcStr {
        self.keep.host()
    }

    fn hello(&self) -> Json {
        object! {
            "ismaster" => true, "maxBsonObjectSize" => 16_777_216, "maxWriteBatchSize" => 100_000, "minWireVersion" => 0,
            "maxWireVersion" => 9, "readOnly" => false, "localTime" => object! { "$date" => self.keep.now().rfc3339() },
        }
    }

    fn options(&self) -> Json {
        let auth = self.keep.demands_authentication();
        let mut parsed = object! { "net" => object! { "bindIp" => "*" } };
        let mut argv = array!["mongod", "--bind_ip_all"];
        if auth {
            parsed.set_at(&["security", "authorization"], "enabled");
            argv = array!["mongod", "--auth", "--bind_ip_all"];
        }
        object! { "argv" => argv, "parsed" => parsed }
    }

    fn status(&self) -> Json {
        let data = self.data();
        let user = self.who.as_ref().and_then(|who| data.user(&who.database, &who.user));
        let users = user.map(|u| object! { "user" => &u.name, "db" => &u.database });
        let roles: Json = user.into_iter().flat_map(|u| &u.roles).map(role_json).collect();
        object! {
            "authInfo" => object! { "authenticatedUsers" => users.into_iter().collect::<Json>(), "authenticatedUserRoles" => roles },
        }
    }

    fn list_databases(&self) -> Json {
        let data = self.data();
        let all = data.databases.iter().map(|(name, collections)| {
            let size = 40_960 + collections.values().map(|c| 4096 * (1 + c.documents.len() as i64 / 40)).sum::<i64>();
            object! { "name" => name, "sizeOnDisk" => size, "empty" => false }
        });
        let databases: Json = all.collect();
        let total: i64 = databases.items().iter().filter_map(|d| d.get("sizeOnDisk").as_i64()).sum();
        object! { "databases" => databases, "totalSize" => total }
    }

    fn list_collections(&self, database: &str) -> Json {
        let data = self.data();
        let names = data.databases.get(database).into_iter().flat_map(|d| d.keys());
        let batch: Json = names.map(|n| object! { "name" => n, "type" => "collection" }).collect();
        object! { "cursor" => object! { "id" => 0, "ns" => format!("{database}.$cmd.listCollections"), "firstBatch" => batch } }
    }

    /// A digest of each collection's documents, those named in `collections` or all. MongoDB's are MD5 sums of BSON; these tell as well
    /// whether documents changed.
    fn hashes(&self, database: &str, command: &Json) -> Json {
        let (data, wanted) = (self.data(), command.get("collections").items());
        let (mut hashes, mut all) = (object! {}, String::new());
        for (name, collection) in data.databases.get(database).into_iter().flatten() {
            if wanted.is_empty() || wanted.iter().any(|w| w.text() == name.as_str()) {
                let texts: Vec<String> = collection.documents.iter().map(Json::to_compact).collect();
                let hash: String = crate::app::digest::sha256(texts.join("\n").as_bytes()).chars().take(32).collect();
                all.push_str(&hash);
                hashes.set(name, hash);
            }
        }
        let whole: String = crate::app::digest::sha256(all.as_bytes()).chars().take(32).collect();
        object! { "host" => self.host(), "collections" => hashes, "md5" => whole }
    }

    fn statistics(&self, database: &str) -> Json {
        let data = self.data();
        let collections = data.databases.get(database);
        let objects: usize = collections.into_iter().flatten().map(|(_, c)| c.documents.len()).sum();
        let bytes: usize = collections.into_iter().flatten().flat_map(|(_, c)| c.documents.iter()).map(|d| d.to_compact().len()).sum();
        let average = if objects == 0 { 0.0 } else { bytes as f64 / objects as f64 };
        object! {
            "db" => database, "collections" => collections.map_or(0, |d| d.len()), "views" => 0, "objects" => objects,
            "avgObjSize" => average, "dataSize" => bytes, "storageSize" => 20_480 * (1 + bytes / 20_480),
            "indexes" => collections.map_or(0, |d| d.len()), "indexSize" => 20_480,
        }
    }

    fn users_info(&self, database: &str, which: &Json) -> Json {
        let data = self.data();
        let wanted: Vec<(String, String)> = match which {
            Json::Str(name) => vec![(database.to_owned(), name.to_string())],
            Json::Obj(_) if !which.get("user").is_null() => vec![(which.get("db").text().to_owned(), which.get("user").text().to_owned())],
            Json::Arr(all) => all.iter().map(|w| (database.to_owned(), w.as_str().unwrap_or(w.get("user").text()).to_owned())).collect(),
            _ => Vec::new(),
        };
        let everywhere = which.get("forAllDBs").is_true();
        let chosen = |u: &&User| match wanted.is_empty() {
            true => everywhere || u.database == database,
            false => wanted.iter().any(|(d, n)| u.database == d.as_str() && u.name == n.as_str()),
        };
        object! { "users" => data.users.iter().filter(chosen).map(user_json).collect::<Json>() }
    }

    fn manage(&mut self, name: &str, database: &str, command: &Json) -> Json {
        let user = command.get(name).text().to_owned();
        let roles = match roles_of(command.get("roles"), database) {
            Ok(roles) => roles,
            Err(reply) => return reply,
        };
        let known = self.data().user(database, &user).is_some();
        if name == "createUser" {
            return self.create_user(database, &user, known, (command, roles));
        }
        if !known && name == "dropUser" {
            return failure(11, "UserNotFound", format!("User '{user}@{database}' not found"));
        }
        if !known {
            return failure(11, "UserNotFound", format!("Could not find user \"{user}\" for db \"{database}\""));
        }
        let password = command.get("pwd").as_text().cloned();
        let replaces = !command.get("roles").is_null();
        self.keep.change(|data| match name {
            "dropUser" => data.users.retain(|u| !(u.name == user.as_str() && u.database == database)),
            _ => {
                let Some(found) = data.user_mut(database, &user) else { return };
                match name {
                    "grantRolesToUser" => roles.into_iter().for_each(|r| {
                        if !found.roles.contains(&r) {
                            found.roles.push(r)
                        }
                    }),
                    "revokeRolesFromUser" => found.roles.retain(|r| !roles.contains(r)),
                    _ => {
                        if replaces {
                            found.roles = roles;
                        }
                        if let Some(password) = password {
                            found.password = password;
                        }
                    }
                }
            }
        });
        ok(object! {})
    }

    fn create_user(&mut self, database: &str, user: &str, known: bool, (command, roles): (&Json, Vec<Role>)) -> Json {
        let Some(password) = command.get("pwd").as_text().cloned() else {
            let text = "Must provide a 'pwd' field for all user documents, except those with '$external' as the user's source db";
            return failure(2, "BadValue", text);
        };
        if command.get("roles").is_null() {
            return failure(2, "BadValue", "\"createUser\" command requires a \"roles\" array");
        }
        if known {
            return failure(51_003, "Location51003", format!("User \"{user}@{database}\" already exists"));
        }
        let id: ArcStr = self.keep.uuid();
        let created = User { name: user.into(), database: database.into(), password, roles, id };
        self.keep.change(|data| data.users.push(created));
        ok(object! {})
    }

    fn documents(&mut self, name: &str, database: &str, command: &Json) -> Json {
        let collection = command.get(name).text().to_owned();
        let outcome = match name {
            "count" | "find" | "distinct" | "collStats" | "listIndexes" => self.read(name, database, &collection, command),
            _ => self.write(name, database, &collection, command),
        };
        outcome.unwrap_or_else(|text| failure(2, "BadValue", text))
    }

    fn read(&self, name: &str, database: &str, collection: &str, command: &Json) -> Result<Json, String> {
        let data = self.data();
        let documents = data.collection(database, collection).map(|c| c.documents.clone()).unwrap_or_default();
        let filter = if name == "find" { command.get("filter") } else { command.get("query") };
        let mut found = Vec::new();
        for (at, document) in documents.iter().enumerate() {
            if query::fits(document, filter)? {
                found.push(with_id(document, database, collection, at));
            }
        }
        Ok(ok(match name {
            "count" => object! { "n" => found.len() },
            "distinct" => {
                let mut values: Vec<Json> = Vec::new();
                for value in found.iter().map(|d| query::at(d, command.get("key").text())) {
                    if !value.is_null() && !values.contains(value) {
                        values.push(value.clone());
                    }
                }
                object! { "values" => Json::from(values) }
            }
            "collStats" => object! { "ns" => format!("{database}.{collection}"), "count" => found.len(), "nindexes" => 1 },
            "listIndexes" => object! { "cursor" => object! { "id" => 0, "ns" => format!("{database}.{collection}"),
            "firstBatch" => array![object! { "v" => 2, "key" => object! { "_id" => 1 }, "name" => "_id_" }] } },
            _ => {
                sort(&mut found, command.get("sort"));
                let skip = usize::try_from(command.get("skip").as_i64().unwrap_or(0)).unwrap_or(0);
                let limit = command.get("limit").as_i64().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
                let batch: Json = found.into_iter().skip(skip).take(limit.unwrap_or(usize::MAX)).collect();
                object! { "cursor" => object! { "id" => 0, "ns" => format!("{database}.{collection}"), "firstBatch" => batch } }
            }
        }))
    }

    fn write(&mut self, name: &str, database: &str, collection: &str, command: &Json) -> Result<Json, String> {
        let ids = self.data().ids;
        self.keep.change(|data| match name {
            "insert" => {
                let documents: Vec<Json> =
                    command.get("documents").items().iter().enumerate().map(|(at, d)| new_id(d, ids + at as u64)).collect();
                let count = documents.len();
                data.ids += count as u64;
                Arc::make_mut(&mut data.collection_mut(database, collection).documents).extend(documents);
                Ok(ok(object! { "n" => count }))
            }
            "update" => update(data, database, collection, command),
            "delete" => delete(data, database, collection, command),
            "drop" => match data.databases.get_mut(database).and_then(|d| d.remove(collection)) {
                Some(_) => Ok(ok(object! { "ns" => format!("{database}.{collection}"), "nIndexesWas" => 1 })),
                None => Ok(failure(26, "NamespaceNotFound", "ns not found")),
            },
            "dropDatabase" => {
                data.databases.remove(database);
                Ok(ok(object! { "dropped" => database }))
            }
            _ => {
                data.collection_mut(database, collection);
                Ok(ok(object! {}))
            }
        })
    }
}

/// `{ "find" : "geo" }` with bare keys, as the server quotes commands.
fn with_bare_keys(shown: &str) -> String {
    let mut out = String::new();
    let mut rest = shown;
    while let Some(at) = rest.find('"') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let end = from.get(1..).and_then(|t| t.find('"')).map_or(from.len(), |e| e + 2);
        let (word, after) = from.split_at(end.min(from.len()));
        let is_key = after.starts_with(": ");
        out.push_str(if is_key { word.trim_matches('"') } else { word });
        rest = after;
    }
    out.push_str(rest);
    out
}

fn role_json(role: &Role) -> Json {
    object! { "role" => &role.role, "db" => &role.database }
}

fn user_json(user: &User) -> Json {
    object! {
        "_id" => format!("{}.{}", user.database, user.name), "userId" => object! { "$uuid" => &user.id }, "user" => &user.name,
        "db" => &user.database, "roles" => user.roles.iter().map(role_json).collect::<Json>(),
        "mechanisms" => array!["SCRAM-SHA-1", "SCRAM-SHA-256"],
    }
}

/// The roles that a command names.
fn roles_of(roles: &Json, database: &str) -> Result<Vec<Role>, Json> {
    let mut all = Vec::new();
    for role in roles.items() {
        let (name, on) = match role.as_str() {
            Some(name) => (name, database),
            None => (role.get("role").text(), role.get("db").as_str().unwrap_or(database)),
        };
        if !Role::exists(name, on) {
            return Err(failure(31, "RoleNotFound", format!("No role named {name}@{on}")));
        }
        all.push(Role { role: name.into(), database: on.into() });
    }
    Ok(all)
}

/// An object id made of a number.
fn object_id(number: u64) -> Json {
    object! { "$oid" => format!("{:08x}{number:016x}", 0x6968_b9a0_u32) }
}

/// A document with the id that it was given when it was written.
fn with_id(document: &Json, database: &str, collection: &str, at: usize) -> Json {
    if !document.get("_id").is_null() {
        return document.clone();
    }
    let mut shown = document.clone();
    shown.set("_id", object_id((crate::rng::Key::new(1).part(database).part(collection).value() & 0xffff_ffff_ffff_0000) | at as u64));
    shown
}

fn new_id(document: &Json, number: u64) -> Json {
    let mut written = document.clone();
    if written.get("_id").is_null() {
        written.set("_id", object_id(0x5f00_0000_0000 + number));
    }
    written
}

fn sort(found: &mut [Json], by: &Json) {
    for (path, direction) in by.entries().rev() {
        let down = direction.as_f64().is_some_and(|d| d < 0.0);
        found.sort_by(|a, b| {
            let order = query::compare(query::at(a, path), query::at(b, path)).unwrap_or(std::cmp::Ordering::Equal);
            if down { order.reverse() } else { order }
        });
    }
}

fn update(data: &mut Database, database: &str, collection: &str, command: &Json) -> Result<Json, String> {
    let (mut matched, mut modified, mut upserted) = (0, 0, 0);
    for one in command.get("updates").items() {
        let before = matched;
        let documents = Arc::make_mut(&mut data.collection_mut(database, collection).documents);
        for document in documents.iter_mut() {
            if query::fits(document, one.get("q"))? && (one.get("multi").is_true() || matched == before) {
                matched += 1;
                modified += i64::from(query::update(document, one.get("u"))?);
            }
        }
        if matched == before && one.get("upsert").is_true() {
            let mut fresh = Json::default();
            for (key, value) in one.get("q").entries().filter(|(k, _)| !k.starts_with('$')) {
                fresh.set(key, value);
            }
            query::update(&mut fresh, one.get("u"))?;
            documents.push(new_id(&fresh, 0xffff));
            upserted += 1;
        }
    }
    Ok(ok(object! { "n" => matched + upserted, "nModified" => modified, "upserted" => upserted }))
}

fn delete(data: &mut Database, database: &str, collection: &str, command: &Json) -> Result<Json, String> {
    let mut removed = 0;
    for one in command.get("deletes").items() {
        let limit = one.get("limit").as_i64().unwrap_or(0);
        let documents = Arc::make_mut(&mut data.collection_mut(database, collection).documents);
        let fits = documents.iter().map(|d| query::fits(d, one.get("q"))).collect::<Result<Vec<_>, _>>()?;
        let mut gone = 0;
        let mut fits = fits.into_iter();
        documents.retain(|_| {
            let goes = fits.next() == Some(true) && (limit == 0 || gone < limit);
            gone += i64::from(goes);
            !goes
        });
        removed += gone;
    }
    Ok(ok(object! { "n" => removed }))
}
