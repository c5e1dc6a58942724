//! BusyBox' own `wget`, `nc` and `nslookup`, which word things differently from the usual ones.

use super::Session;
use crate::cluster::client::Net;
use crate::cluster::sim::network::{Reach, dns};
use crate::cluster::{ConnectError, HttpReply, HttpRequest};
use crate::shell::{Finished, Request, Vfs, vfs};
use std::fmt::Write;
use std::time::Duration;

/// How long BusyBox waits for a connection: as long as the kernel.
const KERNEL_PATIENCE: Duration = Duration::from_secs(127);

/// `nslookup NAME`: asks for the name under every domain of the search path, addresses of both kinds.
pub(super) fn nslookup(session: &mut Session<'_>, request: &Request, _files: &mut Vfs) -> Finished {
    let Some(name) = request.args.iter().find(|a| !a.starts_with('-')) else {
        return Finished::fail(1, "BusyBox v1.36.1 multi-call binary.\n\nUsage: nslookup [-type=QUERY_TYPE] [-debug] HOST [DNS_SERVER]\n");
    };
    let origin = session.origin();
    let mut text = format!("Server:\t\t{0}\nAddress:\t{0}:53\n\n", dns::SERVER);
    let (mut found, mut missing) = (String::new(), Vec::new());
    let names = if name.contains('.') { vec![name.clone()] } else { dns::candidates(session.world, &origin, name) };
    for full in names.iter().filter(|n| n.contains('.')) {
        match dns::query(session.world, &origin, full) {
            dns::Answer::Records(records) if !records.is_empty() => {
                for record in records {
                    match record {
                        dns::Record::Address { name, address } => {
                            let _ = write!(found, "Name:\t{name}\nAddress: {address}\n\n");
                        }
                        dns::Record::Alias { name, target } => {
                            let _ = writeln!(found, "{name}\tcanonical name = {target}");
                        }
                    }
                }
            }
            dns::Answer::NoServer => {
                session.spend(Duration::from_secs(10));
                return Finished { exit_code: 1, ..Finished::ok(";; connection timed out; no servers could be reached\n\n") };
            }
            _ => missing.push(full),
        }
    }
    // Once for addresses of version 4, once for those of version 6.
    for full in missing.iter().rev().chain(missing.iter().rev()) {
        let _ = write!(text, "** server can't find {full}: NXDOMAIN\n\n");
    }
    text.push_str(&found);
    Finished { exit_code: i32::from(!missing.is_empty()), ..Finished::ok(text) }
}

/// `nc [-z] [-v] [-w SEC] HOST PORT`.
pub(super) fn nc(session: &mut Session<'_>, request: &Request, _files: &mut Vfs) -> Finished {
    let (mut verbose, mut patience, mut words) = (false, KERNEL_PATIENCE, Vec::new());
    let mut args = request.args.iter();
    while let Some(arg) = args.next() {
        match arg.strip_prefix('-').filter(|f| !f.is_empty()) {
            Some(flags) => {
                verbose |= flags.contains('v');
                if let Some((_, seconds)) = flags.split_once('w') {
                    let seconds = if seconds.is_empty() { args.next().cloned().unwrap_or_default() } else { seconds.to_owned() };
                    patience = Duration::from_secs(seconds.parse().unwrap_or(1));
                }
            }
            None => words.push(arg.clone()),
        }
    }
    let (Some(host), Some(port)) = (words.first(), words.get(1).and_then(|p| p.parse::<u16>().ok())) else {
        return Finished::fail(
            1,
            "BusyBox v1.36.1 multi-call binary.\n\nUsage: nc [OPTIONS] HOST PORT  - connect\nnc [OPTIONS] -l -p PORT [HOST] [PORT]  - listen\n",
        );
    };
    let connection = session.connect(host, port);
    let place = format!("{host} ({}:{port})", connection.address);
    match connection.reach {
        Reach::Peer(_) if verbose => Finished { stderr: format!("{place} open\n").into_bytes(), ..Finished::default() },
        Reach::Peer(_) => Finished::default(),
        Reach::Refused => Finished::fail(1, if verbose { format!("nc: {place}: Connection refused\n") } else { String::new() }),
        Reach::Silence => {
            session.spend(patience);
            let why = if patience < KERNEL_PATIENCE { "timed out" } else { "Connection timed out" };
            Finished::fail(1, if patience < KERNEL_PATIENCE { "nc: timed out\n".to_owned() } else { format!("nc: {place}: {why}\n") })
        }
        Reach::NoName | Reach::NoResolver => Finished::fail(1, format!("nc: bad address '{host}'\n")),
    }
}

