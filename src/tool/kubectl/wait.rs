//! `kubectl wait`.

use super::builder::{ALL_NAMESPACES, Builder, FILENAME, Found, Info, SELECTOR};
use super::command::{Call, Command};
use super::delete::gone;
use super::failure::{Failure, quote};
use super::flags::Flag;
use super::mutation::{self, ALL, DryRun, LOCAL};
use super::output::jsonpath::{self, JsonPath};
use super::output::values;
use super::printing::{PRINT, Printer};
use crate::cluster::{Interest, Woken};
use crate::object::{Json, Object};
use crate::time::SimTime;

static FLAGS: &[Flag] = &[
    Flag::text("field-selector", "Field query: =, == and !=."),
    Flag::text("for", "What to wait for: create, delete, condition=NAME[=VALUE] or jsonpath='{EXPRESSION}'[=VALUE]."),
    Flag::duration("timeout", "30s", "How long to wait; 0 to look once, negative for a week."),
];

/// The command.
pub static COMMAND: Command = Command::leaf(
    "kubectl wait",
    "([-f FILENAME] | resource.group/resource.name | resource.group [(-l label | --all)]) [--for=create|--for=delete|--for \
     condition=available|--for=jsonpath='{}'[=value]]",
    "Experimental: Wait for a specific condition on one or many resources",
    &[FLAGS, ALL, ALL_NAMESPACES, LOCAL, FILENAME, PRINT, SELECTOR],
    run,
)
.suggest_for(&["list", "ps"]);

/// What is waited for.
#[derive(Debug, Clone, PartialEq)]
enum Goal {
    Created,
    Deleted,
    Condition { name: String, value: String },
    Path { expression: String, value: String },
}

fn goal(text: &str) -> Result<Goal, Failure> {
    match text.to_lowercase().as_str() {
        "create" => return Ok(Goal::Created),
        "delete" => return Ok(Goal::Deleted),
        _ => {}
    }
    if let Some(condition) = text.strip_prefix("condition=") {
        let (name, value) = condition.split_once('=').unwrap_or((condition, "true"));
        return Ok(Goal::Condition { name: name.to_owned(), value: value.to_owned() });
    }
    if let Some(input) = text.strip_prefix("jsonpath=") {
        return path_goal(input);
    }
    Err(format!("unrecognized condition: {}", quote(text)).into())
}

/// `'{.status.phase}'=Running`: split at single equal signs.
fn path_goal(input: &str) -> Result<Goal, Failure> {
    let mut parts = vec![String::new()];
    let mut rest = input;
    while let Some(c) = rest.chars().next() {
        let (taken, width) = if rest.starts_with("==") { ("==", 2) } else { (&rest[..c.len_utf8()], c.len_utf8()) };
        if taken == "=" {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push_str(taken);
        }
        rest = &rest[width..];
    }
    let format = "jsonpath wait format must be --for=jsonpath='{.status.readyReplicas}'=3 or --for=jsonpath='{.status.readyReplicas}'";
    let (expression, value) = match parts.as_slice() {
        [expression] => (expression, String::new()),
        [expression, value] => {
            let value = value.trim_matches(['\'', '"']).to_owned();
            if value.is_empty() {
                return Err("jsonpath wait has to have a value after equal sign, like --for=jsonpath='{.status.readyReplicas}'=3".into());
            }
            (expression, value)
        }
        _ => return Err(format.into()),
    };
    if expression.is_empty() {
        return Err("jsonpath expression cannot be empty".into());
    }
    Ok(Goal::Path { expression: expression.clone(), value })
}

fn run(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let mut printer = Printer::of(call, DryRun::None)?;
    let goal = goal(&call.flags.text("for"))?;
    let timeout = call.flags.nanos("timeout");
    let until = mutation::from_now(call, if timeout < 0 { 168 * 3600 * 1_000_000_000 } else { timeout });
    let mut found = if goal == Goal::Created { created(call, until)? } else { targets(call)? };
    if goal == Goal::Deleted {
        found.failures.retain(|failure| !failure.is_not_found());
    }
    let infos = found.flat();
    let none = infos.is_empty() && found.failures.is_empty();
    let mut failures = found.failures;
    for info in infos {
        match reach(call, &goal, info, until, timeout == 0).and_then(|object| printer.print(call, &object, "condition met")) {
            Err(cut @ Failure::Exit(_)) => return Err(cut),
            Err(failure) => failures.push(failure),
            Ok(()) => {}
        }
    }
    Failure::all(failures)?;
    if none && goal != Goal::Deleted { Err("no matching resources found".into()) } else { Ok(()) }
}

