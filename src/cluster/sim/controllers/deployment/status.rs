//! A Deployment's status: counts, `Available`, `Progressing`, and the progress deadline.

use super::sets::has_deadline;
use super::{Sync, replicas, status_of};
use crate::cluster::sim::controllers::conditions::{with_condition, without_condition};
use crate::cluster::sim::controllers::{Loop, Outcome, enqueue_after};
use crate::cluster::sim::world::World;
use crate::object;
use crate::object::{Json, Object};
use crate::time::SimTime;
use std::time::Duration;

fn count(status: &Json, field: &str) -> i64 {
    status.get(field).as_i64().unwrap_or(0)
}

impl Sync {
    /// Notes in the conditions that the Deployment was paused or resumed, so that a deadline does not run meanwhile.
    pub fn note_pause(&mut self, world: &mut World) -> Outcome {
        if !has_deadline(&self.deployment) {
            return Ok(());
        }
        let reason = self.deployment.condition("Progressing").map(|c| c.get("reason").text().to_owned());
        if reason.as_deref() == Some("ProgressDeadlineExceeded") {
            return Ok(());
        }
        let paused = self.deployment.spec().get("paused").is_true();
        let noted = reason.as_deref() == Some("DeploymentPaused");
        let condition = match (paused, noted) {
            (true, false) => self.progressing(world, "Unknown", "DeploymentPaused", "Deployment is paused"),
            (false, true) => self.progressing(world, "Unknown", "DeploymentResumed", "Deployment is resumed"),
            _ => return Ok(()),
        };
        let conditions = with_condition(self.deployment.status().get("conditions"), condition);
        self.deployment = world.set_status(&self.key, |s| s.set("conditions", conditions))?;
        Ok(())
    }

    /// Whether all replicas are updated and available and no old ones are left, by a status.
    pub fn is_complete(&self, status: &Json) -> bool {
        let wanted = self.plan.replicas;
        ["updatedReplicas", "replicas", "availableReplicas"].iter().all(|f| count(status, f) == wanted)
            && count(status, "observedGeneration") >= self.deployment.generation()
    }

    /// Counts and the `Available` condition, over the conditions so far.
    fn computed(&self, world: &World) -> Json {
        let sum = |field: &str| self.all().map(|rs| status_of(rs, field)).sum::<i64>();
        let available = sum("availableReplicas");
        let unavailable = (self.all().map(replicas).sum::<i64>() - available).max(0);
        let updated = self.new.as_ref().map_or(0, |new| status_of(new, "replicas"));
        let mut status = object! { "observedGeneration" => self.deployment.generation() };
        let counts = [
            ("replicas", sum("replicas")),
            ("updatedReplicas", updated),
            ("readyReplicas", sum("readyReplicas")),
            ("availableReplicas", available),
            ("unavailableReplicas", unavailable),
        ];
        for (field, n) in counts.into_iter().filter(|(_, n)| *n != 0) {
            status.set(field, n);
        }
        let collisions = self.deployment.status().get("collisionCount");
        if !collisions.is_null() {
            status.set("collisionCount", collisions);
        }
        let enough = available >= self.plan.replicas - self.plan.unavailable;
        let (value, reason, message) = if enough {
            ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
        } else {
            ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
        };
        let now = world.now.rfc3339();
        let condition = object! {
            "type" => "Available", "status" => value, "reason" => reason, "message" => message,
            "lastUpdateTime" => now.as_str(), "lastTransitionTime" => now.as_str(),
        };
        status.set("conditions", with_condition(self.deployment.status().get("conditions"), condition));
        status
    }

    /// Writes counts and availability, without a judgement on progress.
    pub fn write_status(&mut self, world: &mut World) -> Outcome {
        let status = self.computed(world);
        self.write(world, status).map(|_| ())
    }

