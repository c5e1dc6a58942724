//! How many replicas each ReplicaSet gets: rolling updates, recreation, scaling in the middle of a rollout.

use super::sets::{DESIRED, MAXIMUM};
use super::{Sync, replicas, status_of};
use crate::cluster::sim::controllers::Outcome;
use crate::cluster::sim::controllers::events::Severity;
use crate::cluster::sim::controllers::pods::{is_controlled_by, is_finished};
use crate::cluster::sim::store::{Key, Kind};
use crate::cluster::sim::world::World;
use crate::object::Object;
use std::cmp::Reverse;

/// Which of a Deployment's ReplicaSets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    New,
    Old(usize),
}

impl Sync {
    /// One step of a rolling update.
    pub fn roll(&mut self, world: &mut World) -> Outcome {
        self.create_new(world)?;
        if self.grow_new(world)? || self.shrink_old(world)? {
            return self.write_rollout_status(world);
        }
        if self.is_complete(self.deployment.status()) {
            self.clean_up(world)?;
        }
        self.write_rollout_status(world)
    }

    /// One step of a rollout that recreates: all old pods go before new ones come.
    pub fn recreate(&mut self, world: &mut World) -> Outcome {
        let mut shrunk = false;
        for at in 0..self.old.len() {
            shrunk |= self.resize(world, Which::Old(at), 0)?;
        }
        if shrunk || self.old_pods_run(world) {
            return self.write_rollout_status(world);
        }
        self.create_new(world)?;
        self.resize(world, Which::New, self.plan.replicas)?;
        if self.is_complete(self.deployment.status()) {
            self.clean_up(world)?;
        }
        self.write_rollout_status(world)
    }

    fn old_pods_run(&self, world: &World) -> bool {
        let runs = |rs: &Object| {
            let mut pods = world.store.list_claimable(Kind::POD, self.deployment.namespace(), rs.uid());
            pods.any(|pod| is_controlled_by(pod, rs.uid()) && !is_finished(pod))
        };
        self.old.iter().any(|rs| status_of(rs, "replicas") > 0) || self.old.iter().any(runs)
    }

    /// How many replicas the new ReplicaSet should have, given that it has `present`.
    pub fn new_count(&self, present: i64) -> i64 {
        if !self.plan.rolling {
            return self.plan.replicas;
        }
        let total = self.total();
        if total >= self.plan.most() {
            return present;
        }
        present + (self.plan.most() - total).min(self.plan.replicas - present)
    }

    fn grow_new(&mut self, world: &mut World) -> Result<bool, crate::cluster::ApiError> {
        let Some(present) = self.new.as_ref().map(replicas) else { return Ok(false) };
        let wanted = match present.cmp(&self.plan.replicas) {
            std::cmp::Ordering::Equal => return Ok(false),
            std::cmp::Ordering::Greater => self.plan.replicas,
            std::cmp::Ordering::Less => self.new_count(present),
        };
        self.resize(world, Which::New, wanted)
    }

    fn shrink_old(&mut self, world: &mut World) -> Result<bool, crate::cluster::ApiError> {
        if self.old.iter().map(replicas).sum::<i64>() == 0 {
            return Ok(false);
        }
        let least = self.plan.replicas - self.plan.unavailable;
        let new_unavailable = self.new.as_ref().map_or(0, |new| replicas(new) - status_of(new, "availableReplicas"));
        let most = self.total() - least - new_unavailable;
        if most <= 0 {
            return Ok(false);
        }
        let broken = self.shrink_unhealthy(world, most)?;
        let healthy = self.shrink_healthy(world, least)?;
        Ok(broken + healthy > 0)
    }

    /// Takes away old pods that are not available anyway.
    fn shrink_unhealthy(&mut self, world: &mut World, most: i64) -> Result<i64, crate::cluster::ApiError> {
        let mut taken = 0;
        for at in 0..self.old.len() {
            let Some(set) = self.old.get(at) else { break };
            let (present, available) = (replicas(set), status_of(set, "availableReplicas"));
            if taken >= most || present == 0 || present == available {
                continue;
            }
            let count = (most - taken).min(present - available);
            if count > 0 {
                self.resize(world, Which::Old(at), present - count)?;
                taken += count;
            }
        }
        Ok(taken)
    }

    fn shrink_healthy(&mut self, world: &mut World, least: i64) -> Result<i64, crate::cluster::ApiError> {
        let most = self.available() - least;
        let mut taken = 0;
        for at in 0..self.old.len() {
            let Some(present) = self.old.get(at).map(replicas) else { break };
            if taken >= most || present == 0 {
                continue;
            }
            let count = present.min(most - taken);
            self.resize(world, Which::Old(at), present - count)?;
            taken += count;
        }
        Ok(taken)
    }

    /// Whether somebody changed `spec.replicas` since the ReplicaSets were last sized.
    pub fn is_scaling(&self) -> bool {
        let noted = |rs: &Object| rs.annotation(DESIRED).and_then(|n| n.parse::<i64>().ok());
        self.all().filter(|rs| replicas(rs) > 0).filter_map(noted).any(|n| n != self.plan.replicas)
    }

