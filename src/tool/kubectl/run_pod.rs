//! `kubectl run`: a pod of its own, and with `-i` or `--attach` what it prints.
//!
//! Not modelled: standard input is not passed on to the pod.

use super::builder::{FILENAME, Found, Info};
use super::command::{Call, Command};
use super::create::policies::int_or_text;
use super::delete::{DELETION, Deletion, delete};
use super::expose::parse_labels;
use super::failure::{Failure, quote};
use super::flags::Flag;
use super::mutation::{self, DRY_RUN, DryRun, RECORD, SAVE_CONFIG, Writer};
use super::overrides::{self, OVERRIDES};
use super::pairs;
use super::pods::is_ready;
use super::printing::{PRINT, Printer};
use crate::cluster::{LogQuery, TelemetryQuery, Woken};
use crate::object::{Json, Object};
use crate::{array, object};
use regex::Regex;
use std::sync::LazyLock;

static FLAGS: &[Flag] = &[
    Flag::list("annotations", "Annotation of the pod, KEY=VALUE; may be repeated."),
    Flag::switch("attach", "Wait until the pod runs and print what it prints; on with -i."),
    Flag::switch("command", "Take the arguments as the command, rather than as its arguments."),
    Flag::list("env", "Environment variable, KEY=VALUE; may be repeated."),
    Flag::switch("expose", "Create a Service for the pod too; needs --port."),
    Flag::text("image", "Image to run. Required."),
    Flag::text("image-pull-policy", "Always, IfNotPresent or Never."),
    Flag::text("labels", "Labels of the pod, with commas.").short('l'),
    Flag::switch("leave-stdin-open", "Leave standard input open after the first session."),
    Flag::duration("pod-running-timeout", "1m0s", "How long to wait until the pod runs."),
    Flag::text("port", "Port of the container."),
    Flag::switch("privileged", "Run the container with all rights."),
    Flag::switch("quiet", "Print nothing of one's own.").short('q'),
    Flag::text("restart", "Restart policy: Always, OnFailure or Never.").default("Always"),
    Flag::switch("rm", "Delete the pod when it has ended; with -i or --attach."),
    Flag::switch("stdin", "Keep standard input open.").short('i'),
    Flag::switch("tty", "Give the container a terminal.").short('t'),
    Flag::switch("wait", "Wait until the pod is gone."),
    Flag::text("field-manager", "In whose name the fields are owned.").default("kubectl-run"),
];

/// The command.
pub static COMMAND: Command = Command::leaf(
    "kubectl run",
    "NAME --image=image [--env=\"key=value\"] [--port=port] [--dry-run=server|client] [--overrides=inline-json] [--command] -- [COMMAND] \
     [args...]",
    "Run a particular image on the cluster",
    &[FLAGS, DELETION, FILENAME, OVERRIDES, PRINT, DRY_RUN, SAVE_CONFIG, RECORD],
    run,
);

/// What an image may be called.
static IMAGE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let domain = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*(?::[0-9]+)?";
    let part = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*";
    let tag = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}";
    let digest = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}";
    Regex::new(&format!("^(?:{domain}/)?{part}(?:/{part})*(?::{tag})?(?:@{digest})?$")).ok()
});

fn run(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    mutation::require(call, &["image"])?;
    let writer = Writer::of(call)?;
    let mut printer = Printer::of(call, writer.dry_run)?;
    let attach = if call.flags.changed("attach") { call.flags.on("attach") } else { call.flags.on("stdin") };
    let restart = check(call, writer.dry_run, attach)?;
    let mut pod = Object(pod(call, &restart)?);
    overrides::apply(call, &mut pod)?;
    let mut infos = vec![create(call, &writer, "pods", pod)?];
    if call.flags.on("expose") {
        let service = Object(service(call)?);
        let info = create(call, &writer, "services", service)?;
        printer.print(call, &info.object, "created")?;
        if call.flags.text("output") == "yaml" {
            call.say("---");
        }
        infos.push(info);
    }
    if !attach {
        let pod = infos.first().map(|info| info.object.clone()).unwrap_or_default();
        return printer.print(call, &pod, "created");
    }
    let ended = infos.first().map_or(Ok(()), |info| session(call, info, &restart));
    if call.flags.on("rm") && ended != Err(Failure::Exit(mutation::CUT_OFF)) {
        let deletion = Deletion { quiet: call.flags.on("quiet"), ..Deletion::background() };
        let removed = delete(call, &deletion, Found { infos, targets_single_items: true, ..Found::default() });
        return ended.and(removed);
    }
    ended
}

