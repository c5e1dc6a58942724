//! `kubectl logs`.

use super::builder::{Builder, SELECTOR};
use super::command::{Call, Command};
use super::failure::{Failure, quote};
use super::flags::Flag;
use super::pods::{self, Order};
use crate::cluster::{LogQuery, TelemetryQuery, TelemetryReply};
use crate::object::Object;
use crate::time::SimTime;
use arcstr::ArcStr;
use std::time::Duration;

static FLAGS: &[Flag] = &[
    Flag::switch("all-containers", "Logs of all containers of the pods."),
    Flag::switch("all-pods", "Logs of all pods of the workload, each line with its source."),
    Flag::text("container", "Logs of this container.").short('c'),
    Flag::switch("follow", "Stream the logs.").short('f'),
    Flag::switch("ignore-errors", "Go on where one log cannot be read."),
    Flag::switch("insecure-skip-tls-verify-backend", "Do not check the kubelet's certificate."),
    Flag::int("limit-bytes", "0", "At most so many bytes of each log; 0 for all."),
    Flag::int("max-log-requests", "5", "At most so many logs at once with --follow."),
    Flag::duration("pod-running-timeout", "20s", "How long to wait for a pod to appear."),
    Flag::switch("prefix", "Put the source, pod and container, before each line."),
    Flag::switch("previous", "Logs of the run before the present one.").short('p'),
    Flag::duration("since", "0s", "Only lines of the last span of time (5s, 2m, 3h)."),
    Flag::text("since-time", "Only lines after an instant (RFC 3339)."),
    Flag::int("tail", "-1", "Only the last lines; -1 for all. With a selector 10 unless given."),
    Flag::switch("timestamps", "Put the time before each line."),
];

/// The command.
pub static COMMAND: Command = Command::leaf(
    "kubectl logs",
    "[-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]",
    "Print the logs for a container in a pod",
    &[FLAGS, SELECTOR],
    run,
);

const USAGE: &str =
    "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a required argument for the logs command";
const SELECTOR_TAIL: usize = 10;

/// Which log, and of whom.
struct Request {
    query: LogQuery,
    all_containers: bool,
    all_pods: bool,
    prefix: bool,
    ignore_errors: bool,
    pod_timeout: i64,
}

fn run(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let selector = call.flags.text("selector");
    match call.args.len() {
        0 if selector.is_empty() => return Err(Failure::usage(call, USAGE)),
        1 if !selector.is_empty() => return Err(Failure::usage(call, "only a selector (-l) or a POD name is allowed")),
        0..=2 => {}
        _ => return Err(Failure::usage(call, USAGE)),
    }
    let request = request(call)?;
    let targets = targets(call, &selector)?;
    check(call, &request)?;
    if call.flags.on("follow") {
        return Err("-f (--follow) does not end by itself and is not supported here; print what there is with --tail=N or \
                    --since=DURATION, and run the command again to see more"
            .into());
    }
    let mut logs = Vec::new();
    for target in &targets {
        logs.extend(logs_of(call, &request, target)?);
    }
    for (pod, query) in &logs {
        print_log(call, &request, pod, query)?;
    }
    Ok(())
}

/// Reads the flags.
fn request(call: &Call<'_, '_>) -> Result<Request, Failure> {
    let flags = &call.flags;
    let pod_timeout = flags.nanos("pod-running-timeout");
    if pod_timeout <= 0 {
        return Err("--pod-running-timeout must be higher than zero".into());
    }
    let (since, since_time) = (flags.nanos("since"), flags.text("since-time"));
    let from = if !since_time.is_empty() {
        Some(SimTime::parse_rfc3339(&since_time).ok_or_else(|| no_time(&since_time))?)
    } else if since > 0 {
        let seconds = (since + 500_000_000) / 1_000_000_000;
        Some(call.now() - Duration::from_secs(seconds.unsigned_abs()))
    } else {
        None
    };
    let by_selector = !flags.text("selector").is_empty();
    let tail = if by_selector && !flags.changed("tail") { Some(SELECTOR_TAIL) } else { usize::try_from(flags.int("tail")).ok() };
    let mut container = flags.text("container");
    if let Some(inline) = call.args.get(1) {
        container.clone_from(inline);
    }
    let query = LogQuery {
        container: (!container.is_empty()).then(|| ArcStr::from(container.as_str())),
        previous: flags.on("previous"),
        since: from,
        tail,
        limit_bytes: usize::try_from(flags.int("limit-bytes")).ok().filter(|bytes| *bytes > 0),
        timestamps: flags.on("timestamps"),
        ..LogQuery::default()
    };
    Ok(Request {
        query,
        all_containers: flags.on("all-containers"),
        all_pods: flags.on("all-pods"),
        prefix: flags.on("prefix") || flags.on("all-pods"),
        ignore_errors: flags.on("ignore-errors"),
        pod_timeout,
    })
}

