//! A node's processes, as `/proc` shows them to a pod that shares the node's process ids.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// Linux tells programs about time in hundredths of a second, whatever it counts in itself.
const TICKS_PER_S: u64 = 100;

/// A table of processes.
#[derive(Debug, Clone)]
pub struct Processes {
    root: PathBuf,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id on the node.
    pub id: u32,
    /// Its id in its own, innermost namespace.
    inner: u32,
    /// When it was started, in ticks since the node was.
    since: u64,
}

impl Processes {
    /// The table under a folder, usually `/proc`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Processes { root: root.into() }
    }

    fn ids(&self) -> Vec<u32> {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let mut ids: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        ids.sort_unstable();
        ids
    }

    fn read(&self, id: u32, file: &str) -> String {
        fs::read_to_string(self.root.join(id.to_string()).join(file)).unwrap_or_default()
    }

    /// Where a process's namespace of a kind is.
    pub fn namespace(&self, id: u32, kind: &str) -> PathBuf {
        self.root.join(id.to_string()).join("ns").join(kind)
    }

    fn process(&self, id: u32) -> Process {
        let status = self.read(id, "status");
        let chain = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        let inner = chain.split_whitespace().last().and_then(|text| text.parse().ok()).unwrap_or(id);
        // The name, in parentheses, may hold anything.
        let stat = self.read(id, "stat");
        let since = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(19)?.parse().ok()).unwrap_or(u64::MAX);
        Process { id, inner, since }
    }

    /// The processes of a pod: those in a cgroup of its uid, as either of the kubelet's cgroup drivers writes it.
    pub fn of_pod(&self, uid: &str) -> Vec<u32> {
        let marks = [format!("pod{uid}"), format!("pod{}", uid.replace('-', "_"))];
        self.ids().into_iter().filter(|id| self.is_in(*id, &marks)).collect()
    }

    /// The process of a pod that lives as long as the pod: its oldest. Ids say nothing about age, since they begin anew when they are used up.
    pub fn oldest_of(&self, pod_uid: &str) -> Option<u32> {
        self.of_pod(pod_uid)
            .into_iter()
            .map(|id| self.process(id))
            .min_by_key(|process| (process.since, process.id))
            .map(|process| process.id)
    }

    /// The ids of a pod's containers that have processes: the last part of their cgroups, as the runtime names it.
    pub fn containers_of(&self, pod_uid: &str) -> BTreeSet<String> {
        let marks = [format!("pod{pod_uid}"), format!("pod{}", pod_uid.replace('-', "_"))];
        let name = |line: &str| {
            let last = line.rsplit('/').next().unwrap_or_default().trim_end_matches(".scope");
            // systemd's driver writes the runtime's name before the id.
            last.rsplit('-').next().unwrap_or_default().to_owned()
        };
        let lines = |id: u32| self.read(id, "cgroup").lines().map(str::to_owned).collect::<Vec<_>>();
        let groups = self.of_pod(pod_uid).into_iter().flat_map(lines);
        groups.filter(|line| marks.iter().any(|mark| line.contains(mark.as_str()))).map(|line| name(&line)).collect()
    }

    /// How long a process has been running, in seconds; `None` where the node does not say.
    pub fn age_s(&self, process: &Process) -> Option<u64> {
        let text = fs::read_to_string(self.root.join("uptime")).ok()?;
        let up: f64 = text.split_whitespace().next()?.parse().ok()?;
        Some((up as u64).saturating_sub(process.since / TICKS_PER_S))
    }

    /// The network interfaces that a process sees, without the one that leads nowhere.
    pub fn interfaces(&self, id: u32) -> Vec<String> {
        let table = self.read(id, "net/dev");
        let names = table.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim().to_owned());
        names.filter(|name| name != "lo").collect()
    }

    fn is_in(&self, id: u32, marks: &[String]) -> bool {
        let groups = self.read(id, "cgroup");
        groups.lines().any(|line| marks.iter().any(|mark| line.contains(mark.as_str())))
    }

    /// The first process of a container: the first one in its process namespace, or its oldest where the pod shares one.
    pub fn first_of(&self, pod_uid: &str, container_id: &str) -> Option<Process> {
        let container = [container_id.to_owned()];
        let all = self.of_pod(pod_uid).into_iter().filter(|id| self.is_in(*id, &container)).map(|id| self.process(id));
        all.min_by_key(|process| (process.inner != 1, process.since, process.id))
    }

    /// The kubelets that share a network with this process: on a real node there is one.
    pub fn kubelets(&self) -> Vec<u32> {
        let own = fs::read_link(self.root.join("self/ns/net")).ok();
        let is_kubelet = |id: &u32| self.read(*id, "comm").trim_end() == "kubelet";
        let is_here = |id: &u32| own.is_some() && fs::read_link(self.namespace(*id, "net")).ok() == own;
        self.ids().into_iter().filter(|id| is_kubelet(id) && is_here(id)).collect()
    }

    /// Whether a process is stopped.
    #[cfg(test)]
    pub fn is_stopped(&self, id: u32) -> bool {
        self.read(id, "stat").rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
    }

    /// The folder.
    #[cfg(test)]
    pub fn root(&self) -> &std::path::Path {
        &self.root
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "6f1c2d34-0000-4000-8000-000000000001";

    fn table(name: &str, processes: &[(u32, &str, &str, u64)]) -> Processes {
        let root = std::env::temp_dir().join(format!("aiopslab-processes-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for (id, cgroup, chain, since) in processes {
            let folder = root.join(id.to_string());
            fs::create_dir_all(&folder).expect("made");
            fs::write(folder.join("cgroup"), cgroup).expect("written");
            fs::write(folder.join("status"), format!("Name:\tx\nNSpid:\t{chain}\n")).expect("written");
            let before = ["0"; 17].join(" ");
            fs::write(folder.join("stat"), format!("{id} (a) b) S 1 {before} {since} 0")).expect("written");
        }
        Processes::new(root)
    }

    #[test]
    fn the_first_process_of_a_container_is_found_under_every_cgroup_driver() {
        let check = |name: &str, pod: &str, ours: &str, other: &str| {
            let processes = [
                (90, format!("0::{pod}{other}\n"), "90 1", 5),
                (100, format!("0::{pod}{ours}\n"), "100 7", 30),
                (101, format!("0::{pod}{ours}\n"), "101 1", 20),
                (50, "0::/system.slice\n".to_owned(), "50", 1),
            ];
            let rows: Vec<_> = processes.iter().map(|(id, cgroup, chain, since)| (*id, cgroup.as_str(), *chain, *since)).collect();
            let table = table(name, &rows);
            assert_eq!(table.of_pod(UID), [90, 100, 101], "{name}");
            assert_eq!(table.first_of(UID, "abc").map(|p| p.id), Some(101), "{name}");
            assert_eq!(table.first_of(UID, "nothing"), None);
            assert_eq!(table.containers_of(UID).into_iter().collect::<Vec<_>>(), ["abc", "pause"], "{name}");
            let _ = fs::remove_dir_all(table.root());
        };
        check("v2-cgroupfs", &format!("/kubepods/burstable/pod{UID}"), "/abc", "/pause");
        let systemd = format!("/kubepods.slice/kubepods-pod{}.slice", UID.replace('-', "_"));
        check("v2-systemd", &systemd, "/cri-containerd-abc.scope", "/cri-containerd-pause.scope");
        check("v1", &format!("/x\n11:memory:/kubepods/burstable/pod{UID}"), "/abc", "/pause");
    }

    #[test]
    fn the_oldest_process_of_a_pod_need_not_have_the_least_id() {
        let pause = format!("0::/kubepods/pod{UID}/pause");
        let command = format!("0::/kubepods/pod{UID}/abc");
        // Ids were used up between the pod's start and a program that somebody runs in it.
        let table = table("wrapped", &[(30_000, &pause, "30000 1", 5), (20, &command, "20 40", 900), (31_000, &command, "31000 1", 6)]);
        assert_eq!(table.oldest_of(UID), Some(30_000));
        assert_eq!(table.oldest_of("nobody"), None);
        let _ = fs::remove_dir_all(table.root());
    }

    #[test]
    fn ages_and_interfaces_are_read() {
        let table = table("age", &[(8, "0::/x", "8", 4000)]);
        let process = table.process(8);
        assert_eq!(table.age_s(&process), None);
        fs::write(table.root().join("uptime"), "65.75 100.00\n").expect("written");
        assert_eq!(table.age_s(&process), Some(25));
        fs::create_dir_all(table.root().join("8/net")).expect("made");
        let text = "Inter-|   Receive\n face |bytes\n    lo: 0 0\n  eth0: 12 3\n";
        fs::write(table.root().join("8/net/dev"), text).expect("written");
        assert_eq!(table.interfaces(8), ["eth0"]);
        let _ = fs::remove_dir_all(table.root());
    }

    #[test]
    fn in_a_shared_process_namespace_the_oldest_is_the_first() {
        let group = format!("0::/kubepods/pod{UID}/abc");
        let table = table("shared", &[(8, &group, "8 12", 40), (9, &group, "9 8", 30)]);
        assert_eq!(table.first_of(UID, "abc").map(|p| p.id), Some(9));
        let _ = fs::remove_dir_all(table.root());
    }
}
