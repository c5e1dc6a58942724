//! A family of problems, and a suite, as their files are written.

use super::Problem;
use crate::app::{Catalog, DataError};
use crate::fault::Fault;
use crate::task::{Condition, Expected, Task};
use crate::workload::Load;
use arcstr::ArcStr;
use serde::Deserialize;
use std::sync::Arc;
use toml::Spanned;

/// A file under `envs/problems`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Family {
    /// Application.
    app: Spanned<String>,
    /// What an episode is about, without the answer.
    description: String,
    #[serde(default = "medium")]
    difficulty: Spanned<String>,
    #[serde(default)]
    tags: Vec<String>,
    /// Tasks, each a problem for every target.
    tasks: Spanned<Vec<Task>>,
    /// Pattern of the ids; `{family}` is the file's name, `{task}` and `{number}` are the problem's. One target needs no number.
    #[serde(default = "usual_id")]
    id: Spanned<String>,
    /// Bounds of the delay between symptom and first observation, in seconds.
    #[serde(default = "usual_delay")]
    delay_s: Spanned<[f64; 2]>,
    /// The load of its episodes, where it is not the application's own.
    load: Option<Load>,
    target: Vec<Target>,
}

/// One target of a family: what is broken and which answers are right.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    /// Its number in ids; the place in the file, from 1, when left out.
    number: Option<u32>,
    fault: Option<Fault>,
    /// Endpoints on which users notice the fault.
    #[serde(default)]
    symptom: Vec<Spanned<String>>,
    #[serde(default)]
    expected: Expected,
    #[serde(default)]
    condition: Condition,
}

fn medium() -> Spanned<String> {
    Spanned::new(0..0, "medium".to_owned())
}

fn usual_id() -> Spanned<String> {
    Spanned::new(0..0, "{family}-{task}-{number}".to_owned())
}

fn usual_delay() -> Spanned<[f64; 2]> {
    Spanned::new(0..0, [5.0, 60.0])
}

/// Reads a family's file and resolves its problems.
///
/// # Errors
/// File, line, field and a suggestion.
pub(super) fn problems(file: &str, text: &str, catalog: &Catalog) -> Result<Vec<Problem>, DataError> {
    let family: Family = toml::from_str(text).map_err(|error| DataError::toml(file, text, &error))?;
    let wrong = |span: std::ops::Range<usize>, message: String| DataError::at(file, text, span, message);
    let name = file.rsplit('/').next().unwrap_or(file).trim_end_matches(".toml");
    let app = catalog.app(family.app.get_ref()).ok_or_else(|| {
        let known = catalog.apps.iter().map(|app| app.name.as_str());
        wrong(family.app.span(), format!("there is no app {:?}", family.app.get_ref())).suggest(family.app.get_ref(), known)
    })?;
    if !["easy", "medium", "hard"].contains(&family.difficulty.get_ref().as_str()) {
        let message = format!("difficulty {:?} is none of easy, medium, hard", family.difficulty.get_ref());
        return Err(wrong(family.difficulty.span(), message));
    }
    let [low, high] = *family.delay_s.get_ref();
    if !(0.0..=3600.0).contains(&low) || !(low..=3600.0).contains(&high) {
        return Err(wrong(family.delay_s.span(), format!("delay_s = [{low}, {high}] are no bounds within 0 and 3600 seconds")));
    }
    let ids_are_one = family.target.len() > 1 && !family.id.get_ref().contains("{number}");
    if family.tasks.get_ref().is_empty() || ids_are_one {
        let (span, what) = if family.tasks.get_ref().is_empty() {
            (family.tasks.span(), "tasks is empty")
        } else {
            (family.id.span(), "id lacks {number}")
        };
        return Err(wrong(span, what.to_owned()));
    }
    for endpoint in family.target.iter().flat_map(|target| &target.symptom) {
        if app.endpoint(endpoint.get_ref()).is_none() {
            let known = app.endpoints.iter().map(|e| e.name.as_str());
            let error = wrong(endpoint.span(), format!("{} has no endpoint {:?}", app.name, endpoint.get_ref()));
            return Err(error.suggest(endpoint.get_ref(), known));
        }
    }
    let load = family.load.as_ref().map(|load| load.resolve(app.load.rate_per_s)).transpose();
    let load = load.map_err(|error| DataError::load(file, text, "load", &error))?;
    let digest = crate::rng::Key::new(0).part(file).part(text).value();
    let source = Arc::new((ArcStr::from(file), ArcStr::from(text)));
    let targets = family.target.iter().enumerate();
    let all = targets.flat_map(|(at, target)| family.tasks.get_ref().iter().map(move |task| (at, target, *task)));
    let problem = |(at, target, task): (usize, &Target, Task)| {
        let number = target.number.map_or(at + 1, |n| n as usize).to_string();
        let id = family.id.get_ref().replace("{family}", name).replace("{task}", task.as_str()).replace("{number}", &number);
        Problem {
            id: id.into(),
            app: Arc::clone(app),
            task,
            description: family.description.as_str().into(),
            difficulty: family.difficulty.get_ref().as_str().into(),
            tags: family.tags.iter().map(ArcStr::from).collect(),
            fault: target.fault.clone(),
            symptom: target.symptom.iter().map(|name| ArcStr::from(name.get_ref())).collect(),
            expected: target.expected.clone(),
            condition: target.condition.clone(),
            delay_s: [low, high],
            load: load.clone(),
            digest,
            source: Arc::clone(&source),
        }
    };
    Ok(all.map(problem).collect())
}

/// A file under `envs/suites`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Suite {
    /// What it is for.
    #[allow(dead_code, reason = "for readers of the file")]
    description: String,
    problems: Vec<Spanned<String>>,
}

/// Reads a suite's file: the ids of its problems, each known.
///
/// # Errors
/// File, line, field and a suggestion.
pub(super) fn suite(file: &str, text: &str, known: &[&str]) -> Result<Vec<ArcStr>, DataError> {
    let suite: Suite = toml::from_str(text).map_err(|error| DataError::toml(file, text, &error))?;
    let check = |id: &Spanned<String>| {
        if known.contains(&id.get_ref().as_str()) {
            return Ok(ArcStr::from(id.get_ref()));
        }
        let error = DataError::at(file, text, id.span(), format!("there is no problem {:?}", id.get_ref()));
        Err(error.suggest(id.get_ref(), known.iter().copied()))
    };
    suite.problems.iter().map(check).collect()
}
