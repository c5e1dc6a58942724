//! `kubectl delete`.

use super::builder::{ALL_NAMESPACES, Builder, FILENAME, Found, Info, SELECTOR};
use super::command::{Call, Command};
use super::failure::{Failure, quote};
use super::flags::Flag;
use super::mutation::{self, DRY_RUN, DryRun};
use crate::cluster::{ApiRequest, Options, Propagation, Woken};
use crate::object::Object;
use crate::time::SimTime;

/// `--cascade`, `--force`, `--grace-period`, `--timeout` and `--wait`, which commands that replace objects have too.
pub static DELETION: &[Flag] = &[
    Flag::text("cascade", "What becomes of dependents: background, orphan or foreground.").default("background").bare("background"),
    Flag::switch("force", "Remove the object from the API at once, without waiting for its pods to end."),
    Flag::int("grace-period", "-1", "Seconds given to end; negative for the object's own; 0 only with --force."),
    Flag::duration("timeout", "0s", "How long to wait for the end of the deletion; 0 for as long as it takes."),
];

static FLAGS: &[Flag] = &[
    Flag::switch("all", "Delete all objects of the types, in the namespace."),
    Flag::text("field-selector", "Field query: =, == and !=."),
    Flag::switch("ignore-not-found", "Count an object that is not there as deleted."),
    Flag::switch("interactive", "Ask before deleting.").short('i'),
    Flag::switch("now", "Ask for an immediate end (--grace-period=1)."),
    Flag::text("output", "With name, print TYPE/NAME only.").short('o'),
    Flag::text("raw", "URI to send the deletion to."),
    Flag::switch("wait", "Wait until the objects are gone, finalizers included.").default("true"),
];

/// The command.
pub static COMMAND: Command = Command::leaf(
    "kubectl delete",
    "([-f FILENAME] | [-k DIRECTORY] | TYPE [(NAME | -l label | --all)])",
    "Delete resources by file names, stdin, resources and names, or by resources and label selector",
    &[FLAGS, DELETION, FILENAME, SELECTOR, ALL_NAMESPACES, DRY_RUN],
    run,
)
.suggest_for(&["rm"]);

/// How objects are deleted.
#[derive(Debug, Clone)]
pub struct Deletion {
    /// Dry run.
    pub dry_run: DryRun,
    /// What becomes of dependents.
    pub cascade: Propagation,
    /// Seconds to end; negative for the object's own.
    pub grace_period: i64,
    /// Whether objects that are not there are passed over.
    pub ignore_not_found: bool,
    /// Whether to wait until they are gone.
    pub wait: bool,
    /// How long; 0 for a week.
    pub timeout: i64,
    /// Whether nothing is said.
    pub quiet: bool,
    /// Whether only names are printed.
    pub names: bool,
    /// Whether to warn of cluster-scoped objects.
    pub warn_cluster_scope: bool,
}

impl Deletion {
    /// A deletion in the background that says what it does and does not wait.
    pub fn background() -> Self {
        Deletion {
            dry_run: DryRun::None,
            cascade: Propagation::Background,
            grace_period: -1,
            ignore_not_found: true,
            wait: false,
            timeout: 0,
            quiet: false,
            names: false,
            warn_cluster_scope: false,
        }
    }
}

/// `--cascade` of this call.
///
/// # Errors
/// When it is no known strategy.
pub fn cascade(call: &mut Call<'_, '_>) -> Result<Propagation, Failure> {
    let text = call.flags.text("cascade");
    let (propagation, instead) = match text.as_str() {
        "background" => return Ok(Propagation::Background),
        "orphan" => return Ok(Propagation::Orphan),
        "foreground" => return Ok(Propagation::Foreground),
        "1" | "t" | "T" | "TRUE" | "true" | "True" => (Propagation::Background, "background"),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => (Propagation::Orphan, "orphan"),
        _ => return Err(format!("invalid cascade value ({text}). Must be \"background\", \"foreground\", or \"orphan\"").into()),
    };
    call.complain(format!("warning: --cascade={text} is deprecated (boolean value) and can be replaced with --cascade={instead}."));
    Ok(propagation)
}

