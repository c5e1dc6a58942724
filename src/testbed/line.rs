//! Connections between testbeds: frames of JSON, several requests under way at once.
//!
//! A frame is a length (four bytes, big-endian) and a JSON object. A request carries a number `id`, which its answer repeats. The
//! first byte of a frame is zero, which no HTTP request begins with, so one port serves both.

use crate::app::rules::NotOpen;
use crate::object::Json;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::timeout;

/// The largest frame.
const MOST: u32 = 15 << 20;

/// The bytes of a frame.
pub fn frame(json: &Json) -> Vec<u8> {
    let text = json.to_compact();
    let mut bytes = u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// The JSON in a frame's bytes after its length.
///
/// # Errors
/// When it is none.
pub fn parse(bytes: &[u8]) -> io::Result<Json> {
    let text = std::str::from_utf8(bytes).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
    Json::parse(text).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

/// The length in a frame's first four bytes.
///
/// # Errors
/// When no frame is so long.
pub fn length(bytes: [u8; 4]) -> io::Result<usize> {
    match u32::from_be_bytes(bytes) {
        length if length <= MOST => Ok(length as usize),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "not a frame")),
    }
}

/// Reads a frame.
///
/// # Errors
/// When the connection ends or what comes is no frame.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Json> {
    let mut head = [0_u8; 4];
    stream.read_exact(&mut head).await?;
    let mut body = vec![0; length(head)?];
    stream.read_exact(&mut body).await?;
    parse(&body)
}

/// Opens a TCP connection.
///
/// # Errors
/// Why it cannot be opened.
pub async fn open(addresses: &[IpAddr], port: u16, patience: Duration) -> Result<TcpStream, NotOpen> {
    let mut why = NotOpen::NoResolver;
    for address in addresses {
        let text = arcstr::ArcStr::from(address.to_string());
        match timeout(patience, TcpStream::connect(SocketAddr::new(*address, port))).await {
            Ok(Ok(stream)) => {
                // Small requests must not wait for each other.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => why = NotOpen::Refused(text),
            Ok(Err(_)) | Err(_) => why = NotOpen::TimedOut(text),
        }
    }
    Err(why)
}

/// A client's connection to a testbed.
#[derive(Debug)]
pub struct Line {
    sender: mpsc::UnboundedSender<Vec<u8>>,
    waiting: Mutex<BTreeMap<i64, oneshot::Sender<Json>>>,
    next: AtomicI64,
    closed: AtomicBool,
    ended: Notify,
}

/// A request that is forgotten when who asked no longer waits.
struct Asked<'l> {
    line: &'l Line,
    id: i64,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.line.waiting().remove(&self.id);
    }
}

/// The connection ended before the answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended;

impl Line {
    /// Speaks on a connection from now on.
    pub fn over(stream: TcpStream) -> Arc<Line> {
        let (sender, mut outgoing) = mpsc::unbounded_channel::<Vec<u8>>();
        let (mut reader, mut writer) = stream.into_split();
        let (waiting, next) = (Mutex::default(), AtomicI64::new(1));
        let line = Arc::new(Line { sender, waiting, next, closed: AtomicBool::new(false), ended: Notify::new() });
        let (of_reader, of_writer) = (line.clone(), line.clone());
        tokio::spawn(async move {
            while let Some(bytes) = outgoing.recv().await {
                if bytes.is_empty() || writer.write_all(&bytes).await.is_err() {
                    break;
                }
            }
            of_writer.end();
        });
        tokio::spawn(async move {
            while let Ok(answer) = read(&mut reader).await {
                let waiter = answer.get("id").as_i64().and_then(|id| of_reader.waiting().remove(&id));
                if let Some(waiter) = waiter {
                    // Who asked may have given up.
                    let _ = waiter.send(answer);
                }
            }
            of_reader.end();
        });
        line
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, BTreeMap<i64, oneshot::Sender<Json>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.waiting().clear();
        self.ended.notify_waiters();
    }

    /// Ends it from this side.
    pub fn shut(&self) {
        // It may have ended already.
        let _ = self.sender.send(Vec::new());
    }

    /// Whether it has ended.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Waits until it has ended.
    pub async fn closed(&self) {
        let ended = self.ended.notified();
        if !self.is_closed() {
            ended.await;
        }
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// When the connection ends first.
    pub async fn ask(&self, mut request: Json) -> Result<Json, Ended> {
        let id = self.next.fetch_add(1, Ordering::SeqCst);
        request.set("id", id);
        let (sender, receiver) = oneshot::channel();
        self.waiting().insert(id, sender);
        let _forgotten = Asked { line: self, id };
        if self.is_closed() || self.sender.send(frame(&request)).is_err() {
            return Err(Ended);
        }
        receiver.await.map_err(|_| Ended)
    }
}
