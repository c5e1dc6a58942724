//! The way back: undo the journal, compare with the record, put back only what differs.
//!
//! Every step can be repeated, and nothing is forgotten before it is done, so a process that is killed here leaves work for the next one.

use super::deploy::{apply_own, ensure_application_namespace, namespaces, wait_available, wait_for};
use super::difference::{Part, differences, key_of, survey};
use super::emptying::renew;
use super::rights::grant;
use super::stores::altered;
use super::volumes::rebind;
use super::{Difference, Entry, EnvironmentError, Journal, LABEL, Phase, Place, Record, raise};
use crate::app::App;
use crate::cluster::deploy::{kind_of, objects};
use crate::cluster::{ApiError, ApiRequest, Cluster, Identity, Options, Propagation};
use crate::object::{Json, Object, ResourceRef, resource};
use crate::time::SimTime;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a restoration did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Restored {
    /// Entries of the journal that were undone.
    pub undone: usize,
    /// What differed from the record and was put back.
    pub differences: Vec<Difference>,
    /// Pods that were replaced.
    pub pods: Vec<String>,
    /// Volumes that were given to the claims which had taken the place of theirs.
    pub volumes: Vec<String>,
    /// Stores that were emptied and filled again, with what was wrong.
    pub stores: BTreeMap<String, String>,
    /// Disturbances that cannot be ended; the pods that they were done to are replaced, and the next restoration tries again.
    pub unrelieved: Vec<String>,
    /// Whether everything was deleted and deployed again, and why.
    pub redeployed: Option<String>,
}

/// Kinds that can be put back one by one; a difference of any other (claims, volumes, StatefulSets …) takes the application's data with it.
const LIGHT: &[&str] = &[
    "deployments",
    "services",
    "configmaps",
    "secrets",
    "serviceaccounts",
    "roles",
    "rolebindings",
    "networkpolicies",
    "resourcequotas",
    "limitranges",
    "horizontalpodautoscalers",
    "poddisruptionbudgets",
    "ingresses",
    "jobs",
    "cronjobs",
    "pods",
    "replicasets",
    "daemonsets",
];

/// How long a restoration without a new deploy may wait for the application: what is not there by then is deployed anew.
const LIGHT_WITHIN: Duration = Duration::from_secs(120);

/// Puts the environment back to its record; deploys anew when there is no record of this recipe, when what differs takes the application's
/// data with it, or when what was put back does not become ready.
///
/// # Errors
/// The API server's answer, or what does not become ready within `bound`.
pub fn restore(
    cluster: &mut dyn Cluster,
    (place, app, strict): (&Place, &App, bool),
    record: &Record,
    recipe: &str,
    bound: Duration,
) -> Result<Restored, EnvironmentError> {
    let mut journal = Journal::open(cluster, place).map_err(EnvironmentError::api("reading the journal"))?;
    let entries = journal.entries(cluster).map_err(EnvironmentError::api("reading the journal"))?;
    let mut done = Restored { undone: entries.len(), ..Restored::default() };
    done.unrelieved = undo(cluster, place, &entries)?;
    ensure_application_namespace(cluster, place)?;
    let parts = survey(cluster, place, record)?;
    let different = differences(record, &parts);
    let heavy = different.iter().find(|d| !LIGHT.contains(&d.key().split('/').nth(1).unwrap_or("")));
    let mut anew = match (record.phase == Phase::Ready, record.recipe == recipe, heavy) {
        (false, _, _) => Some("no deploy was finished".to_owned()),
        (true, false, _) => Some("it was deployed from other data, options or another version".to_owned()),
        (true, true, Some(heavy)) => Some(format!("{heavy:?}")),
        (true, true, None) => None,
    };
    if anew.is_none() {
        done.volumes = rebind(cluster, place, &parts)?;
        put_back(cluster, place, (app, strict), &different, &parts)?;
        done.pods = replace_pods(cluster, place, &entries, &done.unrelieved)?;
        done.differences = different;
        anew = settle(cluster, (place, app, strict), record, bound.min(LIGHT_WITHIN), (&mut done.stores, &mut done.pods))?;
    }
    if let Some(why) = anew {
        let parts = survey(cluster, place, record)?;
        anew_from(cluster, (place, app, strict), record, parts, bound)?;
        done.redeployed = Some(why);
    }
    done.unrelieved.retain(|name| cluster.relieve(name).is_err());
    if done.unrelieved.is_empty() {
        journal.clear(cluster).map_err(EnvironmentError::api("clearing the journal"))?;
    } else {
        // The journal stays, so that the next restoration tries again; what was disturbed has been replaced.
        tracing::warn!(namespace = %place.namespace, names = ?done.unrelieved, "disturbances cannot be ended; helpers end them by themselves");
    }
    Ok(done)
}

