//! `curl`: texts and exit codes of curl 8. Only HTTP is spoken: a TLS handshake fails as it does with a plain-text server.

use super::Client;
use super::options::Options;
use super::transfer::{Failure, Transfer};
use crate::shell::{Finished, vfs};

/// `curl`.
pub fn curl(command: &mut Client<'_>) -> Finished {
    let request = command.request;
    let options = match Options::read(&request.args) {
        Ok(options) => options,
        Err(message) => return Finished::fail(2, message),
    };
    if options.version {
        return Finished::ok("curl 8.14.1 (x86_64-pc-linux-gnu) libcurl/8.14.1\nProtocols: http https\n");
    }
    let Some(body) = body(command, &options) else {
        return Finished::fail(26, "curl: Failed to open/read local data from file/application\n");
    };
    if options.urls.is_empty() {
        return Finished::fail(2, "curl: (2) no URL specified\ncurl: try 'curl --help' or 'curl --manual' for more information\n");
    }
    let mut finished = Finished::default();
    for (at, url) in options.urls.iter().enumerate() {
        let mut transfer = Transfer::run(command, &options, url, &body);
        let output = options.outputs.get(at);
        let code = deliver(command, &options, &mut transfer, output.map(String::as_str), &mut finished);
        finished.exit_code = code;
        if code != 0 && options.fail_early {
            break;
        }
    }
    finished
}

/// The body to send: the pieces of `-d` joined, files read. `None` when a file cannot be read.
fn body(command: &Client<'_>, options: &Options) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    for (at, piece) in options.data.iter().enumerate() {
        if at > 0 && !options.json {
            body.push(b'&');
        }
        match piece.strip_prefix('@').filter(|_| !options.raw_data) {
            Some("-") => body.extend_from_slice(&command.request.stdin),
            Some(path) => {
                let content = command.files.read(&vfs::normal(&command.request.cwd, path)).ok()?;
                body.extend(content.iter().filter(|byte| options.binary || !matches!(byte, b'\n' | b'\r')));
            }
            None => body.extend_from_slice(piece.as_bytes()),
        }
    }
    Some(body)
}

/// Writes one transfer's output where it belongs, and returns curl's exit code for it.
fn deliver(command: &mut Client<'_>, options: &Options, transfer: &mut Transfer, output: Option<&str>, finished: &mut Finished) -> i32 {
    let mut code = transfer.failure.as_ref().map_or(0, Failure::exit_code);
    if options.verbose {
        finished.stderr.extend_from_slice(transfer.log.as_bytes());
    }
    if !options.silent && !options.verbose {
        finished.stderr.extend_from_slice(transfer.meter().as_bytes());
    }
    let shown = transfer.shown(options);
    match output {
        None | Some("-") => finished.stdout.extend_from_slice(&shown),
        Some("/dev/null") => {}
        Some("/dev/stdout") => finished.stdout.extend_from_slice(&shown),
        Some("/dev/stderr") => finished.stderr.extend_from_slice(&shown),
        Some(path) => {
            if transfer.failure.is_none() && command.files.write(&vfs::normal(&command.request.cwd, path), &shown).is_err() {
                code = 23;
                transfer.failure = Some(Failure::Write);
            }
        }
    }
    if let Some(failure) = &transfer.failure
        && (!options.silent || options.show_error)
    {
        finished.stderr.extend_from_slice(format!("curl: ({code}) {failure}\n").as_bytes());
    }
    if let Some(format) = &options.write_out {
        finished.stdout.extend_from_slice(transfer.write_out(format, code).as_bytes());
    }
    code
}
