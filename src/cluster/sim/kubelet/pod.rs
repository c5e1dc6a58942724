//! What a kubelet and its container runtime know about one pod: sandbox, containers, back-offs, pending work.

use super::backoff::Backoff;
use crate::cluster::sim::history::RunId;
use crate::cluster::sim::queue::Ticket;
use crate::cluster::sim::rename::Renaming;
use crate::cluster::sim::store::Key;
use crate::time::SimTime;
use arcstr::ArcStr;
use std::collections::VecDeque;

/// Where a pod stands in the life that the kubelet's pod worker leads it through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is kept running.
    Syncing,
    /// Its containers are being stopped.
    Terminating,
    /// Its containers are dead; volumes are being cleaned up.
    Cleaning,
    /// Nothing is left to do.
    Terminated,
}

/// One pod on a node.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Its API object.
    pub key: Key,
    /// Its uid.
    pub uid: ArcStr,
    /// Its node.
    pub node: ArcStr,
    /// Where it stands.
    pub stage: Stage,
    /// Its sandbox, once created.
    pub sandbox: Option<Sandbox>,
    /// Containers that were created at least once.
    pub containers: Vec<Container>,
    /// Whether its volumes are mounted.
    pub mounted: bool,
    /// How often in a row mounting has failed.
    pub mount_failures: u32,
    /// What the present synchronisation still has to do.
    pub plan: VecDeque<Step>,
    /// Whether a synchronisation is under way.
    pub busy: bool,
    /// The step of it that is on the queue.
    pub next_step: Option<Ticket>,
    /// Whether another one was asked for meanwhile.
    pub pending: bool,
    /// When the last one ended.
    pub synced_at: Option<SimTime>,
    /// The next one.
    pub due: Option<(SimTime, Ticket)>,
    /// Why containers were not started by the last attempt (the kubelet's reason cache).
    pub reasons: Vec<(ArcStr, Reason)>,
    /// Whether the present synchronisation has met an error.
    pub failed: bool,
    /// Back-off of container restarts, by container and specification.
    pub restart_backoff: Vec<((ArcStr, u64), Backoff)>,
    /// Back-off of image pulls, by image, with the last error.
    pub pull_backoff: Vec<(ArcStr, Backoff, ArcStr)>,
    /// When the pull that is under way began.
    pub pulling_since: Option<SimTime>,
    /// Workers of probes.
    pub probes: Vec<super::probes::Worker>,
    /// Why the pod is being ended by the kubelet itself: phase `Failed` with reason and message.
    pub verdict: Option<Reason>,
    /// Random draws made so far for this pod.
    pub draws: u64,
}

/// A reason in one word, and a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// `CrashLoopBackOff`, `ErrImagePull` …
    pub reason: ArcStr,
    /// The message that the pod's status shows.
    pub message: ArcStr,
}

impl Reason {
    /// A reason with a message.
    pub fn new(reason: &str, message: impl Into<ArcStr>) -> Self {
        Reason { reason: reason.into(), message: message.into() }
    }
}

/// A pod's sandbox: its network and its cgroup.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// The pod's IP.
    pub ip: ArcStr,
    /// How many sandboxes came before it.
    pub attempt: u32,
    /// Whether it is up.
    pub ready: bool,
}

/// One container of a pod, as the runtime knows it.
#[derive(Clone, Debug)]
pub struct Container {
    /// Its name.
    pub name: ArcStr,
    /// How often it was restarted.
    pub restarts: u32,
    /// The present or latest instance.
    pub current: Instance,
    /// The instance before, of which the runtime keeps the remains.
    pub previous: Option<Instance>,
}

/// One instance of a container.
#[derive(Clone, Debug)]
pub struct Instance {
    /// The runtime's id, 64 hexadecimal digits.
    pub id: ArcStr,
    /// Its run in the history; `None` when it was created but could not be started.
    pub run: Option<RunId>,
    /// Image as the runtime names it.
    pub image: ArcStr,
    /// The image's digest.
    pub image_id: ArcStr,
    /// Hash of the specification it was made from.
    pub spec_hash: u64,
    /// When it started.
    pub started_at: SimTime,
    /// How it ended, if it did.
    pub end: Option<End>,
    /// Whether it is being stopped.
    pub stopping: bool,
}

