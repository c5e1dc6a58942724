//! GNU `wget`: `-q`, `-O FILE`, `-T SECONDS`, `-t TRIES`, `-S`, `--spider`, `--header`, `--post-data`.

use super::Client;
use super::transfer::reason;
use super::url::{BadUrl, Url};
use crate::cluster::{ConnectError, HttpReply, HttpRequest};
use crate::shell::{Finished, vfs};
use std::time::Duration;

#[derive(Debug, Clone)]
struct Options {
    urls: Vec<String>,
    output: Option<String>,
    quiet: bool,
    server_response: bool,
    spider: bool,
    headers: Vec<(String, String)>,
    body: Option<String>,
    timeout: Duration,
    tries: u32,
}

const USAGE: &str = "Usage: wget [OPTION]... [URL]...\n\nTry `wget --help' for more options.\n";

/// `wget`.
pub fn wget(command: &mut Client<'_>) -> Finished {
    let options = match Options::read(&command.request.args) {
        Ok(options) => options,
        Err(message) => return Finished::fail(2, message),
    };
    if options.urls.is_empty() {
        return Finished::fail(1, format!("wget: missing URL\n{USAGE}"));
    }
    let mut finished = Finished::default();
    for url in &options.urls {
        let (code, log) = fetch(command, &options, url, &mut finished.stdout);
        if !options.quiet {
            finished.stderr.extend_from_slice(log.as_bytes());
        }
        if code != 0 {
            finished.exit_code = code;
        }
    }
    finished
}

fn fetch(command: &mut Client<'_>, options: &Options, text: &str, stdout: &mut Vec<u8>) -> (i32, String) {
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(BadUrl(1, _)) => return (1, format!("{text}: Unsupported scheme.\n")),
        Err(BadUrl(..)) => return (1, format!("{text}: Invalid host name.\n")),
    };
    let time = command.net.now().timestamp().strftime("%Y-%m-%d %H:%M:%S").to_string();
    let mut log = format!("--{time}--  {}\n", url.text());
    let Some(address) = command.net.resolve(&url.host).ok().and_then(|found| found.into_iter().next()) else {
        log.push_str(&format!(
            "Resolving {0} ({0})... failed: Name or service not known.\nwget: unable to resolve host address \u{2018}{0}\u{2019}\n",
            url.host
        ));
        return (4, log);
    };
    let place = if url.host == address.as_str() {
        format!("{address}:{}", url.port)
    } else {
        log.push_str(&format!("Resolving {0} ({0})... {address}\n", url.host));
        format!("{0} ({0})|{address}|:{1}", url.host, url.port)
    };
    for attempt in 1..=options.tries {
        if attempt > 1 {
            log.push_str(&format!("--{time}--  (try:{attempt:>2})  {}\n", url.text()));
        }
        log.push_str(&format!("Connecting to {place}... "));
        match exchange(command, options, &url) {
            Ok(reply) => {
                log.push_str("connected.\n");
                return (received(command, options, &url, &reply, stdout, &mut log), log);
            }
            Err(ConnectError::Refused { .. }) => {
                log.push_str("failed: Connection refused.\n");
                return (4, log);
            }
            Err(ConnectError::TimedOut { connected: false, .. }) => log.push_str("failed: Connection timed out.\n"),
            Err(ConnectError::TimedOut { .. }) => {
                log.push_str("connected.\nHTTP request sent, awaiting response... Read error (Connection timed out) in headers.\n")
            }
            Err(_) => log.push_str("connected.\nHTTP request sent, awaiting response... No data received.\n"),
        }
        if command.net.now() >= command.request.deadline {
            break;
        }
        log.push_str(if attempt < options.tries { "Retrying.\n\n" } else { "Giving up.\n\n" });
    }
    (4, log)
}

fn exchange(command: &mut Client<'_>, options: &Options, url: &Url) -> Result<HttpReply, ConnectError> {
    let mut headers = vec![
        ("Host".to_owned(), url.host_header()),
        ("User-Agent".to_owned(), "Wget/1.21.3".to_owned()),
        ("Accept".to_owned(), "*/*".to_owned()),
    ];
    headers.extend(options.headers.iter().cloned());
    let method = if options.spider {
        "HEAD"
    } else if options.body.is_some() {
        "POST"
    } else {
        "GET"
    };
    let request = HttpRequest {
        method: method.to_owned(),
        host: url.host.clone(),
        port: url.port,
        path: url.path.clone(),
        headers,
        body: options.body.clone().unwrap_or_default().into_bytes(),
        timeout: options.timeout.min(command.request.deadline.since(command.net.now())),
    };
    let began = command.net.now();
    let answer = command.net.http(&request);
    let took = match &answer {
        Ok(reply) => reply.took,
        Err(ConnectError::Refused { took, .. } | ConnectError::TimedOut { took, .. } | ConnectError::Closed { took, .. }) => *took,
        Err(ConnectError::NameNotFound { .. }) => Duration::ZERO,
    };
    command.net.wait(began + took);
    answer
}

