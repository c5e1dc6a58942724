//! Waiting for changes: one watch per interest, from the last state that the caller saw.

use super::line::Line;
use super::request::{Query, path};
use crate::cluster::{ApiRequest, Interest, ReplyBody, Verb};
use crate::object::Json;
use futures::StreamExt;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

/// What was read last, so that a watch begins there and misses nothing in between: resourceVersions by path and name.
#[derive(Default)]
pub(super) struct Seen(Mutex<BTreeMap<(String, String), String>>);

impl Seen {
    /// Remembers what a read saw.
    pub(super) fn note(&self, request: &ApiRequest, body: &ReplyBody) {
        if !matches!(request.verb, Verb::Get | Verb::List) || request.subresource.is_some() {
            return;
        }
        let place = path(&request.resource, request.namespace.as_deref(), None, None);
        let (name, version) = match body {
            ReplyBody::Object(object) => (request.name.as_deref().unwrap_or_default(), object.resource_version()),
            ReplyBody::List { resource_version, .. } => {
                (named(&request.options.field_selector).unwrap_or_default(), resource_version.as_str())
            }
        };
        if !version.is_empty() {
            self.map().insert((place, name.to_owned()), version.to_owned());
        }
    }

    /// From where a watch goes on: the object's own last version, or that of the list that holds it.
    fn version(&self, place: &str, name: &str) -> Option<String> {
        let map = self.map();
        let of = |name: &str| map.get(&(place.to_owned(), name.to_owned())).cloned();
        of(name).or_else(|| of(""))
    }

    fn forget(&self, place: &str) {
        self.map().retain(|(known, _), _| known != place);
    }

    fn map(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, String), String>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The name that a field selector asks for.
fn named(selector: &str) -> Option<&str> {
    selector.strip_prefix("metadata.name=").filter(|rest| !rest.contains(','))
}

/// Ends at the first change of any of the interests, or never.
pub(super) async fn first_change(line: &Line, seen: &Seen, interests: &[Interest]) {
    let watches = interests.iter().map(|interest| Box::pin(change(line, seen, interest)));
    if watches.len() == 0 {
        return std::future::pending().await;
    }
    futures::future::select_all(watches).await;
}

async fn change(line: &Line, seen: &Seen, interest: &Interest) {
    let Interest::Objects { resource, namespace, name } = interest;
    let name = name.as_deref().unwrap_or_default();
    let place = path(resource, namespace.as_deref(), None, None);
    let mut pause = Duration::from_millis(250);
    loop {
        match one_watch(line, seen, (&place, name)).await {
            Watched::Changed => return,
            Watched::Gone => {
                // Too old to go on from: something may have changed meanwhile, so the caller has to look.
                seen.forget(&place);
                return;
            }
            Watched::Ended => {}
            Watched::Failed => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(5));
            }
        }
    }
}

enum Watched {
    Changed,
    Gone,
    Ended,
    Failed,
}

async fn one_watch(line: &Line, seen: &Seen, (place, name): (&str, &str)) -> Watched {
    let Some(version) = starting_point(line, seen, (place, name)).await else { return Watched::Failed };
    let mut query = Query::default();
    query.add("watch", "true");
    query.add("resourceVersion", &version);
    query.add("timeoutSeconds", "240");
    if !name.is_empty() {
        query.add("fieldSelector", &format!("metadata.name={name}"));
    }
    let Ok(request) = line.request("GET", &format!("{place}{}", query.into_text()), Vec::new()) else { return Watched::Failed };
    let Ok(response) = line.client.send(request).await else { return Watched::Failed };
    match response.status().as_u16() {
        200 => {}
        410 => return Watched::Gone,
        _ => return Watched::Failed,
    }
    // The first bytes are an event; which one hardly matters, as the caller looks again.
    let mut body = http_body_util::BodyDataStream::new(response.into_body());
    match body.next().await {
        Some(Ok(first)) if first.starts_with(br#"{"type":"ERROR""#) => Watched::Gone,
        Some(Ok(_)) => Watched::Changed,
        Some(Err(_)) => Watched::Failed,
        None => Watched::Ended,
    }
}

/// What the caller saw last; the present state when it never looked.
async fn starting_point(line: &Line, seen: &Seen, (place, name): (&str, &str)) -> Option<String> {
    if let Some(version) = seen.version(place, name) {
        return Some(version);
    }
    let mut query = Query::default();
    query.add("limit", "1");
    if !name.is_empty() {
        query.add("fieldSelector", &format!("metadata.name={name}"));
    }
    let answer = line.get(&format!("{place}{}", query.into_text())).await.ok()?;
    let list = Json::parse(std::str::from_utf8(&answer.body).ok()?).ok()?;
    list.at(&["metadata", "resourceVersion"]).as_str().map(str::to_owned)
}
