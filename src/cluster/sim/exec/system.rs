//! Tools that look at the container itself: processes, ports, identity, environment.
//!
//! Not modelled: processes besides the container's own and the tool itself, memory of single processes.

use super::{Session, script};
use crate::cluster::sim::network::{self, Transport, Wire};
use crate::cluster::sim::programs::{self, Signal, Work};
use crate::cluster::sim::world::Event;
use crate::shell::{Finished, Request, Vfs};
use std::fmt::Write;
use std::time::Duration;

/// Runs a program with behaviour of its own by hand (`geo -h`, `mongod --version`).
pub(super) fn program(session: &mut Session<'_>, name: &str, request: &Request, files: &mut Vfs) -> Finished {
    let asks = |flags: &[&str]| request.args.iter().any(|a| flags.contains(&a.as_str()));
    match name {
        "consul" => super::consul::cli(session, request, files),
        "mongod" if asks(&["--version"]) => Finished::ok("db version v4.4.6\nBuild Info: {\n    \"version\": \"4.4.6\"\n}\n"),
        "memcached" if asks(&["-V", "--version"]) => Finished::ok("memcached 1.6.39\n"),
        "memcached" if asks(&["-h", "--help"]) => Finished::ok("memcached 1.6.39\n-p, --port=<num>          TCP port to listen on (default: 11211)\n"),
        "nginx" if asks(&["-v", "-V"]) => Finished { stderr: b"nginx version: nginx/1.29.4\n".to_vec(), ..Finished::default() },
        "nginx" if asks(&["-t"]) => Finished {
            stderr: b"nginx: the configuration file /etc/nginx/nginx.conf syntax is ok\nnginx: configuration file /etc/nginx/nginx.conf test is successful\n".to_vec(),
            ..Finished::default()
        },
        _ => by_hand(session, request),
    }
}

/// A second copy of a service: it starts, writes its lines and cannot open the port that the first one holds.
fn by_hand(session: &mut Session<'_>, request: &Request) -> Finished {
    let mut argv = vec![request.name.as_str().into()];
    argv.extend(request.args.iter().map(|a| a.as_str().into()));
    let instance = session.world.catalog.instance(&session.launch.image, &argv, &session.launch.env, &session.launch.files);
    let Ok(instance) = instance else { return Finished::fail(126, format!("{}: cannot be run here\n", request.name)) };
    let (mut startup, mut out) = (crate::app::Startup::default(), String::new());
    loop {
        match startup.next(&instance, crate::app::Outcome::Done) {
            crate::app::Effect::Write(line, error) => {
                let now = session.world.now + session.spent;
                let known = |name: &str| {
                    (name == "error").then(|| error.clone()).or_else(|| (name == "pod_ip").then(|| session.launch.pod_ip.clone()))
                };
                out.push_str(&instance.render(&line, now, &known));
                out.push('\n');
            }
            crate::app::Effect::Do(at) => {
                if let Some(crate::app::Start::Listen(ports)) = instance.program.start.get(at) {
                    let port = ports.first().and_then(|p| instance.port(&p.port)).unwrap_or(0);
                    if session.connect("127.0.0.1", port).peer().is_some() {
                        out.push_str(&format!("listen tcp :{port}: bind: address already in use\n"));
                        return Finished { exit_code: 1, ..Finished::ok(out) };
                    }
                }
                let pause = match instance.program.start.get(at) {
                    Some(crate::app::Start::Repeat(repeat)) => repeat.every,
                    _ => Duration::from_millis(5),
                };
                session.spend(pause);
                if session.spent >= session.limit {
                    return Finished { exit_code: 143, ..Finished::ok(out) };
                }
            }
            crate::app::Effect::Exit(code) => return Finished { exit_code: code, ..Finished::ok(out) },
            crate::app::Effect::Serve => {
                session.spend(Duration::from_secs(30));
                return Finished { exit_code: 143, ..Finished::ok(out) };
            }
        }
    }
}