/// Waits until everything is as it was; why it has to be deployed anew when it does not become so. Stores come first: a client whose user
/// is gone would never become ready.
fn settle(
    cluster: &mut dyn Cluster,
    (place, app, strict): (&Place, &App, bool),
    record: &Record,
    bound: Duration,
    (renewed, pods): (&mut BTreeMap<String, String>, &mut Vec<String>),
) -> Result<Option<String>, EnvironmentError> {
    let give_up = cluster.now() + bound;
    let wrong = altered(cluster, place, app, record)?;
    let settled = if wrong.is_empty() {
        settle_pods(cluster, (place, app), (give_up, bound), pods)
    } else {
        let names: Vec<String> = wrong.keys().cloned().collect();
        renewed.clone_from(&wrong);
        renew(cluster, place, (app, strict), &names, (give_up, bound))
    };
    match settled {
        Err(EnvironmentError::NotReady { why, .. }) => return Ok(Some(why)),
        other => other?,
    }
    let still = if wrong.is_empty() { wrong } else { altered(cluster, place, app, record)? };
    if let Some((store, why)) = still.into_iter().next() {
        return Ok(Some(format!("store {store}: {why}")));
    }
    sweep(cluster, place)?;
    Ok(None)
}

/// Waits for every pod; those that crashed for want of what the others need when they start are replaced once that is there.
fn settle_pods(
    cluster: &mut dyn Cluster,
    (place, app): (&Place, &App),
    (give_up, bound): (SimTime, Duration),
    pods: &mut Vec<String>,
) -> Result<(), EnvironmentError> {
    wait_for(cluster, (&place.namespace, Some(&app.first)), give_up, bound)?;
    pods.extend(replace_pods(cluster, place, &[], &[])?);
    wait_available(cluster, &place.namespace, give_up, bound)
}

/// Deploys the application on empty stores, in place of whatever is there.
fn anew_from(
    cluster: &mut dyn Cluster,
    (place, app, strict): (&Place, &App, bool),
    record: &Record,
    parts: BTreeMap<String, Part>,
    bound: Duration,
) -> Result<(), EnvironmentError> {
    if record.phase == Phase::Ready {
        // From here on the record no longer says what is there.
        Record { phase: Phase::Unfinished, ..record.clone() }.write(cluster, place)?;
    }
    if !parts.is_empty() {
        let give_up = cluster.now() + bound;
        empty(cluster, place, parts, give_up)?;
    }
    raise(cluster, place, app, strict, bound)?;
    sweep(cluster, place)
}

/// Undoes the journal, youngest entry first; returns the disturbances that cannot be ended. Objects in the application's namespace are left
/// to the comparison with the record, which sees what the agent did to them too.
fn undo(cluster: &mut dyn Cluster, place: &Place, entries: &[Entry]) -> Result<Vec<String>, EnvironmentError> {
    let mut unrelieved = Vec::new();
    for entry in entries.iter().rev() {
        match entry {
            Entry::Disturbance(name) => {
                if let Err(error) = cluster.relieve(name) {
                    tracing::warn!(namespace = %place.namespace, %name, %error, "a disturbance is not ended yet");
                    unrelieved.push(name.clone());
                }
            }
            Entry::Object { namespace, .. } if *namespace == place.namespace => {}
            Entry::Object { .. } => undo_object(cluster, entry)?,
            Entry::Touched(_) => {}
        }
    }
    Ok(unrelieved)
}

