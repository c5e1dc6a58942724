//! A client that finds the instances of a service in Consul and keeps a connection to each.
//!
//! As grpc-go 1.10 does with a round-robin balancer fed from Consul's blocking queries: every known address gets one connection; a
//! call without a live one fails at once; a lost one is opened again at once, then after growing pauses; registrations that were
//! dropped are forgotten, those that are stale are dialled for ever. What a client knows survives the registry's absence.

use super::http;
use super::line::{Line, open};
use super::role::{Role, locked};
use super::start::connect;
use crate::app::Follow;
use crate::app::rules::{NO_ADDRESS, NO_CONNECTION, Pauses};
use crate::object::Json;
use arcstr::ArcStr;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// How long one attempt to open a connection may take.
const ATTEMPT: Duration = Duration::from_secs(20);

/// How long Consul may hold back its answer.
const BLOCK_S: u64 = 30;

/// What a client knows of one service.
#[derive(Debug, Default)]
pub struct Balancer {
    links: Mutex<BTreeMap<ArcStr, Link>>,
    turn: AtomicUsize,
}

/// A connection to one address, and who keeps it up.
#[derive(Debug)]
struct Link {
    line: Option<Arc<Line>>,
    keeper: JoinHandle<()>,
}

impl Balancer {
    /// Follows a service from now on.
    pub fn follow(role: &Arc<Role>, follow: &Arc<Follow>) -> Arc<Balancer> {
        let balancer = Arc::new(Balancer::default());
        let (role, follow, watcher) = (role.clone(), follow.clone(), balancer.clone());
        tokio::spawn(async move { watcher.watch(&role, &follow).await });
        balancer
    }

    /// The connection whose turn it is.
    ///
    /// # Errors
    /// What a call fails with when there is none.
    pub fn pick(&self) -> Result<Arc<Line>, ArcStr> {
        let links = locked(&self.links);
        if links.is_empty() {
            return Err(NO_ADDRESS);
        }
        let live: Vec<&Arc<Line>> = links.values().filter_map(|l| l.line.as_ref()).filter(|l| !l.is_closed()).collect();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        live.get(turn % live.len().max(1)).map(|line| (*line).clone()).ok_or(NO_CONNECTION)
    }

    /// Asks Consul again and again, and complains while it cannot be reached.
    async fn watch(self: Arc<Self>, role: &Arc<Role>, follow: &Follow) {
        let mut index = None;
        loop {
            match ask(role, follow, index).await {
                Ok((addresses, next)) => {
                    self.learn(role, addresses);
                    // An index that runs backwards belongs to another Consul.
                    index = Some(next).filter(|next| *next > 0 && index.is_none_or(|seen| *next >= seen));
                    if index.is_none() {
                        // Without an index the next question would not wait for a change.
                        sleep(Duration::from_millis(100)).await;
                    }
                }
                Err(error) => {
                    index = None;
                    if let Some(line) = &follow.on_failure {
                        let (host, port) = role.instance.address(follow.registry).unwrap_or(("", 0));
                        let error: ArcStr =
                            format!("Get \"http://{host}:{port}/v1/health/service/{}?passing=1\": {error}", follow.name).into();
                        let text = role.instance.render(line, role.now(), &|name| role.value(name, &error));
                        role.write(&text);
                    }
                    sleep(follow.retry.max(Duration::from_millis(10))).await;
                }
            }
        }
    }

    /// Takes over what the registry has.
    fn learn(self: &Arc<Self>, role: &Arc<Role>, addresses: Vec<ArcStr>) {
        let mut links = locked(&self.links);
        links.retain(|address, link| {
            let stays = addresses.contains(address);
            if !stays {
                link.keeper.abort();
                if let Some(line) = &link.line {
                    line.shut();
                }
            }
            stays
        });
        for address in addresses {
            if !links.contains_key(&address) {
                let (balancer, role, to) = (self.clone(), role.clone(), address.clone());
                let keeper = tokio::spawn(async move { balancer.keep(&role, &to).await });
                links.insert(address, Link { line: None, keeper });
            }
        }
    }

    /// Keeps a connection to an address.
    async fn keep(&self, role: &Role, address: &ArcStr) {
        let Some((ip, port)) = address.rsplit_once(':').and_then(|(ip, port)| Some((ip.parse::<IpAddr>().ok()?, port.parse().ok()?)))
        else {
            return;
        };
        let mut pauses = Pauses::default();
        loop {
            if let Ok(stream) = open(&[ip], port, ATTEMPT).await {
                let line = Line::over(stream);
                self.set(address, Some(line.clone()));
                line.closed().await;
                self.set(address, None);
                pauses = Pauses::default();
                // Nothing can listen again at once.
                sleep(Duration::from_millis(1)).await;
                continue;
            }
            let pause = role.draw(|stream| pauses.next(stream));
            sleep(pause).await;
        }
    }

    fn set(&self, address: &ArcStr, line: Option<Arc<Line>>) {
        if let Some(link) = locked(&self.links).get_mut(address) {
            link.line = line;
        }
    }
}

/// The addresses that Consul has, once they differ from those at `index`, and their index.
async fn ask(role: &Role, follow: &Follow, index: Option<u64>) -> Result<(Vec<ArcStr>, u64), String> {
    let (host, port) = role.instance.address(follow.registry).unwrap_or(("", 0));
    let stream = connect(role, follow.registry, Duration::from_secs(30)).await.map_err(|why| why.dial_error(host, port))?;
    let block = index.map(|index| format!("&index={index}&wait={BLOCK_S}s")).unwrap_or_default();
    let path = format!("/v1/health/service/{}?passing=1{block}", follow.name);
    let asked = http::send(stream, "GET", (host, port), &path, Vec::new());
    let answer = tokio::time::timeout(Duration::from_secs(BLOCK_S * 2), asked).await.map_err(|_| "i/o timeout".to_owned())?;
    let answer = answer.map_err(|_| "EOF".to_owned())?;
    let entries = Json::parse(&answer.text()).map_err(|e| e.to_string())?;
    let address = |entry: &Json| {
        let service = entry.get("Service");
        ArcStr::from(format!("{}:{}", service.get("Address").text(), service.get("Port").as_i64().unwrap_or(0)))
    };
    let next = answer.header("x-consul-index").and_then(|v| v.parse().ok()).unwrap_or(0);
    Ok((entries.items().iter().map(address).collect(), next))
}
