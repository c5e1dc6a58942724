//! Answers: detection, localization, analysis. Accepted answers are data; malformed ones are invalid and worth nothing.

use super::names::canonical;
use super::{Check, FAULT_TYPES, Grade, SYSTEM_LEVELS, Task};
use crate::object;
use crate::object::Json;
use crate::tool::grammar::Dialect;
use serde::Deserialize;

/// The answers that are right.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Root causes, each by every name that is accepted for it; the first is AIOpsLab's. Empty when nothing is wrong.
    #[serde(default)]
    pub components: Vec<Vec<String>>,
    /// Names that AIOpsLab accepts, where it accepts more than the first.
    #[serde(default)]
    pub strict_components: Vec<Vec<String>>,
    /// Accepted system levels; the first is AIOpsLab's.
    #[serde(default)]
    pub system_level: Vec<String>,
    /// Accepted fault types; the first is AIOpsLab's.
    #[serde(default)]
    pub fault_type: Vec<String>,
}

impl Expected {
    /// Whether something is wrong.
    pub fn has_anomaly(&self) -> bool {
        !self.components.is_empty()
    }

    /// The answer that is right, as the oracle submits it.
    pub fn right_answer(&self, task: Task) -> String {
        let first = |accepted: &[String]| accepted.first().cloned().unwrap_or_default();
        match task {
            Task::Detection => format!("submit({:?})", if self.has_anomaly() { "Yes" } else { "No" }),
            Task::Localization => {
                let names: Json = self.components.iter().map(|names| Json::from(first(names))).collect();
                format!("submit({})", names.to_compact())
            }
            Task::Analysis if !self.has_anomaly() => "submit(None)".to_owned(),
            Task::Analysis => {
                format!("submit({{\"system_level\": {:?}, \"fault_type\": {:?}}})", first(&self.system_level), first(&self.fault_type))
            }
            Task::Mitigation => "submit()".to_owned(),
        }
    }
}

/// Grades an answer. In the strict dialect by AIOpsLab's own rules: its one answer, case and form as it takes them.
pub fn grade_answer(task: Task, expected: &Expected, submission: &Json, namespace: &str, dialect: Dialect) -> Grade {
    match (task, dialect) {
        (Task::Detection, _) => detection(expected, submission, dialect),
        (Task::Localization, Dialect::Forgiving) => localization(expected, submission, namespace),
        (Task::Localization, Dialect::Strict) => strict_localization(expected, submission),
        (Task::Analysis, _) => analysis(expected, submission, dialect),
        (Task::Mitigation, _) => Grade::invalid("a mitigation is graded by the cluster, not by an answer", object! { "success" => false }),
    }
}

fn detection(expected: &Expected, submission: &Json, dialect: Dialect) -> Grade {
    let results = |accuracy: &str| object! { "Detection Accuracy" => accuracy };
    let Some(text) = submission.as_str() else {
        return Grade::invalid(format!("{} is no text; submit \"Yes\" or \"No\"", shown(submission)), results("Invalid Format"));
    };
    let word = text.trim().to_lowercase();
    let word = if dialect == Dialect::Strict { word.as_str() } else { word.trim_matches(['"', '\'', '.', '!', ' ']) };
    if !matches!(word, "yes" | "no") {
        let accuracy = if dialect == Dialect::Strict { "Incorrect" } else { "Invalid Format" };
        return Grade::invalid(format!("{text:?} is neither \"Yes\" nor \"No\""), results(accuracy));
    }
    let right = (word == "yes") == expected.has_anomaly();
    let check = Check::new("the answer says whether there is an anomaly", right, format!("submitted {text:?}"));
    Grade::of(vec![check], results(if right { "Correct" } else { "Incorrect" }))
}

/// The texts of a list, or of a single text.
fn texts(submission: &Json) -> Option<Vec<&str>> {
    match submission {
        Json::Str(text) => Some(vec![text.as_str()]),
        Json::Arr(items) => items.iter().map(Json::as_str).collect(),
        _ => None,
    }
}

fn localization(expected: &Expected, submission: &Json, namespace: &str) -> Grade {
    let results = |accuracy: f64, success: bool, is_subset: bool| {
        object! { "Localization Accuracy" => accuracy, "success" => success, "is_subset" => is_subset }
    };
    let Some(answers) = texts(submission) else {
        return Grade::invalid(format!("{} is no list of names", shown(submission)), results(0.0, false, false));
    };
    let mut names: Vec<String> = answers.iter().map(|name| canonical(name, namespace)).collect();
    if names.iter().any(String::is_empty) {
        return Grade::invalid(format!("{} has an empty name in it", shown(submission)), results(0.0, false, false));
    }
    names.sort();
    names.dedup();
    let accepted = |names: &[String], name: &str| names.iter().any(|known| canonical(known, namespace) == name);
    let found = expected.components.iter().filter(|cause| names.iter().any(|name| accepted(cause, name))).count();
    let wrong: Vec<&String> = names.iter().filter(|name| !expected.components.iter().any(|cause| accepted(cause, name))).collect();
    let checks = vec![
        Check::new(
            "every root cause is named",
            found == expected.components.len(),
            format!("{found} of {} named in {}", expected.components.len(), shown(submission)),
        ),
        Check::new(
            "nothing else is named",
            wrong.is_empty(),
            if wrong.is_empty() { "nothing else".to_owned() } else { format!("{} named besides", wrong.len()) },
        ),
    ];
    let (exact, subset) = (checks.iter().all(|check| check.passed), found == expected.components.len() && !names.is_empty());
    let accuracy = if exact {
        100.0
    } else if subset {
        100.0 * found as f64 / names.len() as f64
    } else {
        0.0
    };
    Grade::of(checks, results(accuracy, exact, subset))
}

