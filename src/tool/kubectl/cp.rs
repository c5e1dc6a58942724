//! `kubectl cp`: files through `tar` in a container, as kubectl does it.

use super::command::{Call, Command};
use super::exec::execute;
use super::failure::Failure;
use super::flags::Flag;
use super::mutation::CUT_OFF;
use super::pods;
use super::tar::{self, Entry};
use crate::cluster::{ApiRequest, ExecOutput, ExecRequest};

static FLAGS: &[Flag] = &[
    Flag::text("container", "The container; the pod's default one unless given.").short('c'),
    Flag::switch("no-preserve", "Do not keep owners and permissions."),
    Flag::int("retries", "0", "How often to try again from where a copy broke off."),
];

/// The command.
pub static COMMAND: Command =
    Command::leaf("kubectl cp", "<file-spec-src> <file-spec-dest>", "Copy files and directories to and from containers", &[FLAGS], run);

/// A file here, or in a pod.
struct Place {
    namespace: String,
    /// Empty for a file here.
    pod: String,
    path: String,
}

fn place(call: &Call<'_, '_>, text: &str) -> Result<Place, Failure> {
    let local = |path: &str| Place { namespace: String::new(), pod: String::new(), path: path.to_owned() };
    let Some((pod, path)) = text.split_once(':') else { return Ok(local(text)) };
    let (namespace, pod) = match pod.split('/').collect::<Vec<_>>().as_slice() {
        [""] => return Err("filespec must match the canonical format: [[namespace/]pod:]file/path".into()),
        [pod] => (call.namespace.clone(), (*pod).to_owned()),
        [namespace, pod] => ((*namespace).to_owned(), (*pod).to_owned()),
        _ => return Err("filespec must match the canonical format: [[namespace/]pod:]file/path".into()),
    };
    Ok(Place { namespace, pod, path: path.to_owned() })
}

fn run(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let [from, to] = call.args.as_slice() else { return Err("source and destination are required".into()) };
    let (from, to) = (place(call, from)?, place(call, to)?);
    if !from.pod.is_empty() && !to.pod.is_empty() {
        return Err("one of src or dest must be a local file specification".into());
    }
    if from.path.is_empty() || to.path.is_empty() {
        return Err("filepath can not be empty".into());
    }
    match (from.pod.is_empty(), to.pod.is_empty()) {
        (false, _) => copy_from_pod(call, &from, &to.path),
        (_, false) => copy_to_pod(call, &from.path, &to),
        _ => Err("one of src or dest must be a remote file specification".into()),
    }
}

/// Runs a program in the place's pod.
fn run_in(call: &mut Call<'_, '_>, place: &Place, argv: &[&str], stdin: Vec<u8>) -> Result<ExecOutput, Failure> {
    let resource = pods::kind(call)?;
    let pod = call.api(&ApiRequest::get(&resource, Some(&place.namespace), &place.pod))?.into_object();
    let given = call.flags.text("container");
    let container = if given.is_empty() { pods::default_container(call, &pod, false) } else { given };
    let request = ExecRequest {
        namespace: place.namespace.as_str().into(),
        pod: place.pod.as_str().into(),
        container: Some(container.into()),
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        stdin,
    };
    let (output, whole) = execute(call, &request)?;
    if whole { Ok(output) } else { Err(Failure::Exit(CUT_OFF)) }
}

fn ended(call: &mut Call<'_, '_>, output: &ExecOutput) -> Result<(), Failure> {
    call.out.stderr.push_str(&String::from_utf8_lossy(&output.stderr));
    match output.exit_code {
        0 => Ok(()),
        code => Err(Failure::Program { message: format!("command terminated with exit code {code}"), code }),
    }
}

fn base_name(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(path)
}

fn copy_from_pod(call: &mut Call<'_, '_>, from: &Place, to: &str) -> Result<(), Failure> {
    let output = run_in(call, from, &["tar", "cf", "-", &from.path], Vec::new())?;
    ended(call, &output)?;
    let entries = tar::read(&output.stdout).ok_or("unexpected EOF")?;
    let prefix = from.path.trim_matches('/').trim_start_matches("./").to_owned();
    for entry in entries {
        let Some(rest) = entry.path.strip_prefix(&prefix) else { return Err("tar contents corrupted".into()) };
        let Some(content) = entry.content else { continue };
        let path = if rest.is_empty() { to.to_owned() } else { format!("{}/{}", to.trim_end_matches('/'), rest.trim_start_matches('/')) };
        call.cx.files.write(&path, &content).map_err(|why| format!("open {path}: {why}"))?;
    }
    Ok(())
}

fn copy_to_pod(call: &mut Call<'_, '_>, from: &str, to: &Place) -> Result<(), Failure> {
    let is_folder = call.cx.files.list(from).is_some();
    if !is_folder && call.cx.files.read(from).is_none() {
        return Err(format!("{from} doesn't exist in local filesystem").into());
    }
    let into_folder = run_in(call, to, &["test", "-d", &to.path], Vec::new()).is_ok_and(|output| output.exit_code == 0);
    let mut target = to.path.trim_end_matches('/').to_owned();
    if into_folder {
        target = format!("{target}/{}", base_name(from));
    }
    let mut entries = Vec::new();
    collect(call, from, base_name(&target), &mut entries);
    let folder = target.rsplit_once('/').map_or("", |(folder, _)| if folder.is_empty() { "/" } else { folder }).to_owned();
    let mut argv = vec!["tar"];
    if call.flags.on("no-preserve") {
        argv.extend(["--no-same-permissions", "--no-same-owner"]);
    }
    argv.extend(["-xmf", "-"]);
    if !folder.is_empty() {
        argv.extend(["-C", folder.as_str()]);
    }
    let output = run_in(call, to, &argv, tar::write(&entries))?;
    call.print(&String::from_utf8_lossy(&output.stdout));
    ended(call, &output)
}

/// A file, or a folder with everything below it, under another name.
fn collect(call: &mut Call<'_, '_>, from: &str, name: &str, entries: &mut Vec<Entry>) {
    match call.cx.files.list(from) {
        Some(children) => {
            entries.push(Entry { path: name.to_owned(), content: None });
            for child in children {
                let below = format!("{name}/{}", base_name(&child));
                collect(call, &child, &below, entries);
            }
        }
        None => entries.push(Entry { path: name.to_owned(), content: call.cx.files.read(from) }),
    }
}
