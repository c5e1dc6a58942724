//! The disturbances of one node: what is in force, until when, and how it ends.

use super::network;
use super::process::Processes;
use crate::cluster::outpost::nodes::{Deed, Disturb};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// Why a deed was not done.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// What it is done to is not here.
    NoTarget(String),
    /// The node lacks what it takes.
    Missing(String),
    /// It was tried.
    Failed(String),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Held {
    deeds: Vec<Deed>,
    /// When it ends by itself, in seconds since 1970.
    until_s: u64,
    /// Containers that are left alone by what kills again: those beside the one that was killed first.
    #[serde(default)]
    spared: BTreeSet<String>,
}

/// What is in force. It is written down before it is done, so that a helper that was killed ends it when it is started again.
pub struct Book {
    processes: Processes,
    file: Option<PathBuf>,
    held: BTreeMap<String, Held>,
}

impl Book {
    /// The book of a node, with what an earlier process wrote into it.
    pub fn open(processes: Processes, file: Option<PathBuf>) -> Self {
        let text = file.as_ref().and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        let held = serde_json::from_str(&text).unwrap_or_default();
        Book { processes, file, held }
    }

    fn write(&self) -> Result<(), Refusal> {
        let Some(file) = &self.file else { return Ok(()) };
        let text = serde_json::to_string(&self.held).unwrap_or_default();
        let next = file.with_extension("next");
        let written = fs::write(&next, text).and_then(|()| fs::rename(&next, file));
        written.map_err(|error| Refusal::Failed(format!("{}: {error}", file.display())))
    }

    /// The names of what is in force.
    pub fn names(&self) -> Vec<String> {
        self.held.keys().cloned().collect()
    }

    /// Does the deeds of a disturbance, all or none.
    pub fn begin(&mut self, asked: &Disturb, now_s: u64) -> Result<(), Refusal> {
        self.end(&asked.name)?;
        let lasts = asked.deeds.iter().any(|deed| !matches!(deed, Deed::Kill { again_after_s: None, .. }));
        if lasts {
            let spared = asked.deeds.iter().flat_map(|deed| self.beside(deed)).collect();
            let held = Held { deeds: asked.deeds.clone(), until_s: now_s.saturating_add(asked.time_to_live_s), spared };
            self.held.insert(asked.name.clone(), held);
            self.write()?;
        }
        for deed in &asked.deeds {
            if let Err(refusal) = self.perform(&asked.name, deed) {
                // The refusal is what is reported; what cannot be ended now stays in the book until it can.
                let _ = self.end(&asked.name);
                return Err(refusal);
            }
        }
        Ok(())
    }

    /// The containers beside the one that a deed kills.
    fn beside(&self, deed: &Deed) -> BTreeSet<String> {
        let Deed::Kill { pod_uid, container_id, .. } = deed else { return BTreeSet::new() };
        let mut all = self.processes.containers_of(pod_uid);
        all.remove(container_id);
        all
    }

