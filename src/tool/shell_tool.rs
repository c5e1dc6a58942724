//! `exec_shell`: a script in the agent's shell, whose commands reach the cluster from the operator's workstation.

use super::grammar::Dialect;
use super::kubectl::{self, Files};
use super::refusal;
use super::table::{Reply, ToolContext};
use crate::cluster::client::{self, Client, Net};
use crate::cluster::{Cluster, ConnectError, HttpOrigin, HttpReply, HttpRequest, Identity};
use crate::object::Json;
use crate::shell::vfs::{FileError, Kind};
use crate::shell::{Finished, HOME, Host, Outcome, Request, Shell, Stopped, Vfs};
use crate::time::SimTime;
use arcstr::ArcStr;
use std::sync::OnceLock;
use std::time::Duration;

/// What a command of the workstation works with.
pub struct Command<'a> {
    /// The cluster.
    pub cluster: &'a mut dyn Cluster,
    /// In whose name.
    pub who: &'a Identity,
    /// What was asked for.
    pub request: &'a Request,
    /// Files of the shell.
    pub files: &'a mut Vfs,
}

type Run = fn(&mut Command<'_>) -> Finished;

/// The workstation's commands that reach beyond the shell, sorted by name.
const COMMANDS: &[(&str, Run)] = &[
    ("curl", |c| networked(c, client::curl)),
    ("dig", |c| networked(c, client::dig)),
    ("getent", |c| networked(c, client::getent)),
    ("host", |c| networked(c, client::host)),
    ("htop", refusal::interactive),
    ("k", run_kubectl),
    ("kubectl", run_kubectl),
    ("less", refusal::pager),
    ("more", refusal::pager),
    ("nano", refusal::editor),
    ("nc", |c| networked(c, client::nc)),
    ("netcat", |c| networked(c, client::nc)),
    ("nslookup", |c| networked(c, client::nslookup)),
    ("ping", |c| networked(c, client::ping)),
    ("ssh", refusal::ssh),
    ("top", refusal::interactive),
    ("vi", refusal::editor),
    ("vim", refusal::editor),
    ("watch", refusal::watch),
    ("wget", |c| networked(c, client::wget)),
];

/// The cluster's network as the workstation sees it.
struct WorkstationNet<'a>(&'a mut dyn Cluster);

impl Net for WorkstationNet<'_> {
    fn now(&self) -> SimTime {
        self.0.now()
    }
    fn wait(&mut self, until: SimTime) {
        self.0.wait(until, &[]);
    }
    fn http(&mut self, request: &HttpRequest) -> Result<HttpReply, ConnectError> {
        self.0.http(&HttpOrigin::Workstation, request)
    }
    fn resolve(&mut self, host: &str) -> Result<Vec<ArcStr>, ConnectError> {
        self.0.resolve(&HttpOrigin::Workstation, host)
    }
}

fn networked(command: &mut Command<'_>, run: fn(&mut Client<'_>) -> Finished) -> Finished {
    let mut net = WorkstationNet(command.cluster);
    run(&mut Client { net: &mut net, request: command.request, files: command.files })
}

/// Names of [`COMMANDS`].
const NAMES: &[&str] = &[
    "curl", "dig", "getent", "host", "htop", "k", "kubectl", "less", "more", "nano", "nc", "netcat", "nslookup", "ping", "ssh", "top",
    "vi", "vim", "watch", "wget",
];

/// What starting a program that talks to the cluster costs; a loop that polls without a pause passes time by it.
const START_UP: Duration = Duration::from_millis(50);

/// Longest time-out that an agent can ask for.
const TIMEOUT_MAX_S: i64 = 600;

/// Where the kubeconfig is.
const KUBECONFIG: &str = "/root/.kube/config";

/// Namespace of the current context.
const NAMESPACE: &str = "default";

/// When the workstation's system was installed: 2025-11-17T08:00:00Z. All episodes share its files.
const INSTALLED_AT: SimTime = SimTime::from_secs(1_763_366_400);

/// A shell with the files of the operator's workstation: nothing but a kubeconfig.
pub fn workstation(now: SimTime, seed: u64) -> Shell {
    static INSTALLED: OnceLock<Shell> = OnceLock::new();
    let mut shell = INSTALLED.get_or_init(|| Shell::new(INSTALLED_AT, 0, NAMES)).started(now, seed);
    let _ = shell.files.make_folder("/root/.kube", true);
    let _ = shell.files.write(KUBECONFIG, kubeconfig().as_bytes());
    let _ = shell.files.set_mode(KUBECONFIG, 0o600);
    shell
}

