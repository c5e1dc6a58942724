//! Programs in containers, over a WebSocket, and containers' logs.

use super::connect::chain;
use super::line::{Line, too_slow, unreachable};
use super::request::{self, Query};
use crate::cluster::{ApiError, ExecOutput, ExecRequest, LogQuery, Subresource};
use crate::object::{Json, resource};
use crate::time::SimTime;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{AttachParams, AttachedProcess};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

/// Most bytes that are kept of each stream of a program; the rest is read and dropped.
const STREAM_LIMIT: usize = 16 << 20;

/// Runs a program and collects what it prints, for at most `patience`.
pub(super) async fn exec(line: &Line, asked: &ExecRequest, patience: Duration) -> Result<ExecOutput, ApiError> {
    if line.acting_as.is_some() {
        let text = "pods/exec under impersonation is not supported by this client; the cluster must grant tokens for service accounts";
        return Err(ApiError::new(501, "NotImplemented", text));
    }
    let pods: Api<Pod> = Api::namespaced(line.client.clone(), &asked.namespace);
    let mut params = AttachParams::default().stdout(true).stderr(true).stdin(!asked.stdin.is_empty());
    params.container = asked.container.as_ref().map(ToString::to_string);
    params.max_stdout_buf_size = Some(64 << 10);
    params.max_stderr_buf_size = Some(64 << 10);
    let started = tokio::time::timeout(line.bound, pods.exec(&asked.pod, asked.argv.clone(), &params)).await;
    match started.map_err(|_| too_slow(line.bound))? {
        Ok(process) => finish(process, asked, patience).await,
        Err(error) => Err(refusal(line, asked, &chain(&error)).await),
    }
}

async fn finish(mut process: AttachedProcess, asked: &ExecRequest, patience: Duration) -> Result<ExecOutput, ApiError> {
    let (stdin, stdout, stderr) = (process.stdin(), process.stdout(), process.stderr());
    let status = process.take_status();
    let feed = async {
        if let Some(mut stdin) = stdin {
            let _ = stdin.write_all(&asked.stdin).await;
            let _ = stdin.shutdown().await;
        }
    };
    let mut output = ExecOutput::default();
    let (out, err) = (&mut output.stdout, &mut output.stderr);
    let all = async { tokio::join!(feed, drain(stdout, out), drain(stderr, err)) };
    let in_time = tokio::time::timeout(patience, all).await.is_ok();
    if !in_time {
        process.abort();
        // As if the caller had been stopped: what was printed is there, and the code is that of `timeout`.
        output.exit_code = 124;
        return Ok(output);
    }
    let status = match status {
        Some(status) => tokio::time::timeout(Duration::from_secs(5), status).await.ok().flatten(),
        None => None,
    };
    let Some(status) = status else { return Ok(output) };
    if status.status.as_deref() == Some("Success") {
        return Ok(output);
    }
    let causes = status.details.as_ref().and_then(|details| details.causes.clone()).unwrap_or_default();
    let exit_code =
        causes.iter().find(|cause| cause.reason.as_deref() == Some("ExitCode")).and_then(|cause| cause.message.as_deref()?.parse().ok());
    match exit_code {
        Some(code) => output.exit_code = code,
        None => {
            let code = status.code.and_then(|code| u16::try_from(code).ok()).unwrap_or(500);
            return Err(ApiError::new(code, &status.reason.unwrap_or_default(), status.message.unwrap_or_default()));
        }
    }
    Ok(output)
}

async fn drain(stream: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    let mut part = vec![0_u8; 64 << 10];
    while let Ok(read) = stream.read(&mut part).await {
        if read == 0 {
            return;
        }
        let room = STREAM_LIMIT.saturating_sub(into.len()).min(read);
        into.extend_from_slice(&part[..room]);
    }
}

/// The client drops the body of a refused upgrade; the same question without upgrade tells why.
async fn refusal(line: &Line, asked: &ExecRequest, why: &str) -> ApiError {
    let Some(pods) = resource::builtin_named("", "pods") else { return unreachable(why) };
    let mut query = Query::default();
    if let Some(container) = &asked.container {
        query.add("container", container);
    }
    for word in &asked.argv {
        query.add("command", word);
    }
    query.add("stdout", "true");
    let uri = request::path(pods, Some(&asked.namespace), Some(&asked.pod), Some(Subresource::Exec)) + &query.into_text();
    match line.post(&uri, &[], Vec::new()).await {
        Ok(answer) if answer.status >= 400 => {
            let body = Json::parse(&String::from_utf8_lossy(&answer.body)).unwrap_or_default();
            if body.is_null() {
                return ApiError::new(answer.status, "BadRequest", String::from_utf8_lossy(&answer.body).trim().to_owned());
            }
            request::error_of(answer.status, &body)
        }
        Ok(_) => unreachable(why),
        Err(error) => error,
    }
}

/// A container's log.
pub(super) async fn logs(line: &Line, asked: &LogQuery) -> Result<String, ApiError> {
    let Some(pods) = resource::builtin_named("", "pods") else { return Ok(String::new()) };
    let mut query = Query::default();
    if let Some(container) = &asked.container {
        query.add("container", container);
    }
    if asked.previous {
        query.add("previous", "true");
    }
    if asked.timestamps {
        query.add("timestamps", "true");
    }
    if let Some(since) = asked.since {
        query.add("sinceTime", &since.max(SimTime::from_secs(0)).rfc3339());
    }
    if let Some(tail) = asked.tail {
        query.add("tailLines", &tail.to_string());
    }
    if let Some(limit) = asked.limit_bytes {
        query.add("limitBytes", &limit.to_string());
    }
    let uri = request::path(pods, Some(&asked.namespace), Some(&asked.pod), Some(Subresource::Log)) + &query.into_text();
    let answer = line.get(&uri).await?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    if answer.status == 200 {
        return Ok(text);
    }
    Err(request::error_of(answer.status, &Json::parse(&text).unwrap_or_else(|_| Json::from(text.as_str()))))
}