fn undo_object(cluster: &mut dyn Cluster, entry: &Entry) -> Result<(), EnvironmentError> {
    let Entry::Object { group, plural, namespace, name, before, .. } = entry else { return Ok(()) };
    let doing = || EnvironmentError::api(format!("putting {plural} {name} back"));
    let Some(kind) = resource::builtin_named(group, plural) else { return Ok(()) };
    let namespace = kind.namespaced.then_some(namespace.as_str());
    let current = match cluster.api(&Identity::operator(), &ApiRequest::get(kind, namespace, name)) {
        Ok(reply) => Some(reply.into_object()),
        Err(error) if error.code == 404 => None,
        Err(error) => return Err(doing()(error)),
    };
    let request = match (current, before.is_null()) {
        (None, true) => return Ok(()),
        (Some(current), true) if current.label(LABEL).is_some() => ApiRequest::delete(kind, namespace, name),
        (Some(_), true) => return Ok(()),
        (None, false) => ApiRequest::create(kind, namespace, bare(before)),
        (Some(current), false) => {
            if super::digest_of(&current) == super::digest_of(&Object(before.clone())) {
                return Ok(());
            }
            let mut back = bare(before);
            back.set_at(&["metadata", "resourceVersion"], current.resource_version());
            ApiRequest::update(kind, namespace, name, back)
        }
    };
    cluster.api(&Identity::operator(), &request).map(drop).map_err(doing())
}

/// An object as it can be written again.
fn bare(object: &Json) -> Json {
    let mut bare = object.clone();
    bare.remove("status");
    for field in ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"] {
        bare.remove_at(&["metadata", field]);
    }
    bare
}

/// Deletes what is too much and what is another than it was, and applies what is missing then. An object is made anew rather than changed
/// back, so that nothing in it tells the next episode what the last one was about.
fn put_back(
    cluster: &mut dyn Cluster,
    place: &Place,
    (app, strict): (&App, bool),
    different: &[Difference],
    parts: &BTreeMap<String, Part>,
) -> Result<(), EnvironmentError> {
    for difference in different {
        if let (Difference::Added(key) | Difference::Changed(key), Some(part)) = (difference, parts.get(difference.key())) {
            delete(cluster, place, part).map_err(EnvironmentError::api(format!("deleting {key}")))?;
        }
    }
    let wanted: BTreeSet<&str> = different.iter().filter(|d| !matches!(d, Difference::Added(_))).map(Difference::key).collect();
    let mut manifests = objects(app, strict);
    manifests.push(grant(place));
    let mut deleted = parts.iter().filter(|(key, _)| wanted.contains(key.as_str()));
    wait_gone(cluster, place, deleted.by_ref().map(|(_, part)| part))?;
    for manifest in &manifests {
        let kind = kind_of(manifest).map_err(EnvironmentError::api("reading a manifest"))?;
        if wanted.contains(key_of(kind, manifest.at(&["metadata", "name"]).text()).as_str()) {
            apply_own(cluster, place, manifest)?;
        }
    }
    Ok(())
}

fn delete(cluster: &mut dyn Cluster, place: &Place, part: &Part) -> Result<(), ApiError> {
    let kind = &part.resource;
    let namespace = kind.namespaced.then_some(place.namespace.as_str());
    let options =
        Options { propagation: Some(Propagation::Background), grace_period_s: (kind.plural == "pods").then_some(0), ..Options::default() };
    if !part.object.meta().get("finalizers").is_empty() && !matches!(kind.plural.as_str(), "persistentvolumes" | "persistentvolumeclaims") {
        // A finalizer that nobody will take off would keep it for ever.
        let patch = crate::object! { "metadata" => crate::object! { "finalizers" => Json::Null } };
        let request = ApiRequest::patch(kind, namespace, part.object.name(), crate::cluster::PatchKind::Merge, patch);
        ignore_missing(cluster.api(&Identity::operator(), &request).map(drop))?;
    }
    let request = ApiRequest::delete(kind, namespace, part.object.name()).options(options);
    ignore_missing(cluster.api(&Identity::operator(), &request).map(drop))
}

fn ignore_missing(result: Result<(), ApiError>) -> Result<(), ApiError> {
    match result {
        Err(error) if error.code == 404 => Ok(()),
        other => other,
    }
}

fn wait_gone<'a>(cluster: &mut dyn Cluster, place: &Place, parts: impl Iterator<Item = &'a Part>) -> Result<(), EnvironmentError> {
    let give_up = cluster.now() + Duration::from_secs(60);
    for part in parts {
        let namespace = part.resource.namespaced.then_some(place.namespace.as_str());
        let read = ApiRequest::get(&part.resource, namespace, part.object.name());
        loop {
            match cluster.api(&Identity::operator(), &read) {
                Err(error) if error.code == 404 => break,
                Ok(reply) if reply.clone().into_object().uid() != part.object.uid() => break,
                Ok(_) if cluster.now() < give_up => {}
                Ok(_) => {
                    let why = format!("{} {} is still being deleted", part.resource.singular, part.object.name());
                    return Err(EnvironmentError::NotReady { namespace: place.namespace.to_string(), seconds: 60, why });
                }
                Err(error) => return Err(EnvironmentError::api("waiting for a deletion")(error)),
            }
            let until = cluster.now() + Duration::from_millis(100);
            cluster.wait(until, &[]);
        }
    }
    Ok(())
}