/// AIOpsLab's rule: the list equal to its own, or a list that contains it.
fn strict_localization(expected: &Expected, submission: &Json) -> Grade {
    let results = |accuracy: f64, success: bool, is_subset: bool| {
        object! { "Localization Accuracy" => accuracy, "success" => success, "is_subset" => is_subset }
    };
    let Some(answers) = texts(submission) else {
        return Grade::invalid(format!("{} is no list of names", shown(submission)), results(0.0, false, false));
    };
    let first = |cause: &Vec<String>| cause.first().cloned().into_iter().collect::<Vec<_>>();
    let accepted: Vec<Vec<String>> = match expected.strict_components.as_slice() {
        [] => expected.components.iter().map(first).collect(),
        own => own.to_vec(),
    };
    let exact =
        answers.len() == accepted.len() && accepted.iter().zip(&answers).all(|(cause, answer)| cause.iter().any(|name| name == answer));
    let subset = accepted.iter().all(|cause| cause.iter().any(|name| answers.contains(&name.as_str())));
    let accuracy = if exact {
        100.0
    } else if subset && !answers.is_empty() {
        100.0 / answers.len() as f64
    } else {
        0.0
    };
    let success = exact || (subset && answers.len() == 1);
    let check = Check::new("the list is the expected one", success, format!("submitted {}", shown(submission)));
    Grade::of(vec![check], results(accuracy, success, subset))
}

fn analysis(expected: &Expected, submission: &Json, dialect: Dialect) -> Grade {
    let results = |level: bool, kind: bool| {
        object! { "system_level_correct" => level, "fault_type_correct" => kind, "success" => level && kind }
    };
    if !expected.has_anomaly() {
        let right = submission.is_null();
        return Grade::of(vec![Check::new("the answer says that there is no fault", right, shown(submission))], results(right, right));
    }
    let (Some(level), Some(kind)) = (submission.get("system_level").as_str(), submission.get("fault_type").as_str()) else {
        let saw = format!("{} is no dictionary with the texts \"system_level\" and \"fault_type\"", shown(submission));
        return Grade::invalid(saw, results(false, false));
    };
    let same =
        |a: &str, b: &str| if dialect == Dialect::Strict { a.trim().to_lowercase() == b.to_lowercase() } else { loose(a) == loose(b) };
    if dialect == Dialect::Forgiving {
        for (word, known) in [(level, SYSTEM_LEVELS), (kind, FAULT_TYPES)] {
            if !known.iter().any(|name| same(word, name)) {
                return Grade::invalid(format!("{word:?} is none of {}", known.join(", ")), results(false, false));
            }
        }
    }
    let accepts = |accepted: &[String], word: &str| {
        let accepted = if dialect == Dialect::Strict { accepted.get(..1).unwrap_or(&[]) } else { accepted };
        accepted.iter().any(|name| same(word, name))
    };
    let (level_right, kind_right) = (accepts(&expected.system_level, level), accepts(&expected.fault_type, kind));
    let checks = vec![
        Check::new("the system level is right", level_right, format!("submitted {level:?}")),
        Check::new("the fault type is right", kind_right, format!("submitted {kind:?}")),
    ];
    Grade::of(checks, results(level_right, kind_right))
}

