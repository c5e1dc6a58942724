//! Whether workloads have converged: the latest change is observed, every replica is up to date and ready, nothing crashes.

use super::baseline::{Baseline, WORKLOADS, Workload, list};
use crate::cluster::{ApiError, Cluster};
use crate::object::Object;
use std::collections::BTreeMap;

/// The workloads of a namespace at an instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// What each workload of the baseline lacks; those that have converged are absent.
    pub problems: BTreeMap<String, String>,
    /// Names of baseline workloads that have nobody in their place.
    pub missing: Vec<String>,
    /// Baseline workloads with fewer replicas asked for than before: name, replicas asked for, replicas before.
    pub shrunk: Vec<(String, i64, i64)>,
    /// Restarts of all containers, by pod; a change of a pod's number within a window is a crash.
    pub restarts: BTreeMap<String, i64>,
}

impl Health {
    /// Reads the workloads that take the places of the baseline's.
    ///
    /// # Errors
    /// When the API server refuses a read.
    pub fn read(cluster: &mut dyn Cluster, namespace: &str, baseline: &Baseline) -> Result<Health, ApiError> {
        let mut present: Vec<(&'static str, Object)> = Vec::new();
        for (group, plural) in WORKLOADS {
            present.extend(list(cluster, group, plural, Some(namespace))?.into_iter().map(|object| (plural, object)));
        }
        let pods = list(cluster, "", "pods", Some(namespace))?;
        let mut health = Health { problems: BTreeMap::new(), missing: Vec::new(), shrunk: Vec::new(), restarts: BTreeMap::new() };
        for workload in &baseline.workloads {
            health.judge(workload, &present, &pods);
        }
        for pod in pods.iter().filter(|pod| baseline.workloads.iter().any(|w| Baseline::selects(w, pod.meta().get("labels")))) {
            let restarts =
                pod.at(&["status", "containerStatuses"]).items().iter().map(|c| c.get("restartCount").as_i64().unwrap_or(0)).sum();
            health.restarts.insert(format!("{} {}", pod.name(), pod.uid()), restarts);
        }
        Ok(health)
    }

    fn judge(&mut self, workload: &Workload, present: &[(&'static str, Object)], pods: &[Object]) {
        // The workload itself, or another one whose pods carry the same labels: a repair may put something else in its place.
        let same = present.iter().find(|(kind, object)| *kind == workload.kind && object.name() == workload.name);
        let stands_in =
            || present.iter().find(|(_, object)| Baseline::selects(workload, object.at(&["spec", "template", "metadata", "labels"])));
        let Some((kind, object)) = same.or_else(stands_in) else {
            self.missing.push(workload.title());
            self.problems.insert(workload.name.clone(), format!("{} is gone", workload.title()));
            return;
        };
        let now = Workload::of(kind, object);
        if now.replicas < workload.replicas {
            self.shrunk.push((workload.title(), now.replicas, workload.replicas));
        }
        let crashing = || pods.iter().filter(|pod| Baseline::selects(&now, pod.meta().get("labels"))).find_map(trouble);
        if let Some(problem) = lag(&now, object).map(|lag| crashing().map_or(lag.clone(), |trouble| format!("{lag}; {trouble}"))) {
            self.problems.insert(workload.name.clone(), problem);
        }
    }

    /// Whether every workload has converged.
    pub fn converged(&self) -> bool {
        self.problems.is_empty()
    }

    /// Whether a container restarted since `earlier`, in a pod that is in both.
    pub fn restarted_since(&self, earlier: &Health) -> Option<String> {
        let rose =
            |(pod, restarts): (&String, &i64)| earlier.restarts.get(pod).is_some_and(|before| restarts > before).then(|| pod.clone());
        self.restarts.iter().find_map(rose).map(|pod| pod.split(' ').next().unwrap_or("").to_owned())
    }
}

/// How far a workload is from what is asked of it; `None` when it is there.
fn lag(workload: &Workload, object: &Object) -> Option<String> {
    let status = object.status();
    let count = |field: &str| status.get(field).as_i64().unwrap_or(0);
    if workload.replicas < 1 && workload.kind != "daemonsets" {
        return Some(format!("{} asks for no replica", workload.title()));
    }
    if count("observedGeneration") < object.generation() {
        return Some(format!("{}: its latest change is not observed yet", workload.title()));
    }
    let counts: &[&str] = match workload.kind {
        "daemonsets" => &["currentNumberScheduled", "updatedNumberScheduled", "numberReady", "numberAvailable"],
        "statefulsets" => &["replicas", "updatedReplicas", "readyReplicas"],
        _ => &["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"],
    };
    let short = counts.iter().find(|field| count(field) != workload.replicas)?;
    Some(format!("{}: {short} {} of {}", workload.title(), count(short), workload.replicas))
}

/// What is wrong with a pod, in its own words.
fn trouble(pod: &Object) -> Option<String> {
    let containers = pod.at(&["status", "containerStatuses"]);
    let waiting = containers.items().iter().find_map(|container| {
        let reason = container.at(&["state", "waiting", "reason"]).as_str()?;
        Some(format!("pod {} waits: {reason}", pod.name()))
    });
    let unplaced = || {
        let scheduled = pod.condition("PodScheduled")?;
        (scheduled.get("status").text() == "False").then(|| format!("pod {} is not scheduled", pod.name()))
    };
    waiting.or_else(unplaced)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Json;
    use crate::{array, object};

    fn deployment(replicas: i64, ready: i64, generation: i64, observed: i64) -> Object {
        Object(object! {
            "metadata" => object! { "name" => "geo", "generation" => generation },
            "spec" => object! { "replicas" => replicas, "selector" => object! { "matchLabels" => object! { "app" => "geo" } },
                "template" => object! { "metadata" => object! { "labels" => object! { "app" => "geo", "x" => "y" } } } },
            "status" => object! { "replicas" => replicas, "updatedReplicas" => replicas, "readyReplicas" => ready,
                "availableReplicas" => ready, "observedGeneration" => observed },
        })
    }

    fn judged(present: Vec<Object>) -> Health {
        let workload = Workload::of("deployments", &deployment(1, 1, 1, 1));
        let pod = Object(object! {
            "metadata" => object! { "name" => "geo-1", "labels" => object! { "app" => "geo" } },
            "status" => object! { "containerStatuses" => array![
                object! { "state" => object! { "waiting" => object! { "reason" => "CrashLoopBackOff" } } }
            ] },
        });
        let mut health = Health { problems: BTreeMap::new(), missing: Vec::new(), shrunk: Vec::new(), restarts: BTreeMap::new() };
        let present: Vec<_> = present.into_iter().map(|object| ("deployments", object)).collect();
        health.judge(&workload, &present, &[pod]);
        health
    }

    #[test]
    fn convergence() {
        assert!(judged(vec![deployment(1, 1, 3, 3)]).converged());
        assert!(judged(vec![deployment(2, 2, 3, 3)]).converged());
        let says = |objects, text: &str| {
            let health = judged(objects);
            assert_eq!(health.problems.get("geo").map(String::as_str), Some(text));
        };
        says(vec![deployment(1, 0, 3, 3)], "deployment geo: readyReplicas 0 of 1; pod geo-1 waits: CrashLoopBackOff");
        says(vec![deployment(1, 1, 4, 3)], "deployment geo: its latest change is not observed yet; pod geo-1 waits: CrashLoopBackOff");
        says(vec![], "deployment geo is gone");
        let none = judged(vec![deployment(0, 0, 3, 3)]);
        assert_eq!(none.shrunk, [("deployment geo".to_owned(), 0, 1)]);
        let mut other = deployment(1, 1, 1, 1);
        other.set_at(&["metadata", "name"], Json::from("geo-v2"));
        assert!(judged(vec![other]).converged(), "another name with the same labels stands in");
    }

    #[test]
    fn restarts_count_within_a_pod() {
        let health = |restarts: &[(&str, i64)]| Health {
            problems: BTreeMap::new(),
            missing: Vec::new(),
            shrunk: Vec::new(),
            restarts: restarts.iter().map(|(pod, n)| ((*pod).to_owned(), *n)).collect(),
        };
        let before = health(&[("a 1", 2), ("b 1", 0)]);
        assert_eq!(health(&[("a 1", 2), ("c 1", 5)]).restarted_since(&before), None);
        assert_eq!(health(&[("a 1", 3)]).restarted_since(&before), Some("a".to_owned()));
    }
}
