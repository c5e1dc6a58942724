//! The outpost: our own pod inside a live cluster. It makes the load, probes, and what the agent's `curl` asks for, where users are.
//!
//! Here is its protocol (JSON over HTTP `POST`, every request with the environment's token) and the client; `testbed outpost` serves it.
//! How a request gets to the pod is a [`Door`]'s business.

use super::{ConnectError, HttpReply, HttpRequest, ProbeReply};
use crate::app::Endpoint;
use crate::rng::Key;
use crate::workload::generator::LoadReport;
use crate::workload::{Profile, Workload};
use arcstr::ArcStr;
use serde::{Deserialize, Serialize};
use std::time::Duration;

pub mod chaos;
mod manifests;
pub mod nodes;

pub use manifests::{NAME, PORT, SELECTOR, TOKEN_FILE, objects};

/// The header that carries the token.
pub const TOKEN_HEADER: &str = "x-outpost-token";

/// Paths with drawn parameters that a load cycles through, per endpoint.
const PATHS: u64 = 256;

/// Longest wait for a probe's answer.
pub const PROBE_PATIENCE: Duration = Duration::from_secs(10);

/// The way to the pod.
pub trait Door {
    /// Posts a body to a path of the pod; status and body of the answer.
    ///
    /// # Errors
    /// Why no answer came within `patience`.
    fn ask(&self, path: &str, body: Vec<u8>, patience: Duration) -> Result<(u16, Vec<u8>), String>;
}

/// An HTTP request to make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fetch {
    /// Method.
    pub method: String,
    /// Host name or IP.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path with query.
    pub path: String,
    /// Headers.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// Body.
    #[serde(default)]
    pub body: Vec<u8>,
    /// Patience, in microseconds.
    pub timeout_us: u64,
}

/// What it met.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fetched {
    /// An answer.
    Answer {
        /// Status.
        status: u16,
        /// Headers.
        headers: Vec<(String, String)>,
        /// Body.
        body: Vec<u8>,
        /// Time to the end of the answer, in microseconds.
        took_us: u64,
        /// Address that was reached.
        address: String,
    },
    /// The name does not resolve.
    NoName,
    /// Nobody listens.
    Refused {
        /// Address.
        address: String,
        /// Time until then.
        took_us: u64,
    },
    /// No answer in time.
    TimedOut {
        /// Address.
        address: String,
        /// Time until then.
        took_us: u64,
        /// Whether the connection stood.
        connected: bool,
    },
    /// The peer hung up.
    Closed {
        /// Address.
        address: String,
        /// Time until then.
        took_us: u64,
    },
}

/// One request of a load or a probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Method.
    pub method: String,
    /// Path with query.
    pub path: String,
}

/// Probes to make at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probes {
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The requests.
    pub targets: Vec<Target>,
    /// Patience with each, in microseconds.
    pub timeout_us: u64,
}

/// What a probe met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probed {
    /// Status; 0 when no answer came.
    pub status: u16,
    /// Time to the answer, in microseconds.
    pub took_us: u64,
    /// The error that a user saw; empty on success.
    pub error: String,
}

/// A load to make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadPlan {
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Names the randomness of the arrivals.
    pub seed: u64,
    /// How many requests are due when.
    pub profile: Profile,
    /// Patience with each request, in microseconds.
    pub timeout_us: u64,
    /// The mix.
    pub endpoints: Vec<LoadEndpoint>,
}

/// One endpoint of a load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadEndpoint {
    /// Name.
    pub name: String,
    /// Weight in the mix.
    pub weight: f64,
    /// Requests with drawn parameters; arrivals take them in turn.
    pub targets: Vec<Target>,
}

/// The outpost, seen from outside.
pub struct Outpost<D> {
    door: D,
}

impl<D: Door> Outpost<D> {
    /// The outpost behind a door.
    pub fn new(door: D) -> Self {
        Outpost { door }
    }