    /// Kills what has taken the place of a container that is killed again and again, once it has run for its time.
    pub fn kill_again(&self) -> Result<(), Refusal> {
        for held in self.held.values() {
            for deed in &held.deeds {
                let Deed::Kill { pod_uid, again_after_s: Some(after_s), .. } = deed else { continue };
                for container in self.processes.containers_of(pod_uid).difference(&held.spared) {
                    let first = self.processes.first_of(pod_uid, container);
                    if let Some(first) = first.filter(|first| self.processes.age_s(first).is_some_and(|age| age >= *after_s)) {
                        signal(first.id, Signal::KILL)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn perform(&self, name: &str, deed: &Deed) -> Result<(), Refusal> {
        match deed {
            Deed::Kill { pod_uid, container_id, .. } => {
                let first = self.processes.first_of(pod_uid, container_id);
                let first = first.ok_or_else(|| Refusal::NoTarget(format!("no process of container {container_id} runs here")))?;
                signal(first.id, Signal::KILL)
            }
            Deed::Loss { pod_uid, .. } | Deed::Partition { pod_uid, .. } => {
                if self.processes.of_pod(pod_uid).is_empty() {
                    return Err(Refusal::NoTarget(format!("no process of pod {pod_uid} runs here")));
                }
                let rules = network::rules(name, deed).map_err(Refusal::Failed)?.unwrap_or_default();
                network::begin(&self.processes, pod_uid, &rules).map_err(Refusal::Failed)
            }
            Deed::Delay { pod_uid, latency_ms, jitter_ms } => network::delay(&self.processes, pod_uid, (*latency_ms, *jitter_ms)),
            Deed::StopKubelet => {
                let kubelets = self.processes.kubelets();
                if kubelets.is_empty() {
                    return Err(Refusal::NoTarget("no process named kubelet runs here".to_owned()));
                }
                kubelets.into_iter().try_for_each(|id| signal(id, Signal::STOP))
            }
        }
    }

    /// Ends a disturbance; nothing happens when none of this name is in force.
    pub fn end(&mut self, name: &str) -> Result<(), Refusal> {
        let Some(held) = self.held.get(name).cloned() else { return Ok(()) };
        for deed in &held.deeds {
            match deed {
                Deed::Kill { .. } => {}
                Deed::Loss { pod_uid, .. } | Deed::Partition { pod_uid, .. } => {
                    network::end(&self.processes, pod_uid, name).map_err(Refusal::Failed)?;
                }
                Deed::Delay { pod_uid, .. } => network::end_delay(&self.processes, pod_uid)?,
                Deed::StopKubelet => {
                    let stops = |held: &Held| held.deeds.contains(&Deed::StopKubelet);
                    if !self.held.iter().any(|(other, held)| other != name && stops(held)) {
                        self.processes.kubelets().into_iter().try_for_each(|id| signal(id, Signal::CONT))?;
                    }
                }
            }
        }
        self.held.remove(name);
        self.write()
    }

    /// Ends everything that `over` holds for; the first failure is reported, the rest is ended all the same.
    fn end_those(&mut self, over: impl Fn(&Held) -> bool) -> Result<(), Refusal> {
        let names: Vec<String> = self.held.iter().filter(|(_, held)| over(held)).map(|(name, _)| name.clone()).collect();
        names.iter().map(|name| self.end(name)).fold(Ok(()), Result::and)
    }

    /// Ends everything.
    pub fn end_all(&mut self) -> Result<(), Refusal> {
        self.end_those(|_| true)
    }

    /// Ends what has lasted for its time.
    pub fn end_old(&mut self, now_s: u64) -> Result<(), Refusal> {
        self.end_those(|held| held.until_s <= now_s)
    }
}

/// The present, in seconds since 1970.
#[allow(clippy::disallowed_types, reason = "a node's time is the wall clock's")]
pub fn now_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

fn signal(id: u32, signal: Signal) -> Result<(), Refusal> {
    let process = i32::try_from(id).ok().and_then(Pid::from_raw).filter(|_| id > 1);
    let process = process.ok_or_else(|| Refusal::Failed(format!("process {id} is not signalled")))?;
    match kill_process(process, signal) {
        // It ended by itself meanwhile.
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(Refusal::Failed(format!("process {id} cannot be signalled: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of one process, a child of this one in a pod's cgroup, and one that plays the kubelet.
    fn node(name: &str, child: u32, kubelet: u32) -> Processes {
        let root = std::env::temp_dir().join(format!("aiopslab-held-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for (id, comm, group) in [(child, "x", "0::/kubepods/podu/c"), (kubelet, "kubelet", "0::/system.slice")] {
            let folder = root.join(id.to_string());
            fs::create_dir_all(folder.join("ns")).expect("made");
            fs::write(folder.join("comm"), comm).expect("written");
            fs::write(folder.join("cgroup"), group).expect("written");
            std::os::unix::fs::symlink("net:[1]", folder.join("ns/net")).expect("linked");
        }
        fs::create_dir_all(root.join("self/ns")).expect("made");
        std::os::unix::fs::symlink("net:[1]", root.join("self/ns/net")).expect("linked");
        Processes::new(root)
    }

    fn sleeper() -> std::process::Child {
        std::process::Command::new("sleep").arg("60").spawn().expect("sleep runs")
    }

    #[allow(clippy::disallowed_methods, reason = "signals are delivered in real time")]
    fn is_stopped(child: &std::process::Child) -> bool {
        // The signal is delivered a moment later.
        std::thread::sleep(Duration::from_millis(50));
        Processes::new("/proc").is_stopped(child.id())
    }

    #[test]
    fn disturbances_end_by_name_by_time_and_after_a_restart() {
        let (mut victim, mut kubelet) = (sleeper(), sleeper());
        let processes = node("ends", victim.id(), kubelet.id());
        let file = processes.root().join("held.json");
        let mut book = Book::open(processes.clone(), Some(file.clone()));
        let stop = |name: &str, time_to_live_s| Disturb { name: name.to_owned(), deeds: vec![Deed::StopKubelet], time_to_live_s };
        book.begin(&stop("a", 10), 100).expect("stopped");
        book.begin(&stop("b", 20), 100).expect("stopped twice");
        book.end_old(110).expect("ended");
        assert_eq!((book.names(), is_stopped(&kubelet)), (vec!["b".to_owned()], true), "another one still holds it");
        let mut again = Book::open(processes.clone(), Some(file));
        assert_eq!(again.names(), ["b"]);
        again.end("b").expect("ended");
        again.end("b").expect("ended twice");
        assert!(!is_stopped(&kubelet));
        let kill = |container: &str| Deed::Kill { pod_uid: "u".to_owned(), container_id: container.to_owned(), again_after_s: None };
        let asked = |deeds: Vec<Deed>| Disturb { name: "k".to_owned(), deeds, time_to_live_s: 10 };
        assert!(matches!(again.begin(&asked(vec![kill("other")]), 0), Err(Refusal::NoTarget(_))));
        assert!(matches!(again.begin(&asked(vec![Deed::StopKubelet, kill("other")]), 0), Err(Refusal::NoTarget(_))));
        assert!(again.names().is_empty() && !is_stopped(&kubelet), "all or none");
        again.begin(&asked(vec![kill("c")]), 0).expect("killed");
        assert!(again.names().is_empty(), "nothing is left of a kill");
        assert!(!victim.wait().expect("ended").success());
        kubelet.kill().expect("killed");
        let _ = kubelet.wait();
        let _ = fs::remove_dir_all(processes.root());
    }

    #[test]
    fn what_comes_back_is_killed_again_after_its_time_and_its_neighbours_are_spared() {
        let (mut victim, mut neighbour, mut heir) = (sleeper(), sleeper(), sleeper());
        let processes = node("again", victim.id(), neighbour.id());
        let place = |id: u32, container: &str, since: u64| {
            let folder = processes.root().join(id.to_string());
            fs::create_dir_all(&folder).expect("made");
            fs::write(folder.join("cgroup"), format!("0::/kubepods/podu/{container}")).expect("written");
            let before = ["0"; 17].join(" ");
            fs::write(folder.join("stat"), format!("{id} (x) S 1 {before} {since} 0")).expect("written");
        };
        place(victim.id(), "first1", 100);
        place(neighbour.id(), "other2", 100);
        let mut book = Book::open(processes.clone(), None);
        let deeds = vec![Deed::Kill { pod_uid: "u".to_owned(), container_id: "first1".to_owned(), again_after_s: Some(20) }];
        book.begin(&Disturb { name: "k".to_owned(), deeds, time_to_live_s: 10 }, 0).expect("killed");
        assert_eq!(book.names(), ["k"], "it goes on");
        assert!(!victim.wait().expect("ended").success());
        fs::remove_dir_all(processes.root().join(victim.id().to_string())).expect("removed");
        place(heir.id(), "next3", 10_000);
        fs::write(processes.root().join("uptime"), "119.00 0.00\n").expect("written");
        book.kill_again().expect("looked");
        assert_eq!(heir.try_wait().expect("asked"), None, "not yet");
        fs::write(processes.root().join("uptime"), "120.00 0.00\n").expect("written");
        book.kill_again().expect("killed");
        assert!(!heir.wait().expect("ended").success());
        assert_eq!(neighbour.try_wait().expect("asked"), None, "spared");
        book.end("k").expect("ended");
        assert!(book.names().is_empty());
        neighbour.kill().expect("killed");
        let _ = neighbour.wait();
        let _ = fs::remove_dir_all(processes.root());
    }
}
