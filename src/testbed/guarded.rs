//! A service of our own behind a token: its command line, its listener, and how its questions are read and answered.

use super::http::{self, Answer, Asked};
use crate::cluster::outpost::TOKEN_HEADER;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::future::Future;
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// What every such service is told.
pub(super) struct Options {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What a question has to carry.
    pub token: String,
}

impl Options {
    /// Reads `--listen ADDRESS:PORT --token-file FILE`.
    pub(super) fn parse(arguments: &[String]) -> Result<Options, String> {
        let (mut listen, mut token) = (None, None);
        for pair in arguments.chunks(2) {
            match pair {
                [name, text] if name == "--listen" => {
                    listen = Some(text.parse().map_err(|_| format!("{text:?} is no address with a port"))?)
                }
                [name, path] if name == "--token-file" => {
                    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
                    token = Some(text.trim().to_owned());
                }
                other => return Err(format!("unknown argument {:?}", other.first().map(String::as_str).unwrap_or_default())),
            }
        }
        match (listen, token) {
            (Some(listen), Some(token)) if !token.is_empty() => Ok(Options { listen, token }),
            (Some(_), Some(_)) => Err("the token is empty".to_owned()),
            _ => Err("--listen and --token-file are needed".to_owned()),
        }
    }
}

/// Says what is wrong with the command line of a service; the exit code.
pub(super) fn misused(service: &str, why: &str, usage: &str) -> i32 {
    eprintln!("testbed {service}: {why}\nusage: testbed {service} {usage}");
    2
}

/// Listens and serves until the service ends; the exit code.
pub(super) fn run<F: Future<Output = i32>>(service: &str, listen: SocketAddr, workers: usize, serve: impl FnOnce(TcpListener) -> F) -> i32 {
    let failed = |why: String| {
        eprintln!("testbed {service}: {why}");
        1
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(error.to_string()),
    };
    runtime.block_on(async {
        match TcpListener::bind(listen).await {
            Ok(listener) => serve(listener).await,
            Err(error) => failed(format!("cannot listen on {listen}: {error}")),
        }
    })
}

/// Answers whoever connects, for ever. Without the token there is only `/healthz`: whoever reaches the address is not yet somebody who may
/// use it.
pub(super) async fn accept<F, R>(listener: TcpListener, token: String, answer: F)
where
    F: Fn(Asked) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Answer> + Send,
{
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let (answer, token) = (answer.clone(), token.clone());
        tokio::spawn(http::serve(stream, move |asked| {
            let (answer, allowed) = (answer.clone(), same(asked.header(TOKEN_HEADER).unwrap_or_default(), &token));
            async move {
                match asked.path.as_str() {
                    "/healthz" => Answer::new(200, "text/plain", "ok"),
                    _ if !allowed => Answer::error(401, "401 unauthorized"),
                    _ => answer(asked).await,
                }
            }
        }));
    }
}

/// Whether two texts are the same, in a time that does not tell where they differ.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |seen, (x, y)| seen | (x ^ y)) == 0
}

/// A question's body; the answer to give when it cannot be read.
pub(super) fn read<T: DeserializeOwned>(asked: &Asked) -> Result<T, Answer> {
    serde_json::from_slice(&asked.body).map_err(|error| Answer::error(400, &format!("the question cannot be read: {error}")))
}

/// An answer as JSON.
pub(super) fn json<T: Serialize>(answer: &T) -> Answer {
    match serde_json::to_vec(answer) {
        Ok(body) => Answer::new(200, "application/json", body),
        Err(error) => Answer::error(500, &error.to_string()),
    }
}
