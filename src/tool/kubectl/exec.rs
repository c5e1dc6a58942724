//! `kubectl exec`.

use super::builder::Builder;
use super::command::{Call, Command};
use super::failure::Failure;
use super::flags::Flag;
use super::mutation::{self, CUT_OFF};
use super::pods::{self, Order};
use crate::cluster::{ApiError, ExecOutput, ExecRequest};
use crate::object::Object;

static FLAGS: &[Flag] = &[
    Flag::text("container", "Run in this container; the pod's default one unless given.").short('c'),
    Flag::csv("filename", "File with the object to run in.").short('f'),
    Flag::duration("pod-running-timeout", "1m0s", "How long to wait for a pod to appear."),
    Flag::switch("quiet", "Print nothing of one's own.").short('q'),
    Flag::switch("stdin", "Pass standard input on.").short('i'),
    Flag::switch("tty", "Treat standard input as a terminal.").short('t'),
];

/// The command.
pub static COMMAND: Command = Command::leaf(
    "kubectl exec",
    "(POD | TYPE/NAME) [-c CONTAINER] [flags] -- COMMAND [args...]",
    "Execute a command in a container",
    &[FLAGS],
    run,
);

/// The pod that is meant and the program to run in it.
fn parts(call: &Call<'_, '_>) -> Result<(Option<String>, Vec<String>), Failure> {
    let target = call.args.first().filter(|_| call.dash_at != Some(0)).cloned();
    match call.dash_at {
        Some(at) => Ok((target, call.args.get(at..).unwrap_or_default().to_vec())),
        None if call.args.len() > 1 || (call.args.len() == 1 && !call.flags.list("filename").is_empty()) => {
            Err(Failure::usage(call, "exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead"))
        }
        None => Ok((target, Vec::new())),
    }
}

fn run(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let (target, argv) = parts(call)?;
    let timeout = call.flags.nanos("pod-running-timeout");
    if timeout <= 0 {
        return Err(Failure::usage(call, "--pod-running-timeout must be higher than zero"));
    }
    let Some(target) = target else { return Err("pod, type/name or --filename must be specified".into()) };
    if argv.is_empty() {
        return Err("you must specify at least one command for the container".into());
    }
    let pod = pod_of(call, &target, timeout)?;
    let phase = pod.at(&["status", "phase"]).text();
    if matches!(phase, "Succeeded" | "Failed") {
        return Err(format!("cannot exec into a container in a completed pod; current phase is {phase}").into());
    }
    let quiet = call.flags.on("quiet");
    let given = call.flags.text("container");
    let container = if given.is_empty() { pods::default_container(call, &pod, quiet) } else { given };
    let stdin = call.flags.on("stdin");
    if stdin && call.flags.on("tty") && !quiet {
        call.complain("Unable to use a TTY - input is not a terminal or the right kind of file");
    }
    let request = ExecRequest {
        namespace: pod.namespace().into(),
        pod: pod.name().into(),
        container: Some(container.into()),
        argv,
        stdin: if stdin { call.cx.stdin.to_vec() } else { Vec::new() },
    };
    let (output, whole) = execute(call, &request)?;
    call.print(&String::from_utf8_lossy(&output.stdout));
    call.out.stderr.push_str(&String::from_utf8_lossy(&output.stderr));
    match output.exit_code {
        _ if !whole => Err(Failure::Exit(CUT_OFF)),
        0 => Ok(()),
        code => Err(Failure::Program { message: format!("command terminated with exit code {code}"), code }),
    }
}

/// The pod that a name or `TYPE/NAME` stands for.
fn pod_of(call: &mut Call<'_, '_>, target: &str, timeout: i64) -> Result<Object, Failure> {
    let found = Builder::new(call).names_of("pods", &[target.to_owned()]).fetch(call)?.objects()?;
    let Some(info) = found.into_iter().next() else { return Err("pod, type/name or --filename must be specified".into()) };
    if info.object.kind() == "Pod" {
        return Ok(info.object);
    }
    if let Err(why) = pods::selector_of(&info.object) {
        return Err(format!("cannot attach to {}: {why}", pods::go_type(&info.object)).into());
    }
    let mut found = pods::pods_of(call, &info.object, timeout, Order::ForExec)?;
    Ok(found.remove(0))
}

/// Runs a program in a container and lets the time pass that it takes; whether that was within the tool's time.
///
/// # Errors
/// When it cannot be started.
pub fn execute(call: &mut Call<'_, '_>, request: &ExecRequest) -> Result<(ExecOutput, bool), Failure> {
    let who = call.who.clone();
    let began = call.now();
    let output = call.cx.cluster.exec(&who, request).map_err(not_started)?;
    let end = began + output.took;
    let whole = mutation::wait(call, end, &[]).is_ok();
    Ok((output, whole))
}

/// A failure inside the stream comes as a bare text; one before it as the server's answer.
fn not_started(error: ApiError) -> Failure {
    if error.reason == "InternalError" { error.message.into() } else { error.into() }
}
