//! Words that nearly every object holds, kept once: names of fields, kinds, states. To write one costs a look at a table, no memory.

use super::head_of;
use arcstr::ArcStr;
use std::sync::OnceLock;

/// Facts about the built-in kinds; every name in them is a word.
const SCHEMA: &str = include_str!("schema.txt");

/// What objects hold besides: values that the cluster itself writes again and again, keys of labels and annotations.
const WORDS: &str = "True False Unknown Running Pending Succeeded Failed Terminating Active Bound Available Released Burstable BestEffort Guaranteed
v1 apps/v1 batch/v1 discovery.k8s.io/v1 rbac.authorization.k8s.io/v1 apps v1beta1 Pod Node Service Endpoints EndpointSlice Deployment ReplicaSet
StatefulSet DaemonSet Job CronJob Event Namespace ConfigMap Secret ServiceAccount PersistentVolume PersistentVolumeClaim ControllerRevision Lease
default kube-system kube-public kube-node-lease TCP UDP SCTP Normal Warning Always Never OnFailure IfNotPresent ClusterFirst RollingUpdate Recreate
ClusterIP NodePort None Cluster Local SingleStack IPv4 IPv6 File default-scheduler Filesystem ReadWriteOnce Retain Delete Background Foreground
PodScheduled Initialized ContainersReady Ready PodReadyToStartContainers Progressing ReplicaFailure ContainersNotReady ContainerCreating
PodInitializing CrashLoopBackOff ErrImagePull ImagePullBackOff Completed Error OOMKilled MinimumReplicasAvailable MinimumReplicasUnavailable
NewReplicaSetAvailable NewReplicaSetCreated ReplicaSetUpdated FoundNewReplicaSet ProgressDeadlineExceeded Scheduled Pulled Pulling Created Started
Killing BackOff SuccessfulCreate SuccessfulDelete ScalingReplicaSet FailedScheduling Unhealthy Failed FailedMount kubelet kubectl
kube-controller-manager kube-scheduler deployment-controller replicaset-controller endpoint-controller endpointslice-controller.k8s.io
node.kubernetes.io/not-ready node.kubernetes.io/unreachable NoExecute NoSchedule Exists Equal Update Apply FieldsV1 status scale metadata spec
pod-template-hash deployment.kubernetes.io/revision deployment.kubernetes.io/desired-replicas deployment.kubernetes.io/max-replicas
kubernetes.io/service-name endpointslice.kubernetes.io/managed-by endpoints.kubernetes.io/managed-by service.kubernetes.io/headless
endpoints.kubernetes.io/last-change-trigger-time kubectl.kubernetes.io/last-applied-configuration kubectl.kubernetes.io/restartedAt app name tier
io.kompose.service kubernetes.io/hostname kube-root-ca.crt ca.crt token namespace Disabled Enabled 1 2 3 cpu memory storage ephemeral-storage
/var/run/secrets/kubernetes.io/serviceaccount /dev/termination-log node-1 node-2 node-3 node-4 . {}";

/// Slots of the table, several times as many as there are words.
const SLOTS: usize = 8192;

/// No word is longer.
const LONGEST: usize = 64;

/// Where the search for a text begins: by both its ends, which tell words apart.
#[inline]
fn place(text: &str) -> usize {
    let bytes = text.as_bytes();
    let tail = bytes.last_chunk::<8>().map_or(0, |last| u64::from_le_bytes(*last));
    let mixed = (head_of(text) ^ tail.rotate_left(23) ^ bytes.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 51) as usize % SLOTS
}

/// Words by place; one whose place is taken stands in the next that is free.
fn table() -> &'static [Option<ArcStr>] {
    static TABLE: OnceLock<Vec<Option<ArcStr>>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = vec![None; SLOTS];
        // The first name of a line, and the values of text types.
        let facts = SCHEMA.lines().filter(|line| !line.starts_with('#')).flat_map(|line| match line.strip_prefix("text ") {
            Some(values) => values.split_whitespace().skip(1).collect::<Vec<_>>(),
            None => line.split_whitespace().take(1).collect(),
        });
        for word in WORDS.split_whitespace().chain(facts) {
            let free = (0..SLOTS).map(|step| (place(word) + step) % SLOTS);
            let Some(slot) = free.into_iter().find_map(|at| match &table[at] {
                None => Some(Some(at)),
                Some(known) if known == word => Some(None),
                Some(_) => None,
            }) else {
                break;
            };
            if let Some(at) = slot {
                let kept = ArcStr::from(word);
                // It lives as long as the process, so that nobody needs to count who holds it.
                kept.leak();
                table[at] = Some(kept);
            }
        }
        table
    })
}

/// A text, shared when it is a word.
#[inline]
pub fn word(text: &str) -> ArcStr {
    if text.len() > LONGEST {
        return text.into();
    }
    let table = table();
    let mut at = place(text);
    while let Some(Some(known)) = table.get(at) {
        if known == text {
            return known.clone();
        }
        at = (at + 1) % SLOTS;
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_shared_and_other_texts_are_what_they_are() {
        for text in ["containerStatuses", "True", "metadata", "", "no such word", "é", "deployment.kubernetes.io/revision"] {
            assert_eq!(word(text), text);
        }
        assert!(ArcStr::ptr_eq(&word("containerStatuses"), &word("containerStatuses")));
        assert!(ArcStr::is_static(&word("observedGeneration")));
        assert!(!ArcStr::is_static(&word("geo-6c4f8b5d9-xxxxx")));
        let filled = table().iter().flatten().count();
        assert!((1_000..SLOTS / 2).contains(&filled), "{filled}");
    }
}