fn kubeconfig() -> String {
    "apiVersion: v1\n\
     clusters:\n\
     - cluster:\n\
     \x20   insecure-skip-tls-verify: true\n\
     \x20   server: https://10.96.0.1:443\n\
     \x20 name: kubernetes\n\
     contexts:\n\
     - context:\n\
     \x20   cluster: kubernetes\n\
     \x20   user: engineer\n\
     \x20 name: engineer@kubernetes\n\
     current-context: engineer@kubernetes\n\
     kind: Config\n\
     preferences: {}\n\
     users:\n\
     - name: engineer\n\
     \x20 user:\n\
     \x20   token: engineer\n"
        .to_owned()
}

/// The handler of `exec_shell`.
pub fn exec_shell(context: &mut ToolContext<'_>, arguments: &[Json]) -> Reply {
    let command = arguments.first().map(argument_text).unwrap_or_default();
    let asked = arguments.get(1).and_then(Json::as_i64).unwrap_or(30);
    // AIOpsLab advertises the time-out and drops it on the way.
    let seconds = if context.dialect == Dialect::Strict { 30 } else { asked.clamp(1, TIMEOUT_MAX_S) };
    if let Some(refused) = policy(&command, context.dialect) {
        return Reply::Observation(refused.to_owned());
    }
    let deadline = context.cluster.now() + Duration::from_secs(seconds.unsigned_abs());
    let mut host = Workstation { cluster: context.cluster, who: context.who };
    let outcome = context.shell.run(&command, &mut host, deadline);
    Reply::Observation(match context.dialect {
        Dialect::Strict => strict_text(&command, &outcome, seconds),
        Dialect::Forgiving => text(&outcome, seconds),
    })
}

fn argument_text(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_compact(), str::to_owned)
}

/// AIOpsLab's replies to commands that need a terminal. The strict dialect matches texts as AIOpsLab does; otherwise the
/// words have to be a command of their own.
fn policy(command: &str, dialect: Dialect) -> Option<&'static str> {
    const EDIT: &str = "Error: Cannot use `kubectl edit`. Use `kubectl patch` instead.";
    const FORWARD: &str = "Error: Cannot use `kubectl port-forward` because it is an interactive command.";
    const DOCKER_LOGS: &str = "Error: Cannot use `docker logs -f`. Use `docker logs` instead.";
    const KUBECTL_LOGS: &str = "Error: Cannot use `kubectl logs -f`. Use `kubectl logs` instead.";
    if dialect == Dialect::Strict {
        let has = |text: &str| command.contains(text);
        return match () {
            () if has("kubectl edit") || has("edit svc") => Some(EDIT),
            () if has("kubectl port-forward") => Some(FORWARD),
            () if has("docker logs -f") => Some(DOCKER_LOGS),
            () if has("kubectl logs -f") => Some(KUBECTL_LOGS),
            () => None,
        };
    }
    let words: Vec<&str> = command.split_whitespace().collect();
    match words.as_slice() {
        ["kubectl", "edit", ..] => Some(EDIT),
        ["kubectl", "port-forward", ..] => Some(FORWARD),
        ["docker", "logs", "-f", ..] => Some(DOCKER_LOGS),
        ["kubectl", "logs", "-f", ..] => Some(KUBECTL_LOGS),
        _ => None,
    }
}

/// What the agent sees: output, errors, and how the script ended where that is not plain success.
fn text(outcome: &Outcome, seconds: i64) -> String {
    let mut shown = outcome.stdout.clone();
    if !shown.is_empty() && !shown.ends_with('\n') && !outcome.stderr.is_empty() {
        shown.push('\n');
    }
    shown.push_str(&outcome.stderr);
    let mut note = |text: String| {
        if !shown.is_empty() && !shown.ends_with('\n') {
            shown.push('\n');
        }
        shown.push_str(&text);
    };
    match &outcome.stopped {
        Some(Stopped::TimedOut) => note(format!("[stopped: the command was still running after {seconds} seconds]")),
        Some(Stopped::Limit(limit)) => note(format!("[stopped: {limit}]")),
        None if outcome.exit_code != 0 => note(format!("[exit code {}]", outcome.exit_code)),
        None => {}
    }
    shown
}

/// What AIOpsLab shows: on failure only the errors, on a time-out Python's exception.
fn strict_text(command: &str, outcome: &Outcome, seconds: i64) -> String {
    if outcome.stopped.is_some() {
        return format!("Failed to execute command: {command}\nError: Command '{command}' timed out after {seconds} seconds");
    }
    if outcome.exit_code != 0 {
        return format!("[ERROR] Command execution failed: {}", outcome.stderr);
    }
    format!("{}{}", outcome.stdout, outcome.stderr)
}

/// The operator's workstation: the host of the agent's shell.
struct Workstation<'a> {
    cluster: &'a mut dyn Cluster,
    who: &'a Identity,
}

