//! The doctor: what is wrong with the environments on a cluster, and putting them right.

use super::environment::Environment;
use super::keeper::is_over;
use super::{Acting, AgentAccount, ConnectFailure, LiveCluster};
use crate::app::{App, Catalog};
use crate::cluster::environment::{
    AGENT, Difference, EnvironmentError, Journal, LABEL, LiveConfig, OnClose, Phase, Place, Record, differences, holder_of, needed, remove,
    survey,
};
use crate::cluster::{ApiRequest, Cluster, Identity, Options};
use crate::object;
use crate::object::{Json, resource};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// What the doctor found on a cluster, and did.
///
/// # Errors
/// The cluster cannot be used at all.
pub fn examine(config: &LiveConfig, catalog: &Arc<Catalog>, repair: bool) -> Result<Json, ConnectFailure> {
    let mut cluster = LiveCluster::connect(config)?;
    let mut report = object! { "server" => cluster.server(), "version" => cluster.git_version() };
    let missing = match catalog.apps.first() {
        Some(app) => missing_rights(&mut cluster, &Place::of(app, "")),
        None => Vec::new(),
    };
    report.set("missing_rights", missing.iter().map(Json::from).collect::<Json>());
    let spaces = match environments(&mut cluster) {
        Ok(spaces) => spaces,
        Err(error) => {
            report.set("error", error.to_string());
            return Ok(report);
        }
    };
    let all: Json = spaces.iter().map(|namespace| environment(&mut cluster, config, catalog, namespace, repair)).collect();
    report.set("environments", all);
    Ok(report)
}

fn missing_rights(cluster: &mut LiveCluster, place: &Place) -> Vec<String> {
    needed(place).iter().filter(|right| !cluster.can(right)).map(ToString::to_string).collect()
}

/// The application namespaces of every environment that left something on the cluster.
fn environments(cluster: &mut LiveCluster) -> Result<BTreeSet<String>, EnvironmentError> {
    let mut found = BTreeSet::new();
    for plural in ["namespaces", "persistentvolumes"] {
        let Some(kind) = resource::builtin_named("", plural) else { continue };
        let options = Options { label_selector: LABEL.to_owned(), ..Options::default() };
        let answer = cluster.api(&Identity::operator(), &ApiRequest::list(kind, None).options(options));
        let items = answer.map_err(EnvironmentError::api(format!("listing {plural}")))?.into_items();
        found.extend(items.iter().filter_map(|object| object.label(LABEL).map(str::to_owned)));
    }
    Ok(found)
}

fn environment(cluster: &mut LiveCluster, config: &LiveConfig, catalog: &Arc<Catalog>, namespace: &str, repair: bool) -> Json {
    let mut report = object! { "namespace" => namespace };
    let app = catalog.apps.iter().find_map(|app| Place::named(app, namespace).map(|place| (app, place)));
    let Some((app, place)) = app else {
        report.set("error", "it belongs to no application that this library knows; envs= may name its folder");
        return report;
    };
    let findings = match look(cluster, &place, &mut report) {
        Ok(findings) => findings,
        Err(error) => {
            report.set("error", error.to_string());
            return report;
        }
    };
    if !repair {
        return report;
    }
    let outcome = match findings {
        Findings::InUse => "in use: left alone".to_owned(),
        Findings::Healthy => "nothing to repair".to_owned(),
        Findings::Broken(record) => match mend(cluster, config, app, &place, &record) {
            Ok(what) => what.to_owned(),
            Err(error) => format!("not repaired: {error}"),
        },
    };
    report.set("repair", outcome);
    report
}

enum Findings {
    InUse,
    Healthy,
    Broken(Box<Record>),
}

fn look(cluster: &mut LiveCluster, place: &Place, report: &mut Json) -> Result<Findings, EnvironmentError> {
    let holder = holder_of(cluster, place)?;
    let alive = holder.as_ref().is_some_and(|(holder, _)| {
        let own = super::keeper::this_holder();
        !holder.split_once('/').is_some_and(|(machine, rest)| machine == own.machine && is_over(rest.split('/').next().unwrap_or("")))
    });
    report.set("lease", holder.map_or(Json::Null, |(holder, age)| object! { "holder" => holder, "age_s" => age as i64, "alive" => alive }));
    report.set("agent", format!("system:serviceaccount:{}:{AGENT}", place.own));
    let mut probing = cluster.clone();
    probing.set_agent(AgentAccount { namespace: place.own.clone(), name: AGENT.into() });
    let acting = match probing.acting() {
        Ok(Acting::Token) => "by a short-lived token".to_owned(),
        Ok(Acting::Impersonation) => "by impersonation".to_owned(),
        Err(error) => format!("not at all: {}", error.message),
    };
    report.set("agent_acts", acting);
    let record = Record::read(cluster, place)?;
    let journal = Journal::open(cluster, place).map_err(EnvironmentError::api("reading the journal"))?;
    let entries = journal.entries(cluster).map_err(EnvironmentError::api("reading the journal"))?.len();
    let parts = survey(cluster, place, &record)?;
    let different = if record.phase == Phase::Ready { differences(&record, &parts) } else { Vec::new() };
    report.set("deployed", record.phase == Phase::Ready);
    report.set("journal_entries", entries as i64);
    let shown = different.iter().map(|difference| {
        let what = match difference {
            Difference::Gone(_) => "gone",
            Difference::Changed(_) => "changed",
            Difference::Added(_) => "added",
        };
        Json::from(format!("{what} {}", difference.key()))
    });
    report.set("differences", shown.collect::<Json>());
    let healthy = record.phase == Phase::Ready && entries == 0 && different.is_empty();
    Ok(if alive {
        Findings::InUse
    } else if healthy {
        Findings::Healthy
    } else {
        Findings::Broken(Box::new(record))
    })
}

/// Puts an environment back as it was recorded; one of which nothing is known is removed.
fn mend(
    cluster: &mut LiveCluster,
    config: &LiveConfig,
    app: &Arc<App>,
    place: &Place,
    record: &Record,
) -> Result<&'static str, EnvironmentError> {
    if record.origin.app != *app.name || record.phase == Phase::Unfinished {
        remove(cluster, place, Duration::from_secs_f64(config.ready_timeout_s))?;
        return Ok("removed: its deploy was never finished");
    }
    let own = LiveConfig {
        suffix: Some(place.suffix.to_string()),
        on_close: OnClose::Keep,
        cpu_scale: record.origin.cpu_scale,
        image: record.origin.image.clone(),
        ..config.clone()
    };
    let opened = Environment::open(&own, app, record.origin.strict).map_err(|error| match error {
        super::OpenError::Environment(error) => error,
        super::OpenError::Connect(failure) => {
            EnvironmentError::NotReady { namespace: place.namespace.to_string(), seconds: 0, why: failure.to_string() }
        }
    });
    opened?.close()?;
    Ok("put back as it was recorded")
}