fn no_time(text: &str) -> Failure {
    format!("parsing time {} as \"2006-01-02T15:04:05Z07:00\": cannot parse {} as \"2006\"", quote(text), quote(text)).into()
}

/// The pod or workload that is named, or the pods that are selected.
fn targets(call: &mut Call<'_, '_>, selector: &str) -> Result<Vec<Object>, Failure> {
    let names: Vec<String> = call.args.iter().take(1).cloned().collect();
    let mut builder = Builder::new(call).single_type().names_of("pods", &names);
    if !selector.is_empty() {
        builder = builder.types(&["pods".to_owned()]).labels(selector);
    }
    let namespace = call.namespace.clone();
    let found = builder.fetch(call)?.objects().map_err(|failure| {
        if !failure.is_not_found() {
            return failure;
        }
        format!("error from server (NotFound): {failure} in namespace {}", quote(&namespace)).into()
    })?;
    if !selector.is_empty() && found.is_empty() {
        call.complain(format!("No resources found in {namespace} namespace."));
    }
    Ok(found.into_iter().map(|info| info.object).collect())
}

fn check(call: &Call<'_, '_>, request: &Request) -> Result<(), Failure> {
    let flags = &call.flags;
    if flags.changed("since-time") && flags.nanos("since") != 0 {
        return Err("at most one of `sinceTime` or `sinceSeconds` may be specified".into());
    }
    if let Some(container) = request.query.container.as_ref().filter(|_| request.all_containers) {
        return Err(format!("--all-containers=true should not be specified with container name {container}").into());
    }
    if flags.changed("container") && call.args.len() == 2 {
        return Err("only one of -c or an inline [CONTAINER] arg is allowed".into());
    }
    if flags.int("limit-bytes") < 0 {
        return Err("--limit-bytes must be greater than 0".into());
    }
    if flags.nanos("since") < 0 {
        return Err("--since must be greater than 0".into());
    }
    if flags.int("tail") < -1 {
        return Err("--tail must be greater than or equal to -1".into());
    }
    Ok(())
}

/// The logs of a pod or of a workload's pods.
fn logs_of(call: &mut Call<'_, '_>, request: &Request, target: &Object) -> Result<Vec<(Object, LogQuery)>, Failure> {
    if target.kind() == "Pod" {
        return logs_of_pod(call, request, target);
    }
    if let Err(why) = pods::selector_of(target) {
        return Err(format!("cannot get the logs from {}: {why}", pods::go_type(target)).into());
    }
    let found = pods::pods_of(call, target, request.pod_timeout, Order::ForLogs)?;
    if !request.all_pods && found.len() > 1 {
        call.complain(format!("Found {} pods, using pod/{}", found.len(), found[0].name()));
    }
    let wanted = if request.all_pods { found.len() } else { 1 };
    let mut logs = Vec::new();
    for pod in found.iter().take(wanted) {
        logs.extend(logs_of_pod(call, request, pod)?);
    }
    Ok(logs)
}

fn logs_of_pod(call: &mut Call<'_, '_>, request: &Request, pod: &Object) -> Result<Vec<(Object, LogQuery)>, Failure> {
    let containers = if request.all_containers {
        pods::all_containers(pod)
    } else {
        let container = match &request.query.container {
            Some(container) => container.to_string(),
            None => pods::default_log_container(call, pod, request.all_pods),
        };
        if !pods::has_container(pod, &container) {
            return Err(format!("container {container} is not valid for pod {}", pod.name()).into());
        }
        vec![container]
    };
    let query = |container: String| LogQuery {
        namespace: pod.namespace().into(),
        pod: pod.name().into(),
        container: Some(container.into()),
        ..request.query.clone()
    };
    Ok(containers.into_iter().map(|container| (pod.clone(), query(container))).collect())
}

fn print_log(call: &mut Call<'_, '_>, request: &Request, pod: &Object, query: &LogQuery) -> Result<(), Failure> {
    let who = call.who.clone();
    match call.cx.cluster.telemetry(&who, &TelemetryQuery::Logs(query.clone())) {
        Ok(TelemetryReply::Logs(text)) if request.prefix => {
            let container = query.container.clone().unwrap_or_default();
            for line in text.split_inclusive('\n') {
                call.print(&format!("[pod/{}/{container}] {line}", pod.name()));
            }
        }
        Ok(log) => call.print(&log.into_log()),
        Err(error) if request.ignore_errors => call.say(format!("error: {}", error.message)),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