fn list(cluster: &mut dyn Cluster, group: &str, plural: &str, namespace: &str) -> Result<(ResourceRef, Vec<Object>), EnvironmentError> {
    let doing = || EnvironmentError::api(format!("listing {plural} of namespace {namespace}"));
    let kind = resource::builtin_named(group, plural).ok_or_else(|| doing()(ApiError::new(404, "NotFound", "no such kind")))?;
    let items = cluster.api(&Identity::operator(), &ApiRequest::list(kind, Some(namespace))).map_err(doing())?.into_items();
    Ok((kind.clone(), items))
}

/// Replaces pods in which somebody ran a program, pods that crashed or sit out a back-off, since a new one starts at once, and pods that
/// are still disturbed: what was done to a pod's network and processes goes with it.
fn replace_pods(
    cluster: &mut dyn Cluster,
    place: &Place,
    entries: &[Entry],
    unrelieved: &[String],
) -> Result<Vec<String>, EnvironmentError> {
    let touched: BTreeSet<&str> =
        entries.iter().filter_map(|entry| if let Entry::Touched(pod) = entry { Some(pod.as_str()) } else { None }).collect();
    let (kind, pods) = list(cluster, "", "pods", &place.namespace)?;
    let mut replaced = Vec::new();
    for pod in pods.iter().filter(|pod| !pod.is_terminating() && pod.controller().is_some()) {
        let statuses = pod.at(&["status", "containerStatuses"]).items();
        let restarted = statuses.iter().any(|s| s.get("restartCount").as_i64().unwrap_or(0) > 0);
        let held = statuses.iter().any(|s| s.at(&["state", "waiting", "reason"]).text().ends_with("BackOff"));
        let disturbed = unrelieved.iter().any(|name| name.contains(pod.name()));
        if touched.contains(pod.name()) || restarted || held || disturbed {
            let options = Options { grace_period_s: Some(0), ..Options::default() };
            let request = ApiRequest::delete(&kind, Some(&place.namespace), pod.name()).options(options);
            let answer = ignore_missing(cluster.api(&Identity::operator(), &request).map(drop));
            answer.map_err(EnvironmentError::api(format!("replacing pod {}", pod.name())))?;
            replaced.push(pod.name().to_owned());
        }
    }
    Ok(replaced)
}

/// Takes away what would tell the next episode about the last one: events, and ReplicaSets without pods.
fn sweep(cluster: &mut dyn Cluster, place: &Place) -> Result<(), EnvironmentError> {
    let (events, _) = list(cluster, "", "events", &place.namespace)?;
    let all = ApiRequest::delete_collection(&events, Some(&place.namespace));
    cluster.api(&Identity::operator(), &all).map_err(EnvironmentError::api("deleting old events"))?;
    let (kind, sets) = list(cluster, "apps", "replicasets", &place.namespace)?;
    for set in
        sets.iter().filter(|set| set.spec().get("replicas").as_i64() == Some(0) && set.status().get("replicas").as_i64().unwrap_or(0) == 0)
    {
        let request = ApiRequest::delete(&kind, Some(&place.namespace), set.name());
        let answer = ignore_missing(cluster.api(&Identity::operator(), &request).map(drop));
        answer.map_err(EnvironmentError::api(format!("deleting old ReplicaSet {}", set.name())))?;
    }
    Ok(())
}

/// Deletes every object of the application; its namespace stays.
fn empty(cluster: &mut dyn Cluster, place: &Place, parts: BTreeMap<String, Part>, give_up: SimTime) -> Result<(), EnvironmentError> {
    // What uses volumes goes first, so that nothing protects them.
    let rank = |part: &Part| match part.resource.plural.as_str() {
        "persistentvolumeclaims" => 1,
        "persistentvolumes" => 2,
        _ => 0,
    };
    let mut parts: Vec<Part> = parts.into_values().collect();
    parts.sort_by_key(rank);
    for part in &parts {
        if rank(part) == 1 {
            wait_no_pods(cluster, place, give_up)?;
        }
        delete(cluster, place, part).map_err(EnvironmentError::api(format!(
            "deleting {} {}",
            part.resource.singular,
            part.object.name()
        )))?;
    }
    wait_no_pods(cluster, place, give_up)?;
    wait_gone(cluster, place, parts.iter())?;
    sweep(cluster, place)
}

