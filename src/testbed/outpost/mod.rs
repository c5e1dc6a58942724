//! `testbed outpost`: our own pod inside a live cluster. See [`crate::cluster::outpost`] for what it is asked.

mod client;
mod load;

use super::Names;
use super::http::{self, Answer, Asked};
use crate::cluster::outpost::{Fetch, LoadPlan, Probed, Probes, TOKEN_HEADER};
use client::{fetch, probe};
use load::Load;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;

/// What the outpost works with.
struct Post {
    token: String,
    names: Names,
    load: Mutex<Option<Load>>,
}

/// Serves until it is ended; the exit code.
pub fn run(arguments: &[String]) -> i32 {
    let (listen, token) = match options(arguments) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("testbed outpost: {why}\nusage: testbed outpost --listen ADDRESS:PORT --token-file FILE");
            return 2;
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("testbed outpost: {error}");
            return 1;
        }
    };
    runtime.block_on(async {
        match TcpListener::bind(listen).await {
            Ok(listener) => {
                serve(listener, token, Names::System).await;
                0
            }
            Err(error) => {
                eprintln!("testbed outpost: cannot listen on {listen}: {error}");
                1
            }
        }
    })
}

pub(super) fn options(arguments: &[String]) -> Result<(SocketAddr, String), String> {
    let (mut listen, mut token) = (None, None);
    for pair in arguments.chunks(2) {
        match pair {
            [name, text] if name == "--listen" => listen = Some(text.parse().map_err(|_| format!("{text:?} is no address with a port"))?),
            [name, path] if name == "--token-file" => {
                let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
                token = Some(text.trim().to_owned());
            }
            other => return Err(format!("unknown argument {:?}", other.first().map(String::as_str).unwrap_or_default())),
        }
    }
    match (listen, token) {
        (Some(listen), Some(token)) if !token.is_empty() => Ok((listen, token)),
        (Some(_), Some(_)) => Err("the token is empty".to_owned()),
        _ => Err("--listen and --token-file are needed".to_owned()),
    }
}

/// Serves on a listener until the process ends.
pub async fn serve(listener: TcpListener, token: String, names: Names) {
    let post = Arc::new(Post { token, names, load: Mutex::new(None) });
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let post = post.clone();
        tokio::spawn(http::serve(stream, move |asked| {
            let post = post.clone();
            async move { answer(&post, asked).await }
        }));
    }
}

async fn answer(post: &Arc<Post>, asked: Asked) -> Answer {
    if asked.path == "/healthz" {
        return Answer::new(200, "text/plain", "ok");
    }
    // Whoever reaches the pod's address is not yet somebody who may use it.
    if !allowed(&asked, &post.token) {
        return Answer::error(401, "401 unauthorized");
    }
    match asked.path.as_str() {
        "/v1/http" => match read::<Fetch>(&asked) {
            Ok(question) => json(&fetch(&post.names, &question).await),
            Err(answer) => answer,
        },
        "/v1/resolve" => match read::<String>(&asked) {
            Ok(host) => {
                let addresses = post.names.lookup(&host).await.unwrap_or_default();
                json(&addresses.iter().map(ToString::to_string).collect::<Vec<_>>())
            }
            Err(answer) => answer,
        },
        "/v1/probe" => match read::<Probes>(&asked) {
            Ok(probes) => json(&all(post, probes).await),
            Err(answer) => answer,
        },
        "/v1/load" => match read::<Option<LoadPlan>>(&asked) {
            Ok(plan) => {
                let next = plan.map(|plan| Load::start(plan, post.names.clone()));
                *post.load.lock().unwrap_or_else(PoisonError::into_inner) = next;
                json(&())
            }
            Err(answer) => answer,
        },
        "/v1/report" => {
            let load = post.load.lock().unwrap_or_else(PoisonError::into_inner);
            json(&load.as_ref().map(Load::report).unwrap_or_default())
        }
        _ => Answer::error(404, "404 page not found"),
    }
}

async fn all(post: &Arc<Post>, probes: Probes) -> Vec<Probed> {
    let probes = Arc::new(probes);
    let tasks: Vec<_> = (0..probes.targets.len())
        .map(|at| {
            let (post, probes) = (post.clone(), probes.clone());
            tokio::spawn(async move { probe(&post.names, &probes, at).await })
        })
        .collect();
    let mut met = Vec::with_capacity(tasks.len());
    for task in tasks {
        met.push(task.await.unwrap_or(Probed { status: 0, took_us: 0, error: "the probe broke off".to_owned() }));
    }
    met
}

/// Whether a request carries the token.
pub(super) fn allowed(asked: &Asked, token: &str) -> bool {
    same(asked.header(TOKEN_HEADER).unwrap_or_default(), token)
}

/// Whether two texts are the same, in a time that does not tell where they differ.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |seen, (x, y)| seen | (x ^ y)) == 0
}

pub(super) fn read<T: DeserializeOwned>(asked: &Asked) -> Result<T, Answer> {
    serde_json::from_slice(&asked.body).map_err(|error| Answer::error(400, &format!("the question cannot be read: {error}")))
}

pub(super) fn json<T: Serialize>(answer: &T) -> Answer {
    match serde_json::to_vec(answer) {
        Ok(body) => Answer::new(200, "application/json", body),
        Err(error) => Answer::error(500, &error.to_string()),
    }
}
