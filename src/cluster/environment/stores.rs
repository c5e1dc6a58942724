//! Stores: what they hold belongs to the baseline, too, and is read by programs in their own containers.

use super::{EnvironmentError, Place, Record};
use crate::app::{App, Store};
use crate::cluster::{ApiRequest, Cluster, ExecRequest, Identity};
use crate::object::{Object, resource};
use crate::time::SimTime;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often a fingerprint that cannot be read is tried again: a store that has just started may not answer yet.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(500);

/// How long what a store holds has to stay the same to count as all of it.
const UNCHANGED_FOR: Duration = Duration::from_secs(2);

/// How long a store that does not run may take to be there before it counts as altered.
const PRESENT_WITHIN: Duration = Duration::from_secs(45);

/// How long a store has to be ready before a refusal is its answer rather than that of one which is still starting.
const SETTLED_AFTER: Duration = Duration::from_secs(10);

/// How often a store that has just started may hold something else: its clients may be filling it still.
const FILLED_AFTER_TRIES: u32 = 24;

/// What stores hold once nobody fills them any more, as digests by Deployment.
///
/// # Errors
/// The API server's answer, or a store that cannot be asked.
pub fn fingerprints(cluster: &mut dyn Cluster, place: &Place, app: &App) -> Result<BTreeMap<String, String>, EnvironmentError> {
    let mut before = now_held(cluster, place, app)?;
    for _ in 0..TRIES {
        let until = cluster.now() + UNCHANGED_FOR;
        cluster.wait(until, &[]);
        let after = now_held(cluster, place, app)?;
        if before == after {
            break;
        }
        before = after;
    }
    Ok(before)
}

fn now_held(cluster: &mut dyn Cluster, place: &Place, app: &App) -> Result<BTreeMap<String, String>, EnvironmentError> {
    let mut found = BTreeMap::new();
    for store in &app.stores {
        found.insert(store.deployment.to_string(), fingerprint(cluster, place, store)?);
    }
    Ok(found)
}

fn fingerprint(cluster: &mut dyn Cluster, place: &Place, store: &Store) -> Result<String, EnvironmentError> {
    let mut why = String::new();
    for _ in 0..TRIES {
        match ask(cluster, place, store)? {
            Answer::Text(text, _) => return Ok(digest(&text)),
            Answer::Refusal(reason, _) | Answer::None(reason) => why = reason,
        }
        let until = cluster.now() + PAUSE;
        cluster.wait(until, &[]);
    }
    Err(EnvironmentError::NotReady {
        namespace: place.namespace.to_string(),
        seconds: 10,
        why: format!("store {}: {why}", store.deployment),
    })
}

fn digest(text: &str) -> String {
    format!("{:016x}", crate::rng::Key::new(0).part(text).value())
}

/// The stores that do not hold what the record says, with the reason. Asked before anything is waited for that reads from them: a client
/// whose user is gone never becomes ready.
///
/// # Errors
/// The API server's answer.
pub(super) fn altered(
    cluster: &mut dyn Cluster,
    place: &Place,
    app: &App,
    record: &Record,
) -> Result<BTreeMap<String, String>, EnvironmentError> {
    let give_up = cluster.now() + PRESENT_WITHIN;
    let mut found = BTreeMap::new();
    for store in &app.stores {
        let expected = record.stores.get(store.deployment.as_str()).map(String::as_str);
        if let Some(why) = is_altered(cluster, (place, store), expected, give_up)? {
            found.insert(store.deployment.to_string(), why);
        }
    }
    Ok(found)
}

fn is_altered(
    cluster: &mut dyn Cluster,
    (place, store): (&Place, &Store),
    expected: Option<&str>,
    give_up: SimTime,
) -> Result<Option<String>, EnvironmentError> {
    let (mut refusals, mut others) = (0, 0);
    loop {
        let why = match ask(cluster, place, store)? {
            Answer::Text(text, _) if expected == Some(digest(&text).as_str()) => return Ok(None),
            Answer::Text(_, settled) => {
                others += 1;
                if settled || others >= FILLED_AFTER_TRIES {
                    return Ok(Some("it holds something else".to_owned()));
                }
                "it holds something else".to_owned()
            }
            Answer::Refusal(why, settled) => {
                refusals += 1;
                if refusals >= if settled { 2 } else { TRIES } {
                    return Ok(Some(why));
                }
                why
            }
            Answer::None(why) => why,
        };
        if cluster.now() >= give_up {
            return Ok(Some(why));
        }
        let until = cluster.now() + PAUSE;
        cluster.wait(until, &[]);
    }
}

/// What comes of asking a store.
enum Answer {
    /// What it holds, with whether it has been ready for long enough that nobody fills it any more.
    Text(String, bool),
    /// It let nobody ask, or asking failed; with whether it has been ready for long enough to know.
    Refusal(String, bool),
    /// It does not run.
    None(String),
}

/// Runs a store's fingerprint in its container.
fn ask(cluster: &mut dyn Cluster, place: &Place, store: &Store) -> Result<Answer, EnvironmentError> {
    let Some(pods) = resource::builtin_named("", "pods") else { return Ok(Answer::None("no pods".to_owned())) };
    let all = cluster.api(&Identity::operator(), &ApiRequest::list(pods, Some(&place.namespace)));
    let all = all.map_err(EnvironmentError::api("looking for the stores"))?.into_items();
    let Some(pod) = all.iter().find(|pod| is_of(pod, &store.deployment)) else { return Ok(Answer::None("no pod runs".to_owned())) };
    let argv = store.fingerprint.clone();
    let request = ExecRequest { namespace: place.namespace.clone(), pod: pod.name().into(), container: None, argv, stdin: Vec::new() };
    Ok(match cluster.exec(&Identity::operator(), &request) {
        Ok(output) if output.exit_code == 0 => {
            Answer::Text(String::from_utf8_lossy(&output.stdout).into_owned(), is_settled(pod, cluster.now()))
        }
        Ok(output) => {
            let said = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
            let program = store.fingerprint.first().map_or("", String::as_str);
            let why = format!("{program} exits with {}: {}", output.exit_code, String::from_utf8_lossy(said).trim());
            Answer::Refusal(why, is_settled(pod, cluster.now()))
        }
        Err(error) => Answer::None(error.to_string()),
    })
}

fn is_settled(pod: &Object, now: SimTime) -> bool {
    let ready = pod.condition("Ready").filter(|condition| condition.get("status").text() == "True");
    let since = ready.and_then(|condition| SimTime::parse_rfc3339(condition.get("lastTransitionTime").text()));
    since.is_some_and(|since| now.since(since) >= SETTLED_AFTER)
}

/// Whether a pod belongs to a Deployment: the names of its ReplicaSet and its own add two parts.
pub(super) fn belongs_to(pod: &Object, deployment: &str) -> bool {
    pod.name().rsplitn(3, '-').nth(2) == Some(deployment)
}

/// Whether a pod is a running one of a Deployment.
fn is_of(pod: &Object, deployment: &str) -> bool {
    belongs_to(pod, deployment) && !pod.is_terminating() && pod.status().get("phase").text() == "Running"
}