/// Kills the pods of controllers that are gone, and waits until none is left.
fn wait_no_pods(cluster: &mut dyn Cluster, place: &Place, give_up: SimTime) -> Result<(), EnvironmentError> {
    loop {
        let (kind, pods) = list(cluster, "", "pods", &place.namespace)?;
        if pods.is_empty() {
            return Ok(());
        }
        if cluster.now() >= give_up {
            let why = format!("pod {} is still being deleted", pods[0].name());
            return Err(EnvironmentError::NotReady { namespace: place.namespace.to_string(), seconds: 0, why });
        }
        for pod in &pods {
            let options = Options { grace_period_s: Some(0), ..Options::default() };
            let request = ApiRequest::delete(&kind, Some(&place.namespace), pod.name()).options(options);
            let answer = ignore_missing(cluster.api(&Identity::operator(), &request).map(drop));
            answer.map_err(EnvironmentError::api(format!("deleting pod {}", pod.name())))?;
        }
        let until = cluster.now() + Duration::from_millis(500);
        cluster.wait(until, &[]);
    }
}

/// Deletes everything that belongs to a place, and waits until it is gone.
///
/// # Errors
/// The API server's answer, or what is not gone within `bound`.
pub fn remove(cluster: &mut dyn Cluster, place: &Place, bound: Duration) -> Result<(), EnvironmentError> {
    // What is stopped could not confirm the end of its pods.
    if let Ok(entries) = Journal::open(cluster, place).and_then(|journal| journal.entries(cluster)) {
        for entry in &entries {
            if let Entry::Disturbance(name) = entry {
                // Helpers end what they began when they end.
                let _ = cluster.relieve(name);
            }
        }
    }
    let spaces = [place.namespace.to_string(), place.nodes(), place.own.to_string()];
    for name in &spaces {
        match cluster.api(&Identity::operator(), &ApiRequest::get(namespaces(), None, name)) {
            Ok(reply) if reply.clone().into_object().label(LABEL) != Some(place.namespace.as_str()) => continue,
            Err(error) if error.code == 404 => continue,
            Err(error) => return Err(EnvironmentError::api(format!("reading namespace {name}"))(error)),
            Ok(_) => {}
        }
        let answer = ignore_missing(cluster.api(&Identity::operator(), &ApiRequest::delete(namespaces(), None, name)).map(drop));
        answer.map_err(EnvironmentError::api(format!("deleting namespace {name}")))?;
    }
    let scoped = [
        ("", "persistentvolumes"),
        ("storage.k8s.io", "storageclasses"),
        ("rbac.authorization.k8s.io", "clusterroles"),
        ("rbac.authorization.k8s.io", "clusterrolebindings"),
    ];
    for (group, plural) in scoped {
        let Some(kind) = resource::builtin_named(group, plural) else { continue };
        let options = Options { label_selector: place.selector(), ..Options::default() };
        let doing = || EnvironmentError::api(format!("deleting {plural}"));
        let items = cluster.api(&Identity::operator(), &ApiRequest::list(kind, None).options(options)).map_err(doing())?.into_items();
        for object in items {
            let request = ApiRequest::delete(kind, None, object.name());
            ignore_missing(cluster.api(&Identity::operator(), &request).map(drop)).map_err(doing())?;
        }
    }
    let give_up = cluster.now() + bound;
    for name in &spaces {
        loop {
            match cluster.api(&Identity::operator(), &ApiRequest::get(namespaces(), None, name)) {
                Err(error) if error.code == 404 => break,
                Ok(reply) if reply.clone().into_object().label(LABEL) != Some(place.namespace.as_str()) => break,
                _ if cluster.now() >= give_up => {
                    let why = format!("namespace {name} is still being deleted");
                    return Err(EnvironmentError::NotReady { namespace: name.to_string(), seconds: bound.as_secs(), why });
                }
                _ => {}
            }
            let until = cluster.now() + Duration::from_millis(250);
            cluster.wait(until, &[]);
        }
    }
    Ok(())
}
