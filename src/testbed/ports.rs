//! Ports: who answers on which, by what the program is and what is spoken there.

use super::line::{frame, read};
use super::role::Role;
use super::{consul, http, jaeger, memcached, mongod, redis, serve};
use crate::app::{Behaviour, Listen, Protocol};
use crate::object::Json;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;

/// Where what a program counts is read when it has no HTTP port of its own.
pub const METRICS: u16 = 9464;

/// Opens a port.
///
/// # Errors
/// What the system says.
pub async fn open(role: &Arc<Role>, listen: &Listen, port: u16) -> io::Result<()> {
    let at = SocketAddr::from((role.place.listen, port));
    if listen.udp {
        let socket = UdpSocket::bind(at).await.map_err(plain)?;
        let role = role.clone();
        tokio::spawn(async move { datagrams(&role, socket).await });
        return Ok(());
    }
    let listener = TcpListener::bind(at).await.map_err(plain)?;
    let (role, protocol) = (role.clone(), listen.protocol);
    if role.instance.program.behaviour == Behaviour::Service && protocol != Protocol::Http {
        open_metrics(&role).await;
    }
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                // Out of descriptors, for one; they come back.
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                continue;
            };
            // Small answers must not wait for each other.
            let _ = stream.set_nodelay(true);
            let role = role.clone();
            tokio::spawn(async move { connection(&role, stream, (protocol, port)).await });
        }
    });
    Ok(())
}

/// The system's error in Go's words.
fn plain(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::AddrInUse { io::Error::other("address already in use") } else { error }
}

/// Serves what is counted, unless another port does already.
async fn open_metrics(role: &Arc<Role>) {
    let Ok(listener) = TcpListener::bind(SocketAddr::from((role.place.listen, METRICS))).await else { return };
    let role = role.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let role = role.clone();
            let answer = move |asked: http::Asked| {
                let answer = match asked.path.as_str() {
                    "/metrics" => role.metrics.answer(&role.instance.program.service),
                    _ => http::Answer::error(404, "404 page not found"),
                };
                std::future::ready(answer)
            };
            tokio::spawn(http::serve(stream, answer));
        }
    });
}

async fn datagrams(role: &Arc<Role>, socket: UdpSocket) {
    let mut buffer = vec![0_u8; 65_536];
    loop {
        let Ok((length, _)) = socket.recv_from(&mut buffer).await else { continue };
        if role.instance.program.behaviour == Behaviour::Jaeger
            && let Some(bytes) = buffer.get(..length)
        {
            jaeger::receive(role, bytes);
        }
    }
}

async fn connection(role: &Arc<Role>, stream: TcpStream, (protocol, port): (Protocol, u16)) {
    let of = role.clone();
    match (role.instance.program.behaviour, protocol) {
        // Testbeds do not speak TLS: whoever demands it hangs up.
        (Behaviour::Mongo, _) if role.instance.requires_tls() => {
            if let (Some(line), Ok(client)) = (&role.instance.program.hangs_up, stream.peer_addr()) {
                let text = role.instance.render(line, role.now(), &|name| (name == "address").then(|| client.to_string().into()));
                role.write(&text);
            }
        }
        (Behaviour::Mongo, _) => mongod::serve(role, stream).await,
        (Behaviour::Memcached, _) => memcached::serve(role, stream).await,
        (Behaviour::Redis, _) => redis::serve(role, stream).await,
        (Behaviour::Consul, Protocol::Http) => {
            http::serve(stream, move |asked| {
                let role = of.clone();
                async move { consul::answer(&role, &asked).await }
            })
            .await;
        }
        (Behaviour::Jaeger, Protocol::Http) => {
            http::serve(stream, move |asked| std::future::ready(jaeger::answer(&of, port, &asked))).await;
        }
        (Behaviour::Service, Protocol::Http | Protocol::Grpc | Protocol::Thrift) => match is_frame(&stream).await {
            Some(true) => operations(role, stream).await,
            Some(false) if protocol == Protocol::Http => {
                http::serve(stream, move |asked| {
                    let role = of.clone();
                    async move { serve::request(&role, asked).await }
                })
                .await;
            }
            _ => {}
        },
        // Nothing is said; the client may hold the connection.
        _ => hold(stream).await,
    }
}

/// Reads until the client goes away.
async fn hold(mut stream: TcpStream) {
    let mut sink = tokio::io::sink();
    // Either side may end it.
    let _ = tokio::io::copy(&mut stream, &mut sink).await;
}

/// Whether a client begins with a frame; `None` when it says nothing.
async fn is_frame(stream: &TcpStream) -> Option<bool> {
    let mut first = [0_u8; 1];
    match stream.peek(&mut first).await {
        Ok(1) => Some(first == [0]),
        _ => None,
    }
}

/// Serves operations on a connection, several at once.
async fn operations(role: &Arc<Role>, stream: TcpStream) {
    let (mut reader, mut writer) = stream.into_split();
    let (answers, mut outgoing) = mpsc::unbounded_channel::<Json>();
    tokio::spawn(async move {
        while let Some(answer) = outgoing.recv().await {
            if writer.write_all(&frame(&answer)).await.is_err() {
                return;
            }
        }
    });
    while let Ok(request) = read(&mut reader).await {
        let (role, answers) = (role.clone(), answers.clone());
        tokio::spawn(async move {
            if let Some(answer) = serve::operation(&role, &request).await {
                // The client may be gone.
                let _ = answers.send(answer);
            }
        });
    }
}
