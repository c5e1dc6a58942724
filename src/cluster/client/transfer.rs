//! One transfer of `curl`: the exchange with redirects, what failed, and what `-v`, `-i`, `-w` and the progress meter show of it.

use super::Client;
use super::options::Options;
use super::url::{BadUrl, Url};
use crate::cluster::{ConnectError, HttpReply, HttpRequest};
use crate::object::decode::to_base64;
use std::fmt;
use std::time::Duration;

/// How long the kernel tries to connect when the client sets no limit.
const CONNECT_PATIENCE: Duration = Duration::from_secs(134);

/// Redirects that `-L` follows.
const REDIRECTS_MAX: usize = 50;

/// Why a transfer failed.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    Url(BadUrl),
    Resolve(String),
    Connect { host: String, port: u16, after: Duration },
    ConnectTimeout(Duration),
    Timeout(Duration),
    Empty,
    Tls,
    Status(u16),
    Redirects,
    Write,
}

impl Failure {
    /// curl's exit code.
    pub fn exit_code(&self) -> i32 {
        match self {
            Failure::Url(BadUrl(code, _)) => *code,
            Failure::Resolve(_) => 6,
            Failure::Connect { .. } => 7,
            Failure::ConnectTimeout(_) | Failure::Timeout(_) => 28,
            Failure::Empty => 52,
            Failure::Tls => 35,
            Failure::Status(_) => 22,
            Failure::Redirects => 47,
            Failure::Write => 23,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Url(BadUrl(_, message)) => f.write_str(message),
            Failure::Resolve(host) => write!(f, "Could not resolve host: {host}"),
            Failure::Connect { host, port, after } => {
                write!(f, "Failed to connect to {host} port {port} after {} ms: Could not connect to server", after.as_millis())
            }
            Failure::ConnectTimeout(after) => write!(f, "Connection timed out after {} milliseconds", after.as_millis()),
            Failure::Timeout(after) => write!(f, "Operation timed out after {} milliseconds with 0 bytes received", after.as_millis()),
            Failure::Empty => f.write_str("Empty reply from server"),
            Failure::Tls => f.write_str("TLS connect error: error:0A00010B:SSL routines::wrong version number"),
            Failure::Status(status) => write!(f, "The requested URL returned error: {status}"),
            Failure::Redirects => write!(f, "Maximum ({REDIRECTS_MAX}) redirects followed"),
            Failure::Write => f.write_str("Failure writing output to destination"),
        }
    }
}

/// A transfer and what came of it.
#[derive(Debug, Clone)]
pub struct Transfer {
    /// Answers in order; more than one with redirects.
    replies: Vec<HttpReply>,
    /// The URL that was asked last.
    url: String,
    method: String,
    took: Duration,
    sent: usize,
    /// What failed.
    pub failure: Option<Failure>,
    /// What `-v` prints.
    pub log: String,
}

impl Transfer {
    /// Makes the transfer; time passes on the cluster's clock.
    pub fn run(command: &mut Client<'_>, options: &Options, url: &str, body: &[u8]) -> Transfer {
        let method = options.method.clone().unwrap_or_else(|| {
            let default = if options.head {
                "HEAD"
            } else if options.data.is_empty() {
                "GET"
            } else {
                "POST"
            };
            default.to_owned()
        });
        let mut transfer = Transfer {
            replies: Vec::new(),
            url: url.to_owned(),
            method,
            took: Duration::ZERO,
            sent: body.len(),
            failure: None,
            log: String::new(),
        };
        match Url::parse(url) {
            Ok(url) => transfer.exchange(command, options, url, body),
            Err(bad) => transfer.failure = Some(Failure::Url(bad)),
        }
        let status = transfer.status();
        if transfer.failure.is_none() && (options.fail || options.fail_with_body) && status >= 400 {
            transfer.failure = Some(Failure::Status(status));
        }
        transfer
    }

