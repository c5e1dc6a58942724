//! The driver of start-up: does the steps that [`crate::app::Startup`] asks for, over real connections.

use super::balancer::Balancer;
use super::line::{Line, open};
use super::role::{Role, locked};
use super::{http, mongod, ports};
use crate::app::mongo::AUTHENTICATION_FAILED;
use crate::app::rules::NotOpen;
use crate::app::{Access, Credentials, Dial, Follow, Outcome, Protocol, Query, Register, Seed, Start};
use crate::object::Json;
use crate::{array, object};
use arcstr::ArcStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

/// How long Go's HTTP client waits for a connection.
const HTTP_DIAL: Duration = Duration::from_secs(30);

/// Does a step.
pub async fn perform(role: &Arc<Role>, step: &Start) -> Outcome {
    match step {
        Start::Sleep(span) => {
            let after = role.draw(|stream| span.draw(stream));
            sleep(after).await;
            Outcome::Done
        }
        Start::Repeat(repeat) => {
            sleep(repeat.every).await;
            Outcome::Done
        }
        Start::Resolve(resolve) => {
            let (host, _) = address(role, resolve.target);
            match role.place.names.lookup(&host).await {
                Ok(_) => Outcome::Done,
                Err(why) => Outcome::Unreachable(why.lookup_error(&host).into()),
            }
        }
        Start::Dial(dial) => begin_dial(role, dial).await,
        Start::Query(query) => ask(role, query).await,
        Start::Seed(seed) => write_documents(role, seed).await,
        Start::Listen(all) => {
            for listen in all {
                if let Some(port) = role.instance.port(&listen.port)
                    && let Err(error) = ports::open(role, listen, port).await
                {
                    role.write(&format!("listen tcp :{port}: bind: {error}"));
                    role.exit(1);
                    return std::future::pending().await;
                }
            }
            Outcome::Done
        }
        Start::Register(register) => enrol(role, register).await,
        Start::Follow(follow) => {
            begin_to_follow(role, follow);
            Outcome::Done
        }
        Start::Log(_) | Start::Need(_) | Start::Serve | Start::Exit(_) | Start::ExitWith(_) => Outcome::Done,
    }
}

/// Host and port of a setting; one that holds none is an empty host.
fn address(role: &Role, setting: usize) -> (ArcStr, u16) {
    let (host, port) = role.instance.address(setting).unwrap_or(("", 0));
    (host.into(), port)
}

/// Opens a connection to the address of a setting.
pub async fn connect(role: &Role, setting: usize, patience: Duration) -> Result<tokio::net::TcpStream, NotOpen> {
    let (host, port) = address(role, setting);
    let addresses = role.place.names.lookup(&host).await?;
    open(&addresses, port, patience).await
}

async fn begin_dial(role: &Arc<Role>, dial: &Dial) -> Outcome {
    let deadline = Instant::now() + dial.timeout + role.draw(|stream| dial.overrun.draw(stream));
    let (host, port) = address(role, dial.target);
    let mut why = None;
    loop {
        let began = Instant::now();
        match timeout_at(deadline, attempt(role, dial)).await {
            Ok(Ok(outcome)) => return outcome,
            Ok(Err(found)) => why = found,
            Err(_) => {}
        }
        let next = began + dial.retry.max(Duration::from_millis(1));
        if next >= deadline {
            sleep_until(deadline).await;
            return Outcome::Unreachable(role.instance.program.clients.unreachable(dial.protocol, why.as_ref(), &host, port));
        }
        sleep_until(next).await;
    }
}

/// One attempt; an error when there is nobody who speaks the protocol, and why when nobody listens.
async fn attempt(role: &Arc<Role>, dial: &Dial) -> Result<Outcome, Option<NotOpen>> {
    let stream = connect(role, dial.target, dial.timeout).await.map_err(Some)?;
    if dial.protocol != Protocol::Mongo {
        return Ok(Outcome::Done);
    }
    let line = Line::over(stream);
    match log_in(&line, dial.credentials.as_ref()).await.ok_or(None)? {
        true => {
            locked(&role.sessions).insert(dial.target, line);
            Ok(Outcome::Done)
        }
        false => Ok(Outcome::Denied(AUTHENTICATION_FAILED)),
    }
}

/// Says who one is; whether the server accepts that, `None` when it is no MongoDB.
pub async fn log_in(line: &Line, who: Option<&Credentials>) -> Option<bool> {
    let answer = line.ask(object! { "mongo" => "hello", "who" => who.map_or(Json::Null, mongod::credentials_json) }).await.ok()?;
    answer.get("known").as_bool()
}