/// `env`, also with assignments and a command.
pub(super) fn env(session: &mut Session<'_>, request: &Request, files: &mut Vfs) -> Finished {
    let mut variables = variables(session, request);
    let mut words = request.args.iter().skip_while(|a| matches!(a.as_str(), "-" | "-i" | "--"));
    let mut command = Vec::new();
    for word in words.by_ref() {
        match word.split_once('=').filter(|_| command.is_empty()) {
            Some((name, value)) => {
                variables.insert(name.to_owned(), value.to_owned());
            }
            None => command.push(word.clone()),
        }
    }
    if let Some((name, args)) = command.split_first() {
        let inner = Request { name: name.clone(), args: args.to_vec(), env: variables, ..request.clone() };
        return if session.image.has(name) {
            session.invoke(&inner, files)
        } else {
            Finished::fail(127, format!("env: \u{2018}{name}\u{2019}: No such file or directory\n"))
        };
    }
    Finished::ok(ordered(session, &variables).iter().map(|(name, value)| format!("{name}={value}\n")).collect::<String>())
}

/// Variables in the order in which a runtime sets them: the image's, the pod's own, those of Services, the home folder.
fn ordered<'v>(session: &Session<'_>, all: &'v std::collections::BTreeMap<String, String>) -> Vec<(&'v String, &'v String)> {
    let image = |name: &str| session.image.env.iter().position(|(n, _)| n == name);
    let of_service = |name: &str| {
        name.ends_with("_SERVICE_HOST") || name.contains("_SERVICE_PORT") || name.contains("_PORT_") || name.ends_with("_PORT")
    };
    let rank = |name: &str| match (image(name), name) {
        (Some(at), _) => (0, at),
        (None, "HOSTNAME") => (1, 0),
        (None, "HOME") => (4, 0),
        (None, name) => (if of_service(name) { 3 } else { 2 }, 0),
    };
    let mut found: Vec<_> = all.iter().collect();
    found.sort_by_key(|(name, _)| rank(name));
    found
}

/// The container's environment with what the calling script exported.
fn variables(session: &Session<'_>, request: &Request) -> std::collections::BTreeMap<String, String> {
    let mut all = session.environment();
    let default = script::workstation_environment();
    all.extend(request.env.iter().filter(|(k, v)| default.get(*k) != Some(*v)).map(|(k, v)| (k.clone(), v.clone())));
    all
}

/// `printenv [NAME …]`.
pub(super) fn printenv(session: &mut Session<'_>, request: &Request, files: &mut Vfs) -> Finished {
    if request.args.is_empty() {
        return env(session, request, files);
    }
    let all = variables(session, request);
    let found: Vec<_> = request.args.iter().filter_map(|name| all.get(name)).collect();
    let text: String = found.iter().map(|value| format!("{value}\n")).collect();
    Finished { exit_code: i32::from(found.len() < request.args.len()), ..Finished::ok(text) }
}

/// `hostname`.
pub(super) fn hostname(session: &mut Session<'_>, request: &Request, _files: &mut Vfs) -> Finished {
    if request.args.iter().any(|a| a == "-i" || a == "-I") {
        return Finished::ok(format!("{}\n", session.launch.pod_ip));
    }
    let name = session.launch.env.get("HOSTNAME").unwrap_or(&session.launch.pod);
    Finished::ok(format!("{name}\n"))
}

/// `id`.
pub(super) fn id(session: &mut Session<'_>, request: &Request, _files: &mut Vfs) -> Finished {
    let (uid, user) = (session.image.uid, &session.image.user);
    Finished::ok(match request.args.first().map(String::as_str) {
        Some("-u" | "-g" | "-G") => format!("{uid}\n"),
        Some("-un" | "-gn" | "-Gn") => format!("{user}\n"),
        _ if uid == 0 => "uid=0(root) gid=0(root) groups=0(root)\n".to_owned(),
        _ => format!("uid={uid}({user}) gid={uid}({user}) groups={uid}({user})\n"),
    })
}

/// `whoami`.
pub(super) fn whoami(session: &mut Session<'_>, _request: &Request, _files: &mut Vfs) -> Finished {
    match session.image.user.parse::<u32>() {
        Ok(uid) => Finished::fail(1, format!("whoami: cannot find name for user ID {uid}\n")),
        Err(_) => Finished::ok(format!("{}\n", session.image.user)),
    }
}

