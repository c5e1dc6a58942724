//! An application: texts, endpoints, manifests.

use super::super::answer::Documents;
use super::super::catalog::{App, Entry, Store};
use super::super::endpoint::{Draw, Endpoint};
use super::super::error::DataError;
use super::super::template::Template;
use super::super::written;
use super::{DataFile, Source};
use crate::object::Json;
use crate::workload::Profile;
use arcstr::ArcStr;
use std::sync::Arc;

/// Resolves the app that a file describes. The file must have one.
pub(super) fn resolve(source: &Source<'_>, files: &[DataFile<'_>], documents: &Arc<Documents>) -> Result<App, DataError> {
    let Some(app) = &source.file.app else { return Err(DataError::file(source.path, "no table [app]")) };
    let app = app.as_ref();
    let below = |part: &str| {
        let folder = format!("{}/{part}/", source.folder());
        files.iter().filter(move |(path, _)| path.starts_with(&folder) && path.ends_with(".yaml"))
    };
    let manifests = below("manifests").map(manifest).collect::<Result<Vec<_>, _>>()?.concat();
    let strict_manifests = below("strict").map(manifest).collect::<Result<Vec<_>, _>>()?.concat();
    let is_entry = |o: &&Json| o.get("kind").text() == "Service" && o.at(&["metadata", "name"]).text() == app.entry.service.as_ref();
    let services = || manifests.iter().filter(|o| o.get("kind").text() == "Service");
    if !services().any(|o| is_entry(&o)) {
        return Err(source.unknown("Service", &app.entry.service, services().map(|o| o.at(&["metadata", "name"]).text())));
    }
    let deployments = || manifests.iter().filter(|o| o.get("kind").text() == "Deployment");
    for name in &app.first {
        if !deployments().any(|o| o.at(&["metadata", "name"]).text() == name.as_ref()) {
            return Err(source.unknown("Deployment", name, deployments().map(|o| o.at(&["metadata", "name"]).text())));
        }
    }
    for store in &source.file.store {
        if !deployments().any(|o| o.at(&["metadata", "name"]).text() == store.deployment.as_ref()) {
            return Err(source.unknown("Deployment", &store.deployment, deployments().map(|o| o.at(&["metadata", "name"]).text())));
        }
    }
    let store = |store: &written::Store| Store {
        deployment: store.deployment.as_ref().as_str().into(),
        fingerprint: store.fingerprint.clone(),
        holds: store.holds.clone(),
        data: store.data.as_str().into(),
    };
    Ok(App {
        name: source.folder().rsplit('/').next().unwrap_or_default().into(),
        title: app.title.as_str().into(),
        namespace: app.namespace.as_str().into(),
        description: app.description.as_str().into(),
        operations: app.operations.iter().map(ArcStr::from).collect(),
        entry: Entry { service: app.entry.service.as_ref().as_str().into(), port: app.entry.port },
        endpoints: source.file.endpoint.iter().map(|e| endpoint(source, e)).collect::<Result<_, _>>()?,
        load: load(source, app)?,
        first: app.first.iter().map(|name| name.as_ref().as_str().into()).collect(),
        stores: source.file.store.iter().map(store).collect(),
        manifests: order(manifests),
        strict_manifests: order(strict_manifests),
        documents: documents.clone(),
    })
}

/// How many requests come when.
fn load(source: &Source<'_>, app: &written::App) -> Result<Profile, DataError> {
    let written = &source.file.load;
    if written.rate_per_s.is_some() {
        let message = "the usual rate stands in [app] rate_per_s";
        return Err(DataError::within(source.path, source.text, &["load", "rate_per_s"], message));
    }
    written.resolve(app.rate_per_s).map_err(|error| {
        let table = if error.path == ["rate_per_s"] { "app" } else { "load" };
        DataError::load(source.path, source.text, table, &error)
    })
}

