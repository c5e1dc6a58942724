//! The truth about the past: container runs, regimes of traffic, outside requests. Append-only; logs derive from it.

use super::http::Visit;
use super::lazy::Lazy;
use super::rename::Renaming;
use super::traffic::Regime;
use crate::app::LogLine;
use crate::time::SimTime;
use arcstr::ArcStr;
use imbl::{OrdMap, Vector};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Names one run of one container.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RunId(pub u64);

/// What a container was started with. Built by the kubelet from pod, image and volumes.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// Namespace of the pod.
    pub namespace: ArcStr,
    /// Pod.
    pub pod: ArcStr,
    /// The pod's uid.
    pub pod_uid: ArcStr,
    /// The pod's IP.
    pub pod_ip: ArcStr,
    /// Node.
    pub node: ArcStr,
    /// Container.
    pub container: ArcStr,
    /// Image as the pod names it.
    pub image: ArcStr,
    /// Program and arguments: the pod's command and args, else the image's.
    pub argv: Lazy<Vec<ArcStr>>,
    /// Environment, resolved.
    pub env: Lazy<BTreeMap<ArcStr, ArcStr>>,
    /// Files that volumes put into the container (ConfigMaps, Secrets, projected tokens), by path.
    pub files: Lazy<BTreeMap<ArcStr, ArcStr>>,
    /// Where persistent data is mounted: mount path → identity of the storage (the PV's path or name, `emptyDir/UID/NAME` …).
    pub data: Lazy<BTreeMap<ArcStr, ArcStr>>,
    /// Memory limit in bytes, if any.
    pub memory_limit: Option<u64>,
    /// What else it asked for and is held to.
    pub resources: Resources,
}

/// What a container asked for and is held to, besides its memory limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Resources {
    /// CPU request in thousandths of a core.
    pub cpu_request_m: Option<u64>,
    /// CPU limit in thousandths of a core.
    pub cpu_limit_m: Option<u64>,
    /// Memory request in bytes.
    pub memory_request: Option<u64>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct RunEnd {
    /// When.
    pub at: SimTime,
    /// Exit code.
    pub exit_code: i32,
    /// `Error`, `Completed`, `OOMKilled` …
    pub reason: ArcStr,
}

/// One run of one container.
#[derive(Clone, Debug)]
pub struct ContainerRun {
    /// Its name in the history.
    pub id: RunId,
    /// What it was started with.
    pub launch: Arc<Launch>,
    /// How many runs of this container came before it.
    pub restart: u32,
    /// The runtime's id of the container.
    pub container_id: ArcStr,
    /// When it started.
    pub started_at: SimTime,
    /// How it ended; `None` while it runs.
    pub end: Option<RunEnd>,
    /// Lines it wrote for reasons of its own (start-up, crash), in order; lines written on requests are derived.
    pub lines: Arc<Vec<(SimTime, ArcStr)>>,
}

/// A line that a run writes again and again while something lasts.
#[derive(Clone, Debug)]
pub struct Complaint {
    /// Who writes it.
    pub run: RunId,
    /// What it is about; a run complains about one thing in one way at a time.
    pub about: ArcStr,
    /// The line; `{error}` is the error's text.
    pub line: LogLine,
    /// The error's text.
    pub error: ArcStr,
    /// The pause between two lines, about.
    pub every: Duration,
    /// Since when.
    pub from: SimTime,
    /// Until when; `None` while it lasts.
    pub until: Option<SimTime>,
}

/// A container whose process could not be started: no run, yet a restart that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// When.
    pub at: SimTime,
    /// The pod.
    pub pod_uid: ArcStr,
    /// The container.
    pub container: ArcStr,
    /// How often it was restarted by then.
    pub restart: u32,
}

/// What happened.
#[derive(Clone, Default)]
pub struct History {
    runs: OrdMap<RunId, ContainerRun>,
    /// Runs whose containers and logs were removed; metrics still know of them.
    removed: OrdMap<RunId, ContainerRun>,
    /// When pods were gone, by uid.
    gone: OrdMap<ArcStr, SimTime>,
    started: u64,
    refusals: Vector<Refusal>,
    complaints: Vector<Complaint>,
    regimes: OrdMap<ArcStr, Vector<Regime>>,
    visits: Vector<Visit>,
}

impl History {
    /// Records that a container started.
    pub fn start(&mut self, launch: Arc<Launch>, restart: u32, at: SimTime) -> RunId {
        self.started += 1;
        let id = RunId(self.started);
        self.runs.insert(
            id,
            ContainerRun { id, launch, restart, container_id: ArcStr::new(), started_at: at, end: None, lines: Arc::default() },
        );
        id
    }

    /// Records the runtime's id of a run's container.
    pub fn identify(&mut self, id: RunId, container_id: &ArcStr) {
        if let Some(run) = self.runs.get_mut(&id) {
            run.container_id = container_id.clone();
        }
    }

    /// Records a line that a run wrote.
    pub fn write(&mut self, id: RunId, at: SimTime, line: impl Into<ArcStr>) {
        if let Some(run) = self.runs.get_mut(&id) {
            Arc::make_mut(&mut run.lines).push((at, line.into()));
        }
    }

    /// Records how a run ended; the first end counts.
    pub fn end(&mut self, id: RunId, end: RunEnd) {
        if let Some(run) = self.runs.get_mut(&id) {
            run.end.get_or_insert(end);
        }
    }

    /// A run.
    pub fn run(&self, id: RunId) -> Option<&ContainerRun> {
        self.runs.get(&id)
    }

