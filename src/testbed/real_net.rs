//! The network as a container really has it, for the clients that the simulator's containers share ([`crate::cluster::client`]).

use super::line::open;
use super::names::Names;
use super::place::now;
use crate::app::rules::NotOpen;
use crate::cluster::client::Net;
use crate::cluster::{ConnectError, HttpReply, HttpRequest};
use crate::time::SimTime;
use arcstr::ArcStr;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use std::io;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::time::{Instant, timeout};

/// A network, and a clock that only moves when somebody waits: what a client waits for after a request has passed already.
pub struct RealNet {
    runtime: Runtime,
    clock: SimTime,
}

impl RealNet {
    /// The network of this machine.
    ///
    /// # Errors
    /// When the system gives no runtime.
    pub fn new() -> io::Result<RealNet> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(RealNet { runtime, clock: now() })
    }
}

impl Net for RealNet {
    fn now(&self) -> SimTime {
        self.clock
    }

    fn wait(&mut self, until: SimTime) {
        self.clock = self.clock.max(until);
        let left = self.clock - now();
        if !left.is_zero() {
            self.runtime.block_on(tokio::time::sleep(left));
        }
    }

    fn http(&mut self, request: &HttpRequest) -> Result<HttpReply, ConnectError> {
        self.runtime.block_on(send(request))
    }

    fn resolve(&mut self, host: &str) -> Result<Vec<ArcStr>, ConnectError> {
        match self.runtime.block_on(Names::System.lookup(host)) {
            Ok(found) => Ok(found.iter().map(|a| ArcStr::from(a.to_string())).collect()),
            Err(_) => Err(ConnectError::NameNotFound { host: host.to_owned() }),
        }
    }
}

async fn send(request: &HttpRequest) -> Result<HttpReply, ConnectError> {
    let began = Instant::now();
    let port = request.port;
    let unknown = || ConnectError::NameNotFound { host: request.host.clone() };
    let addresses = Names::System.lookup(&request.host).await.map_err(|_| unknown())?;
    let stream = open(&addresses, port, request.timeout).await.map_err(|why| match why {
        NotOpen::Refused(address) => ConnectError::Refused { address: address.to_string(), port, took: began.elapsed() },
        NotOpen::TimedOut(address) => {
            ConnectError::TimedOut { address: address.to_string(), port, took: began.elapsed(), connected: false }
        }
        NotOpen::NoName(_) | NotOpen::NoResolver => unknown(),
    })?;
    let address = stream.peer_addr().map(|a| a.ip().to_string()).unwrap_or_default();
    let left = request.timeout.saturating_sub(began.elapsed());
    match timeout(left, exchange(request, stream)).await {
        Ok(Ok((status, headers, body))) => Ok(HttpReply { status, headers, body, took: began.elapsed(), peer: (address, port) }),
        Ok(Err(_)) => Err(ConnectError::Closed { address, port, took: began.elapsed() }),
        Err(_) => Err(ConnectError::TimedOut { address, port, took: request.timeout.max(Duration::from_millis(1)), connected: true }),
    }
}

type Answered = (u16, Vec<(String, String)>, Vec<u8>);

async fn exchange(asked: &HttpRequest, stream: tokio::net::TcpStream) -> Result<Answered, Box<dyn std::error::Error>> {
    let mut builder = hyper::client::conn::http1::Builder::new();
    let (mut sender, connection) = builder.title_case_headers(true).handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        // Its error is the request's.
        let _ = connection.await;
    });
    let mut request = Request::builder().method(asked.method.as_str()).uri(asked.path.as_str());
    if !asked.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        let host = if asked.port == 80 { asked.host.clone() } else { format!("{}:{}", asked.host, asked.port) };
        request = request.header("Host", host);
    }
    for (name, value) in &asked.headers {
        request = request.header(name.as_str(), value.as_str());
    }
    let request = request.body(Full::new(Bytes::from(asked.body.clone())))?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let title = |name: &str| {
        name.split('-')
            .map(|word| word.get(..1).unwrap_or("").to_ascii_uppercase() + word.get(1..).unwrap_or(""))
            .collect::<Vec<_>>()
            .join("-")
    };
    let headers = head.headers.iter().map(|(name, value)| (title(name.as_str()), value.to_str().unwrap_or_default().to_owned()));
    Ok((head.status.as_u16(), headers.collect(), body.collect().await?.to_bytes().to_vec()))
}