fn run(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let deletion = deletion(call)?;
    if call.flags.changed("raw") {
        return Err("--raw is not available here; name the objects instead".into());
    }
    let found = targets(call)?;
    validate(call, &deletion)?;
    if call.flags.on("interactive") && !confirmed(call, &found) {
        return Ok(());
    }
    delete(call, &deletion, found)
}

fn deletion(call: &mut Call<'_, '_>) -> Result<Deletion, Failure> {
    let cascade = cascade(call)?;
    let flags = &call.flags;
    let by_query = flags.on("all") || !flags.text("selector").is_empty() || !flags.text("field-selector").is_empty();
    let force = flags.on("force");
    let mut grace_period = flags.int("grace-period");
    if flags.on("now") {
        if grace_period != -1 {
            return Err("--now and --grace-period cannot be specified together".into());
        }
        grace_period = 1;
    }
    if grace_period == 0 && !force {
        grace_period = 1;
    }
    if force && grace_period < 0 {
        grace_period = 0;
    }
    let ignore_not_found = if flags.changed("ignore-not-found") { flags.on("ignore-not-found") } else { by_query };
    Ok(Deletion {
        cascade,
        grace_period,
        ignore_not_found,
        wait: flags.on("wait"),
        timeout: flags.nanos("timeout"),
        quiet: false,
        names: flags.text("output") == "name",
        warn_cluster_scope: call.namespace_given && !flags.on("all-namespaces"),
        dry_run: DryRun::of(call)?,
    })
}

fn targets(call: &mut Call<'_, '_>) -> Result<Found, Failure> {
    let args = call.args.clone();
    let (labels, fields) = (call.flags.text("selector"), call.flags.text("field-selector"));
    let (all, everywhere) = (call.flags.on("all"), call.flags.on("all-namespaces"));
    Builder::new(call)
        .continue_on_error()
        .files(call, call.namespace_given)
        .labels(&labels)
        .fields(&fields)
        .select_all(all)
        .all_namespaces(everywhere)
        .types_or_names(call, false, &args)
        .names_only()
        .fetch(call)
}

fn validate(call: &mut Call<'_, '_>, deletion: &Deletion) -> Result<(), Failure> {
    let output = call.flags.text("output");
    if !output.is_empty() && output != "name" {
        return Err(format!("unexpected -o output mode: {output}. We only support '-o name'").into());
    }
    let all = call.flags.on("all");
    if all && call.flags.changed("selector") {
        return Err("cannot set --all and --selector at the same time".into());
    }
    if all && call.flags.changed("field-selector") {
        return Err("cannot set --all and --field-selector at the same time".into());
    }
    if call.flags.on("force") {
        if deletion.grace_period > 0 {
            return Err("--force and --grace-period greater than 0 cannot be specified together".into());
        }
        call.complain(FORCED);
    }
    Ok(())
}

const FORCED: &str = "Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource \
                      may continue to run on the cluster indefinitely.";

/// `-i`: asks on standard output and reads the answer from standard input.
fn confirmed(call: &mut Call<'_, '_>, found: &Found) -> bool {
    let infos = found.flat();
    if infos.is_empty() {
        call.say("No resources found");
        return false;
    }
    call.say(format!("You are about to delete the following {} resource(s):", infos.len()));
    for info in &infos {
        call.say(info.qualified_name());
    }
    call.print("Do you want to continue? (y/N): ");
    let answer = String::from_utf8_lossy(call.cx.stdin).lines().next().unwrap_or_default().trim().to_lowercase();
    if answer != "y" {
        call.say("deletion is cancelled");
    }
    answer == "y"
}

