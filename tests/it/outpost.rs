//! The outpost over loopback: what each question is answered, and what strangers and malformed questions get.

use crate::testbed_fixture::until;
use aiopslab::cluster::outpost::{Door, LoadPlan, Outpost, TOKEN_HEADER, Target};
use aiopslab::cluster::{ConnectError, HttpRequest};
use aiopslab::testbed::{Names, outpost};
use aiopslab::workload::{Arrivals, Profile};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

const TOKEN: &str = "a-token-that-nobody-guesses";

/// An outpost in this process.
struct Post {
    address: SocketAddr,
    token: String,
}

impl Post {
    fn start() -> Post {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let names = Names::Table(Arc::new(BTreeMap::from([("shop".to_owned(), Ipv4Addr::LOCALHOST)])));
        std::thread::Builder::new().spawn(move || runtime.block_on(outpost::serve(listener, TOKEN.to_owned(), names))).expect("a thread");
        Post { address, token: TOKEN.to_owned() }
    }
}

impl Door for Post {
    fn ask(&self, path: &str, body: Vec<u8>, patience: Duration) -> Result<(u16, Vec<u8>), String> {
        let wrong = |error: std::io::Error| error.to_string();
        let mut stream = TcpStream::connect(self.address).map_err(wrong)?;
        stream.set_read_timeout(Some(patience)).map_err(wrong)?;
        let head = format!(
            "POST /{path} HTTP/1.1\r\nhost: x\r\n{TOKEN_HEADER}: {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            self.token,
            body.len()
        );
        stream.write_all(head.as_bytes()).map_err(wrong)?;
        stream.write_all(&body).map_err(wrong)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).map_err(wrong)?;
        let text = String::from_utf8_lossy(&answer).into_owned();
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
        Ok((status, text.split_once("\r\n\r\n").map_or("", |(_, body)| body).as_bytes().to_vec()))
    }
}

/// A server that answers every connection with these bytes; the port.
fn server(answer: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::Builder::new()
        .spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut stream = stream;
                let mut question = [0; 4096];
                let _ = stream.read(&mut question);
                let _ = stream.write_all(answer.as_bytes());
            }
        })
        .expect("a thread");
    port
}

const FINE: &str = "HTTP/1.1 200 OK\r\nx-kind: test\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";

fn get(host: &str, port: u16) -> HttpRequest {
    HttpRequest {
        method: "GET".into(),
        host: host.into(),
        port,
        path: "/a?b=c".into(),
        headers: vec![("x-a".into(), "b".into())],
        body: Vec::new(),
        timeout: Duration::from_millis(700),
    }
}

#[test]
fn requests_end_as_they_end() {
    let outpost = Outpost::new(Post::start());
    let reply = outpost.http(&get("shop", server(FINE))).expect("an answer");
    assert_eq!((reply.status, reply.body.as_slice(), reply.peer.0.as_str()), (200, &b"hello"[..], "127.0.0.1"));
    assert!(reply.headers.contains(&("x-kind".to_owned(), "test".to_owned())), "{:?}", reply.headers);
    assert!(matches!(outpost.http(&get("nobody", 80)), Err(ConnectError::NameNotFound { host }) if host == "nobody"));
    assert!(matches!(outpost.http(&get("127.0.0.1", 1)), Err(ConnectError::Refused { port: 1, .. })));
    assert!(matches!(outpost.http(&get("shop", server(""))), Err(ConnectError::Closed { .. })));
    let mute = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = mute.local_addr().expect("an address").port();
    assert!(matches!(outpost.http(&get("shop", port)), Err(ConnectError::TimedOut { connected: true, .. })));
    assert_eq!(outpost.resolve("shop").expect("known"), ["127.0.0.1"]);
    assert!(matches!(outpost.resolve("nobody"), Err(ConnectError::NameNotFound { .. })));
}

#[test]
fn probes_and_loads_count_what_users_meet() {
    let outpost = Outpost::new(Post::start());
    let target = |path: &str| Target { method: "GET".into(), path: path.into() };
    let met = outpost.probe(("shop", server(FINE)), vec![target("/a"), target("/b")]);
    assert_eq!(met.iter().map(|reply| reply.status).collect::<Vec<_>>(), [200, 200]);
    let met = outpost.probe(("shop", 1), vec![target("/a")]);
    assert_eq!((met[0].status, met[0].error.as_str()), (0, "dial tcp 127.0.0.1:1: connect: connection refused"));
    let endpoint = |name: &str| aiopslab::cluster::outpost::LoadEndpoint { name: name.into(), weight: 1.0, targets: vec![target("/a")] };
    let plan = LoadPlan {
        host: "shop".into(),
        port: server(FINE),
        seed: 1,
        profile: Profile::steady(200.0, Arrivals::Poisson),
        timeout_us: 1_000_000,
        endpoints: vec![endpoint("GET /a"), endpoint("GET /b")],
    };
    outpost.load(Some(&plan)).expect("started");
    let counted = || outpost.report().expect("a report").endpoints.iter().all(|endpoint| endpoint.requests >= 20);
    until("twenty requests to each endpoint", counted);
    let report = outpost.report().expect("a report");
    for endpoint in &report.endpoints {
        assert!(endpoint.requests >= 20 && endpoint.errors == 0, "{endpoint:?}");
        assert!(endpoint.latency_us[0] > 0, "{endpoint:?}");
    }
    outpost.load(None).expect("ended");
    assert_eq!(outpost.report().expect("a report").endpoints, [], "there is no load any more");
}

#[test]
fn strangers_and_malformed_questions_get_nothing() {
    let post = Post::start();
    let patience = Duration::from_secs(5);
    let check = |path: &str, body: &[u8], status: u16| {
        let (got, _) = post.ask(path, body.to_vec(), patience).expect("an answer");
        assert_eq!(got, status, "{path} {:?}", String::from_utf8_lossy(&body[..body.len().min(40)]));
    };
    check("v1/http", b"", 400);
    check("v1/http", b"{\"method\": 1}", 400);
    check("v1/load", b"[]", 400);
    check("v1/probe", &[0xff, 0xfe], 400);
    check("v1/nothing", b"{}", 404);
    check("v1/http", &vec![b' '; 17 << 20], 413);
    let unusable = r#"{"method":"BAD METHOD","host":"shop","port":1,"path":"no path","timeout_us":1000}"#;
    check("v1/http", unusable.as_bytes(), 200);
    for token in ["", "a-token", "A-TOKEN-THAT-NOBODY-GUESSES"] {
        let stranger = Post { address: post.address, token: token.to_owned() };
        for path in ["v1/http", "v1/resolve", "v1/probe", "v1/load", "v1/report"] {
            let (status, _) = stranger.ask(path, b"null".to_vec(), patience).expect("an answer");
            assert_eq!(status, 401, "{path} with token {token:?}");
        }
    }
}