/// Refuses what does not go together; the restart policy.
fn check(call: &Call<'_, '_>, dry_run: DryRun, attach: bool) -> Result<String, Failure> {
    if call.args.is_empty() || call.dash_at == Some(0) {
        return Err(Failure::usage(call, "NAME is required for run"));
    }
    let flags = &call.flags;
    if flags.nanos("pod-running-timeout") <= 0 {
        return Err(Failure::usage(call, "--pod-running-timeout must be higher than zero"));
    }
    let image = flags.text("image");
    if image.is_empty() {
        return Err("--image is required".into());
    }
    if !IMAGE.as_ref().is_some_and(|pattern| pattern.is_match(&image)) {
        return Err(format!("Invalid image name {}: invalid reference format", quote(&image)).into());
    }
    if flags.on("tty") && !flags.on("stdin") {
        return Err(Failure::usage(call, "-i/--stdin is required for containers with -t/--tty=true"));
    }
    if flags.on("expose") && flags.text("port").is_empty() {
        return Err(Failure::usage(call, "--port must be set when exposing a service"));
    }
    let restart = match flags.text("restart").as_str() {
        "" if flags.on("stdin") => "OnFailure".to_owned(),
        "" => "Always".to_owned(),
        known @ ("Always" | "OnFailure" | "Never") => known.to_owned(),
        other => return Err(Failure::usage(call, format!("invalid restart policy: {other}"))),
    };
    if flags.on("rm") && !attach {
        return Err(Failure::usage(call, "--rm should only be used for attached containers"));
    }
    if attach && dry_run != DryRun::None {
        let words = "--dry-run=[server|client] can't be used with attached containers options (--attach, --stdin, or --tty)";
        return Err(Failure::usage(call, words));
    }
    let policy = flags.text("image-pull-policy");
    if !matches!(policy.as_str(), "" | "Always" | "IfNotPresent" | "Never") {
        return Err(Failure::usage(call, format!("invalid image pull policy: {policy}")));
    }
    Ok(restart)
}

/// The pod that the flags describe.
fn pod(call: &Call<'_, '_>, restart: &str) -> Result<Json, Failure> {
    let flags = &call.flags;
    let name = call.args.first().cloned().unwrap_or_default();
    let container = container(call, &name)?;
    let labels = flags.text("labels");
    let labels = if labels.is_empty() {
        object! { "run" => name.as_str() }
    } else {
        parse_labels(&labels)?
    };
    let mut metadata = object! { "name" => name.as_str(), "labels" => labels };
    for pair in flags.list("annotations") {
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("unexpected annotation spec: {pair}"))?;
        metadata.get_mut("annotations").set(key, value);
    }
    let spec = object! { "containers" => array![container], "dnsPolicy" => "ClusterFirst", "restartPolicy" => restart };
    Ok(object! { "apiVersion" => "v1", "kind" => "Pod", "metadata" => metadata, "spec" => spec, "status" => object! {} })
}

fn container(call: &Call<'_, '_>, name: &str) -> Result<Json, Failure> {
    let flags = &call.flags;
    let mut container = object! { "name" => name, "image" => flags.text("image"), "resources" => object! {} };
    let args = call.args.get(1..).unwrap_or_default();
    if !args.is_empty() {
        container.set(if flags.on("command") { "command" } else { "args" }, args.iter().map(Json::from).collect::<Json>());
    }
    for pair in flags.list("env") {
        let wrong = || Failure::from(format!("invalid env: {pair}"));
        let (key, value) = pair.split_once('=').ok_or_else(wrong)?;
        if pairs::env_name(key).is_some() {
            return Err(wrong());
        }
        let mut variable = object! { "name" => key };
        if !value.is_empty() {
            variable.set("value", value);
        }
        container.get_mut("env").push(variable);
    }
    let policy = flags.text("image-pull-policy");
    if !policy.is_empty() {
        container.set("imagePullPolicy", policy);
    }
    if flags.on("stdin") {
        container.set("stdin", true);
        if !flags.on("leave-stdin-open") {
            container.set("stdinOnce", true);
        }
    }
    if flags.on("tty") {
        container.set("tty", true);
    }
    if flags.on("privileged") {
        container.set_at(&["securityContext", "privileged"], true);
    }
    let port = flags.text("port");
    if !port.is_empty() {
        let wrong = || format!("strconv.Atoi: parsing {}: invalid syntax", quote(&port));
        container.get_mut("ports").push(object! { "containerPort" => port.parse::<i64>().map_err(|_| wrong())? });
    }
    Ok(container)
}

/// The Service of `--expose`.
fn service(call: &Call<'_, '_>) -> Result<Json, Failure> {
    let name = call.args.first().cloned().unwrap_or_default();
    let labels = call.flags.text("labels");
    let mut metadata = object! { "name" => name.as_str() };
    if !labels.is_empty() {
        metadata.set("labels", parse_labels(&labels)?);
    }
    let selector = if labels.is_empty() { format!("run={name}") } else { labels };
    let port = int_or_text(&call.flags.text("port"));
    let entry = object! { "port" => &port, "protocol" => "TCP", "targetPort" => &port };
    let spec = object! { "selector" => parse_labels(&selector)?, "ports" => array![entry] };
    let status = object! { "loadBalancer" => object! {} };
    Ok(object! { "apiVersion" => "v1", "kind" => "Service", "metadata" => metadata, "spec" => spec, "status" => status })
}