/// The objects of a manifest; every one must have an apiVersion, a kind and a name.
fn manifest((path, text): &DataFile<'_>) -> Result<Vec<Json>, DataError> {
    let parsed = serde_saphyr::from_multiple::<Json>(text);
    let objects = parsed.map_err(|error| {
        let (line, column) = error.location().map_or((1, 1), |at| (at.line() as usize, at.column() as usize));
        DataError { line, column, ..DataError::file(path, format!("not YAML: {error}")) }
    })?;
    let objects: Vec<Json> = objects.into_iter().filter(|o| !o.is_null()).collect();
    for object in &objects {
        for field in [&["apiVersion"][..], &["kind"], &["metadata", "name"]] {
            if object.at(field).text().is_empty() {
                return Err(DataError::file(path, format!("an object has no {}", field.join("."))));
            }
        }
    }
    Ok(objects)
}

/// Objects in the order in which `kubectl apply -Rf` would not have to wait for one: volumes and configuration first.
fn order(mut objects: Vec<Json>) -> Vec<Json> {
    let rank = |o: &Json| match o.get("kind").text() {
        "Namespace" => 0,
        "PersistentVolume" => 1,
        "PersistentVolumeClaim" | "ConfigMap" | "Secret" | "ServiceAccount" => 2,
        "Service" => 3,
        _ => 4,
    };
    objects.sort_by_key(rank);
    objects
}

fn endpoint(source: &Source<'_>, written: &written::Endpoint) -> Result<Endpoint, DataError> {
    let name = written.name.as_ref();
    let Some((method, path)) = name.split_once(' ').filter(|(_, path)| path.starts_with('/')) else {
        return Err(source.error(written.name.span(), "an endpoint is named METHOD /PATH"));
    };
    if written.weight.is_nan() || written.weight <= 0.0 {
        return Err(source.error(written.name.span(), "an endpoint's weight must be positive"));
    }
    let mut draws: Vec<(ArcStr, Draw)> = Vec::new();
    for each in &written.draw {
        let drawn = draw(source, each, &draws)?;
        draws.push((each.name.as_ref().as_str().into(), drawn));
    }
    let mut query = Vec::new();
    for (parameter, text) in &written.query {
        let template = Template::parse(text.as_ref());
        if let Some(wrong) = template.names().find(|n| !draws.iter().any(|(name, _)| name == *n)) {
            let error = source.error(text.span(), format!("nothing is drawn as `{wrong}`"));
            return Err(error.suggest(wrong, draws.iter().map(|(n, _)| n.as_str())));
        }
        query.push((parameter.as_str().into(), template));
    }
    Ok(Endpoint { name: name.as_str().into(), method: method.into(), path: path.into(), weight: written.weight, query, draws })
}

fn draw(source: &Source<'_>, written: &written::Draw, earlier: &[(ArcStr, Draw)]) -> Result<Draw, DataError> {
    let known = |text: &written::Text| match earlier.iter().find(|(n, _)| *n == text.as_ref().as_str()) {
        Some((name, _)) => Ok(name.clone()),
        None => Err(source.unknown("draw", text, earlier.iter().map(|(n, _)| n.as_str()))),
    };
    match (&written.int, &written.decimal, &written.choice, &written.repeat) {
        (Some([low, high]), None, None, None) => Ok(Draw::Int {
            low: *low,
            high: *high,
            after: written.after.as_ref().map(known).transpose()?,
            relative: written.relative,
            width: written.width.unwrap_or(1),
        }),
        (None, Some([low, high]), None, None) => Ok(Draw::Decimal { low: *low, high: *high, places: written.places.unwrap_or(0) }),
        (None, None, Some(choices), None) if !choices.is_empty() => {
            Ok(Draw::Choice(choices.iter().map(|(text, weight)| (text.into(), *weight)).collect()))
        }
        (None, None, None, Some(of)) => Ok(Draw::Repeat { of: known(of)?, times: written.times.unwrap_or(1) }),
        _ => Err(source.error(written.name.span(), "a draw has exactly one of: int, decimal, choice, repeat")),
    }
}
