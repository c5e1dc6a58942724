//! Answers over all problems: what is accepted, in which dress, and what constant answers are worth.

use aiopslab::object;
use aiopslab::object::Json;
use aiopslab::problem::{Problem, Registry};
use aiopslab::session::{Options, Session};
use aiopslab::task::{FAULT_TYPES, SYSTEM_LEVELS, Task, grade_answer};
use aiopslab::tool::grammar::Dialect;
use aiopslab::trajectory::Action;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const NS: &str = "test-hotel-reservation";

fn problems(task: Task) -> Vec<Arc<Problem>> {
    Registry::embedded().list(Some(task.as_str()), Some("hotel-reservation"), None).expect("some")
}

fn solves(problem: &Problem, answer: &Json, dialect: Dialect) -> bool {
    grade_answer(problem.task, &problem.expected, answer, NS, dialect).success
}

fn list(names: &[&str]) -> Json {
    names.iter().map(|name| Json::from(*name)).collect()
}

/// What AIOpsLab's key says, and what else is right here, by family and number; the second column alone counts in the strict dialect.
const PLACES: &[(&str, &[&str], &[&str])] = &[
    ("misconfig_app_hotel_res-localization-1", &["geo"], &["mongodb-geo", "hotel-reserv-geo"]),
    ("revoke_auth_mongodb-localization-1", &["mongodb-geo", "geo"], &["hotel-reserv-geo", "hotel-reserv-geo-mongo"]),
    ("revoke_auth_mongodb-localization-2", &["mongodb-rate", "rate"], &["hotel-reserv-rate", "hotel-reserv-rate-mongo"]),
    ("user_unregistered_mongodb-localization-1", &["mongodb-geo", "geo"], &["hotel-reserv-geo", "hotel-reserv-geo-mongo"]),
    ("user_unregistered_mongodb-localization-2", &["mongodb-rate", "rate"], &["hotel-reserv-rate", "hotel-reserv-rate-mongo"]),
    ("wrong_bin_usage-localization-1", &["profile"], &["hotel-reserv-profile"]),
    ("container_kill-localization", &["geo"], &["hotel-reserv-geo"]),
    ("pod_failure_hotel_res-localization-1", &["user"], &["hotel-reserv-user"]),
    ("pod_kill_hotel_res-localization-1", &["user"], &["hotel-reserv-user"]),
    ("network_loss_hotel_res-localization-1", &["user"], &["hotel-reserv-user"]),
    ("network_delay_hotel_res-localization-1", &["user"], &["hotel-reserv-user"]),
];

/// A name as agents write it.
fn dresses(name: &str) -> Vec<Json> {
    let texts = [
        name.to_uppercase(),
        format!(" {name} "),
        format!("svc/{name}"),
        format!("service/{name}"),
        format!("deployment/{name}"),
        format!("deployment.apps/{name}"),
        format!("pod/{name}-5f6d8b9c7d-x2k4p"),
        format!("{name}-5f6d8b9c7d-x2k4p"),
        format!("{NS}/{name}"),
        format!("{name}.{NS}"),
        format!("{name}.{NS}.svc.cluster.local"),
        format!("{name} service"),
    ];
    let mut all: Vec<Json> = texts.iter().map(|text| list(&[text])).collect();
    all.extend([Json::from(name), list(&[name, name]), list(&[name, &format!("svc/{name}")])]);
    all
}

#[test]
fn places_are_accepted_by_every_name_in_every_dress() {
    let known: BTreeMap<_, _> = problems(Task::Localization).into_iter().map(|p| (p.id.to_string(), p)).collect();
    let suite = Registry::embedded().list(Some("localization"), None, Some("hotel-38")).expect("some");
    assert_eq!(suite.len(), PLACES.len(), "a row for every problem of the suite");
    for (id, own, besides) in PLACES {
        let problem = known.get(*id).unwrap_or_else(|| panic!("{id} is gone"));
        for name in own.iter().chain(*besides) {
            assert!(solves(problem, &list(&[name]), Dialect::Forgiving), "{id}: {name}");
            for dressed in dresses(name) {
                assert!(solves(problem, &dressed, Dialect::Forgiving), "{id}: {dressed:?}");
            }
            assert_eq!(solves(problem, &list(&[name]), Dialect::Strict), own.contains(name), "{id}: {name} by AIOpsLab's key");
        }
        let together: Vec<&str> = own.iter().chain(*besides).copied().collect();
        assert!(solves(problem, &list(&together), Dialect::Forgiving), "{id}: all names of one place");
        for wrong in ["frontend", "consul", "memcached-rate", "mongodb-user", "node-1", NS] {
            assert!(!solves(problem, &list(&[wrong]), Dialect::Forgiving), "{id}: {wrong}");
            assert!(!solves(problem, &list(&[own[0], wrong]), Dialect::Forgiving), "{id}: {wrong} besides");
        }
        let keys = object! { own[0] => true };
        assert!(!solves(problem, &keys, Dialect::Forgiving), "{id}: a dictionary is no list");
        assert!(!solves(problem, &list(&[]), Dialect::Forgiving), "{id}: nothing is wrong");
    }
}