impl Host for Workstation<'_> {
    fn has(&self, name: &str) -> bool {
        COMMANDS.binary_search_by(|(known, _)| (*known).cmp(name)).is_ok()
    }

    fn run(&mut self, request: &Request, files: &mut Vfs) -> Finished {
        let Ok(at) = COMMANDS.binary_search_by(|(known, _)| (*known).cmp(&request.name)) else {
            return Finished::fail(127, format!("bash: line 1: {}: command not found\n", request.name));
        };
        let start = (self.cluster.now() + START_UP).min(request.deadline);
        self.sleep(start);
        files.now = start;
        (COMMANDS[at].1)(&mut Command { cluster: self.cluster, who: self.who, request, files })
    }

    fn names(&self) -> &[&'static str] {
        NAMES
    }

    fn now(&self) -> SimTime {
        self.cluster.now()
    }

    fn sleep(&mut self, until: SimTime) {
        self.cluster.wait(until, &[]);
    }
}

fn run_kubectl(command: &mut Command<'_>) -> Finished {
    let request = command.request;
    let kubeconfig = request.env.get("KUBECONFIG").map_or(KUBECONFIG, String::as_str).to_owned();
    let mut files = CommandFiles { files: command.files, cwd: &request.cwd };
    let mut context = kubectl::Context {
        cluster: command.cluster,
        who: command.who,
        namespace: NAMESPACE,
        kubeconfig: &kubeconfig,
        files: &mut files,
        stdin: &request.stdin,
        deadline: request.deadline,
    };
    let output = kubectl::run(&mut context, &request.args);
    Finished { stdout: output.stdout.into_bytes(), stderr: output.stderr.into_bytes(), exit_code: output.exit_code }
}

/// The shell's files as a command sees them: relative paths start at its working directory.
struct CommandFiles<'a> {
    files: &'a mut Vfs,
    cwd: &'a str,
}

impl CommandFiles<'_> {
    fn path(&self, path: &str) -> String {
        let home = path.strip_prefix("~/").map(|rest| format!("{HOME}/{rest}"));
        crate::shell::vfs::normal(self.cwd, home.as_deref().unwrap_or(path))
    }
}

impl Files for CommandFiles<'_> {
    fn read(&mut self, path: &str) -> Option<Vec<u8>> {
        self.files.read(&self.path(path)).ok().map(|content| content.to_vec())
    }

    fn list(&mut self, path: &str) -> Option<Vec<String>> {
        let entries = self.files.list(&self.path(path)).ok()?;
        let files = entries.into_iter().filter(|(_, node)| !matches!(node.kind, Kind::Folder));
        Some(files.map(|(name, _)| format!("{}/{name}", path.trim_end_matches('/'))).collect())
    }

    fn write(&mut self, path: &str, content: &[u8]) -> Result<(), String> {
        self.files.write(&self.path(path), content).map_err(|e: FileError| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_whole() {
        let names: Vec<&str> = COMMANDS.iter().map(|(name, _)| *name).collect();
        assert!(names.is_sorted());
        assert_eq!(names, NAMES);
    }

    #[test]
    fn interactive_commands_are_refused() {
        let refused = |command: &str, dialect| policy(command, dialect).is_some();
        for command in ["kubectl edit deploy geo", "kubectl port-forward svc/x 1:1", "kubectl logs -f x", "docker logs -f x"] {
            assert!(refused(command, Dialect::Strict) && refused(command, Dialect::Forgiving), "{command}");
        }
        assert!(refused("echo kubectl edit", Dialect::Strict) && !refused("echo kubectl edit", Dialect::Forgiving));
        assert!(!refused("kubectl  edit x", Dialect::Strict) && refused("kubectl  edit x", Dialect::Forgiving));
    }

    #[test]
    fn the_text_says_how_it_ended() {
        let outcome =
            |stdout: &str, stderr: &str, exit_code, stopped| Outcome { stdout: stdout.into(), stderr: stderr.into(), exit_code, stopped };
        assert_eq!(text(&outcome("a\n", "", 0, None), 30), "a\n");
        assert_eq!(text(&outcome("a", "b\n", 1, None), 30), "a\nb\n[exit code 1]");
        assert_eq!(text(&outcome("", "", 1, None), 30), "[exit code 1]");
        let late = outcome("a\n", "", 124, Some(Stopped::TimedOut));
        assert_eq!(text(&late, 30), "a\n[stopped: the command was still running after 30 seconds]");
        assert_eq!(
            strict_text("sleep 99", &late, 30),
            "Failed to execute command: sleep 99\nError: Command 'sleep 99' timed out after 30 seconds"
        );
        assert_eq!(strict_text("x", &outcome("lost", "why\n", 1, None), 30), "[ERROR] Command execution failed: why\n");
    }
}
