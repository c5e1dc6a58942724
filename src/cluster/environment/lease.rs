//! A lease per environment, so that two trainers cannot share one.
//!
//! A holder renews it every few seconds; one that is gone loses it after [`DURATION`], or at once when it ran on this machine and its
//! process is over.

use super::{EnvironmentError, LABEL, Place};
use crate::cluster::{ApiError, ApiRequest, Cluster, Identity};
use crate::object;
use crate::object::{Json, Object, ResourceRef, resource};
use crate::time::SimTime;
use std::time::Duration;

/// For how long a lease holds after it was renewed.
pub const DURATION: Duration = Duration::from_secs(30);

/// The name of the lease in our own namespace.
const NAME: &str = "environment";

fn leases() -> &'static ResourceRef {
    resource::builtin_named("coordination.k8s.io", "leases").expect("Leases are in the table of built-in kinds")
}

/// Who holds a lease: a process on a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// What tells the machine from others.
    pub machine: String,
    /// What tells the process from every other that ran or will run on it: process id and start time.
    pub process: String,
    /// What tells this session from others of the same process.
    pub session: String,
}

impl Holder {
    /// As the lease names it.
    pub fn text(&self) -> String {
        format!("{}/{}/{}", self.machine, self.process, self.session)
    }

    fn parse(text: &str) -> Option<Holder> {
        let mut parts = text.splitn(3, '/');
        let mut next = || parts.next().map(str::to_owned);
        Some(Holder { machine: next()?, process: next()?, session: next()? })
    }
}

/// A lease that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// By whom.
    pub holder: Holder,
}

/// Takes the lease of a place. `is_over` tells whether a process of this machine has ended.
///
/// # Errors
/// [`EnvironmentError::Held`] when another holder is alive, or the API server's answer.
pub fn acquire(cluster: &mut dyn Cluster, place: &Place, own: &Holder, is_over: &dyn Fn(&str) -> bool) -> Result<Held, EnvironmentError> {
    for _ in 0..5 {
        match attempt(cluster, place, own, is_over)? {
            Some(held) => return Ok(held),
            None => continue,
        }
    }
    Err(EnvironmentError::Held { namespace: place.namespace.to_string(), holder: "several others at once".to_owned(), age_s: 0 })
}

/// One try; `None` when somebody else wrote in between.
fn attempt(
    cluster: &mut dyn Cluster,
    place: &Place,
    own: &Holder,
    is_over: &dyn Fn(&str) -> bool,
) -> Result<Option<Held>, EnvironmentError> {
    let now = cluster.now();
    let lost_race = |error: ApiError| {
        if error.code == 409 { Ok(None) } else { Err(EnvironmentError::api("taking the environment's lease")(error)) }
    };
    let held = Held { holder: own.clone() };
    let current = match cluster.api(&Identity::operator(), &ApiRequest::get(leases(), Some(&place.own), NAME)) {
        Ok(reply) => reply.into_object(),
        Err(error) if error.code == 404 => {
            let request = ApiRequest::create(leases(), Some(&place.own), lease(place, own, now, None));
            return cluster.api(&Identity::operator(), &request).map(|_| Some(held)).or_else(lost_race);
        }
        Err(error) => return Err(EnvironmentError::api("reading the environment's lease")(error)),
    };
    if let Some((holder, age)) = alive(&current, now)
        && holder != own.text()
        && !Holder::parse(&holder).is_some_and(|other| other.machine == own.machine && is_over(&other.process))
    {
        return Err(EnvironmentError::Held { namespace: place.namespace.to_string(), holder, age_s: age.as_secs() });
    }
    let request = ApiRequest::update(leases(), Some(&place.own), NAME, lease(place, own, now, Some(&current)));
    cluster.api(&Identity::operator(), &request).map(|_| Some(held)).or_else(lost_race)
}

/// Who holds the lease and for how long it was not renewed; `None` when it is free.
fn alive(lease: &Object, now: SimTime) -> Option<(String, Duration)> {
    let holder = lease.spec().get("holderIdentity").as_str().filter(|holder| !holder.is_empty())?;
    let renewed = SimTime::parse_rfc3339(lease.spec().get("renewTime").text())?;
    let age = now.since(renewed);
    (age < DURATION).then(|| (holder.to_owned(), age))
}

/// Who holds the lease of a place, and the seconds since it was renewed; `None` when it is free.
///
/// # Errors
/// The API server's answer.
pub fn holder_of(cluster: &mut dyn Cluster, place: &Place) -> Result<Option<(String, u64)>, EnvironmentError> {
    let now = cluster.now();
    match cluster.api(&Identity::operator(), &ApiRequest::get(leases(), Some(&place.own), NAME)) {
        Ok(reply) => Ok(alive(&reply.into_object(), now).map(|(holder, age)| (holder, age.as_secs()))),
        Err(error) if error.code == 404 => Ok(None),
        Err(error) => Err(EnvironmentError::api("reading the environment's lease")(error)),
    }
}

/// Says that the holder is still there.
///
/// # Errors
/// [`EnvironmentError::Held`] when somebody else has it now, or the API server's answer.
pub fn renew(cluster: &mut dyn Cluster, place: &Place, held: &Held) -> Result<(), EnvironmentError> {
    acquire(cluster, place, &held.holder, &|_| false).map(drop)
}

/// Gives the lease back; nothing happens when somebody else has it.
///
/// # Errors
/// The API server's answer.
pub fn release(cluster: &mut dyn Cluster, place: &Place, held: &Held) -> Result<(), EnvironmentError> {
    let current = match cluster.api(&Identity::operator(), &ApiRequest::get(leases(), Some(&place.own), NAME)) {
        Ok(reply) => reply.into_object(),
        Err(error) if error.code == 404 => return Ok(()),
        Err(error) => return Err(EnvironmentError::api("reading the environment's lease")(error)),
    };
    if current.spec().get("holderIdentity").text() != held.holder.text() {
        return Ok(());
    }
    let mut free = current.0.clone();
    free.set_at(&["spec", "holderIdentity"], "");
    match cluster.api(&Identity::operator(), &ApiRequest::update(leases(), Some(&place.own), NAME, free)) {
        Err(error) if error.code != 409 => Err(EnvironmentError::api("giving the environment's lease back")(error)),
        _ => Ok(()),
    }
}

fn lease(place: &Place, holder: &Holder, now: SimTime, before: Option<&Object>) -> Json {
    let spec = object! {
        "holderIdentity" => holder.text(), "leaseDurationSeconds" => DURATION.as_secs() as i64,
        "acquireTime" => now.rfc3339_micro(), "renewTime" => now.rfc3339_micro(),
    };
    let mut meta = object! { "name" => NAME, "namespace" => &place.own, "labels" => object! { LABEL => &place.namespace } };
    if let Some(before) = before {
        meta.set("resourceVersion", before.resource_version());
        if before.spec().get("holderIdentity").text() == holder.text() {
            let mut spec = spec;
            spec.set("acquireTime", before.spec().get("acquireTime"));
            return object! { "apiVersion" => "coordination.k8s.io/v1", "kind" => "Lease", "metadata" => meta, "spec" => spec };
        }
    }
    object! { "apiVersion" => "coordination.k8s.io/v1", "kind" => "Lease", "metadata" => meta, "spec" => spec }
}
