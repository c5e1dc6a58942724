//! MongoDB's part: what it holds is on its volume, as one file; what it answers is [`crate::app::mongo`]'s.
//!
//! Its clients speak in frames ([`super::line`]), not MongoDB's own protocol, so drivers of the real one cannot connect.

use super::line::{frame, read};
use super::place::{self, Place};
use super::role::{Role, locked};
use crate::app::mongo::{Collection, Connection, Database, INITIALISED, Keep, Role as Right, Server, User};
use crate::app::{Access, Credentials};
use crate::object;
use crate::object::Json;
use crate::time::SimTime;
use arcstr::ArcStr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

/// What a server holds while it runs.
#[derive(Default)]
pub struct State {
    data: Mutex<Arc<Database>>,
    /// Whether it asks nobody who they are, while it is being initialised.
    open: AtomicBool,
}

/// Credentials on the wire.
pub fn credentials_json(who: &Credentials) -> Json {
    object! { "user" => &who.user, "pwd" => &who.password, "db" => &who.database }
}

fn credentials(json: &Json) -> Option<Credentials> {
    let text = |key: &str| json.get(key).as_text().cloned();
    Some(Credentials { user: text("user")?, password: text("pwd")?, database: text("db")? })
}

/// The file on the volume.
fn file(place: &Place) -> PathBuf {
    place.path("/data/db/collections.json")
}

fn to_json(data: &Database) -> Json {
    let role = |r: &Right| object! { "role" => &r.role, "db" => &r.database };
    let user = |u: &User| {
        let roles: Json = u.roles.iter().map(role).collect();
        object! { "user" => &u.name, "db" => &u.database, "pwd" => &u.password, "roles" => roles, "id" => &u.id }
    };
    let mut databases = object! {};
    for (name, collections) in &data.databases {
        let mut all = object! {};
        for (name, collection) in collections {
            all.set(name, collection.documents.iter().cloned().collect::<Json>());
        }
        databases.set(name, all);
    }
    object! { "users" => data.users.iter().map(user).collect::<Json>(), "databases" => databases, "ids" => data.ids as i64 }
}

fn from_json(json: &Json) -> Database {
    let text = |json: &Json, key: &str| ArcStr::from(json.get(key).text());
    let role = |r: &Json| Right { role: text(r, "role"), database: text(r, "db") };
    let user = |u: &Json| User {
        name: text(u, "user"),
        database: text(u, "db"),
        password: text(u, "pwd"),
        roles: u.get("roles").items().iter().map(role).collect(),
        id: text(u, "id"),
    };
    let collection = |(name, documents): (&ArcStr, &Json)| (name.clone(), Collection { documents: Arc::new(documents.items().to_vec()) });
    let databases = json.get("databases").entries().map(|(name, all)| (name.clone(), all.entries().map(collection).collect()));
    Database {
        initialised: true,
        users: json.get("users").items().iter().map(user).collect(),
        databases: databases.collect(),
        ids: json.get("ids").as_i64().and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
    }
}

/// Writes the file anew and puts it in the old one's place.
fn save(role: &Role, data: &Database) {
    let path = file(&role.place);
    let fresh = path.with_extension("new");
    let written = std::fs::create_dir_all(path.parent().unwrap_or(&path))
        .and_then(|()| std::fs::write(&fresh, to_json(data).to_compact()))
        .and_then(|()| std::fs::rename(&fresh, &path));
    if let Err(error) = written {
        let text = object! { "s" => "E", "c" => "STORAGE", "ctx" => "conn", "msg" => "WiredTiger error", "attr" => object! { "message" => error.to_string() } };
        role.write(&text.to_compact());
    }
}

/// The server at one end of a connection.
struct Served<'r>(&'r Role);

impl Keep for Served<'_> {
    fn data(&self) -> Arc<Database> {
        locked(&self.0.state.mongo.data).clone()
    }

    fn change<R>(&mut self, edit: impl FnOnce(&mut Database) -> R) -> R {
        let mut data = locked(&self.0.state.mongo.data);
        let result = edit(Arc::make_mut(&mut data));
        save(self.0, &data);
        result
    }

    fn demands_authentication(&self) -> bool {
        demands(self.0)
    }

    fn host(&self) -> ArcStr {
        self.0.host.clone()
    }

    fn now(&self) -> SimTime {
        place::now()
    }

    fn uuid(&mut self) -> ArcStr {
        self.0.draw(|stream| stream.uuid()).into()
    }
}

fn demands(role: &Role) -> bool {
    !role.state.mongo.open.load(Ordering::SeqCst) && role.instance.named("auth").is_some_and(|a| !a.is_empty())
}