fn received(command: &mut Client<'_>, options: &Options, url: &Url, reply: &HttpReply, stdout: &mut Vec<u8>, log: &mut String) -> i32 {
    log.push_str(&format!("HTTP request sent, awaiting response... {} {}\n", reply.status, reason(reply.status)));
    if options.server_response {
        log.push_str(&format!("  HTTP/1.1 {} {}\n", reply.status, reason(reply.status)));
        for (name, value) in &reply.headers {
            log.push_str(&format!("  {name}: {value}\n"));
        }
    }
    let time = command.net.now().timestamp().strftime("%Y-%m-%d %H:%M:%S").to_string();
    if reply.status >= 400 {
        log.push_str(&format!("{time} ERROR {}: {}.\n\n", reply.status, reason(reply.status)));
        return 8;
    }
    if options.spider {
        log.push_str("Remote file exists.\n\n");
        return 0;
    }
    let kind = reply.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type")).map_or("text/html", |(_, kind)| kind);
    let size = reply.body.len();
    log.push_str(&format!("Length: {size} [{kind}]\n"));
    let name = options.output.clone().unwrap_or_else(|| {
        let name = url.path.rsplit('/').next().unwrap_or("");
        if name.is_empty() { "index.html".to_owned() } else { name.to_owned() }
    });
    if name == "-" {
        log.push_str("Saving to: \u{2018}STDOUT\u{2019}\n\n");
        stdout.extend_from_slice(&reply.body);
        log.push_str(&format!("{time} - written to stdout [{size}/{size}]\n\n"));
        return 0;
    }
    log.push_str(&format!("Saving to: \u{2018}{name}\u{2019}\n\n"));
    if name != "/dev/null"
        && let Err(error) = command.files.write(&vfs::normal(&command.request.cwd, &name), &reply.body)
    {
        log.push_str(&format!("{name}: {error}\n\nCannot write to \u{2018}{name}\u{2019} (Success).\n"));
        return 3;
    }
    log.push_str(&format!("{time} - \u{2018}{name}\u{2019} saved [{size}/{size}]\n\n"));
    0
}

impl Options {
    fn read(args: &[String]) -> Result<Options, String> {
        let mut options = Options {
            urls: Vec::new(),
            output: None,
            quiet: false,
            server_response: false,
            spider: false,
            headers: Vec::new(),
            body: None,
            timeout: Duration::from_secs(134),
            tries: 20,
        };
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            if let Some(long) = arg.strip_prefix("--") {
                let (name, attached) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value.to_owned())));
                let takes =
                    matches!(name, "output-document" | "timeout" | "connect-timeout" | "read-timeout" | "tries" | "header" | "post-data");
                let value = if takes { attached.or_else(|| rest.next().cloned()) } else { attached };
                options.long(name, value, arg)?;
            } else if let Some(flags) = arg.strip_prefix('-').filter(|flags| !flags.is_empty()) {
                options.short(flags, &mut rest)?;
            } else {
                options.urls.push(arg.clone());
            }
        }
        Ok(options)
    }

    fn long(&mut self, name: &str, value: Option<String>, arg: &str) -> Result<(), String> {
        let text = value.unwrap_or_default();
        match name {
            "output-document" => self.output = Some(text),
            "timeout" | "connect-timeout" | "read-timeout" => self.set_timeout(&text)?,
            "tries" => self.set_tries(&text)?,
            "header" => self.headers.extend(text.split_once(':').map(|(n, v)| (n.trim().to_owned(), v.trim().to_owned()))),
            "post-data" => self.body = Some(text),
            "quiet" => self.quiet = true,
            "server-response" => self.server_response = true,
            "spider" => self.spider = true,
            "no-verbose" | "no-check-certificate" | "no-proxy" | "no-cache" | "content-on-error" => {}
            _ => return Err(format!("wget: unrecognized option '{arg}'\n{USAGE}")),
        }
        Ok(())
    }

    fn short<'a>(&mut self, flags: &str, rest: &mut impl Iterator<Item = &'a String>) -> Result<(), String> {
        for (at, flag) in flags.char_indices() {
            if matches!(flag, 'O' | 'T' | 't' | 'P' | 'U') {
                let attached = &flags[at + 1..];
                let value = if attached.is_empty() { rest.next().cloned().unwrap_or_default() } else { attached.to_owned() };
                return match flag {
                    'O' => {
                        self.output = Some(value);
                        Ok(())
                    }
                    'T' => self.set_timeout(&value),
                    't' => self.set_tries(&value),
                    _ => Ok(()),
                };
            }
            match flag {
                'q' => self.quiet = true,
                'S' => self.server_response = true,
                'n' | 'v' | 'd' | 'c' => {}
                other => return Err(format!("wget: invalid option -- '{other}'\n{USAGE}")),
            }
        }
        Ok(())
    }

    fn set_timeout(&mut self, text: &str) -> Result<(), String> {
        let seconds = text.parse::<f64>().ok().filter(|s| s.is_finite() && *s >= 0.0 && *s < 1e9);
        self.timeout =
            seconds.map(Duration::from_secs_f64).ok_or_else(|| format!("wget: timeout: Invalid time period \u{2018}{text}\u{2019}\n"))?;
        Ok(())
    }

    fn set_tries(&mut self, text: &str) -> Result<(), String> {
        self.tries = text.parse::<u32>().map_err(|_| format!("wget: tries: Invalid number \u{2018}{text}\u{2019}.\n"))?.clamp(1, 20);
        Ok(())
    }
}