    fn exchange(&mut self, command: &mut Client<'_>, options: &Options, mut url: Url, body: &[u8]) {
        for _ in 0..=REDIRECTS_MAX {
            self.url = url.text();
            let patience = options.max_time.map_or(CONNECT_PATIENCE * 2, |limit| limit.saturating_sub(self.took));
            let left = command.request.deadline.since(command.net.now());
            let timeout = patience.min(options.connect_timeout.unwrap_or(Duration::MAX)).min(left);
            let request = self.request(options, &url, body, timeout);
            let stood = self.log_attempt(command, &url, &request);
            // On a live cluster the time has passed when the answer is there; on a simulated one it passes now.
            let (began, before) = (command.net.now(), self.took);
            let answer = if url.scheme == "https" { self.handshake(command, &request) } else { command.net.http(&request) };
            if matches!(&answer, Ok(_) | Err(ConnectError::Closed { .. } | ConnectError::TimedOut { connected: true, .. })) {
                self.log.push_str(&stood);
            }
            let reply = match answer {
                Ok(reply) => reply,
                Err(error) => {
                    let failure = self.failed(&url, error, options);
                    command.net.wait(began + self.took.saturating_sub(before));
                    self.failure.get_or_insert(failure);
                    return;
                }
            };
            self.took += reply.took;
            command.net.wait(began + reply.took);
            self.log_reply(&reply);
            let location = reply.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("location")).map(|(_, value)| value.clone());
            let redirect = options.follow && (300..400).contains(&reply.status);
            self.replies.push(reply);
            match location.filter(|_| redirect).map(|location| url.join(&location)) {
                Some(Ok(next)) => url = next,
                Some(Err(bad)) => {
                    self.failure = Some(Failure::Url(bad));
                    return;
                }
                None => return,
            }
        }
        self.failure = Some(Failure::Redirects);
    }

    /// What a TLS handshake with a plain-text server comes to.
    fn handshake(&mut self, command: &mut Client<'_>, request: &HttpRequest) -> Result<HttpReply, ConnectError> {
        match command.net.http(request) {
            Ok(HttpReply { peer: (address, port), .. }) | Err(ConnectError::Closed { address, port, .. }) => {
                self.failure = Some(Failure::Tls);
                Err(ConnectError::Closed { address, port, took: Duration::from_millis(2) })
            }
            Err(other) => Err(other),
        }
    }

    fn request(&self, options: &Options, url: &Url, body: &[u8], timeout: Duration) -> HttpRequest {
        let mut headers = vec![
            ("Host".to_owned(), url.host_header()),
            ("User-Agent".to_owned(), options.agent.clone().unwrap_or_else(|| "curl/8.14.1".to_owned())),
            ("Accept".to_owned(), "*/*".to_owned()),
        ];
        if let Some(user) = options.user.as_ref().or(url.credentials.as_ref()) {
            headers.insert(1, ("Authorization".to_owned(), format!("Basic {}", to_base64(user.as_bytes()))));
        }
        if !body.is_empty() || !options.data.is_empty() {
            headers.push(("Content-Length".to_owned(), body.len().to_string()));
            let kind = if options.json { "application/json" } else { "application/x-www-form-urlencoded" };
            headers.push(("Content-Type".to_owned(), kind.to_owned()));
        }
        for header in &options.headers {
            if let Some((name, value)) = header.split_once(':') {
                headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name.trim()));
                if !value.trim().is_empty() {
                    headers.push((name.trim().to_owned(), value.trim().to_owned()));
                }
            }
        }
        HttpRequest {
            method: self.method.clone(),
            host: url.host.clone(),
            port: url.port,
            path: url.path.clone(),
            headers,
            body: body.to_vec(),
            timeout,
        }
    }

    fn failed(&mut self, url: &Url, error: ConnectError, options: &Options) -> Failure {
        let (spent, failure) = match error {
            ConnectError::NameNotFound { host } => (Duration::ZERO, Failure::Resolve(host)),
            ConnectError::Refused { took, .. } => {
                (took, Failure::Connect { host: url.host.clone(), port: url.port, after: self.took + took })
            }
            ConnectError::Closed { took, .. } => (took, Failure::Empty),
            ConnectError::TimedOut { took, connected: true, .. } => (took, Failure::Timeout(self.took + took)),
            ConnectError::TimedOut { took, .. } if options.max_time.is_some() || options.connect_timeout.is_some() => {
                (took, Failure::ConnectTimeout(self.took + took))
            }
            ConnectError::TimedOut { took, .. } => {
                (took, Failure::Connect { host: url.host.clone(), port: url.port, after: self.took + took })
            }
        };
        self.took += spent;
        self.log.push_str(&format!("* {failure}\n* closing connection #0\n"));
        failure
    }

    /// Logs where the connection goes, and returns what is to be logged once it stands.
    fn log_attempt(&mut self, command: &mut Client<'_>, url: &Url, request: &HttpRequest) -> String {
        self.sent = request.body.len();
        let addresses = command.net.resolve(&url.host).unwrap_or_default();
        let Some(address) = addresses.first() else { return String::new() };
        if url.host != address.as_str() {
            let all: Vec<&str> = addresses.iter().map(|address| address.as_str()).collect();
            self.log.push_str(&format!("* Host {}:{} was resolved.\n* IPv6: (none)\n* IPv4: {}\n", url.host, url.port, all.join(", ")));
        }
        self.log.push_str(&format!("*   Trying {address}:{}...\n", url.port));
        let lines: String = request.headers.iter().map(|(name, value)| format!("> {name}: {value}\r\n")).collect();
        format!(
            "* Connected to {} ({address}) port {}\n* using HTTP/1.x\n> {} {} HTTP/1.1\r\n{lines}> \r\n",
            url.host, url.port, request.method, request.path
        )
    }

    fn log_reply(&mut self, reply: &HttpReply) {
        let headers: String = reply.headers.iter().map(|(name, value)| format!("< {name}: {value}\r\n")).collect();
        self.log.push_str(&format!("* Request completely sent off\n< {}\r\n{headers}< \r\n", status_line(reply.status)));
        if !reply.body.is_empty() && self.method != "HEAD" {
            self.log.push_str(&format!("{{ [{} bytes data]\n", reply.body.len()));
        }
        self.log.push_str("* Connection #0 to host left intact\n");
    }

    fn status(&self) -> u16 {
        self.replies.last().map_or(0, |reply| reply.status)
    }

    fn received(&self) -> usize {
        if self.method == "HEAD" { 0 } else { self.replies.last().map_or(0, |reply| reply.body.len()) }
    }

    /// What goes to standard output or the file: headers where asked for, and the body.
    pub fn shown(&self, options: &Options) -> Vec<u8> {
        let mut shown = Vec::new();
        let last = self.replies.len();
        for (at, reply) in self.replies.iter().enumerate() {
            if options.include || options.head {
                let headers: String = reply.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                shown.extend_from_slice(format!("{}\r\n{headers}\r\n", status_line(reply.status)).as_bytes());
            }
            let withheld = matches!(self.failure, Some(Failure::Status(_))) && !options.fail_with_body;
            if at + 1 == last && self.method != "HEAD" && !withheld {
                shown.extend_from_slice(&reply.body);
            }
        }
        shown
    }

    /// The progress meter of a transfer that is written to no terminal.
    pub fn meter(&self) -> String {
        if self.replies.is_empty() && matches!(self.failure, Some(Failure::Url(_))) {
            return String::new();
        }
        let head = "  % Total    % Received % Xferd  Average Speed   Time    Time     Time  Current\n                                 Dload  Upload   Total   Spent    Left  Speed\n";
        let row = |percent: u32, total: usize, speed: u64| {
            let span = if self.took.as_secs() == 0 { "--:--:--".to_owned() } else { clock(self.took) };
            format!("\r{percent:>3} {total:>5}  {percent:>3} {total:>5}    0     0  {speed:>5}      0 --:--:-- {span} --:--:-- {speed:>5}")
        };
        let mut text = format!("{head}\r  0     0    0     0    0     0      0      0 --:--:-- --:--:-- --:--:--     0");
        if !self.replies.is_empty() {
            let received = self.received();
            let seconds = self.took.as_secs_f64().max(1e-6);
            text.push_str(&row(if received > 0 { 100 } else { 0 }, received, (received as f64 / seconds) as u64));
        }
        text.push('\n');
        text
    }

    /// `-w`: a format with `%{variables}` and escapes.
    pub fn write_out(&self, format: &str, code: i32) -> String {
        let mut out = String::new();
        let mut rest = format;
        while let Some(at) = rest.find(['%', '\\']) {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(name) = rest.strip_prefix("%{").and_then(|inner| inner.split_once('}')) {
                out.push_str(&self.variable(name.0, code));
                rest = name.1;
            } else if let Some(after) = rest.strip_prefix("%%") {
                out.push('%');
                rest = after;
            } else if rest.starts_with('\\') && rest.len() > 1 {
                let next = rest[1..].chars().next().unwrap_or('\\');
                match next {
                    'n' => out.push('\n'),
                    't' => out.push('\t'),
                    'r' => out.push('\r'),
                    other => out.extend(['\\', other]),
                }
                rest = &rest[1 + next.len_utf8()..];
            } else {
                out.push_str(&rest[..1]);
                rest = &rest[1..];
            }
        }
        out.push_str(rest);
        out
    }

    fn variable(&self, name: &str, code: i32) -> String {
        let last = self.replies.last();
        let seconds = |share: f64| format!("{:.6}", self.took.as_secs_f64() * share);
        let header = |wanted: &str| {
            last.and_then(|reply| reply.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted))).map_or("", |(_, value)| value)
        };
        match name {
            "http_code" | "response_code" => format!("{:03}", self.status()),
            "http_version" => if last.is_some() { "1.1" } else { "0" }.to_owned(),
            "time_total" => seconds(1.0),
            "time_starttransfer" | "time_pretransfer" if last.is_none() => "0.000000".to_owned(),
            "time_starttransfer" => seconds(0.98),
            "time_pretransfer" | "time_connect" | "time_appconnect" if last.is_some() && name != "time_appconnect" => seconds(0.1),
            "time_namelookup" if last.is_some() => seconds(0.05),
            "time_connect" | "time_appconnect" | "time_namelookup" | "time_redirect" => "0.000000".to_owned(),
            "size_download" => self.received().to_string(),
            "size_upload" => self.sent.to_string(),
            "size_header" => last.map_or(0, |r| r.headers.iter().map(|(n, v)| n.len() + v.len() + 4).sum::<usize>() + 19).to_string(),
            "speed_download" => ((self.received() as f64 / self.took.as_secs_f64().max(1e-6)) as u64).to_string(),
            "url_effective" | "url" => self.url.clone(),
            "remote_ip" => last.map(|reply| reply.peer.0.clone()).unwrap_or_default(),
            "remote_port" => last.map_or(0, |reply| reply.peer.1).to_string(),
            "local_ip" | "redirect_url" => String::new(),
            "content_type" => header("content-type").to_owned(),
            "method" => self.method.clone(),
            "scheme" => self.url.split(':').next().unwrap_or("http").to_owned(),
            "num_connects" => self.replies.len().min(1).to_string(),
            "num_redirects" => self.replies.len().saturating_sub(1).to_string(),
            "exitcode" => code.to_string(),
            "errormsg" => self.failure.as_ref().map(ToString::to_string).unwrap_or_default(),
            _ => String::new(),
        }
    }
}

/// `HTTP/1.1 404 Not Found`.
pub fn status_line(status: u16) -> String {
    format!("HTTP/1.1 {status} {}", reason(status)).trim_end().to_owned()
}

/// The reason phrase of a status.
pub fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "",
    }
}

fn clock(span: Duration) -> String {
    let seconds = span.as_secs();
    format!("{:>2}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
