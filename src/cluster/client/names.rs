//! Programs that look at names and ports from the workstation: `getent`, `dig`, `nslookup`, `host`, `ping`, `nc`.
//!
//! They print what the Debian ones print for the questions that agents ask; other options are refused.

use super::Client;
use crate::cluster::{ConnectError, HttpRequest};
use crate::shell::Finished;
use arcstr::ArcStr;
use std::time::Duration;

/// The cluster's name server.
const SERVER: &str = "10.96.0.10";

fn addresses(command: &mut Client<'_>, host: &str) -> Vec<ArcStr> {
    command.net.resolve(host).unwrap_or_default()
}

fn is_address(text: &str) -> bool {
    text.parse::<std::net::Ipv4Addr>().is_ok()
}

/// `getent hosts NAME …` (also `ahosts`, `ahostsv4`).
pub fn getent(command: &mut Client<'_>) -> Finished {
    let (database, keys) = match command.request.args.split_first() {
        Some((database, keys)) if !keys.is_empty() => (database.clone(), keys.to_vec()),
        Some((database, _)) if matches!(database.as_str(), "hosts" | "ahosts" | "ahostsv4") => {
            return Finished::ok("127.0.0.1       localhost\n127.0.1.1       workstation\n");
        }
        _ => return Finished::fail(1, "Usage: getent [OPTION...] database [key ...]\n"),
    };
    let mut shown = String::new();
    for key in &keys {
        let found = addresses(command, key);
        if found.is_empty() {
            return Finished { exit_code: 2, ..Finished::ok(shown) };
        }
        for (at, address) in found.iter().enumerate() {
            match database.as_str() {
                "hosts" => shown.push_str(&format!("{address:<15} {}\n", command.net.full_name(key))),
                "ahosts" | "ahostsv4" => {
                    let name = if at == 0 { format!(" {key}") } else { String::new() };
                    shown.push_str(&format!("{address:<15} STREAM{name}\n{address:<15} DGRAM  \n{address:<15} RAW    \n"));
                }
                other => return Finished::fail(1, format!("Unknown database: {other}\n")),
            }
        }
    }
    Finished::ok(shown)
}

/// `nslookup NAME [SERVER]`.
pub fn nslookup(command: &mut Client<'_>) -> Finished {
    let names: Vec<String> = command.request.args.iter().filter(|arg| !arg.starts_with('-')).cloned().collect();
    let Some(name) = names.first() else { return Finished::fail(1, "nslookup: give a name; there is no terminal for a dialogue\n") };
    let header = format!("Server:\t\t{SERVER}\nAddress:\t{SERVER}#53\n\n");
    let found = addresses(command, name);
    if found.is_empty() {
        return Finished { exit_code: 1, ..Finished::ok(format!("{header}** server can't find {name}: NXDOMAIN\n\n")) };
    }
    let full = command.net.full_name(name);
    let answers: String = found.iter().map(|address| format!("Name:\t{full}\nAddress: {address}\n")).collect();
    Finished::ok(format!("{header}{answers}\n"))
}

/// `host NAME`.
pub fn host(command: &mut Client<'_>) -> Finished {
    let Some(name) = command.request.args.iter().find(|arg| !arg.starts_with('-')).cloned() else {
        return Finished::fail(1, "Usage: host [-aCdilrTvVw] [-c class] [-t type] {name} [server]\n");
    };
    let found = addresses(command, &name);
    if found.is_empty() {
        return Finished { exit_code: 1, ..Finished::ok(format!("Host {name} not found: 3(NXDOMAIN)\n")) };
    }
    let full = command.net.full_name(&name);
    Finished::ok(found.iter().map(|address| format!("{full} has address {address}\n")).collect::<String>())
}