/// A system level and a fault type.
type Label = (&'static str, &'static str);

/// AIOpsLab's label, and what else is right here.
const LABELS: &[(&str, Label, &[Label])] = &[
    ("misconfig_app_hotel_res-analysis-1", ("Application", "Misconfiguration"), &[]),
    ("revoke_auth_mongodb-analysis-1", ("Application", "Authentication Issue"), &[]),
    ("revoke_auth_mongodb-analysis-2", ("Application", "Authentication Issue"), &[]),
    ("user_unregistered_mongodb-analysis-1", ("Application", "Network/Storage Issue"), &[("Application", "Authentication Issue")]),
    ("user_unregistered_mongodb-analysis-2", ("Application", "Network/Storage Issue"), &[("Application", "Authentication Issue")]),
    (
        "wrong_bin_usage-analysis-1",
        ("Application", "Network/Storage Issue"),
        &[("Application", "Misconfiguration"), ("Virtualization", "Misconfiguration"), ("Virtualization", "Network/Storage Issue")],
    ),
    ("redeploy_without_PV-analysis-1", ("Virtualization", "Operation Error"), &[("Virtualization", "Network/Storage Issue")]),
];

fn pairs() -> impl Iterator<Item = (&'static str, &'static str)> {
    SYSTEM_LEVELS.iter().flat_map(|level| FAULT_TYPES.iter().map(move |kind| (*level, *kind)))
}

#[test]
fn labels_are_accepted_where_they_are_documented_and_nowhere_else() {
    let known: BTreeMap<_, _> = problems(Task::Analysis).into_iter().map(|p| (p.id.to_string(), p)).collect();
    let suite = Registry::embedded().list(Some("analysis"), None, Some("hotel-38")).expect("some");
    assert_eq!(suite.len(), LABELS.len(), "a row for every problem of the suite");
    for (id, own, besides) in LABELS {
        let problem = known.get(*id).unwrap_or_else(|| panic!("{id} is gone"));
        for (level, kind) in pairs() {
            let right = (level, kind) == *own || besides.contains(&(level, kind));
            for (l, k) in [
                (level.to_owned(), kind.to_owned()),
                (level.to_lowercase(), kind.to_uppercase()),
                (format!(" {level}."), kind.replace('/', " / ")),
            ] {
                let answer = object! { "system_level" => l.as_str(), "fault_type" => k.as_str() };
                assert_eq!(solves(problem, &answer, Dialect::Forgiving), right, "{id}: {l} {k}");
            }
            let answer = object! { "system_level" => level, "fault_type" => kind };
            assert_eq!(solves(problem, &answer, Dialect::Strict), (level, kind) == *own, "{id}: {level} {kind} by AIOpsLab's key");
        }
        for odd in [Json::Null, list(&["Application"]), Json::from("Misconfiguration"), object! { "system_level" => own.0 }] {
            assert!(!solves(problem, &odd, Dialect::Forgiving), "{id}: {odd:?}");
        }
    }
}

#[test]
fn detections_are_accepted_in_every_dress() {
    let all = problems(Task::Detection);
    assert_eq!(all.iter().filter(|p| !p.expected.has_anomaly()).count(), 1, "one healthy detection");
    for problem in all {
        let sick = problem.expected.has_anomaly();
        for (answer, says) in
            [("Yes", true), ("yes", true), (" YES. ", true), ("'yes'", true), ("No", false), ("no!", false), ("\"No\"", false)]
        {
            assert_eq!(solves(&problem, &Json::from(answer), Dialect::Forgiving), says == sick, "{}: {answer}", problem.id);
        }
        for odd in [Json::Null, Json::from("Yes and no"), Json::from(""), list(&["Yes"]), Json::from(true)] {
            assert!(!solves(&problem, &odd, Dialect::Forgiving), "{}: {odd:?}", problem.id);
        }
    }
}