    /// Follows a change of `spec.replicas`: one active ReplicaSet takes it all, several share it by size.
    pub fn scale(&mut self, world: &mut World) -> Outcome {
        let sets = self.named();
        let active: Vec<Which> = sets.iter().copied().filter(|w| self.set(*w).is_some_and(|s| replicas(s) > 0)).collect();
        match active[..] {
            [] => {
                let latest = if self.new.is_some() { Some(Which::New) } else { self.old.len().checked_sub(1).map(Which::Old) };
                if let Some(latest) = latest {
                    self.resize(world, latest, self.plan.replicas)?;
                }
            }
            [only] => {
                self.resize(world, only, self.plan.replicas)?;
            }
            _ if self.is_saturated() => {
                for which in active.into_iter().filter(|w| *w != Which::New) {
                    self.resize(world, which, 0)?;
                }
            }
            _ if self.plan.rolling => self.scale_proportionally(world, active)?,
            _ => {}
        }
        Ok(())
    }

    fn named(&self) -> Vec<Which> {
        (0..self.old.len()).map(Which::Old).chain(self.new.as_ref().map(|_| Which::New)).collect()
    }

    fn set(&self, which: Which) -> Option<&Object> {
        match which {
            Which::New => self.new.as_ref(),
            Which::Old(at) => self.old.get(at),
        }
    }

    fn is_saturated(&self) -> bool {
        let wanted = self.plan.replicas;
        self.new.as_ref().is_some_and(|new| {
            let noted = new.annotation(DESIRED).and_then(|n| n.parse::<i64>().ok());
            replicas(new) == wanted && noted == Some(wanted) && status_of(new, "availableReplicas") == wanted
        })
    }

    fn scale_proportionally(&mut self, world: &mut World, mut active: Vec<Which>) -> Outcome {
        let total: i64 = active.iter().filter_map(|w| self.set(*w)).map(replicas).sum();
        let allowed = if self.plan.replicas > 0 { self.plan.most() } else { 0 };
        let to_add = allowed - total;
        let size = |w: &Which| self.set(*w).map_or(0, replicas);
        let age = |w: &Which| self.set(*w).and_then(Object::created_at);
        if to_add > 0 {
            active.sort_by_key(|w| (Reverse(size(w)), Reverse(age(w))));
        } else {
            active.sort_by_key(|w| (Reverse(size(w)), age(w)));
        }
        let mut added = 0;
        let mut sizes = Vec::with_capacity(active.len());
        for which in &active {
            let share = self.set(*which).map_or(0, |rs| self.proportion(rs, to_add, added));
            added += share;
            sizes.push(size(which) + share);
        }
        if let Some(first) = sizes.first_mut().filter(|_| to_add != 0) {
            *first = (*first + to_add - added).max(0);
        }
        for (which, size) in active.into_iter().zip(sizes) {
            self.resize_and_note(world, which, size)?;
        }
        Ok(())
    }

    fn proportion(&self, rs: &Object, to_add: i64, added: i64) -> i64 {
        let present = replicas(rs);
        if present == 0 || to_add == 0 || to_add == added {
            return 0;
        }
        let share = self.fraction(rs, present);
        let left = to_add - added;
        if to_add > 0 { share.min(left) } else { share.max(left) }
    }

    fn fraction(&self, rs: &Object, present: i64) -> i64 {
        if self.plan.replicas == 0 {
            return -present;
        }
        let noted = rs.annotation(MAXIMUM).and_then(|n| n.parse::<i64>().ok()).filter(|n| *n > 0);
        let before = noted.unwrap_or_else(|| self.deployment.status().get("replicas").as_i64().unwrap_or(0));
        if before == 0 {
            return 0;
        }
        let size = (present * self.plan.most()) as f64 / before as f64;
        libm::floor(size + 0.5) as i64 - present
    }

    /// Gives a ReplicaSet another size and reports it. Returns whether its size changed.
    fn resize(&mut self, world: &mut World, which: Which, count: i64) -> Result<bool, crate::cluster::ApiError> {
        if self.set(which).is_none_or(|rs| replicas(rs) == count) {
            return Ok(false);
        }
        self.resize_and_note(world, which, count)
    }

    /// As `resize`, but also when only the annotations about sizes are out of date.
    fn resize_and_note(&mut self, world: &mut World, which: Which, count: i64) -> Result<bool, crate::cluster::ApiError> {
        let Some(rs) = self.set(which) else { return Ok(false) };
        let before = replicas(rs);
        let key = Key::of(Kind::REPLICA_SET, rs);
        let (desired, most) = (self.plan.replicas.to_string(), self.plan.most().to_string());
        let written = world.update(&key, |rs| {
            rs.set_at(&["spec", "replicas"], count);
            rs.set_at(&["metadata", "annotations", DESIRED], desired);
            rs.set_at(&["metadata", "annotations", MAXIMUM], most);
        })?;
        match which {
            Which::New => self.new = Some(written),
            Which::Old(at) => {
                if let Some(slot) = self.old.get_mut(at) {
                    *slot = written;
                }
            }
        }
        if before != count {
            let direction = if before < count { "up" } else { "down" };
            let message = format!("Scaled {direction} replica set {} from {before} to {count}", key.name);
            self.report(world, Severity::Normal, ("ScalingReplicaSet", &message));
        }
        Ok(before != count)
    }
}