/// `uname`.
pub(super) fn uname(session: &mut Session<'_>, request: &Request, _files: &mut Vfs) -> Finished {
    let host = session.launch.env.get("HOSTNAME").unwrap_or(&session.launch.pod);
    Finished::ok(match request.args.first().map(String::as_str) {
        Some("-a" | "--all") => {
            format!("Linux {host} 6.1.0-28-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.119-1 (2024-11-22) x86_64 GNU/Linux\n")
        }
        Some("-r") => "6.1.0-28-amd64\n".to_owned(),
        Some("-m") => "x86_64\n".to_owned(),
        Some("-n") => format!("{host}\n"),
        _ => "Linux\n".to_owned(),
    })
}

/// `nproc`.
pub(super) fn nproc(_session: &mut Session<'_>, _request: &Request, _files: &mut Vfs) -> Finished {
    Finished::ok("4\n")
}

/// `uptime`.
pub(super) fn uptime(session: &mut Session<'_>, _request: &Request, _files: &mut Vfs) -> Finished {
    let now = session.world.now + session.spent;
    Finished::ok(format!(" {} up 12 days,  3:04,  0 users,  load average: 0.32, 0.28, 0.25\n", now.timestamp().strftime("%H:%M:%S")))
}

/// `free`: the node's memory, as a container without a view of its own sees it.
pub(super) fn free(_session: &mut Session<'_>, request: &Request, _files: &mut Vfs) -> Finished {
    let scale = |kib: u64| if request.args.iter().any(|a| a == "-m") { kib / 1024 } else { kib };
    let header = "               total        used        free      shared  buff/cache   available\n";
    let (total, used, unused) = (scale(8_148_848), scale(2_104_320), scale(3_412_000));
    let cached = total - used - unused;
    Finished::ok(format!(
        "{header}Mem:     {total:>11} {used:>11} {unused:>11} {:>11} {cached:>11} {:>11}\nSwap:    {:>11} {:>11} {:>11}\n",
        scale(3_200),
        total - used,
        0,
        0,
        0
    ))
}

/// `ps`, as procps or BusyBox print it.
pub(super) fn ps(session: &mut Session<'_>, request: &Request, _files: &mut Vfs) -> Finished {
    let started = session.world.history.run(session.run).map_or(session.world.now, |r| r.started_at);
    let argv = programs::instance(session.world, session.run).map(|i| i.argv.join(" ")).unwrap_or_default();
    let own = format!("{} {}", request.name, request.args.join(" "));
    let (user, own) = (session.image.user.clone(), own.trim().to_owned());
    if session.image.has("ash") {
        return Finished::ok(format!("PID   USER     TIME  COMMAND\n    1 {user:<8}  0:00 {argv}\n   23 {user:<8}  0:00 {own}\n"));
    }
    let (since, now) =
        (started.timestamp().strftime("%H:%M").to_string(), (session.world.now + session.spent).timestamp().strftime("%H:%M").to_string());
    let joined = request.args.join("");
    if joined.contains("aux") || joined.contains('u') {
        return Finished::ok(format!(
            "USER         PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND\n{user:<8}       1  0.0  0.1 715352 13908 ?        Ssl  {since}   0:00 {argv}\n{user:<8}      23  0.0  0.0   8592  3212 ?        R    {now}   0:00 {own}\n"
        ));
    }
    if joined.contains('f') {
        return Finished::ok(format!(
            "UID          PID    PPID  C STIME TTY          TIME CMD\n{user:<8}       1       0  0 {since} ?        00:00:00 {argv}\n{user:<8}      23       0  0 {now} ?        00:00:00 {own}\n"
        ));
    }
    let short = argv.split(' ').next().and_then(|a| a.rsplit('/').next()).unwrap_or("").to_owned();
    Finished::ok(format!("    PID TTY          TIME CMD\n      1 ?        00:00:00 {short}\n     23 ?        00:00:00 ps\n"))
}

/// Ports of the pod: transport, port, whether only the pod itself reaches it, and the process when it is of this container.
fn ports(session: &Session<'_>) -> Vec<(Transport, u16, bool, Option<String>)> {
    let runs = session.world.history.runs().filter(|r| r.end.is_none() && r.launch.pod_uid == session.launch.pod_uid);
    let mut all = Vec::new();
    for run in runs {
        let program = programs::instance(session.world, run.id).map(|i| i.program.name.to_string()).unwrap_or_default();
        for socket in network::sockets(session.world, run.id) {
            let shown = (run.id == session.run).then(|| program.clone());
            all.push((socket.transport, socket.port, socket.loopback_only, shown));
            let _: &Wire = &socket.wire;
        }
    }
    all
}

