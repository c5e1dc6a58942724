//! Consul's part: its HTTP API ([`crate::app::consul`]), with queries that wait for a change.

use super::http::{Answer, Asked};
use super::role::{Role, locked};
use crate::app::consul::{self, Registry, log_line};
use crate::app::rules::parameter;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// How long a query waits for a change unless told otherwise, and at most.
const WAIT: (u64, u64) = (300, 600);

/// What an agent holds while it runs.
#[derive(Default)]
pub struct State {
    registry: Mutex<Registry>,
    changed: Notify,
}

/// Answers a request.
pub async fn answer(role: &Arc<Role>, asked: &Asked) -> Answer {
    let state = &role.state.consul;
    if let Some(index) = parameter(&asked.path, "index").and_then(|i| i.parse::<u64>().ok()).filter(|i| *i > 0) {
        let deadline = Instant::now() + wait(&asked.path);
        loop {
            let changed = state.changed.notified();
            let moved = locked(&state.registry).index() != index;
            if moved || timeout_at(deadline, changed).await.is_err() {
                break;
            }
        }
    }
    let request = consul::Asked { method: &asked.method, path: &asked.path, body: &asked.body };
    let answer = locked(&state.registry).answer(request, &role.host, &role.uuid);
    if let Some(line) = &answer.change {
        role.write(&log_line(role.now(), "INFO", line));
        state.changed.notify_waiters();
    }
    Answer { status: answer.status, headers: answer.headers, body: answer.body.into_bytes() }
}

/// How long a query waits for a change.
fn wait(path: &str) -> Duration {
    let text = parameter(path, "wait").unwrap_or_default();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let seconds = match (number.parse::<u64>(), unit) {
        (Ok(n), "m") => n * 60,
        (Ok(n), "s") => n,
        (Ok(n), "ms") => return Duration::from_millis(n),
        _ => WAIT.0,
    };
    Duration::from_secs(seconds.min(WAIT.1))
}
