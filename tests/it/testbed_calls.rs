//! Time-outs, retries, parallel steps and what failed calls do to callers, between testbeds.

use crate::testbed_fixture::{Net, Played, until};
use aiopslab::app::{Catalog, FILES, read_catalog};
use aiopslab::testbed::place::now;
use aiopslab::testbed::{Names, Output, Place};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

const DATA: &str = r#"
[image.shop]
repositories = ["example/shop"]
like = "debian"

[image.shop.programs]
"/app/front" = "front"
"/app/back" = "back"

[program.front]
memory_mib = { start = 1.0, working = 1.0 }
start = [{ listen = [{ port = 8080, protocol = "http" }] }, "front listens", { serve = true }]
settings = { back = { default = "back:9000" }, cache = { default = "cache:6379" }, gone = { default = "nowhere:1" } }

[[program.front.http]]
path = "/slow"
steps = [{ address = "back", op = "/b/Slow", timeout_s = 0.1, retries = 2 }]
reply = { text = "slow" }

[[program.front.http]]
path = "/together"
steps = [{ parallel = [
  [{ store = "cache", protocol = "redis", time_ms = 300.0 }],
  [{ store = "cache", protocol = "redis", time_ms = 300.0 }],
  [{ store = "cache", protocol = "redis", time_ms = 300.0 }],
] }]
reply = { text = "together" }

[[program.front.http]]
path = "/ignored"
steps = [{ address = "back", op = "/b/Nothing", failed = { log = "ignored: {error}", ignore = true } }]
reply = { text = "ignored" }

[[program.front.http]]
path = "/wrapped"
error_status = 503
steps = [{ address = "back", op = "/b/Fails" }]
reply = { text = "wrapped" }

[[program.front.http]]
path = "/crash"
steps = [{ address = "back", op = "/b/Crash" }]
reply = { text = "crash" }

[[program.front.http]]
path = "/cached"
steps = [{ store = "cache", protocol = "redis", miss = { keys = 3.0, per_request = 3.0, steps = [{ address = "back", op = "/b/Fetch" }] } }]
reply = { text = "cached {back}" }

[program.back]
memory_mib = { start = 1.0, working = 1.0 }
start = [{ listen = [{ port = 9000, protocol = "grpc" }] }, "back listens", { serve = true }]
settings = { gone = { default = "nowhere:1" } }

[[program.back.operation]]
name = "/b/Slow"
steps = [{ compute_ms = 400.0 }]

[[program.back.operation]]
name = "/b/Fetch"
steps = []

[[program.back.operation]]
name = "/b/Fails"
steps = [{ store = "gone", protocol = "redis" }]

[[program.back.operation]]
name = "/b/Crash"
steps = [{ store = "gone", protocol = "redis", failed = { log = "fatal: {error}", exit = 3 } }]
"#;

fn place(name: &str) -> Place {
    let mut files = FILES.to_vec();
    files.push(("images/shop.toml", DATA));
    let catalog = read_catalog(&files).unwrap_or_else(|e| panic!("{e}"));
    let names = ["front", "back", "cache"].iter().zip(1..).map(|(n, at)| ((*n).to_owned(), Ipv4Addr::new(127, 77, 4, at)));
    let names: BTreeMap<String, Ipv4Addr> = names.collect();
    let listen = names[name];
    Place {
        image: if name == "cache" { "redis" } else { "example/shop" }.to_owned(),
        argv: vec![if name == "cache" { "redis-server" } else { name }.into()],
        env: BTreeMap::new(),
        root: std::env::temp_dir().join("testbed-no-such-folder"),
        listen,
        address: listen.to_string().into(),
        names: Names::Table(Arc::new(names)),
        output: Output::Kept(Arc::default()),
        signals: false,
        kill: Arc::default(),
        catalog: Arc::new(catalog),
    }
}

/// Real time that something takes.
fn took(work: impl FnOnce()) -> Duration {
    let began = now();
    work();
    now() - began
}

#[test]
fn calls_between_testbeds_keep_the_data_s_rules() {
    assert!(Catalog::embedded().image("example/shop").is_none());
    let mut net = Net::new(4);
    net.names = ["front", "back", "cache"].iter().zip(1..).map(|(n, at)| ((*n).to_owned(), Ipv4Addr::new(127, 77, 4, at))).collect();
    let (front, mut back, _cache) = (Played::start(place("front")), Played::start(place("back")), Played::start(place("cache")));
    for (played, line) in [(&front, "front listens"), (&back, "back listens"), (&_cache, "Ready to accept")] {
        played.wait_for(line);
    }
    let check = |path: &str, status: u16, body: &str| {
        assert_eq!(net.http("front", 8080, "GET", path), Some((status, body.to_owned())), "{path}");
    };
    let deadline = "rpc error: code = DeadlineExceeded desc = context deadline exceeded\n";
    let slow = took(|| check("/slow", 500, deadline));
    assert!((0.29..2.0).contains(&slow.as_secs_f64()), "three attempts of 0.1 s took {slow:?}");
    let together = took(|| check("/together", 200, "together"));
    assert!((0.29..0.8).contains(&together.as_secs_f64()), "three times 0.3 s at once took {together:?}");
    check("/ignored", 200, "ignored");
    let unimplemented = "ignored: rpc error: code = Unimplemented desc = unknown service b";
    assert!(front.lines().iter().any(|l| l == unimplemented), "{:?}", front.lines());
    let gone = "dial tcp: lookup nowhere on 127.0.0.53:53: no such host";
    check("/wrapped", 503, &format!("rpc error: code = Unknown desc = {gone}\n"));
    // The first request fetches all three keys, the second finds them.
    check("/cached", 200, "cached back:9000");
    check("/cached", 200, "cached back:9000");
    let fetched = "requests_total{service=\"back\",operation=\"/b/Fetch\",status=\"OK\"} 3";
    let metrics = net.http("back", 9464, "GET", "/metrics").expect("served").1;
    assert!(metrics.lines().any(|l| l == fetched), "{metrics}");
    check("/crash", 500, "rpc error: code = Unavailable desc = transport is closing\n");
    assert_eq!(back.join(), 3);
    assert!(back.lines().iter().any(|l| *l == format!("fatal: {gone}")), "{:?}", back.lines());
    let refused = "dial tcp 127.77.4.2:9000: connect: connection refused\n";
    until("nobody listens", || net.http("front", 8080, "GET", "/crash") == Some((500, refused.to_owned())));
}