/// How an instance ended.
#[derive(Clone, Debug)]
pub struct End {
    /// When.
    pub at: SimTime,
    /// Exit code.
    pub code: i32,
    /// `Error`, `Completed`, `OOMKilled`, `StartError` …
    pub reason: ArcStr,
    /// Message, mostly empty.
    pub message: ArcStr,
}

impl Instance {
    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.end.is_none()
    }
}

/// One step of a synchronisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Mount the volumes.
    Mount,
    /// Decide what is to be done.
    Act,
    /// Stop a container and go on at once; [`Step::AwaitStopped`] waits for it.
    Kill {
        /// Container.
        container: ArcStr,
        /// What the event says.
        message: ArcStr,
    },
    /// Go on when no container is being stopped any more.
    AwaitStopped,
    /// Create the sandbox.
    Sandbox,
    /// Start a container: back-off, image. The back-off counts from the end of the instance that was dead when the
    /// synchronisation began, if there was one.
    Start(ArcStr, Option<SimTime>),
    /// The pull of a container's image has ended.
    Pulled(ArcStr),
    /// Create a container and start it; its image is there.
    Create(ArcStr),
    /// Take the sandbox down because nothing is to run any more.
    StopSandbox,
}

impl Pod {
    /// A pod that the kubelet has just seen.
    pub fn new(key: Key, uid: ArcStr, node: ArcStr) -> Self {
        Pod {
            key,
            uid,
            node,
            stage: Stage::Syncing,
            sandbox: None,
            containers: Vec::new(),
            mounted: false,
            mount_failures: 0,
            plan: VecDeque::new(),
            busy: false,
            next_step: None,
            pending: false,
            synced_at: None,
            due: None,
            reasons: Vec::new(),
            failed: false,
            restart_backoff: Vec::new(),
            pull_backoff: Vec::new(),
            pulling_since: None,
            probes: Vec::new(),
            verdict: None,
            draws: 0,
        }
    }

    /// A container by name.
    pub fn container(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|c| c.name == name)
    }

    /// A container by name, for changing.
    pub fn container_mut(&mut self, name: &str) -> Option<&mut Container> {
        self.containers.iter_mut().find(|c| c.name == name)
    }

    /// Whether a container runs.
    pub fn is_running(&self, name: &str) -> bool {
        self.container(name).is_some_and(|c| c.current.is_running())
    }

    /// Names of the containers that run.
    pub fn running(&self) -> Vec<ArcStr> {
        self.containers.iter().filter(|c| c.current.is_running()).map(|c| c.name.clone()).collect()
    }

    /// Whether the sandbox is up.
    pub fn has_sandbox(&self) -> bool {
        self.sandbox.as_ref().is_some_and(|s| s.ready)
    }

    /// Why a container was not started by the last attempt.
    pub fn reason(&self, name: &str) -> Option<&Reason> {
        self.reasons.iter().find(|(n, _)| n == name).map(|(_, r)| r)
    }

    /// Notes why a container was not started, or that it was.
    pub fn set_reason(&mut self, name: &ArcStr, reason: Option<Reason>) {
        self.reasons.retain(|(n, _)| n != name);
        if let Some(reason) = reason {
            self.reasons.push((name.clone(), reason));
        }
    }

    /// `NAME_NAMESPACE(UID)`, as messages name pods.
    pub fn formatted(&self) -> String {
        format!("{}_{}({})", self.key.name, self.key.namespace, self.uid)
    }
}

impl Pod {
    /// The same pod under the names of an episode. What is under way in it names nothing but containers.
    pub(super) fn renamed(&self, names: &Renaming) -> Pod {
        let mut pod = self.clone();
        pod.key = names.key(&pod.key);
        pod.uid = names.text(&pod.uid);
        if let Some(sandbox) = &mut pod.sandbox {
            sandbox.ip = names.text(&sandbox.ip);
        }
        for container in &mut pod.containers {
            for instance in container.previous.iter_mut().chain([&mut container.current]) {
                instance.id = names.text(&instance.id);
            }
        }
        for (_, reason) in &mut pod.reasons {
            reason.message = names.text(&reason.message);
        }
        pod
    }
}