/// The credentials with which the program dialled a store.
pub fn credentials(role: &Role, setting: usize) -> Option<Credentials> {
    role.instance.program.start.iter().find_map(|step| match step {
        Start::Dial(dial) if dial.target == setting => dial.credentials.clone(),
        _ => None,
    })
}

/// Asks a server whether a client may do something in a database.
pub async fn access(line: &Line, who: Option<&Credentials>, what: (&str, Access), quoted: &str) -> Outcome {
    let request = object! {
        "mongo" => "access", "db" => what.0, "write" => what.1 == Access::Write, "quoted" => quoted,
        "who" => who.map_or(Json::Null, mongod::credentials_json),
    };
    match line.ask(request).await {
        Err(_) => Outcome::Lost,
        Ok(answer) => match answer.get("error").as_text() {
            Some(error) => Outcome::Denied(error.clone()),
            None => Outcome::Done,
        },
    }
}

fn session(role: &Role, setting: usize) -> Option<Arc<Line>> {
    locked(&role.sessions).get(&setting).cloned()
}

async fn ask(role: &Arc<Role>, query: &Query) -> Outcome {
    let Some(line) = session(role, query.target) else { return Outcome::Lost };
    let quoted = query.command.fill(&|_| None);
    access(&line, credentials(role, query.target).as_ref(), (&query.database, query.needs), &quoted).await
}

async fn write_documents(role: &Arc<Role>, seed: &Seed) -> Outcome {
    let Some(line) = session(role, seed.target) else { return Outcome::Lost };
    let Some(documents) = role.instance.program.documents.get(&seed.documents).cloned() else { return Outcome::Done };
    let keys: Json = documents.iter().map(|d| Json::from(d.get(&seed.key).text())).collect();
    let asked =
        object! { "mongo" => "missing", "db" => &seed.database, "collection" => &seed.collection, "key" => &seed.key, "keys" => keys };
    let Ok(answer) = line.ask(asked).await else { return Outcome::Lost };
    let missing: std::collections::BTreeSet<&str> = answer.get("missing").items().iter().map(Json::text).collect();
    let fresh: Vec<Json> = documents.iter().filter(|d| missing.contains(d.get(&seed.key).text())).cloned().collect();
    if fresh.is_empty() {
        return Outcome::Done;
    }
    let quoted = format!("{{ insert: \"{}\", $db: \"{}\" }}", seed.collection, seed.database);
    let who = credentials(role, seed.target);
    match access(&line, who.as_ref(), (&seed.database, Access::Write), &quoted).await {
        Outcome::Done => {}
        refused => return refused,
    }
    let each = role.draw(|stream| seed.each_insert.draw(stream));
    sleep(each * u32::try_from(fresh.len()).unwrap_or(u32::MAX)).await;
    let command = object! { "insert" => &seed.collection, "documents" => Json::from(fresh) };
    match line.ask(object! { "mongo" => "command", "db" => &seed.database, "command" => command }).await {
        Ok(_) => Outcome::Done,
        Err(_) => Outcome::Lost,
    }
}

async fn enrol(role: &Arc<Role>, register: &Register) -> Outcome {
    let (host, port) = address(role, register.registry);
    let own_port = role.instance.port(&register.port).unwrap_or(0);
    let body = object! {
        "ID" => &role.uuid, "Name" => &register.name, "Address" => &role.place.address, "Port" => i64::from(own_port), "Tags" => array![],
    };
    let unreachable = |text: String| Outcome::Unreachable(text.into());
    let stream = match connect(role, register.registry, HTTP_DIAL).await {
        Ok(stream) => stream,
        Err(why) => return unreachable(why.dial_error(&host, port)),
    };
    match http::send(stream, "PUT", (&host, port), "/v1/agent/service/register", body.to_compact().into_bytes()).await {
        Ok(answer) if answer.status == 200 => Outcome::Done,
        Ok(answer) => Outcome::Denied(format!("Unexpected response code: {} ({})", answer.status, answer.text().trim_end()).into()),
        Err(_) => unreachable("EOF".to_owned()),
    }
}

fn begin_to_follow(role: &Arc<Role>, follow: &Arc<Follow>) {
    let balancer = Balancer::follow(role, follow);
    locked(&role.balancers).insert(follow.name.clone(), balancer);
}