/// A word for comparison: letters only, lower case (`network / storage issue`, `Misconfiguration.`).
fn loose(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// A value as a check quotes it; long ones are cut.
fn shown(value: &Json) -> String {
    let text = value.to_compact();
    match text.char_indices().nth(200) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array;

    fn geo() -> Expected {
        Expected {
            components: vec![vec!["geo".into(), "mongodb-geo".into()]],
            strict_components: vec![],
            system_level: vec!["Application".into(), "Virtualization".into()],
            fault_type: vec!["Misconfiguration".into()],
        }
    }

    fn grade(task: Task, expected: &Expected, submission: Json, dialect: Dialect) -> (bool, bool, f64) {
        let grade = grade_answer(task, expected, &submission, "test-hotel-reservation", dialect);
        (grade.valid, grade.success, grade.score)
    }

    const RIGHT: (bool, bool, f64) = (true, true, 1.0);
    const WRONG: (bool, bool, f64) = (true, false, 0.0);
    const INVALID: (bool, bool, f64) = (false, false, 0.0);

    #[test]
    fn detection_answers() {
        let healthy = Expected::default();
        for (answer, faulty, sound) in [
            (Json::from("Yes"), RIGHT, WRONG),
            (" yes. ".into(), RIGHT, WRONG),
            ("NO".into(), WRONG, RIGHT),
            ("maybe".into(), INVALID, INVALID),
            ("".into(), INVALID, INVALID),
            (array!["Yes"], INVALID, INVALID),
            (Json::Null, INVALID, INVALID),
            (true.into(), INVALID, INVALID),
        ] {
            assert_eq!(grade(Task::Detection, &geo(), answer.clone(), Dialect::Forgiving), faulty, "{answer:?}");
            assert_eq!(grade(Task::Detection, &healthy, answer.clone(), Dialect::Forgiving), sound, "{answer:?}");
        }
        assert_eq!(grade(Task::Detection, &geo(), " yes ".into(), Dialect::Strict), RIGHT);
        assert_eq!(grade(Task::Detection, &geo(), "yes.".into(), Dialect::Strict), INVALID);
    }

    #[test]
    fn localization_answers() {
        for (answer, expected) in [
            (array!["geo"], RIGHT),
            (Json::from("geo"), RIGHT),
            (array!["mongodb-geo"], RIGHT),
            (array!["geo", "mongodb-geo", "GEO"], RIGHT),
            (array!["deployment/geo"], RIGHT),
            (array!["geo.test-hotel-reservation.svc.cluster.local"], RIGHT),
            (array!["geo", "rate"], WRONG),
            (array!["rate"], WRONG),
            (array![], WRONG),
            (array![""], INVALID),
            (array![array!["geo"]], INVALID),
            (array![5], INVALID),
            (object! { "geo" => true }, INVALID),
            (Json::Null, INVALID),
        ] {
            assert_eq!(grade(Task::Localization, &geo(), answer.clone(), Dialect::Forgiving), expected, "{answer:?}");
        }
        assert_eq!(grade(Task::Localization, &Expected::default(), array![], Dialect::Forgiving), RIGHT);
        assert_eq!(grade(Task::Localization, &geo(), array!["Geo"], Dialect::Strict), WRONG);
        assert_eq!(grade(Task::Localization, &geo(), array!["geo"], Dialect::Strict), RIGHT);
        assert_eq!(grade(Task::Localization, &geo(), array!["mongodb-geo"], Dialect::Strict), WRONG);
        let either = Expected { strict_components: vec![vec!["mongodb-geo".into(), "geo".into()]], ..geo() };
        assert_eq!(grade(Task::Localization, &either, array!["mongodb-geo"], Dialect::Strict), RIGHT);
        let superset = grade_answer(Task::Localization, &geo(), &array!["geo", "x"], "ns", Dialect::Strict);
        assert_eq!((superset.success, superset.results.get("Localization Accuracy").as_f64()), (false, Some(50.0)));
    }

    #[test]
    fn analysis_answers() {
        let answer = |level: &str, kind: &str| object! { "system_level" => level, "fault_type" => kind };
        for (submission, expected) in [
            (answer("Application", "Misconfiguration"), RIGHT),
            (answer("virtualization", "misconfiguration."), RIGHT),
            (answer("Application", "Code Defect"), WRONG),
            (answer("Application", "bug"), INVALID),
            (object! { "system_level" => "Application" }, INVALID),
            (object! { "system_level" => Json::Null, "fault_type" => array!["x"] }, INVALID),
            (Json::Null, INVALID),
            ("Misconfiguration".into(), INVALID),
        ] {
            assert_eq!(grade(Task::Analysis, &geo(), submission.clone(), Dialect::Forgiving), expected, "{submission:?}");
        }
        assert_eq!(grade(Task::Analysis, &geo(), answer("Virtualization", "Misconfiguration"), Dialect::Strict), WRONG);
        assert_eq!(grade(Task::Analysis, &geo(), answer(" application ", "MISCONFIGURATION"), Dialect::Strict), RIGHT);
        assert_eq!(grade(Task::Analysis, &Expected::default(), Json::Null, Dialect::Forgiving), RIGHT);
    }

    #[test]
    fn the_right_answer_is_right() {
        for expected in [geo(), Expected::default()] {
            for task in [Task::Detection, Task::Localization] {
                let call = crate::tool::grammar::parse(&expected.right_answer(task), Dialect::Forgiving).expect("a call");
                assert_eq!(grade(task, &expected, call.args[0].clone(), Dialect::Forgiving), RIGHT);
            }
        }
        let call = crate::tool::grammar::parse(&geo().right_answer(Task::Analysis), Dialect::Forgiving).expect("a call");
        assert_eq!(grade(Task::Analysis, &geo(), call.args[0].clone(), Dialect::Forgiving), RIGHT);
    }
}
