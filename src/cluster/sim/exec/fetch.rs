//! `fetch IP PORT PATH`: the smallest HTTP client, for images that have no other.

use crate::cluster::client::Client;
use crate::cluster::{ConnectError, HttpRequest};
use crate::shell::Finished;
use std::time::Duration;

/// Prints the body of an answer; 0 for status 200, 1 for another, 7 when nobody answers.
pub(super) fn fetch(command: &mut Client<'_>) -> Finished {
    let [host, port, path] = command.request.args.as_slice() else { return Finished::fail(2, "usage: fetch IP PORT PATH\n") };
    let request = HttpRequest {
        method: "GET".to_owned(),
        host: host.clone(),
        port: port.parse().unwrap_or(0),
        path: path.clone(),
        headers: Vec::new(),
        body: Vec::new(),
        timeout: Duration::from_secs(5),
    };
    let answer = command.net.http(&request);
    let took = match &answer {
        Ok(reply) => reply.took,
        Err(ConnectError::Refused { took, .. } | ConnectError::TimedOut { took, .. } | ConnectError::Closed { took, .. }) => *took,
        Err(ConnectError::NameNotFound { .. }) => Duration::ZERO,
    };
    command.net.wait(command.net.now() + took);
    match answer {
        Ok(reply) => Finished { stdout: reply.body, exit_code: i32::from(reply.status != 200), ..Finished::default() },
        Err(_) => Finished::fail(7, format!("fetch: cannot connect to {host}:{port}\n")),
    }
}
