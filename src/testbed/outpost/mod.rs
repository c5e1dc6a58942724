//! `testbed outpost`: our own pod inside a live cluster. See [`crate::cluster::outpost`] for what it is asked.

mod client;
mod load;

use super::Names;
use super::guarded::{self, Options, json, read};
use super::http::{Answer, Asked};
use crate::cluster::outpost::{Fetch, LoadPlan, Probed, Probes};
use client::{fetch, probe};
use load::Load;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;

/// What the outpost works with.
struct Post {
    names: Names,
    load: Mutex<Option<Load>>,
}

/// Serves until it is ended; the exit code.
pub fn run(arguments: &[String]) -> i32 {
    match guarded::Options::parse(arguments) {
        Ok(Options { listen, token }) => guarded::run("outpost", listen, 2, |listener| async {
            serve(listener, token, Names::System).await;
            0
        }),
        Err(why) => guarded::misused("outpost", &why, "--listen ADDRESS:PORT --token-file FILE"),
    }
}

/// Serves on a listener until the process ends.
pub async fn serve(listener: TcpListener, token: String, names: Names) {
    let post = Arc::new(Post { names, load: Mutex::new(None) });
    guarded::accept(listener, token, move |asked| {
        let post = post.clone();
        async move { answer(&post, asked).await }
    })
    .await;
}

async fn answer(post: &Arc<Post>, asked: Asked) -> Answer {
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