/// `dig [@SERVER] NAME [TYPE] [+short]`.
pub fn dig(command: &mut Client<'_>) -> Finished {
    let args = command.request.args.clone();
    let short = args.iter().any(|arg| arg == "+short");
    let words: Vec<&String> = args.iter().filter(|arg| !arg.starts_with(['+', '-', '@'])).collect();
    let Some(name) = words.first().map(|name| name.trim_end_matches('.').to_owned()) else {
        return Finished::fail(1, "dig: give a name to look up\n");
    };
    let kind = words.get(1).map_or("A", |kind| kind.as_str()).to_uppercase();
    let found = if kind == "A" || kind == "ANY" { addresses(command, &name) } else { Vec::new() };
    if short {
        return Finished::ok(found.iter().map(|address| format!("{address}\n")).collect::<String>());
    }
    let id = crate::rng::Key::new(command.net.now().as_nanos()).part("dig").part(&name).value() % 65_536;
    let known = !found.is_empty() || !addresses(command, &name).is_empty();
    let status = if known { "NOERROR" } else { "NXDOMAIN" };
    let answers: String = found.iter().map(|address| format!("{name}.\t30\tIN\tA\t{address}\n")).collect();
    let answer = if answers.is_empty() { String::new() } else { format!(";; ANSWER SECTION:\n{answers}\n") };
    Finished::ok(format!(
        "\n; <<>> DiG 9.18.33-1~deb12u2-Debian <<>> {}\n;; global options: +cmd\n;; Got answer:\n\
         ;; ->>HEADER<<- opcode: QUERY, status: {status}, id: {id}\n\
         ;; flags: qr aa rd; QUERY: 1, ANSWER: {}, AUTHORITY: 0, ADDITIONAL: 1\n\n\
         ;; OPT PSEUDOSECTION:\n; EDNS: version: 0, flags:; udp: 1232\n;; QUESTION SECTION:\n;{name}.\t\tIN\t{kind}\n\n{answer}\
         ;; Query time: 0 msec\n;; SERVER: {SERVER}#53({SERVER}) (UDP)\n;; WHEN: {}\n;; MSG SIZE  rcvd: {}\n\n",
        args.join(" "),
        found.len(),
        command.net.now().timestamp().strftime("%a %b %d %H:%M:%S UTC %Y"),
        name.len() + 29 + found.len() * (name.len() + 16),
    ))
}

/// `ping [-c N] HOST`: a pod answers, a Service's virtual address does not.
pub fn ping(command: &mut Client<'_>) -> Finished {
    let options = match PingOptions::read(&command.request.args) {
        Ok(options) => options,
        Err(message) => return Finished::fail(2, message),
    };
    let Some(address) = addresses(command, &options.host).first().cloned() else {
        return Finished::fail(2, format!("ping: {}: Name or service not known\n", options.host));
    };
    // The reply of a pod is known by a port that refuses; a virtual address and a lost pod stay silent.
    let probe = request(&options.host, 9, Duration::from_secs(1));
    let alive = !matches!(command.net.http(&probe), Err(ConnectError::TimedOut { connected: false, .. })) && !is_virtual(&address);
    let until = (command.net.now()
        + Duration::from_secs(options.count.saturating_sub(1))
        + if alive { Duration::ZERO } else { Duration::from_secs(10) })
    .min(command.request.deadline);
    command.net.wait(until);
    let mut text = format!("PING {} ({address}) 56(84) bytes of data.\n", options.host);
    let mut stream = crate::rng::Key::new(until.as_nanos()).part("ping").part(&address).stream();
    let times: Vec<f64> = (0..options.count).map(|_| stream.range(0.05, 0.25)).collect();
    if alive {
        for (at, time) in times.iter().enumerate() {
            text.push_str(&format!("64 bytes from {address}: icmp_seq={} ttl=63 time={time:.3} ms\n", at + 1));
        }
    }
    let (received, loss) = if alive { (options.count, 0) } else { (0, 100) };
    let spent = options.count.saturating_sub(1) * 1000 + options.count;
    text.push_str(&format!(
        "\n--- {} ping statistics ---\n{} packets transmitted, {received} received, {loss}% packet loss, time {spent}ms\n",
        options.host, options.count
    ));
    if alive {
        let (low, high) = times.iter().fold((f64::MAX, 0.0_f64), |(low, high), t| (low.min(*t), high.max(*t)));
        let mean = times.iter().sum::<f64>() / times.len().max(1) as f64;
        let deviation = times.iter().map(|t| (t - mean).abs()).sum::<f64>() / times.len().max(1) as f64;
        text.push_str(&format!("rtt min/avg/max/mdev = {low:.3}/{mean:.3}/{high:.3}/{deviation:.3} ms\n"));
    } else {
        text.push('\n');
    }
    Finished { exit_code: i32::from(!alive), ..Finished::ok(text) }
}

/// Whether an address belongs to Services, which answer no ping.
fn is_virtual(address: &str) -> bool {
    address.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.octets()[0] == 10 && (96..112).contains(&ip.octets()[1]))
}

struct PingOptions {
    host: String,
    count: u64,
}

impl PingOptions {
    fn read(args: &[String]) -> Result<Self, String> {
        // Without -c a real ping goes on until it is stopped; ten are as many as anyone waits for.
        let mut options = PingOptions { host: String::new(), count: 10 };
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            match arg.as_str() {
                "-c" => options.count = rest.next().and_then(|n| n.parse().ok()).ok_or("ping: invalid argument\n")?,
                "-W" | "-w" | "-i" | "-s" | "-t" | "-I" => {
                    rest.next();
                }
                option if option.starts_with("-c") => options.count = option[2..].parse().map_err(|_| "ping: invalid argument\n")?,
                option if option.starts_with('-') => {}
                host => options.host = host.to_owned(),
            }
        }
        options.count = options.count.clamp(1, 100);
        if options.host.is_empty() { Err("ping: usage error: Destination address required\n".to_owned()) } else { Ok(options) }
    }
}