/// Deletes what was found and, if asked to, waits until it is gone.
///
/// # Errors
/// What went wrong with any of the objects.
pub fn delete(call: &mut Call<'_, '_>, deletion: &Deletion, found: Found) -> Result<(), Failure> {
    let infos = found.flat();
    let passed_over = |failure: &Failure| deletion.ignore_not_found && failure.is_not_found();
    let mut failures: Vec<Failure> = found.failures.into_iter().filter(|failure| !passed_over(failure)).collect();
    let mut deleted: Vec<(Info, String)> = Vec::new();
    let mut warned = !deletion.warn_cluster_scope;
    for info in infos {
        if !warned && !info.resource.namespaced {
            call.complain("Warning: deleting cluster-scoped resources, not scoped to the provided namespace");
            warned = true;
        }
        match delete_one(call, deletion, &info) {
            Ok(uid) => deleted.push((info, uid)),
            Err(failure) if passed_over(&failure) => deleted.push((info, String::new())),
            Err(failure) => failures.push(failure),
        }
    }
    Failure::all(failures)?;
    if deleted.is_empty() {
        call.say("No resources found");
        return Ok(());
    }
    if !deletion.wait || deletion.dry_run != DryRun::None {
        return Ok(());
    }
    let week = 168 * 3600 * 1_000_000_000;
    let until = mutation::from_now(call, if deletion.timeout == 0 { week } else { deletion.timeout });
    let mut failures = Vec::new();
    for (info, uid) in &deleted {
        match gone(call, info, Some(uid), until) {
            Err(cut @ Failure::Exit(_)) => return Err(cut),
            Err(failure) if failure.reason().is_some() => {}
            Err(failure) => failures.push(failure),
            Ok(_) => {}
        }
    }
    Failure::all(failures)
}

/// Sends the deletion; the uid of what is being deleted.
fn delete_one(call: &mut Call<'_, '_>, deletion: &Deletion, info: &Info) -> Result<String, Failure> {
    if deletion.dry_run == DryRun::Client {
        announce(call, deletion, info);
        return Ok(String::new());
    }
    if info.name.is_empty() {
        return Err(Failure::from("resource name may not be empty").of_source("deleting", &info.source));
    }
    let options = Options {
        dry_run: deletion.dry_run == DryRun::Server,
        propagation: Some(deletion.cascade),
        grace_period_s: (deletion.grace_period >= 0).then_some(deletion.grace_period),
        ..Options::default()
    };
    let request = ApiRequest::delete(&info.resource, info.scope(), &info.name).options(options);
    let answer = call.api(&request).map_err(|failure| failure.of_source("deleting", &info.source))?.into_object();
    announce(call, deletion, info);
    Ok(uid_of(&answer))
}

/// The uid in an answer: that of the object, or in the details of a Status.
fn uid_of(answer: &Object) -> String {
    if answer.kind() == "Status" { answer.at(&["details", "uid"]).text().to_owned() } else { answer.uid().to_owned() }
}

fn announce(call: &mut Call<'_, '_>, deletion: &Deletion, info: &Info) {
    if deletion.quiet {
        return;
    }
    let kind = info.resource.qualified_singular();
    if deletion.names {
        call.say(format!("{kind}/{}", info.name));
        return;
    }
    let how = if deletion.grace_period == 0 { "force deleted" } else { "deleted" };
    let from = if info.resource.namespaced { format!(" from {} namespace", info.namespace) } else { String::new() };
    call.say(format!("{kind} {} {how}{from}{}", quote(&info.name), deletion.dry_run.suffix()));
}

/// Waits until an object is gone, or replaced by one with another uid; the last state that was seen.
///
/// # Errors
/// When it is still there at `until`.
pub fn gone(call: &mut Call<'_, '_>, info: &Info, uid: Option<&str>, until: SimTime) -> Result<Object, Failure> {
    let mut seen = info.clone();
    loop {
        match seen.read(call) {
            Err(failure) if failure.is_not_found() => return Ok(seen.object),
            Err(failure) => return Err(failure),
            Ok(()) if uid.is_some_and(|uid| !uid.is_empty() && seen.object.uid() != uid) => return Ok(seen.object),
            Ok(()) => {}
        }
        let interest = mutation::changes_of(info);
        if mutation::wait(call, until, &[interest])? == Woken::Time {
            return Err(format!("timed out waiting for the condition on {}/{}", info.resource.plural, info.name).into());
        }
    }
}