    fn ask<Q: Serialize, A: for<'a> Deserialize<'a>>(&self, path: &str, question: &Q, patience: Duration) -> Result<A, String> {
        let body = serde_json::to_vec(question).map_err(|error| error.to_string())?;
        let (status, answer) = self.door.ask(path, body, patience)?;
        if status != 200 {
            let text: String = String::from_utf8_lossy(&answer).chars().take(300).collect();
            return Err(format!("the outpost answers {status}: {}", text.trim()));
        }
        serde_json::from_slice(&answer).map_err(|error| format!("the outpost's answer cannot be read: {error}"))
    }

    /// Makes an HTTP request from the pod.
    ///
    /// # Errors
    /// Why no answer came; a pod that cannot be reached counts as silence.
    pub fn http(&self, request: &HttpRequest) -> Result<HttpReply, ConnectError> {
        let fetch = Fetch {
            method: request.method.clone(),
            host: request.host.clone(),
            port: request.port,
            path: request.path.clone(),
            headers: request.headers.clone(),
            body: request.body.clone(),
            timeout_us: micros(request.timeout),
        };
        let port = request.port;
        match self.ask("v1/http", &fetch, request.timeout + Duration::from_secs(5)) {
            Ok(Fetched::Answer { status, headers, body, took_us, address }) => {
                Ok(HttpReply { status, headers, body, took: Duration::from_micros(took_us), peer: (address, port) })
            }
            Ok(Fetched::NoName) => Err(ConnectError::NameNotFound { host: request.host.clone() }),
            Ok(Fetched::Refused { address, took_us }) => Err(ConnectError::Refused { address, port, took: Duration::from_micros(took_us) }),
            Ok(Fetched::TimedOut { address, took_us, connected }) => {
                Err(ConnectError::TimedOut { address, port, took: Duration::from_micros(took_us), connected })
            }
            Ok(Fetched::Closed { address, took_us }) => Err(ConnectError::Closed { address, port, took: Duration::from_micros(took_us) }),
            Err(why) => {
                tracing::warn!(%why, "the outpost cannot be asked");
                Err(ConnectError::TimedOut { address: request.host.clone(), port, took: request.timeout, connected: false })
            }
        }
    }

    /// The addresses of a host name, as pods resolve it.
    ///
    /// # Errors
    /// [`ConnectError::NameNotFound`].
    pub fn resolve(&self, host: &str) -> Result<Vec<ArcStr>, ConnectError> {
        let answer: Result<Vec<String>, String> = self.ask("v1/resolve", &host, Duration::from_secs(15));
        match answer {
            Ok(addresses) if !addresses.is_empty() => Ok(addresses.into_iter().map(ArcStr::from).collect()),
            _ => Err(ConnectError::NameNotFound { host: host.to_owned() }),
        }
    }

    /// Makes user requests to an application, all at once.
    pub fn probe(&self, (host, port): (&str, u16), targets: Vec<Target>) -> Vec<ProbeReply> {
        let count = targets.len();
        let probes = Probes { host: host.to_owned(), port, targets, timeout_us: micros(PROBE_PATIENCE) };
        let answer: Result<Vec<Probed>, String> = self.ask("v1/probe", &probes, PROBE_PATIENCE + Duration::from_secs(10));
        match answer {
            Ok(all) if all.len() == count => all
                .into_iter()
                .map(|probed| ProbeReply { status: probed.status, latency: Duration::from_micros(probed.took_us), error: probed.error })
                .collect(),
            other => {
                let why = other.err().unwrap_or_else(|| "the outpost answered another number of probes".to_owned());
                (0..count).map(|_| ProbeReply { status: 0, latency: Duration::ZERO, error: why.clone() }).collect()
            }
        }
    }

    /// Starts a load in place of the present one; `None` ends it.
    ///
    /// # Errors
    /// Why the pod cannot be asked.
    pub fn load(&self, plan: Option<&LoadPlan>) -> Result<(), String> {
        self.ask("v1/load", &plan, Duration::from_secs(15))
    }

