//! Pods that people start to look at a cluster from inside: their command's output is their log, its exit code theirs.

use crate::hotel_fixture::{Hotel, NS};
use aiopslab::cluster::LogQuery;
use aiopslab::cluster::sim::store::{Key, Kind};
use aiopslab::object::Json;
use aiopslab::{array, object};
use expect_test::{Expect, expect};

fn start(hotel: &mut Hotel, name: &str, image: &str, args: &[&str]) {
    let args: Json = args.iter().map(|a| Json::from(*a)).collect();
    let container = object! { "name" => name, "image" => image, "args" => args };
    let spec = object! { "restartPolicy" => "Never", "containers" => array![container] };
    hotel.apply(&[
        object! { "apiVersion" => "v1", "kind" => "Pod", "metadata" => object! { "name" => name, "namespace" => NS }, "spec" => spec },
    ]);
}

/// Phase, exit code and log of a pod, ten seconds after its start.
fn check(hotel: &mut Hotel, name: &str, (image, args): (&str, &[&str]), expect: Expect) {
    start(hotel, name, image, args);
    hotel.run(20.0);
    let pod = hotel.world().store.get(&Key::new(Kind::POD, NS, name)).expect("there").clone();
    let state = pod.status().get("containerStatuses").nth(0).get("state").clone();
    let ended = state.at(&["terminated", "exitCode"]).as_i64().map_or("running".to_owned(), |code| format!("exit {code}"));
    let query = LogQuery { namespace: NS.into(), pod: name.into(), ..LogQuery::default() };
    let log = aiopslab::cluster::sim::derive::logs(hotel.world(), &query).unwrap_or_else(|e| e.message);
    let log = regex::Regex::new(r"10\.\d+\.\d+\.\d+").expect("valid").replace_all(&log, "IP").into_owned();
    expect.assert_eq(&format!("{} {ended} {}\n{log}", pod.status().get("phase").text(), state.at(&["waiting", "reason"]).text()));
}

#[test]
fn commands_run_once_and_end() {
    let mut hotel = Hotel::deployed(5);
    let h = &mut hotel;
    check(
        h,
        "a",
        ("curlimages/curl", &["-sS", "http://frontend:5000/recommendations?require=x&lat=1&lon=1"]),
        expect![[r#"
        Succeeded exit 0 
        Please specify require params
    "#]],
    );
    check(
        h,
        "b",
        ("curlimages/curl:8.8.0", &["curl", "-sS", "http://nothing:5000/"]),
        expect![[r#"
        Failed exit 6 
        curl: (6) Could not resolve host: nothing
    "#]],
    );
    check(
        h,
        "c",
        ("busybox:1.36", &["wget", "-qO-", "http://consul:8500/v1/status/leader"]),
        expect![[r#"
        Succeeded exit 0 
        "127.0.0.1:8300"
    "#]],
    );
    check(
        h,
        "d",
        ("busybox:1.36", &["sh", "-c", "echo hello; exit 3"]),
        expect![[r#"
        Failed exit 3 
        hello
    "#]],
    );
    check(
        h,
        "e",
        ("busybox", &["sleep", "3600"]),
        expect![[r#"
        Running running 
    "#]],
    );
    check(
        h,
        "f",
        ("mongo:4.4.6", &["mongo", "--host", "mongodb-user", "--quiet", "--eval", "db.hello().ismaster"]),
        expect![[r#"
        Succeeded exit 0 
        true
    "#]],
    );
    check(
        h,
        "g",
        ("nginx", &[]),
        expect![[r#"
        Running running 
        /docker-entrypoint.sh: /docker-entrypoint.d/ is not empty, will attempt to perform configuration
        /docker-entrypoint.sh: Looking for shell scripts in /docker-entrypoint.d/
        /docker-entrypoint.sh: Launching /docker-entrypoint.d/10-listen-on-ipv6-by-default.sh
        10-listen-on-ipv6-by-default.sh: info: Getting the checksum of /etc/nginx/conf.d/default.conf
        10-listen-on-ipv6-by-default.sh: info: Enabled listen on IPv6 in /etc/nginx/conf.d/default.conf
        /docker-entrypoint.sh: Sourcing /docker-entrypoint.d/15-local-resolvers.envsh
        /docker-entrypoint.sh: Launching /docker-entrypoint.d/20-envsubst-on-templates.sh
        /docker-entrypoint.sh: Launching /docker-entrypoint.d/30-tune-worker-processes.sh
        /docker-entrypoint.sh: Configuration complete; ready for start up
        2026/01/01 00:03:02 [notice] 1#1: using the "epoll" event method
        2026/01/01 00:03:02 [notice] 1#1: nginx/1.29.4
        2026/01/01 00:03:02 [notice] 1#1: start worker processes
        2026/01/01 00:03:02 [notice] 1#1: start worker process 29
    "#]],
    );
    check(
        h,
        "h",
        ("postgres:16", &[]),
        expect![[r#"
        Failed exit 1 
        Error: Database is uninitialized and superuser password is not specified.
               You must specify POSTGRES_PASSWORD to a non-empty value for the
               superuser. For example, "-e POSTGRES_PASSWORD=password" on "docker run".

               You may also use "POSTGRES_HOST_AUTH_METHOD=trust" to allow all
               connections without a password. This is *not* recommended.

               See PostgreSQL documentation about "trust":
               https://www.postgresql.org/docs/current/auth-trust.html
    "#]],
    );
    check(
        h,
        "i",
        ("alpine", &["nosuch"]),
        expect![[r#"
        Failed exit 128 
    "#]],
    );
    check(
        h,
        "j",
        ("busybox", &["nslookup", "frontend.test-hotel-reservation.svc.cluster.local"]),
        expect![[r#"
        Succeeded exit 0 
        Server:		IP
        Address:	IP:53

        Name:	frontend.test-hotel-reservation.svc.cluster.local
        Address: IP

    "#]],
    );
    check(
        h,
        "k",
        ("nicolaka/netshoot", &["nc", "-zv", "search", "8082"]),
        expect![[r#"
        Succeeded exit 0 
        search (IP:8082) open
    "#]],
    );
}