/// `netstat`: listening ports.
pub(super) fn netstat(session: &mut Session<'_>, request: &Request, _files: &mut Vfs) -> Finished {
    let flags: String = request.args.iter().filter(|a| a.starts_with('-')).map(|a| a.trim_start_matches('-')).collect();
    let program = flags.contains('p');
    let mut text = String::from(if flags.contains('l') {
        "Active Internet connections (only servers)\n"
    } else {
        "Active Internet connections (servers and established)\n"
    });
    text.push_str("Proto Recv-Q Send-Q Local Address           Foreign Address         State      ");
    text.push_str(if program { " PID/Program name    \n" } else { "\n" });
    for (transport, port, loopback, owner) in ports(session) {
        let wanted = match transport {
            Transport::Tcp => !flags.contains('u') || flags.contains('t'),
            Transport::Udp => !flags.contains('t') || flags.contains('u'),
        };
        if wanted {
            let (name, state) = if transport == Transport::Tcp { ("tcp", "LISTEN") } else { ("udp", "") };
            let address = format!("{}:{port}", if loopback { "127.0.0.1" } else { "0.0.0.0" });
            let owner = owner.map_or_else(|| "-".to_owned(), |o| format!("1/{o}"));
            let _ = write!(text, "{name:<5}{:>7}{:>7} {address:<23} {:<23} {state:<11}", 0, 0, "0.0.0.0:*");
            text.push_str(&if program { format!(" {owner:<20}\n") } else { "\n".to_owned() });
        }
    }
    Finished::ok(text)
}

/// `ss`: listening ports.
pub(super) fn ss(session: &mut Session<'_>, request: &Request, _files: &mut Vfs) -> Finished {
    let flags: String = request.args.iter().filter(|a| a.starts_with('-')).map(|a| a.trim_start_matches('-')).collect();
    let both = !(flags.contains('t') ^ flags.contains('u'));
    let mut text = String::from(if both { "Netid " } else { "" });
    text.push_str("State  Recv-Q Send-Q Local Address:Port  Peer Address:PortProcess\n");
    for (transport, port, loopback, owner) in ports(session) {
        if !both && (transport == Transport::Tcp) != flags.contains('t') {
            continue;
        }
        let (name, state, queue) = if transport == Transport::Tcp { ("tcp", "LISTEN", 4096) } else { ("udp", "UNCONN", 0) };
        let address = format!("{}:{port}", if loopback { "127.0.0.1" } else { "0.0.0.0" });
        let owner = owner.filter(|_| flags.contains('p')).map_or_else(String::new, |o| format!("users:((\"{o}\",pid=1,fd=3))"));
        if both {
            let _ = write!(text, "{name:<6}");
        }
        let _ = writeln!(text, "{state:<7}{:<7}{queue:<7}{address:>18}{:>18}   {owner}", 0, "0.0.0.0:*");
    }
    Finished::ok(text)
}

/// `kill [-SIGNAL] PID`.
pub(super) fn kill(session: &mut Session<'_>, request: &Request, _files: &mut Vfs) -> Finished {
    let (options, targets): (Vec<_>, Vec<_>) = request.args.iter().partition(|a| a.starts_with('-') && a.len() > 1);
    let name = options.first().map_or("TERM", |o| o.trim_start_matches('-').trim_start_matches("SIG"));
    let Some(target) = targets.last().and_then(|t| t.parse::<u32>().ok()) else {
        return Finished::fail(1, "kill: usage: kill [-s sigspec | -n signum | -sigspec] pid | jobspec ... or kill -l [sigspec]\n");
    };
    if target != 1 {
        return Finished::fail(1, format!("kill: ({target}) - No such process\n"));
    }
    // The kernel drops a SIGKILL that process 1 gets from within its own namespace.
    if matches!(name, "TERM" | "15")
        && let Some(exit) = programs::signal(session.world, session.run, Signal::Terminate)
    {
        let (run, at) = (session.run, session.world.now + session.spent + exit.after);
        session.world.schedule(at, Event::Program(Work::End { run, code: exit.code }));
    }
    Finished::default()
}