    /// Writes the status of a rollout, and asks to be called again when its deadline may have passed.
    pub fn write_rollout_status(&mut self, world: &mut World) -> Outcome {
        let mut status = self.computed(world);
        let deadline = has_deadline(&self.deployment);
        let mut conditions = status.get("conditions").clone();
        if !deadline {
            conditions = without_condition(&conditions, "Progressing");
        }
        let current = self.deployment.condition("Progressing").cloned().unwrap_or_default();
        let done =
            count(&status, "replicas") == count(&status, "updatedReplicas") && current.get("reason").text() == "NewReplicaSetAvailable";
        if deadline && !done {
            conditions = self.judge(world, &status, conditions, &current);
        }
        conditions = match self.replica_failure() {
            Some(failure) => with_condition(&conditions, failure),
            None => without_condition(&conditions, "ReplicaFailure"),
        };
        status.set("conditions", conditions);
        if !self.write(world, status)? {
            self.watch_deadline(world);
        }
        Ok(())
    }

    /// The conditions with `Progressing` brought up to date.
    fn judge(&self, world: &World, status: &Json, conditions: Json, current: &Json) -> Json {
        let subject = match &self.new {
            Some(new) => format!("ReplicaSet {:?}", new.name()),
            None => format!("Deployment {:?}", self.deployment.name()),
        };
        if self.is_complete(status) {
            let message = format!("{subject} has successfully progressed.");
            return with_condition(&conditions, self.progressing(world, "True", "NewReplicaSetAvailable", &message));
        }
        if self.progressed(status) {
            let mut condition = self.progressing(world, "True", "ReplicaSetUpdated", &format!("{subject} is progressing."));
            if current.get("status").text() == "True" {
                condition.set("lastTransitionTime", current.get("lastTransitionTime"));
            }
            // Progress renews lastUpdateTime even when nothing else changes, hence the removal first.
            return with_condition(&without_condition(&conditions, "Progressing"), condition);
        }
        if self.timed_out(world.now, conditions.find("type", "Progressing")) {
            let message = format!("{subject} has timed out progressing.");
            return with_condition(&conditions, self.progressing(world, "False", "ProgressDeadlineExceeded", &message));
        }
        conditions
    }

    fn progressed(&self, status: &Json) -> bool {
        let old = self.deployment.status();
        let left = |s: &Json| count(s, "replicas") - count(s, "updatedReplicas");
        count(status, "updatedReplicas") > count(old, "updatedReplicas")
            || left(status) < left(old)
            || count(status, "readyReplicas") > count(old, "readyReplicas")
            || count(status, "availableReplicas") > count(old, "availableReplicas")
    }

    fn deadline(&self) -> Duration {
        let seconds = self.deployment.spec().get("progressDeadlineSeconds").as_i64().unwrap_or(600);
        Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
    }

    fn timed_out(&self, now: SimTime, condition: Option<&Json>) -> bool {
        let Some(condition) = condition else { return false };
        match condition.get("reason").text() {
            "NewReplicaSetAvailable" => false,
            "ProgressDeadlineExceeded" => true,
            _ => SimTime::parse_rfc3339(condition.get("lastUpdateTime").text()).is_some_and(|from| from + self.deadline() < now),
        }
    }

    fn replica_failure(&self) -> Option<Json> {
        let failure = |rs: &Object| rs.condition("ReplicaFailure").cloned();
        let mut found = self.new.as_ref().and_then(failure).or_else(|| self.old.iter().find_map(failure))?;
        let at = found.get("lastTransitionTime").clone();
        found.set("lastUpdateTime", at);
        Some(found)
    }

    /// Writes the status if it differs. Returns whether it did.
    fn write(&mut self, world: &mut World, status: Json) -> Result<bool, crate::cluster::ApiError> {
        if status == *self.deployment.status() {
            return Ok(false);
        }
        self.deployment = world.set_status(&self.key, |s| *s = status)?;
        Ok(true)
    }

    fn watch_deadline(&self, world: &mut World) {
        let Some(current) = self.deployment.condition("Progressing").filter(|_| has_deadline(&self.deployment)) else { return };
        if self.is_complete(self.deployment.status()) || current.get("reason").text() == "ProgressDeadlineExceeded" {
            return;
        }
        let Some(from) = SimTime::parse_rfc3339(current.get("lastUpdateTime").text()) else { return };
        let left = (from + self.deadline()) - world.now;
        enqueue_after(world, Loop::Deployment, self.key.clone(), left + Duration::from_secs(1));
    }
}