/// The share of episodes, half of them healthy, that a constant answer solves: measured by playing, and as it follows from the data alone.
fn shares(task: Task, action: &str, right_when: impl Fn(&Problem) -> bool) -> (f64, f64) {
    let (mut measured, mut computed) = (0.0, 0.0);
    let all = problems(task);
    let healthy = all.iter().filter(|p| p.fault.is_none()).count();
    for problem in &all {
        let weight = 0.5 / if problem.fault.is_none() { healthy } else { all.len() - healthy } as f64;
        let mut session = Session::new(Registry::embedded(), problem.clone(), Options::default());
        for seed in 0..3 {
            session.reset(seed).expect("begins");
            let step = session.step(Action::Text(format!("submit({action})"))).expect("in progress");
            measured += weight / 3.0 * f64::from(u8::from(step.info.success == Some(true)));
        }
        computed += weight * f64::from(u8::from(right_when(problem)));
    }
    (measured, computed)
}

#[track_caller]
fn agree(what: &str, (measured, computed): (f64, f64)) -> f64 {
    assert!((measured - computed).abs() < 1e-9, "{what}: {measured} instead of {computed}");
    computed
}

#[test]
fn constant_detections_are_at_chance() {
    for (answer, says) in [("\"Yes\"", true), ("\"No\"", false)] {
        let share = agree(answer, shares(Task::Detection, answer, |p| p.fault.is_some() == says));
        assert!((share - 0.5).abs() < 1e-9, "{answer}: {share}");
    }
}

#[test]
fn constant_localizations_are_at_chance() {
    let app = Registry::embedded().catalog().app("hotel-reservation").expect("embedded").clone();
    let deployed = app.manifests.iter().filter(|o| o.get("kind").text() == "Deployment");
    let names: Vec<String> = deployed.map(|o| o.at(&["metadata", "name"]).text().to_owned()).collect();
    assert_eq!(names.len(), 19);
    let accepted = |p: &Problem, name: &str| p.expected.components.len() == 1 && p.expected.components[0].iter().any(|n| n == name);
    let mut sum = 0.0;
    for name in &names {
        let share = agree(name, shares(Task::Localization, &format!("[\"{name}\"]"), |p| accepted(p, name)));
        assert!(share <= 0.25, "{name} is right in {share} of the episodes");
        sum += share;
    }
    let nothing = agree("[]", shares(Task::Localization, "[]", |p| p.fault.is_none()));
    assert!((nothing - 0.5).abs() < 1e-9);
    // A guess among the names is right as often as names are accepted: about one and a half of nineteen, in half of the episodes.
    let faulty: Vec<_> = problems(Task::Localization).into_iter().filter(|p| p.fault.is_some()).collect();
    let right: usize = faulty.iter().map(|p| names.iter().filter(|name| accepted(p, name)).count()).sum();
    assert!((sum - 0.5 * right as f64 / faulty.len() as f64).abs() < 1e-9);
    assert!(sum / (names.len() as f64) < 0.05, "a guess is right in {} of the episodes", sum / names.len() as f64);
    let everything = format!("[{}]", names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", "));
    assert!(agree("everything", shares(Task::Localization, &everything, |_| false)).abs() < 1e-9);
}

#[test]
fn constant_analyses_are_at_chance() {
    let accepts = |p: &Problem, (level, kind): (&str, &str)| {
        p.expected.system_level.iter().any(|l| l == level) && p.expected.fault_type.iter().any(|k| k == kind)
    };
    let (mut sum, mut best) = (0.0, 0.0_f64);
    for (level, kind) in pairs() {
        let answer = format!("{{\"system_level\": \"{level}\", \"fault_type\": \"{kind}\"}}");
        let share = agree(&answer, shares(Task::Analysis, &answer, |p| accepts(p, (level, kind))));
        (sum, best) = (sum + share, best.max(share));
    }
    let faulty: Vec<_> = problems(Task::Analysis).into_iter().filter(|p| p.fault.is_some()).collect();
    let right: usize = faulty.iter().map(|p| pairs().filter(|pair| accepts(p, *pair)).count()).sum();
    assert!((sum - 0.5 * right as f64 / faulty.len() as f64).abs() < 1e-9);
    assert!(sum / 24.0 < 0.05 && best < 0.3, "a guess is right in {} of the episodes, the best one in {best}", sum / 24.0);
    assert!((agree("None", shares(Task::Analysis, "None", |p| p.fault.is_none())) - 0.5).abs() < 1e-9);
    let kinds: BTreeSet<_> = faulty.iter().flat_map(|p| p.expected.fault_type.clone()).collect();
    assert!(kinds.len() >= 4, "{kinds:?}");
}
