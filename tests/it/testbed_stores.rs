//! The testbed's stores and the clients that people run in their containers, as processes of their own.

use crate::testbed_fixture::until;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

const TESTBED: &str = env!("CARGO_BIN_EXE_testbed");

/// A process and its folder; both are gone when it goes out of scope.
struct Process {
    child: Child,
    folder: PathBuf,
}

impl Process {
    fn start(name: &str, arguments: &[&str]) -> Process {
        let folder = std::env::temp_dir().join(format!("testbed-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("writable");
        Process { child: spawn(&folder, arguments), folder }
    }

    /// Sends a signal and waits for the exit code.
    fn signal(&mut self, signal: &str) -> Option<i32> {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status().expect("kill runs");
        assert!(status.success());
        self.child.wait().expect("waited for").code()
    }
}

fn spawn(folder: &Path, arguments: &[&str]) -> Child {
    let root = folder.display().to_string();
    Command::new(TESTBED).args(["play", "--root", &root]).args(arguments).stdout(Stdio::piped()).spawn().expect("started")
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = (self.child.kill(), self.child.wait(), std::fs::remove_dir_all(&self.folder));
    }
}

/// Runs the program under the name of a client.
fn client(folder: &Path, name: &str, arguments: &[&str]) -> Output {
    let path = folder.join(name);
    if !path.exists() {
        std::os::unix::fs::symlink(TESTBED, &path).expect("linked");
    }
    Command::new(path).args(arguments).stdin(Stdio::null()).output().expect("runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn mongo_keeps_users_and_documents_over_restarts() {
    let (address, image) = ("127.78.1.1", ["--image", "mongo:4.4.6", "--listen", "127.78.1.1", "--", "docker-entrypoint.sh", "--auth"]);
    let mut mongo = Process::start("mongo", &image);
    let folder = mongo.folder.clone();
    let run = |user: &[&str], script: &str| {
        let arguments: Vec<&str> = ["--host", address, "--quiet", "admin"].iter().chain(user).copied().collect();
        client(&folder, "mongo", &[&arguments[..], &["--eval", script]].concat())
    };
    until("mongod", || run(&[], "db.version()").status.success());
    let admin = ["-u", "admin", "-p", "admin", "--authenticationDatabase", "admin"];
    let created = run(&[], "db.createUser({user: 'admin', pwd: 'admin', roles: [{role: 'userAdminAnyDatabase', db: 'admin'}]})");
    assert!(text(&created).starts_with("Successfully added user: "), "{created:?}");
    let refused = run(&[], "db.getUsers()");
    assert!(text(&refused).contains("command usersInfo requires authentication"), "{refused:?}");
    assert_eq!(refused.status.code(), Some(252));
    let wrong = run(&["-u", "admin", "-p", "x"], "1");
    assert!(text(&wrong).contains("Error: Authentication failed."), "{wrong:?}");
    let denied = run(&admin, "db.getSiblingDB('geo-db').geo.insert({a: 1})");
    assert!(text(&denied).contains("not authorized on geo-db to execute command {"), "{denied:?}");
    run(&admin, "db.grantRolesToUser('admin', [{role: 'readWrite', db: 'geo-db'}])");
    let written = run(&admin, "db.getSiblingDB('geo-db').geo.insert({a: 1})");
    assert!(text(&written).contains("\"nInserted\" : 1"), "{written:?}");
    assert_eq!(mongo.signal("-TERM"), Some(0));
    mongo.child = spawn(&folder, &image);
    until("mongod again", || run(&[], "db.version()").status.success());
    assert_eq!(text(&run(&admin, "db.getSiblingDB('geo-db').geo.count()")), "1\n");
    drop(mongo);
    let gone = client(std::env::temp_dir().as_path(), "mongo", &["--host", address, "--eval", "1"]);
    assert!(text(&gone).contains("Error connecting to 127.78.1.1:27017 :: caused by :: Connection refused"), "{gone:?}");
    std::fs::remove_file(std::env::temp_dir().join("mongo")).expect("removed");
}

#[test]
fn redis_and_its_client() {
    let mut redis = Process::start("redis", &["--image", "redis", "--listen", "127.78.2.1"]);
    let folder = redis.folder.clone();
    let run = |command: &str| {
        let words: Vec<&str> = ["-h", "127.78.2.1"].into_iter().chain(command.split(' ')).collect();
        client(&folder, "redis-cli", &words)
    };
    until("redis", || run("ping").status.success());
    let check = |command: &str, expect: &str| assert_eq!(text(&run(command)), expect, "{command}");
    check("ping", "PONG\n");
    check("set a 1", "OK\n");
    check("incr a", "2\n");
    check("get a", "2\n");
    check("get b", "\n");
    check("dbsize", "1\n");
    assert_eq!(redis.signal("-TERM"), Some(0));
    let gone = run("ping");
    assert_eq!(String::from_utf8_lossy(&gone.stderr), "Could not connect to Redis at 127.78.2.1:6379: Connection refused\n");
}

#[test]
fn memcached_speaks_its_text_protocol() {
    let mut memcached = Process::start("memcached", &["--image", "memcached:1.6.7", "--listen", "127.78.3.1"]);
    let connect = || TcpStream::connect(("127.78.3.1", 11211)).ok();
    until("memcached", || connect().is_some());
    let mut stream = connect().expect("open");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
    stream.write_all(b"set a 0 0 3\r\nabc\r\nget a b\r\nstats\r\nquit\r\n").expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    assert!(answer.starts_with("STORED\r\nVALUE a 0 3\r\nabc\r\nEND\r\nSTAT pid 1\r\n"), "{answer}");
    assert!(answer.contains("STAT get_misses 1\r\n"), "{answer}");
    assert_eq!(memcached.signal("-TERM"), Some(0));
}

#[test]
fn what_cannot_be_started_says_so() {
    let check = |arguments: &[&str], code: i32, expect: &str| {
        let output = Command::new(TESTBED).args(arguments).output().expect("runs");
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).trim_end()), (Some(code), expect));
    };
    let image = ["play", "--image", "yinfangchen/hotelreservation"];
    check(&[&image[..], &["--", "nothing"]].concat(), 127, "exec: \"nothing\": executable file not found in $PATH");
    check(&["play", "--image", "no/such"], 127, "no/such: no such image");
    let output = Command::new(TESTBED).arg("what").output().expect("runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("usage: testbed "), "{output:?}");
}