#[derive(Default)]
struct Options {
    quiet: bool,
    headers: bool,
    spider: bool,
    output: Option<String>,
    timeout: Option<Duration>,
    post: Option<String>,
    sent: Vec<(String, String)>,
    url: String,
}

impl Options {
    fn read(args: &[String]) -> Result<Options, String> {
        let mut options = Options::default();
        let mut words = args.iter();
        while let Some(word) = words.next() {
            let mut value =
                |attached: &str| if attached.is_empty() { words.next().cloned().unwrap_or_default() } else { attached.to_owned() };
            match word.as_str() {
                "--spider" => options.spider = true,
                "--no-check-certificate" => {}
                "--header" => options.header(&value("")),
                "--post-data" => options.post = Some(value("")),
                long if long.starts_with("--header=") => options.header(&long["--header=".len()..]),
                long if long.starts_with("--post-data=") => options.post = Some(long["--post-data=".len()..].to_owned()),
                long if long.starts_with("--timeout=") => {
                    options.timeout = long["--timeout=".len()..].parse().ok().map(Duration::from_secs)
                }
                long if long.starts_with("--") => return Err(format!("wget: unrecognized option: {}\n", long.trim_start_matches('-'))),
                flags if flags.starts_with('-') && flags.len() > 1 => {
                    let letters = flags.get(1..).unwrap_or("");
                    for (at, flag) in letters.char_indices() {
                        let rest = letters.get(at + 1..).unwrap_or("");
                        match flag {
                            'q' => options.quiet = true,
                            'S' => options.headers = true,
                            'c' => {}
                            'O' => options.output = Some(value(rest)),
                            'T' => options.timeout = value(rest).parse().ok().map(Duration::from_secs),
                            't' | 'P' | 'U' | 'Y' | 'o' => drop(value(rest)),
                            other => return Err(format!("wget: unrecognized option: {other}\n")),
                        }
                        if matches!(flag, 'O' | 'T' | 't' | 'P' | 'U' | 'Y' | 'o') {
                            break;
                        }
                    }
                }
                url => options.url = url.to_owned(),
            }
        }
        Ok(options)
    }