/// `nc -z HOST PORT …`: whether ports accept; without `-z`, what is read is sent and the answer shown.
pub fn nc(command: &mut Client<'_>) -> Finished {
    let mut options = match NcOptions::read(&command.request.args) {
        Ok(options) => options,
        Err(message) => return Finished::fail(1, message),
    };
    if options.host.is_empty() || options.ports.is_empty() {
        return Finished::fail(1, "usage: nc [-46CDdFhklNnrStUuvZz] [-w timeout] [destination] [port]\n");
    }
    options.timeout = options.timeout.min(command.request.deadline.since(command.net.now()));
    let mut finished = Finished { exit_code: 1, ..Finished::default() };
    for port in options.ports.clone() {
        let outcome = try_port(command, &options, port);
        finished.stdout.extend(outcome.stdout);
        finished.stderr.extend(outcome.stderr);
        if outcome.exit_code == 0 {
            finished.exit_code = 0;
        }
    }
    finished
}

fn try_port(command: &mut Client<'_>, options: &NcOptions, port: u16) -> Finished {
    let host = &options.host;
    let address = addresses(command, host).first().cloned();
    let Some(address) = address else {
        return Finished::fail(1, format!("nc: getaddrinfo for host \"{host}\" port {port}: Name or service not known\n"));
    };
    let named = if is_address(host) { host.clone() } else { format!("{host} ({address})") };
    let began = command.net.now();
    let answer = command.net.http(&request(host, port, options.timeout));
    let took = match &answer {
        Ok(reply) => reply.took,
        Err(ConnectError::Refused { took, .. } | ConnectError::TimedOut { took, .. } | ConnectError::Closed { took, .. }) => *took,
        Err(ConnectError::NameNotFound { .. }) => Duration::ZERO,
    };
    command.net.wait(began + took);
    let failed = |why: &str| {
        let stderr = if options.verbose { format!("nc: connect to {named} port {port} (tcp) failed: {why}\n") } else { String::new() };
        Finished::fail(1, stderr)
    };
    match answer {
        Err(ConnectError::Refused { .. }) => failed("Connection refused"),
        Err(ConnectError::TimedOut { connected: false, .. }) => failed("Connection timed out"),
        Err(ConnectError::NameNotFound { .. }) => failed("Name or service not known"),
        Ok(_) | Err(_) if options.verbose => {
            let service = if port == 80 { "http" } else { "*" };
            Finished {
                stderr: format!("Connection to {named} {port} port [tcp/{service}] succeeded!\n").into_bytes(),
                ..Finished::default()
            }
        }
        Ok(_) | Err(_) => Finished::default(),
    }
}

fn request(host: &str, port: u16, timeout: Duration) -> HttpRequest {
    HttpRequest { method: "GET".into(), host: host.into(), port, path: "/".into(), headers: Vec::new(), body: Vec::new(), timeout }
}

struct NcOptions {
    host: String,
    ports: Vec<u16>,
    verbose: bool,
    timeout: Duration,
}

impl NcOptions {
    fn read(args: &[String]) -> Result<Self, String> {
        let mut options = NcOptions { host: String::new(), ports: Vec::new(), verbose: false, timeout: Duration::from_secs(127) };
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            if let Some(flags) = arg.strip_prefix('-').filter(|flags| !flags.is_empty()) {
                options.flags(flags, &mut rest)?;
            } else if options.host.is_empty() {
                options.host.clone_from(arg);
            } else {
                options.add_ports(arg)?;
            }
        }
        Ok(options)
    }

    fn flags<'a>(&mut self, flags: &'a str, rest: &mut impl Iterator<Item = &'a String>) -> Result<(), String> {
        for (at, flag) in flags.char_indices() {
            match flag {
                'v' => self.verbose = true,
                'w' | 'i' | 'q' => {
                    let attached = &flags[at + 1..];
                    let value = if attached.is_empty() { rest.next().map_or("", String::as_str) } else { attached };
                    let seconds: u64 = value.parse().map_err(|_| format!("nc: timeout invalid: {value}\n"))?;
                    if flag == 'w' {
                        self.timeout = Duration::from_secs(seconds);
                    }
                    return Ok(());
                }
                'l' => return Err("nc: listening for connections is not possible here\n".to_owned()),
                'z' | 'n' | 't' | '4' | 'N' | 'd' => {}
                other => return Err(format!("nc: invalid option -- '{other}'\n")),
            }
        }
        Ok(())
    }

    fn add_ports(&mut self, text: &str) -> Result<(), String> {
        let invalid = || format!("nc: port number invalid: {text}\n");
        let (low, high) = text.split_once('-').unwrap_or((text, text));
        let (low, high): (u16, u16) = (low.parse().map_err(|_| invalid())?, high.parse().map_err(|_| invalid())?);
        self.ports.extend((low..=high).take(256));
        Ok(())
    }
}
