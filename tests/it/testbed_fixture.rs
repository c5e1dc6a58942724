//! The hotel application played by testbeds over loopback: one thread a container, one address a pod.

use aiopslab::app::Catalog;
use aiopslab::object::Json;
use aiopslab::testbed::{self, Names, Output, Place};
use arcstr::ArcStr;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// A container that is played.
pub struct Played {
    /// Where.
    pub place: Place,
    lines: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<Result<i32, String>>>,
}

impl Played {
    /// Plays a program.
    pub fn start(place: Place) -> Played {
        let Output::Kept(lines) = place.output.clone() else { panic!("a test keeps its lines") };
        let played = place.clone();
        let thread = std::thread::Builder::new().spawn(move || testbed::play(played)).expect("a thread");
        Played { place, lines, thread: Some(thread) }
    }

    /// Its lines so far, without colours and times.
    pub fn lines(&self) -> Vec<String> {
        let (colours, times) = (regex::Regex::new("\u{1b}\\[[0-9]+m"), regex::Regex::new("^[0-9]{4}-[0-9T:.+-]*Z "));
        let (colours, times) = (colours.expect("valid"), times.expect("valid"));
        let plain = |line: &String| times.replace(&colours.replace_all(line, ""), "").into_owned();
        self.lines.lock().expect("unpoisoned").iter().map(plain).collect()
    }

    /// Waits for a line that contains a text.
    pub fn wait_for(&self, text: &str) {
        until(&format!("{text:?} in {:?}", self.place.argv), || self.lines().iter().any(|l| l.contains(text)));
    }

    /// Ends it as SIGKILL does.
    pub fn kill(&mut self) {
        self.place.kill.notify_one();
        self.join();
    }

    /// Waits for its end; the exit code.
    pub fn join(&mut self) -> i32 {
        self.thread.take().expect("joined once").join().expect("no panic").expect("started")
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.kill();
        }
    }
}

/// Waits until something holds, for half a minute.
#[allow(clippy::disallowed_methods, reason = "real programs take real time")]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..600 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("not within half a minute: {what}");
}

/// The network of one test.
pub struct Net {
    net: u8,
    folder: PathBuf,
    /// Addresses by name.
    pub names: BTreeMap<String, Ipv4Addr>,
}

impl Net {
    /// A network; every test has another number.
    pub fn new(net: u8) -> Net {
        let folder = std::env::temp_dir().join(format!("testbed-{}-{net}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("writable");
        let app = Catalog::embedded().app("hotel-reservation").expect("embedded").clone();
        let deployments = app.manifests.iter().filter(|o| o.get("kind").text() == "Deployment");
        let address = |(at, o): (usize, &Json)| {
            let last = u8::try_from(at + 1).expect("few");
            (o.at(&["metadata", "name"]).text().to_owned(), Ipv4Addr::new(127, 77, net, last))
        };
        Net { net, folder, names: deployments.enumerate().map(address).collect() }
    }

    /// Where a deployment of the hotel application is played.
    pub fn place(&self, name: &str) -> Place {
        let catalog = Catalog::embedded();
        let app = catalog.app("hotel-reservation").expect("embedded");
        let is_it = |o: &&Json| o.get("kind").text() == "Deployment" && o.at(&["metadata", "name"]).text() == name;
        let deployment = app.manifests.iter().find(is_it).expect("deployed");
        let container = deployment.at(&["spec", "template", "spec", "containers"]).nth(0);
        let texts = |json: &Json| json.items().iter().map(|t| ArcStr::from(t.text())).collect::<Vec<_>>();
        let image = catalog.image(container.get("image").text()).expect("known");
        let argv = image.argv(&texts(container.get("command")), &texts(container.get("args")));
        let mut env: BTreeMap<ArcStr, ArcStr> = image.env.iter().cloned().collect();
        env.extend(container.get("env").items().iter().map(|e| (e.get("name").text().into(), e.get("value").text().into())));
        env.insert("HOSTNAME".into(), format!("{name}-pod").into());
        let root = self.folder.join(name);
        std::fs::create_dir_all(&root).expect("writable");
        let address = self.names[name];
        Place {
            image: container.get("image").text().to_owned(),
            catalog,
            argv,
            env,
            root,
            listen: address,
            address: address.to_string().into(),
            names: Names::Table(Arc::new(self.names.clone())),
            output: Output::Kept(Arc::default()),
            signals: false,
            kill: Arc::default(),
        }
    }

    /// Plays a deployment.
    pub fn start(&self, name: &str) -> Played {
        if matches!(name, "mongodb-geo" | "mongodb-rate") {
            self.volume(name, "readWrite");
        }
        Played::start(self.place(name))
    }

    /// A volume with the users that the application's scripts create.
    pub fn volume(&self, name: &str, role: &str) {
        let folder = self.folder.join(name).join("data/db");
        std::fs::create_dir_all(&folder).expect("writable");
        let database = name.replace("mongodb-", "") + "-db";
        let text = format!(
            r#"{{"users":[{{"user":"admin","db":"admin","pwd":"admin","roles":[{{"role":"{role}","db":"{database}"}}],"id":"1"}}],"databases":{{}},"ids":0}}"#
        );
        std::fs::write(folder.join("collections.json"), text).expect("writable");
    }

    /// A request to a deployment's port: status and body.
    pub fn http(&self, name: &str, port: u16, method: &str, path: &str) -> Option<(u16, String)> {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        let answer = String::from_utf8(self.talk(name, port, request.as_bytes())?).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// Sends bytes and reads until the other end closes, or says nothing for a while.
    pub fn talk(&self, name: &str, port: u16, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut stream = TcpStream::connect((self.names[name], port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        stream.write_all(bytes).ok()?;
        let mut answer = Vec::new();
        // What came before a time-out counts.
        let _ = stream.read_to_end(&mut answer);
        Some(answer)
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        let _ = (self.net, std::fs::remove_dir_all(&self.folder));
    }
}