fn create(call: &mut Call<'_, '_>, writer: &Writer, plural: &str, mut object: Object) -> Result<Info, Failure> {
    let resource = call.mapper()?.resolve(plural)?;
    let namespace = call.namespace.clone();
    if writer.dry_run == DryRun::Client {
        if call.namespace_given {
            object.set_at(&["metadata", "namespace"], namespace.as_str());
        }
    } else {
        mutation::save_config(&mut object, call.flags.on("save-config"));
        object = writer.create(call, &resource, Some(&namespace), object.0)?;
    }
    Ok(Info { resource, namespace, name: object.name().to_owned(), object, items: None, source: String::new() })
}

fn phase(pod: &Object) -> &str {
    pod.at(&["status", "phase"]).text()
}

fn has_ended(pod: &Object) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Waits until the pod runs or has ended, prints what it prints, and waits for its end where the exit code counts.
fn session(call: &mut Call<'_, '_>, info: &Info, restart: &str) -> Result<(), Failure> {
    let running = |pod: &Object| phase(pod) == "Running" && is_ready(pod);
    let pod = watch(call, info, |pod| has_ended(pod) || running(pod))?;
    if has_ended(&pod) {
        print_log(call, info, false)?;
    } else {
        attach(call, info)?;
    }
    if call.flags.on("leave-stdin-open") || restart == "Always" {
        return Ok(());
    }
    let done = |pod: &Object| if restart == "OnFailure" { phase(pod) == "Succeeded" } else { has_ended(pod) };
    let pod = watch(call, info, done)?;
    if phase(&pod) == "Succeeded" {
        return Ok(());
    }
    let path = format!("{}/{}", info.namespace, info.name);
    let end = pod.at(&["status", "containerStatuses"]).nth(0).at(&["state", "terminated"]).clone();
    match end.get("exitCode").as_i64().and_then(|code| i32::try_from(code).ok()) {
        None | Some(0) => Err(format!("pod {path} failed with unknown exit code").into()),
        Some(code) => {
            let message = format!("pod {path} terminated ({})\n{}", end.get("reason").text(), end.get("message").text());
            Err(Failure::Program { message, code })
        }
    }
}

/// Waits for a state of the pod, as long as `--pod-running-timeout` says.
fn watch(call: &mut Call<'_, '_>, info: &Info, holds: impl Fn(&Object) -> bool) -> Result<Object, Failure> {
    let until = mutation::from_now(call, call.flags.nanos("pod-running-timeout"));
    let mut seen = info.clone();
    loop {
        seen.read(call)?;
        if holds(&seen.object) {
            return Ok(seen.object);
        }
        let interest = mutation::changes_of(info);
        if mutation::wait(call, until, &[interest])? == Woken::Time {
            return Err("timed out waiting for the condition".into());
        }
    }
}

/// Follows the container until it ends; cut off, it has printed what there was until then.
fn attach(call: &mut Call<'_, '_>, info: &Info) -> Result<(), Failure> {
    if !call.flags.on("quiet") {
        call.complain(
            "All commands and output from this session will be recorded in container logs, including credentials and sensitive \
             information passed through the command prompt.",
        );
        call.complain("If you don't see a command prompt, try pressing enter.");
    }
    let mut seen = info.clone();
    let restarts = |pod: &Object| pod.at(&["status", "containerStatuses"]).nth(0).get("restartCount").as_i64().unwrap_or(0);
    seen.read(call)?;
    let first = restarts(&seen.object);
    loop {
        let status = seen.object.at(&["status", "containerStatuses"]).nth(0);
        let restarted = restarts(&seen.object) > first;
        if restarted || !status.at(&["state", "terminated"]).is_null() || has_ended(&seen.object) {
            return print_log(call, info, restarted);
        }
        let interest = mutation::changes_of(info);
        if let Err(cut) = mutation::wait(call, crate::time::SimTime::MAX, &[interest]) {
            print_log(call, info, false)?;
            return Err(cut);
        }
        seen.read(call)?;
    }
}

fn print_log(call: &mut Call<'_, '_>, info: &Info, previous: bool) -> Result<(), Failure> {
    let container = info.object.at(&["spec", "containers"]).nth(0).get("name").text();
    let query = LogQuery {
        namespace: info.namespace.as_str().into(),
        pod: info.name.as_str().into(),
        container: Some(container.into()),
        previous,
        ..LogQuery::default()
    };
    let who = call.who.clone();
    let log = call.cx.cluster.telemetry(&who, &TelemetryQuery::Logs(query)).map_err(Failure::from)?;
    call.print(&log.into_log());
    Ok(())
}
