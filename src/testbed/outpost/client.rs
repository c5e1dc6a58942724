//! One HTTP request from the pod, told apart by how it ends.

use crate::app::rules::NotOpen;
use crate::cluster::outpost::{Fetch, Fetched, Probed, Probes};
use crate::testbed::Names;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{HOST, HeaderName, HeaderValue};
use hyper_util::rt::TokioIo;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio::time::{timeout, timeout_at};

/// The longest answer that is read, in bytes.
const MOST: usize = 10 << 20;

/// Makes a request.
pub(super) async fn fetch(names: &Names, asked: &Fetch) -> Fetched {
    let began = Instant::now();
    let deadline = began + Duration::from_micros(asked.timeout_us);
    let took_us = || u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    let looked_up = timeout_at(deadline, names.lookup(&asked.host)).await;
    let address = match looked_up {
        Ok(Ok(addresses)) => match addresses.into_iter().find(IpAddr::is_ipv4) {
            Some(address) => address,
            None => return Fetched::NoName,
        },
        Ok(Err(NotOpen::NoName(_))) => return Fetched::NoName,
        Ok(Err(_)) => return Fetched::TimedOut { address: asked.host.clone(), took_us: took_us(), connected: false },
        Err(_) => return Fetched::TimedOut { address: asked.host.clone(), took_us: took_us(), connected: false },
    };
    let shown = address.to_string();
    let stream = match timeout_at(deadline, TcpStream::connect(SocketAddr::new(address, asked.port))).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => return Fetched::Refused { address: shown, took_us: took_us() },
        Ok(Err(_)) | Err(_) => return Fetched::TimedOut { address: shown, took_us: took_us(), connected: false },
    };
    let _ = stream.set_nodelay(true);
    match timeout_at(deadline, exchange(stream, asked)).await {
        Ok(Some((status, headers, body))) => Fetched::Answer { status, headers, body, took_us: took_us(), address: shown },
        Ok(None) => Fetched::Closed { address: shown, took_us: took_us() },
        Err(_) => Fetched::TimedOut { address: shown, took_us: took_us(), connected: true },
    }
}

type Exchanged = (u16, Vec<(String, String)>, Vec<u8>);

async fn exchange(stream: TcpStream, asked: &Fetch) -> Option<Exchanged> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(async move {
        // Its error is the request's.
        let _ = connection.await;
    });
    let mut request = Request::builder().method(asked.method.as_str()).uri(asked.path.as_str());
    for (name, value) in &asked.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.as_str())) {
            request = request.header(name, value);
        }
    }
    if !asked.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request = request.header(HOST, format!("{}:{}", asked.host, asked.port));
    }
    let request = request.body(Full::new(Bytes::from(asked.body.clone()))).ok()?;
    let (head, body) = sender.send_request(request).await.ok()?.into_parts();
    let headers = head.headers.iter().map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    let headers = headers.collect();
    let body = Limited::new(body, MOST).collect().await.ok()?.to_bytes().to_vec();
    Some((head.status.as_u16(), headers, body))
}

/// Makes one probe: what a user would have met.
pub(super) async fn probe(names: &Names, probes: &Probes, at: usize) -> Probed {
    let Some(target) = probes.targets.get(at) else { return Probed { status: 0, took_us: 0, error: "no such probe".to_owned() } };
    let asked = Fetch {
        method: target.method.clone(),
        host: probes.host.clone(),
        port: probes.port,
        path: target.path.clone(),
        headers: Vec::new(),
        body: Vec::new(),
        timeout_us: probes.timeout_us,
    };
    let patience = Duration::from_micros(probes.timeout_us) + Duration::from_secs(1);
    match timeout(patience, fetch(names, &asked)).await {
        Ok(met) => probed(met, &probes.host, probes.port),
        Err(_) => Probed { status: 0, took_us: probes.timeout_us, error: "no answer in time".to_owned() },
    }
}

/// What a user makes of an answer: the texts of Go's HTTP client, as in the simulator.
pub(super) fn probed(met: Fetched, host: &str, port: u16) -> Probed {
    let silent = |took_us: u64, error: String| Probed { status: 0, took_us, error };
    match met {
        Fetched::Answer { status, body, took_us, .. } => {
            let text: String = String::from_utf8_lossy(&body).trim_end().chars().take(300).collect();
            Probed { status, took_us, error: if status < 400 { String::new() } else { text } }
        }
        Fetched::NoName => silent(0, format!("dial tcp: lookup {host}: no such host")),
        Fetched::Refused { address, took_us } => silent(took_us, format!("dial tcp {address}:{port}: connect: connection refused")),
        Fetched::TimedOut { took_us, .. } => {
            silent(took_us, "context deadline exceeded (Client.Timeout exceeded while awaiting headers)".to_owned())
        }
        Fetched::Closed { took_us, .. } => silent(took_us, "EOF".to_owned()),
    }
}