    /// Every run that is remembered, oldest first.
    pub fn runs(&self) -> impl DoubleEndedIterator<Item = &ContainerRun> {
        self.runs.values()
    }

    /// Every run that ever was, oldest first.
    pub fn all_runs(&self) -> impl Iterator<Item = &ContainerRun> {
        let mut all: Vec<&ContainerRun> = self.removed.values().chain(self.runs.values()).collect();
        all.sort_by_key(|run| run.id);
        all.into_iter()
    }

    /// A run, whether its container is still there or not.
    pub fn any_run(&self, id: RunId) -> Option<&ContainerRun> {
        self.runs.get(&id).or_else(|| self.removed.get(&id))
    }

    /// Records that a pod is gone.
    pub fn pod_gone(&mut self, uid: &ArcStr, at: SimTime) {
        self.gone.insert(uid.clone(), at);
    }

    /// When a pod was gone.
    pub fn gone_at(&self, uid: &ArcStr) -> Option<SimTime> {
        self.gone.get(uid).copied()
    }

    /// Forgets the log of a run: the kubelet removed its container.
    pub fn forget(&mut self, id: RunId) {
        if let Some(run) = self.runs.remove(&id) {
            self.removed.insert(id, ContainerRun { lines: Arc::default(), ..run });
        }
        self.complaints.retain(|complaint| complaint.run != id);
    }

    /// Records that the traffic on the application in a namespace enters a regime.
    pub fn begin_regime(&mut self, namespace: &ArcStr, regime: Regime) {
        self.regimes.entry(namespace.clone()).or_default().push_back(regime);
    }

    /// Records that the present regime of a namespace is over.
    pub fn end_regime(&mut self, namespace: &str, at: SimTime) {
        let Some(regimes) = self.regimes.get_mut(namespace) else { return };
        if regimes.back().is_some_and(|last| last.from == at) {
            regimes.pop_back();
        } else if let Some(last) = regimes.back_mut() {
            last.until.get_or_insert(at);
        }
    }

    /// The regimes of a namespace, oldest first.
    pub fn regimes(&self, namespace: &str) -> impl DoubleEndedIterator<Item = &Regime> {
        self.regimes.get(namespace).into_iter().flatten()
    }

    /// Records a request made by hand.
    pub fn visit(&mut self, visit: Visit) {
        self.visits.push_back(visit);
    }

    /// The requests made by hand, oldest first.
    pub fn visits(&self) -> impl DoubleEndedIterator<Item = &Visit> {
        self.visits.iter()
    }

    /// Namespaces whose traffic is remembered.
    pub fn driven(&self) -> impl Iterator<Item = &ArcStr> {
        self.regimes.keys()
    }

    /// Records that a container's process could not be started.
    pub fn refuse(&mut self, refusal: Refusal) {
        self.refusals.push_back(refusal);
    }

    /// The containers of a pod whose process could not be started, oldest first.
    pub fn refusals(&self, pod_uid: &str) -> impl Iterator<Item = &Refusal> {
        self.refusals.iter().filter(move |refusal| refusal.pod_uid == pod_uid)
    }

    /// Records that a run begins to complain.
    pub fn complain(&mut self, complaint: Complaint) {
        self.complaints.push_back(complaint);
    }

    /// The error that a run complains about at present.
    pub fn open_complaint(&self, run: RunId, about: &str) -> Option<ArcStr> {
        let open = |c: &&Complaint| c.run == run && c.about == about && c.until.is_none();
        self.complaints.iter().rev().find(open).map(|c| c.error.clone())
    }

    /// Records that what a run complains about is over.
    pub fn settle_complaint(&mut self, run: RunId, about: &str, at: SimTime) {
        let open = |c: &Complaint| c.run == run && c.about == about && c.until.is_none();
        if let Some(found) = self.complaints.iter().position(open)
            && let Some(complaint) = self.complaints.get_mut(found)
        {
            complaint.until = Some(at);
        }
    }

    /// The complaints of a run, oldest first.
    pub fn complaints(&self, run: RunId) -> impl DoubleEndedIterator<Item = &Complaint> {
        self.complaints.iter().filter(move |complaint| complaint.run == run)
    }
}

impl History {
    /// Gives pods and addresses the names of an episode.
    pub(in crate::cluster::sim) fn rename(&mut self, names: &Arc<Renaming>) {
        for runs in [&mut self.runs, &mut self.removed] {
            super::rename::each(runs, |run| {
                run.launch = Arc::new(run.launch.renamed(names));
                run.container_id = names.text(&run.container_id);
            });
        }
        self.gone = self.gone.iter().map(|(uid, at)| (names.text(uid), *at)).collect();
        for (run, at) in names.lines() {
            if let Some((_, line)) = self.runs.get_mut(run).and_then(|run| Arc::make_mut(&mut run.lines).get_mut(*at)) {
                *line = names.text(line);
            }
        }
        for refusal in self.refusals.iter_mut() {
            refusal.pod_uid = names.text(&refusal.pod_uid);
        }
        for complaint in self.complaints.iter_mut() {
            complaint.error = names.text(&complaint.error);
        }
    }
}

impl Launch {
    fn renamed(&self, names: &Arc<Renaming>) -> Launch {
        Launch {
            namespace: self.namespace.clone(),
            pod: names.text(&self.pod),
            pod_uid: names.text(&self.pod_uid),
            pod_ip: names.text(&self.pod_ip),
            node: self.node.clone(),
            container: self.container.clone(),
            image: self.image.clone(),
            argv: self.argv.later(names),
            env: self.env.later(names),
            files: self.files.later(names),
            data: self.data.later(names),
            memory_limit: self.memory_limit,
            resources: self.resources,
        }
    }
}
