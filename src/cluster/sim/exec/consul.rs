//! The `consul` command line in a simulated container: how it reaches the agent.

use super::Session;
use crate::app::consul_cli;
use crate::cluster::client::Net;
use crate::cluster::{ConnectError, HttpRequest};
use crate::object::Json;
use crate::shell::{Finished, Request, Vfs};
use std::time::Duration;

/// Runs `consul`.
pub(super) fn cli(session: &mut Session<'_>, request: &Request, _files: &mut Vfs) -> Finished {
    let printed = consul_cli::run(&request.args, &mut |path| get(session, path));
    Finished { stdout: printed.out.into_bytes(), stderr: printed.err.into_bytes(), exit_code: printed.code }
}

fn get(session: &mut Session<'_>, path: &str) -> Result<Json, String> {
    let request = HttpRequest {
        method: "GET".to_owned(),
        host: "127.0.0.1".to_owned(),
        port: 8500,
        path: path.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        timeout: Duration::from_secs(30),
    };
    match session.http(&request) {
        Ok(reply) => {
            session.spend(reply.took);
            Json::parse(&String::from_utf8_lossy(&reply.body)).map_err(|e| e.to_string())
        }
        Err(ConnectError::Refused { .. }) => {
            Err(format!("Get \"http://127.0.0.1:8500{path}\": dial tcp 127.0.0.1:8500: connect: connection refused"))
        }
        Err(error) => Err(format!("Get \"http://127.0.0.1:8500{path}\": {error}")),
    }
}