    fn header(&mut self, text: &str) {
        if let Some((name, value)) = text.split_once(':') {
            self.sent.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
}

/// Host, port and path of a URL.
fn parts(url: &str) -> Result<(String, u16, String), String> {
    let rest = match url.split_once("://") {
        Some(("http", rest)) => rest,
        Some((scheme, _)) => return Err(format!("wget: not an http or ftp url: {scheme}\n")),
        None => url,
    };
    let (place, path) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
    let (host, port) = place.split_once(':').unwrap_or((place, "80"));
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok((host.to_owned(), port.parse().map_err(|_| format!("wget: bad port spec '{port}'\n"))?, path))
}

/// `wget [-q] [-S] [-O FILE] [-T SEC] URL`.
pub(super) fn wget(session: &mut Session<'_>, request: &Request, files: &mut Vfs) -> Finished {
    let usage = "BusyBox v1.36.1 multi-call binary.\n\nUsage: wget [-cqS] [--spider] [-O FILE] [-o LOGFILE] [--header STR]\n\t[--post-data STR | --post-file FILE] [-Y on/off]\n\t[-P DIR] [-U AGENT] [-T SEC] URL...\n";
    let options = match Options::read(&request.args) {
        Ok(options) if options.url.is_empty() => return Finished::fail(1, usage),
        Ok(options) => options,
        Err(message) => return Finished::fail(1, format!("{message}{usage}")),
    };
    let (host, port, path) = match parts(&options.url) {
        Ok(parts) => parts,
        Err(message) => return Finished::fail(1, message),
    };
    let Some(address) = session.resolve(&host).ok().and_then(|all| all.into_iter().next()) else {
        return Finished::fail(1, format!("wget: bad address '{host}{}'\n", if port == 80 { String::new() } else { format!(":{port}") }));
    };
    let mut log = if options.quiet { String::new() } else { format!("Connecting to {host}:{port} ({address}:{port})\n") };
    let mut headers = vec![
        ("Host".to_owned(), if port == 80 { host.clone() } else { format!("{host}:{port}") }),
        ("User-Agent".to_owned(), "Wget".to_owned()),
    ];
    headers.extend(options.sent.iter().cloned());
    let asked = HttpRequest {
        method: if options.post.is_some() { "POST" } else { "GET" }.to_owned(),
        host,
        port,
        path: path.clone(),
        headers,
        body: options.post.clone().unwrap_or_default().into_bytes(),
        timeout: options.timeout.unwrap_or(Duration::from_secs(900)),
    };
    match session.http(&asked) {
        Ok(reply) => {
            session.spend(reply.took);
            received(&options, &path, &reply, (request, files, &mut log))
        }
        Err(error) => {
            let (took, text) = match error {
                ConnectError::Refused { took, .. } => {
                    (took, format!("wget: can't connect to remote host ({address}): Connection refused\n"))
                }
                ConnectError::TimedOut { took, .. } if options.timeout.is_some() => (took, "wget: download timed out\n".to_owned()),
                ConnectError::TimedOut { took, connected, .. } => {
                    let text = if connected {
                        "wget: download timed out\n".to_owned()
                    } else {
                        format!("wget: can't connect to remote host ({address}): Connection timed out\n")
                    };
                    (took.min(KERNEL_PATIENCE), text)
                }
                ConnectError::Closed { took, .. } => (took, "wget: error getting response\n".to_owned()),
                ConnectError::NameNotFound { host } => (Duration::ZERO, format!("wget: bad address '{host}'\n")),
            };
            session.spend(took);
            Finished::fail(1, format!("{log}{text}"))
        }
    }
}

fn received(options: &Options, path: &str, reply: &HttpReply, (request, files, log): (&Request, &mut Vfs, &mut String)) -> Finished {
    let reason = match reply.status {
        200 => "OK",
        301 => "Moved Permanently",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "",
    };
    if options.headers {
        let _ = writeln!(log, "  HTTP/1.1 {} {reason}", reply.status);
        for (name, value) in &reply.headers {
            let _ = writeln!(log, "  {name}: {value}");
        }
        log.push_str("  \n");
    }
    if reply.status >= 400 {
        return Finished::fail(1, format!("{log}wget: server returned error: HTTP/1.1 {} {reason}\n", reply.status));
    }
    if options.spider {
        log.push_str(if options.quiet { "" } else { "remote file exists\n" });
        return Finished { stderr: log.as_bytes().to_vec(), ..Finished::default() };
    }
    let name = options.output.clone().unwrap_or_else(|| {
        let last = path.split('?').next().and_then(|p| p.rsplit('/').next()).unwrap_or("");
        if last.is_empty() { "index.html".to_owned() } else { last.to_owned() }
    });
    let size = reply.body.len();
    let mut progress = |verb: &str, target: &str| {
        if !options.quiet {
            let _ = write!(
                log,
                "{verb} '{target}'\n{target:<20} 100% |********************************| {size:>5}  0:00:00 ETA\n'{target}' saved\n"
            );
        }
    };
    if name == "-" {
        if !options.quiet {
            let _ = write!(
                log,
                "writing to stdout\n-                    100% |********************************| {size:>5}  0:00:00 ETA\nwritten to stdout\n"
            );
        }
        return Finished { stdout: reply.body.clone(), stderr: log.as_bytes().to_vec(), exit_code: 0 };
    }
    progress("saving to", &name);
    match files.write(&vfs::normal(&request.cwd, &name), &reply.body) {
        Ok(()) => Finished { stderr: log.as_bytes().to_vec(), ..Finished::default() },
        Err(error) => Finished::fail(1, format!("wget: can't open '{name}': {error}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_flags() {
        assert_eq!(parts("http://search:8082/health"), Ok(("search".to_owned(), 8082, "/health".to_owned())));
        assert_eq!(parts("consul?x=1"), Ok(("consul".to_owned(), 80, "/?x=1".to_owned())));
        assert!(parts("https://x").is_err());
        let options = Options::read(&["-qO-", "-T", "3", "http://x"].map(str::to_owned)).expect("valid");
        assert_eq!((options.quiet, options.output.as_deref(), options.timeout), (true, Some("-"), Some(Duration::from_secs(3))));
        let options = Options::read(&["-S", "-O", "-", "x"].map(str::to_owned)).expect("valid");
        assert_eq!((options.headers, options.output.as_deref(), options.url.as_str()), (true, Some("-"), "x"));
    }
}