/// Takes over what is on the volume, or prepares an empty one and runs the scripts for it.
pub async fn prepare(role: &Arc<Role>) {
    if let Some(found) = std::fs::read_to_string(file(&role.place)).ok().and_then(|text| Json::parse(&text).ok()) {
        *locked(&role.state.mongo.data) = Arc::new(from_json(&found));
        return;
    }
    Served(role).change(Database::initialise);
    let scripts = scripts(&role.place);
    let through_entry_point = role.place.argv.first().is_some_and(|a| a.ends_with("docker-entrypoint.sh"));
    if !through_entry_point || scripts.is_empty() {
        return;
    }
    // A server without authentication, reachable from within only, for the scripts.
    let port = role.instance.named("port").and_then(|p| p.parse().ok()).unwrap_or(27017);
    let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await else { return };
    role.state.mongo.open.store(true, Ordering::SeqCst);
    let serving = role.clone();
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let role = serving.clone();
            tokio::spawn(async move { serve(&role, stream).await });
        }
    });
    for script in scripts {
        role.write(&format!("/usr/local/bin/docker-entrypoint.sh: running {script}"));
        for line in run(role, &script).await.lines() {
            role.write(line);
        }
    }
    server.abort();
    // Its port is free only when it is gone.
    let _ = server.await;
    role.state.mongo.open.store(false, Ordering::SeqCst);
    for line in INITIALISED {
        role.write(line);
    }
}

/// Scripts for an empty volume, in order.
fn scripts(place: &Place) -> Vec<String> {
    let folder = "/docker-entrypoint-initdb.d";
    let Ok(entries) = std::fs::read_dir(place.path(folder)) else { return Vec::new() };
    let names = entries.filter_map(|e| Some(e.ok()?.file_name().to_string_lossy().into_owned()));
    let mut all: Vec<String> = names.filter(|n| n.ends_with(".sh") || n.ends_with(".js")).map(|n| format!("{folder}/{n}")).collect();
    all.sort();
    all
}

/// Runs a script; what it printed.
async fn run(role: &Arc<Role>, script: &str) -> String {
    let path = role.place.path(script);
    let mut command = if script.ends_with(".js") { Command::new("mongo") } else { Command::new("bash") };
    if script.ends_with(".js") {
        command.arg("--quiet");
    }
    command.arg(path);
    match tokio::task::spawn_blocking(move || command.output()).await {
        Ok(Ok(output)) => String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        Ok(Err(error)) => format!("{script}: {error}"),
        Err(error) => error.to_string(),
    }
}

/// Serves a client.
pub async fn serve(role: &Arc<Role>, mut stream: TcpStream) {
    let mut first = [0_u8; 1];
    if stream.peek(&mut first).await.is_ok_and(|n| n == 1) && first != [0] {
        let text = "It looks like you are trying to access MongoDB over HTTP on the native driver port.\r\n";
        let head = "HTTP/1.0 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: ";
        // The client may be gone.
        let _ = stream.write_all(format!("{head}{}\r\n\r\n{text}", text.len()).as_bytes()).await;
        return;
    }
    let local = stream.peer_addr().is_ok_and(|peer| peer.ip().is_loopback());
    let mut who: Option<Credentials> = None;
    while let Ok(request) = read(&mut stream).await {
        let Some(mut answer) = reply(role, &request, &mut who, local) else { return };
        answer.set("id", request.get("id"));
        if stream.write_all(&frame(&answer)).await.is_err() {
            return;
        }
    }
}

/// The answer to a request; `None` for what is none of MongoDB's.
fn reply(role: &Role, request: &Json, who: &mut Option<Credentials>, local: bool) -> Option<Json> {
    let database = request.get("db").text();
    let data = || Served(role).data();
    Some(match request.get("mongo").text() {
        "hello" | "login" => {
            let asked = credentials(request.get("who"));
            let known = asked.as_ref().is_none_or(|asked| data().knows(asked));
            if known {
                *who = asked;
            }
            object! { "known" => known }
        }
        "logout" => {
            *who = None;
            object! {}
        }
        "access" => {
            let (asked, quoted) = (credentials(request.get("who")), request.get("quoted").text());
            let needs = if request.get("write").is_true() { Access::Write } else { Access::Read };
            match data().access(demands(role), asked.as_ref(), (database, needs), quoted) {
                Ok(()) => object! {},
                Err(error) => object! { "error" => error },
            }
        }
        "missing" => {
            let (held, key) = (data(), request.get("key").text());
            let documents = held.collection(database, request.get("collection").text()).map(|c| c.documents.clone()).unwrap_or_default();
            let there: std::collections::BTreeSet<&str> = documents.iter().map(|d| d.get(key).text()).collect();
            object! { "missing" => request.get("keys").items().iter().filter(|k| !there.contains(k.text())).cloned().collect::<Json>() }
        }
        "command" => {
            let mut connection =
                Connection { keep: Served(role), who: who.clone(), local, open: role.state.mongo.open.load(Ordering::SeqCst) };
            object! { "reply" => connection.command(database, request.get("command")) }
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_survives_its_file() {
        let mut data = Database::default();
        data.initialise();
        data.ids = 3;
        let roles = vec![Right { role: "readWrite".into(), database: "geo-db".into() }];
        data.users.push(User { name: "admin".into(), database: "admin".into(), password: "x".into(), roles, id: "1".into() });
        Arc::make_mut(&mut data.collection_mut("geo-db", "geo").documents).push(object! { "hotelId" => "1", "lat" => 37.5 });
        let text = to_json(&data).to_compact();
        assert_eq!(from_json(&Json::parse(&text).expect("valid")), data);
    }
}
