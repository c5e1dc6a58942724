//! Programs of a workstation that make no sense without a terminal or a network: each says what to use instead.

use super::shell_tool::Command;
use crate::shell::{Finished, Vfs, vfs};

/// Editors.
pub fn editor(command: &mut Command<'_>) -> Finished {
    let name = &command.request.name;
    Finished::fail(
        1,
        format!(
            "{name}: there is no terminal to edit in; write files with `cat <<'EOF' > FILE`, change objects with `kubectl patch` or `kubectl apply -f FILE`\n"
        ),
    )
}

/// Programs that draw on a terminal until they are told to stop.
pub fn interactive(command: &mut Command<'_>) -> Finished {
    let name = &command.request.name;
    Finished::fail(1, format!("{name}: failed tty get; use `kubectl top pods` or `kubectl top nodes`\n"))
}

/// `watch`.
pub fn watch(command: &mut Command<'_>) -> Finished {
    let _ = command;
    Finished::fail(
        1,
        "watch: there is no terminal to draw on; repeat the command in a loop with `sleep`, or use `kubectl wait` or `kubectl rollout status`\n",
    )
}

/// `ssh`: nodes are not reachable.
pub fn ssh(command: &mut Command<'_>) -> Finished {
    let host = command.request.args.iter().rfind(|arg| !arg.starts_with('-')).map_or("host", String::as_str);
    let host = host.rsplit('@').next().unwrap_or(host);
    Finished::fail(255, format!("ssh: connect to host {host} port 22: Connection refused\n"))
}

/// Pagers: without a terminal they print everything, as `cat` does.
pub fn pager(command: &mut Command<'_>) -> Finished {
    let request = command.request;
    let files: Vec<&String> = request.args.iter().filter(|arg| !arg.starts_with('-') && !arg.starts_with('+')).collect();
    if files.is_empty() {
        return Finished::ok(request.stdin.clone());
    }
    let mut finished = Finished::default();
    for path in files {
        match read(command.files, &request.cwd, path) {
            Ok(content) => finished.stdout.extend_from_slice(&content),
            Err(message) => {
                finished.exit_code = 1;
                finished.stderr.extend_from_slice(format!("{path}: {message}\n").as_bytes());
            }
        }
    }
    finished
}

fn read(files: &Vfs, cwd: &str, path: &str) -> Result<Vec<u8>, String> {
    files.read(&vfs::normal(cwd, path)).map(|content| content.to_vec()).map_err(|e| e.to_string())
}