    /// What the present load did so far.
    ///
    /// # Errors
    /// Why the pod cannot be asked.
    pub fn report(&self) -> Result<LoadReport, String> {
        self.ask("v1/report", &(), Duration::from_secs(15))
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// One request to an endpoint, its parameters drawn by an index.
pub fn target(endpoint: &Endpoint, key: Key, index: u64) -> Target {
    Target { method: endpoint.method.to_string(), path: endpoint.draw(&mut key.part(&endpoint.name).number(index).stream()) }
}

impl LoadPlan {
    /// The plan of a workload on an application.
    ///
    /// # Errors
    /// The name of an endpoint that the application does not have.
    pub fn of(workload: &Workload, endpoints: &[Endpoint], (host, port): (&str, u16), seed: u64) -> Result<LoadPlan, String> {
        let key = Key::new(seed).part("load");
        let of = |(name, weight): &(ArcStr, f64)| {
            let endpoint = endpoints.iter().find(|endpoint| endpoint.name == *name).ok_or_else(|| name.to_string())?;
            let targets = (0..PATHS).map(|index| target(endpoint, key.clone(), index)).collect();
            Ok(LoadEndpoint { name: name.to_string(), weight: *weight, targets })
        };
        Ok(LoadPlan {
            host: host.to_owned(),
            port,
            seed,
            profile: workload.profile.clone(),
            timeout_us: micros(PROBE_PATIENCE),
            endpoints: workload.mix.iter().map(of).collect::<Result<_, String>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Catalog;
    use crate::workload::Arrivals;

    struct Canned(Result<(u16, Vec<u8>), String>);

    impl Door for Canned {
        fn ask(&self, _: &str, _: Vec<u8>, _: Duration) -> Result<(u16, Vec<u8>), String> {
            self.0.clone()
        }
    }

    fn request() -> HttpRequest {
        HttpRequest {
            method: "GET".into(),
            host: "x".into(),
            port: 80,
            path: "/".into(),
            headers: vec![],
            body: vec![],
            timeout: Duration::from_secs(1),
        }
    }

    #[test]
    fn whatever_the_pod_answers_has_a_meaning() {
        let check = |answer: Result<(u16, &str), &str>, expect: &str| {
            let door = Canned(answer.map(|(status, body)| (status, body.as_bytes().to_vec())).map_err(str::to_owned));
            let met = match Outpost::new(door).http(&request()) {
                Ok(reply) => format!("{} from {}", reply.status, reply.peer.0),
                Err(error) => error.to_string(),
            };
            assert_eq!(met, expect);
        };
        let answer = r#"{"answer":{"status":200,"headers":[],"body":[],"took_us":5,"address":"10.0.0.1"}}"#;
        check(Ok((200, answer)), "200 from 10.0.0.1");
        check(Ok((200, r#""no-name""#)), "could not resolve host: x");
        check(Ok((200, r#"{"refused":{"address":"10.0.0.1","took_us":5}}"#)), "connection to 10.0.0.1:80 refused");
        check(Ok((200, r#"{"timed-out":{"address":"10.0.0.1","took_us":5,"connected":true}}"#)), "no answer from 10.0.0.1:80 in time");
        check(Ok((401, "no")), "no answer from x:80 in time");
        check(Ok((200, "{")), "no answer from x:80 in time");
        check(Err("gone"), "no answer from x:80 in time");
    }

    #[test]
    fn a_plan_is_a_function_of_its_seed() {
        let catalog = Catalog::embedded();
        let app = catalog.app("hotel-reservation").expect("the app");
        let mix = app.endpoints.iter().map(|e| (e.name.clone(), e.weight)).collect();
        let workload = Workload::steady(10.0, Arrivals::Poisson, mix);
        let plan = |seed| LoadPlan::of(&workload, &app.endpoints, ("frontend", 5000), seed).expect("a plan");
        assert_eq!(plan(1), plan(1));
        assert_ne!(plan(1), plan(2));
        let unknown = Workload { mix: vec![("GET /nope".into(), 1.0)], ..workload.clone() };
        assert_eq!(LoadPlan::of(&unknown, &app.endpoints, ("frontend", 5000), 1), Err("GET /nope".to_owned()));
    }
}
