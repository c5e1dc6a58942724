//! Reaching a cluster: kubeconfig → client, within bounds, with errors that say what to do.

#![allow(clippy::disallowed_methods, reason = "where kubectl looks for its kubeconfig is part of the contract of a live cluster")]

use crate::cluster::environment::LiveConfig;
use crate::object::Json;
use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use std::time::Duration;

/// Minor versions of Kubernetes 1 that this library was written for.
pub const VERSIONS: std::ops::RangeInclusive<u32> = 30..=36;

/// How long a connection may take to be made.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a cluster cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectFailure {
    /// There is no usable kubeconfig.
    #[error(
        "cannot read the kubeconfig {place}: {why}; name one with kubeconfig= or $KUBECONFIG, or start a cluster with `aiopslab cluster up`"
    )]
    Kubeconfig {
        /// Where it was looked for.
        place: String,
        /// What is wrong.
        why: String,
    },
    /// The API server does not answer.
    #[error("the API server {server} does not answer within {seconds} s: {why}")]
    Unreachable {
        /// Its address.
        server: String,
        /// The bound.
        seconds: u64,
        /// What happened.
        why: String,
    },
    /// The API server refuses us.
    #[error("the API server {server} refuses the kubeconfig's user: {why}")]
    Refused {
        /// Its address.
        server: String,
        /// Its words.
        why: String,
    },
    /// It is a Kubernetes that nobody tried.
    #[error(
        "the API server {server} runs Kubernetes {version}; this library is written for 1.{} to 1.{}; any_version=True tries it all the same",
        VERSIONS.start(), VERSIONS.end()
    )]
    Version {
        /// Its address.
        server: String,
        /// What it says it is.
        version: String,
    },
}

/// Reads the kubeconfig.
pub(super) async fn configuration(config: &LiveConfig) -> Result<Config, ConnectFailure> {
    let place = match (&config.kubeconfig, std::env::var("KUBECONFIG")) {
        (Some(path), _) => path.clone(),
        (None, Ok(path)) if !path.is_empty() => path,
        _ => "~/.kube/config".to_owned(),
    };
    let wrong = |why: String| ConnectFailure::Kubeconfig { place: place.clone(), why };
    let options = KubeConfigOptions { context: config.context.clone(), ..KubeConfigOptions::default() };
    let read = match &config.kubeconfig {
        Some(path) => Kubeconfig::read_from(path).map_err(|error| wrong(chain(&error)))?,
        None => match Kubeconfig::read() {
            Ok(read) => read,
            Err(error) if config.context.is_some() => return Err(wrong(chain(&error))),
            // No kubeconfig: the pod's own service account, where we run in one.
            Err(error) => return Config::incluster().map_err(|_| wrong(chain(&error))).map(bounded),
        },
    };
    Config::from_custom_kubeconfig(read, &options).await.map(bounded).map_err(|error| wrong(chain(&error)))
}

/// Every wait has an end, and whether to try again is decided by us: kube's own retries draw random pauses.
fn bounded(mut config: Config) -> Config {
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.default_retry = false;
    config
}

/// Asks for the version: whether the server is there, takes us, and is one that we know.
pub(super) async fn greet(client: &Client, server: &str, bound: Duration, any_version: bool) -> Result<Json, ConnectFailure> {
    let unreachable = |why: String| ConnectFailure::Unreachable { server: server.to_owned(), seconds: bound.as_secs(), why };
    let request = http::Request::get("/version").body(kube::client::Body::empty()).map_err(|error| unreachable(error.to_string()))?;
    let answer = async {
        let response = client.send(request).await.map_err(|error| chain(&error))?;
        let status = response.status().as_u16();
        let body = response.into_body().collect_bytes().await.map_err(|error| chain(&error))?;
        Ok::<_, String>((status, String::from_utf8_lossy(&body).into_owned()))
    };
    let (status, body) =
        tokio::time::timeout(bound, answer).await.map_err(|_| unreachable("no answer".to_owned()))?.map_err(unreachable)?;
    let answer = Json::parse(&body).unwrap_or_default();
    if matches!(status, 401 | 403) {
        return Err(ConnectFailure::Refused { server: server.to_owned(), why: answer.get("message").text().to_owned() });
    }
    let version = answer.get("gitVersion").text().to_owned();
    if status != 200 || version.is_empty() {
        return Err(unreachable(format!("it answers {status}, which is not Kubernetes")));
    }
    let minor = answer.get("minor").text().trim_end_matches('+').parse::<u32>().unwrap_or(0);
    let known = answer.get("major").text() == "1" && VERSIONS.contains(&minor);
    if known || any_version { Ok(answer) } else { Err(ConnectFailure::Version { server: server.to_owned(), version }) }
}

/// An error with its causes, each once.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