fn targets(call: &mut Call<'_, '_>) -> Result<Found, Failure> {
    let args = call.args.clone();
    let (all, everywhere, local) = (call.flags.on("all"), call.flags.on("all-namespaces"), call.flags.on("local"));
    let (labels, fields) = (call.flags.text("selector"), call.flags.text("field-selector"));
    Builder::new(call)
        .all_namespaces(everywhere)
        .files(call, call.namespace_given)
        .local(local)
        .types_or_names(call, all, &args)
        .labels(&labels)
        .fields(&fields)
        .latest()
        .continue_on_error()
        .fetch(call)
}

/// Waits until at least one of the objects is there.
fn created(call: &mut Call<'_, '_>, until: SimTime) -> Result<Found, Failure> {
    loop {
        let found = targets(call)?;
        let missing = !found.failures.is_empty() && found.failures.iter().all(Failure::is_not_found);
        let nothing = found.failures.is_empty() && found.flat().is_empty();
        if !missing && !nothing {
            return Ok(found);
        }
        let interests: Vec<Interest> = interests(call)?;
        if mutation::wait(call, until, &interests)? == Woken::Time {
            return Err("timed out waiting for the condition".into());
        }
    }
}

/// Changes of the kinds that the arguments name.
fn interests(call: &mut Call<'_, '_>) -> Result<Vec<Interest>, Failure> {
    let mapper = call.mapper()?;
    let words: Vec<String> = match call.args.iter().any(|arg| arg.contains('/')) {
        true => call.args.iter().filter_map(|arg| arg.split('/').next()).map(str::to_owned).collect(),
        false => call.args.iter().take(1).flat_map(|arg| arg.split(',').map(str::to_owned).collect::<Vec<_>>()).collect(),
    };
    let mut interests = Vec::new();
    for word in words {
        interests.push(Interest::Objects { resource: mapper.resolve(&word)?, namespace: None, name: None });
    }
    if interests.is_empty() {
        interests.extend(mapper.all().iter().map(|r| Interest::Objects { resource: r.clone(), namespace: None, name: None }));
    }
    Ok(interests)
}

/// Waits until the goal holds for one object; the object as it is then.
fn reach(call: &mut Call<'_, '_>, goal: &Goal, mut info: Info, until: SimTime, once: bool) -> Result<Object, Failure> {
    let named = format!("{}/{}", info.resource.plural, info.name);
    let unmet = || Failure::from(format!("condition not met for {named}"));
    match goal {
        Goal::Created => return Ok(info.object),
        Goal::Deleted if once => {
            return match info.read(call) {
                Err(failure) if failure.is_not_found() => Ok(info.object),
                Err(failure) => Err(failure),
                Ok(()) => Err(unmet()),
            };
        }
        Goal::Deleted => return gone(call, &info, None, until),
        _ => {}
    }
    // The object was read before others were waited for.
    if !once && !holds(goal, &info.object)? {
        info.read(call)?;
    }
    loop {
        if holds(goal, &info.object)? {
            return Ok(info.object);
        }
        if once {
            return Err(unmet());
        }
        let interest = mutation::changes_of(&info);
        if mutation::wait(call, until, &[interest])? == Woken::Time {
            return Err(format!("timed out waiting for the condition on {named}").into());
        }
        info.read(call)?;
    }
}

fn holds(goal: &Goal, object: &Object) -> Result<bool, Failure> {
    match goal {
        Goal::Condition { name, value } => Ok(condition_holds(object, name, value)),
        Goal::Path { expression, value } => path_holds(object, expression, value),
        Goal::Created | Goal::Deleted => Ok(false),
    }
}

fn condition_holds(object: &Object, name: &str, value: &str) -> bool {
    let conditions = object.at(&["status", "conditions"]).items();
    let called = |c: &&Json| c.get("type").text().eq_ignore_ascii_case(name) && c.get("status").as_str().is_some();
    let Some(condition) = conditions.iter().find(called) else { return false };
    let observed = condition.get("observedGeneration").as_i64().or_else(|| object.at(&["status", "observedGeneration"]).as_i64());
    if observed.is_some_and(|observed| observed < object.generation()) {
        return false;
    }
    condition.get("status").text().eq_ignore_ascii_case(value)
}

fn path_holds(object: &Object, expression: &str, value: &str) -> Result<bool, Failure> {
    let mut path = JsonPath::parse(&jsonpath::relaxed(expression)?)?;
    path.allow_missing = true;
    let found = path.find(object)?;
    let found = match found.as_slice() {
        [] => return Ok(false),
        [first] => first,
        [first, ..] if first.is_empty() => return Ok(false),
        _ => return Err("given jsonpath expression matches more than one list".into()),
    };
    match found.as_slice() {
        [] => Ok(false),
        [_] if value.is_empty() => Ok(true),
        [Json::Obj(_) | Json::Arr(_)] => Err("jsonpath leads to a nested object or list which is not supported".into()),
        [one] => Ok(values::plain(one).trim() == value.trim()),
        _ => Err("given jsonpath expression matches more than one value".into()),
    }
}
