//! Programs that people run in containers and that no userland has: `mongo`, `redis-cli`; and the way to those that one has.

use super::line;
use super::names::Names;
use super::place::{Place, now};
use super::real_net::RealNet;
use super::redis;
use crate::app::mongo::{Options, Server, Trouble, converse, scripts};
use crate::app::rules::NotOpen;
use crate::app::{Credentials, Executable, Instance, consul_cli};
use crate::cluster::client::{self, Client, Net};
use crate::cluster::{ConnectError, HttpRequest};
use crate::object;
use crate::object::Json;
use crate::shell::{Finished, Request, Vfs, vfs};
use arcstr::ArcStr;
use std::ffi::OsStr;
use std::io::{IsTerminal, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// How long a client waits for a connection.
const PATIENCE: Duration = Duration::from_secs(30);

/// Names of the programs that are here.
pub const NAMES: &[&str] =
    &["bash", "curl", "dash", "dig", "getent", "host", "mongo", "mongosh", "printenv", "redis-cli", "valkey-cli", "zsh"];

/// Runs a program by the name it is called; its exit code. `None` when it is not one of these.
pub fn run(name: &str, arguments: &[String]) -> Option<i32> {
    Some(match name {
        "mongo" | "mongosh" => mongo(arguments),
        "redis-cli" | "valkey-cli" => redis_cli(arguments),
        "bash" | "dash" | "zsh" => shell(name, arguments),
        "printenv" => printenv(arguments),
        "curl" => networked(name, arguments, client::curl),
        "dig" => networked(name, arguments, client::dig),
        "getent" => networked(name, arguments, client::getent),
        "host" => networked(name, arguments, client::host),
        _ => return None,
    })
}

/// Prints a text; nobody may be listening any more.
fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Replaces this process by the tool that a command line names; returns why it could not.
pub fn exec(instance: &Instance) -> String {
    let Some((name, arguments)) = instance.argv.split_first() else { return "no command specified".to_owned() };
    let own = name.rsplit('/').next().unwrap_or(name);
    let rest: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    if let Some(code) = run(own, &rest) {
        std::process::exit(code);
    }
    let error = Command::new(name.as_str()).args(rest).exec();
    format!("exec: \"{name}\": {error}")
}

/// The command line of the program behind an entry point; `None` when there is no entry point.
pub fn unwrapped(place: &Place, instance: &Instance) -> Option<Command> {
    let found = instance.image.executable(place.argv.first()?)?;
    let (name, arguments) = instance.argv.split_first().filter(|_| matches!(found, Executable::Wrapper(_)))?;
    let (folder, _) = instance.image.executables.get(name.rsplit('/').next().unwrap_or(name))?;
    let mut command = Command::new(format!("{folder}/{}", name.rsplit('/').next().unwrap_or(name)));
    command.arg0(name.as_str()).args(arguments.iter().map(|a| a.as_str()));
    Some(command)
}

/// Puts a program in this one's place; comes back when that fails.
pub fn replace(mut command: Command) {
    let _ = command.exec();
}

/// Runs `consul` with anything but `agent`.
pub fn consul(argv: &[ArcStr]) -> i32 {
    let arguments: Vec<String> = argv.iter().skip(1).map(ToString::to_string).collect();
    let printed = consul_cli::run(&arguments, &mut |path| {
        let (method, host) = ("GET".to_owned(), "127.0.0.1".to_owned());
        let (headers, body, timeout) = (Vec::new(), Vec::new(), PATIENCE);
        let request = HttpRequest { method, host, port: 8500, path: path.to_owned(), headers, body, timeout };
        let url = format!("Get \"http://127.0.0.1:8500{path}\"");
        match network().map(|mut net| net.http(&request)) {
            Some(Ok(reply)) => Json::parse(&String::from_utf8_lossy(&reply.body)).map_err(|e| e.to_string()),
            Some(Err(ConnectError::Refused { .. })) => Err(format!("{url}: dial tcp 127.0.0.1:8500: connect: connection refused")),
            Some(Err(error)) => Err(format!("{url}: {error}")),
            None => Err(format!("{url}: no runtime")),
        }
    });
    say(&printed.out);
    eprint!("{}", printed.err);
    printed.code
}

fn network() -> Option<RealNet> {
    RealNet::new().ok()
}

/// Runs a program that looks at the network.
fn networked(name: &str, arguments: &[String], run: fn(&mut Client<'_>) -> Finished) -> i32 {
    let mut net = match RealNet::new() {
        Ok(net) => net,
        Err(error) => {
            eprintln!("{name}: {error}");
            return 1;
        }
    };
    let cwd = std::env::current_dir().map(|p| p.display().to_string()).unwrap_or_else(|_| "/".to_owned());
    let mut stdin = Vec::new();
    if arguments.iter().any(|a| a.ends_with("@-") || a == "-") {
        // What cannot be read is empty.
        let _ = std::io::stdin().read_to_end(&mut stdin);
    }
    let deadline = now() + Duration::from_secs(24 * 3600);
    let env = std::env::vars().collect();
    let request = Request { name: name.to_owned(), args: arguments.to_vec(), stdin, cwd: cwd.clone(), env, deadline };
    // Files that the command line names are read before, and those that were written are kept after.
    let mut files = Vfs::new(now());
    let _ = files.make_folder(&cwd, true);
    for path in arguments.iter().map(|a| a.rsplit('@').next().unwrap_or(a)).filter(|p| Path::new(p).is_file()) {
        if let Ok(content) = std::fs::read(path) {
            let full = vfs::normal(&cwd, path);
            let _ = files.make_folder(full.rsplit_once('/').map_or("/", |(folder, _)| folder), true);
            let _ = files.write(&full, &content);
        }
    }
    let before: Vec<String> = files.iter().map(|(path, _)| path.to_string()).collect();
    let finished = run(&mut Client { net: &mut net, request: &request, files: &mut files });
    for (path, _) in files.iter().filter(|(path, node)| !matches!(node.kind, vfs::Kind::Folder) && !before.contains(&path.to_string())) {
        let written =
            files.read(path).map_err(|e| e.to_string()).and_then(|c| std::fs::write(path.as_str(), &*c).map_err(|e| e.to_string()));
        if let Err(error) = written {
            eprintln!("{name}: {path}: {error}");
        }
    }
    let _ = std::io::stdout().write_all(&finished.stdout);
    let _ = std::io::stderr().write_all(&finished.stderr);
    finished.exit_code
}

/// The shells that people expect are the one that there is.
fn shell(name: &str, arguments: &[String]) -> i32 {
    // Options that only bash has.
    let known = |a: &&String| !matches!(a.as_str(), "--norc" | "--noprofile" | "--login" | "--posix");
    for path in ["/bin/sh", "/usr/bin/sh"] {
        if Path::new(path).exists() {
            let error = Command::new(path).arg0(OsStr::new("sh")).args(arguments.iter().filter(known)).exec();
            eprintln!("{name}: {error}");
            return 126;
        }
    }
    eprintln!("{name}: there is no shell in this image");
    127
}

fn printenv(arguments: &[String]) -> i32 {
    let mut code = 0;
    if arguments.is_empty() {
        std::env::vars().for_each(|(name, value)| say(&format!("{name}={value}\n")));
    }
    for wanted in arguments {
        match std::env::vars().find(|(name, _)| name == wanted) {
            Some((_, value)) => say(&format!("{value}\n")),
            None => code = 1,
        }
    }
    code
}

/// Opens a connection to a host.
fn connect(host: &str, port: u16) -> Result<TcpStream, NotOpen> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|_| NotOpen::NoResolver)?;
    let host = if host == "localhost" { "127.0.0.1" } else { host };
    let addresses: Vec<IpAddr> = runtime.block_on(Names::System.lookup(host))?;
    let mut why = NotOpen::NoResolver;
    for address in addresses {
        match TcpStream::connect_timeout(&SocketAddr::new(address, port), PATIENCE) {
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => why = NotOpen::Refused(address.to_string().into()),
            Err(_) => why = NotOpen::TimedOut(address.to_string().into()),
        }
    }
    Err(why)
}

/// A MongoDB server at the other end of a connection.
struct Remote(TcpStream);

impl Remote {
    fn ask(&mut self, request: &Json) -> std::io::Result<Json> {
        self.0.write_all(&line::frame(request))?;
        let mut head = [0_u8; 4];
        self.0.read_exact(&mut head)?;
        let mut body = vec![0; line::length(head)?];
        self.0.read_exact(&mut body)?;
        line::parse(&body)
    }
}

impl Server for Remote {
    fn command(&mut self, database: &str, command: &Json) -> Json {
        match self.ask(&object! { "mongo" => "command", "db" => database, "command" => command }) {
            Ok(answer) => answer.get("reply").clone(),
            Err(_) => {
                object! { "ok" => 0, "errmsg" => "network error while attempting to run command", "code" => 6, "codeName" => "HostUnreachable" }
            }
        }
    }

    fn log_in(&mut self, who: Credentials) -> bool {
        let asked = object! { "mongo" => "login", "who" => super::mongod::credentials_json(&who) };
        self.ask(&asked).is_ok_and(|answer| answer.get("known").is_true())
    }

    fn log_out(&mut self) {
        // Whoever is gone is logged out.
        let _ = self.ask(&object! { "mongo" => "logout" });
    }
}

fn mongo(arguments: &[String]) -> i32 {
    let options = match Options::read(arguments) {
        Ok(options) => options,
        Err(message) => {
            eprint!("{message}");
            return 1;
        }
    };
    if let Some(printed) = options.printed_alone() {
        say(printed);
        return 0;
    }
    say(&options.banner());
    let (host, port) = options.place();
    match connect_mongo(&options, &host, port) {
        Err(trouble) => {
            say(&trouble.text(&host, port));
            1
        }
        Ok(mut server) => {
            say(&options.greeting(&super::place::randomness().uuid()));
            let mut stdin = Vec::new();
            if options.evals.is_empty() && options.files.is_empty() && std::io::stdin().read_to_end(&mut stdin).is_err() {
                return 1;
            }
            let scripts = scripts(&options, &stdin, &|path| std::fs::read(path).ok());
            let (text, code, slept) = converse(&mut server, options.database.as_deref().unwrap_or("test"), scripts);
            #[allow(clippy::disallowed_methods, reason = "a real client really sleeps")]
            std::thread::sleep(slept);
            say(&text);
            code
        }
    }
}

fn connect_mongo(options: &Options, host: &str, port: u16) -> Result<Remote, Trouble> {
    let stream = connect(host, port).map_err(|why| match why {
        NotOpen::Refused(address) => Trouble::Refused(address),
        NotOpen::TimedOut(_) => Trouble::TimedOut,
        NotOpen::NoName(_) | NotOpen::NoResolver => Trouble::NoName,
    })?;
    let mut server = Remote(stream);
    let who = options.credentials();
    let hello = object! { "mongo" => "hello", "who" => who.as_ref().map_or(Json::Null, super::mongod::credentials_json) };
    match server.ask(&hello).ok().and_then(|answer| answer.get("known").as_bool()) {
        None => Err(Trouble::NotMongo),
        Some(false) => Err(Trouble::Denied),
        Some(true) => Ok(server),
    }
}

fn redis_cli(arguments: &[String]) -> i32 {
    let (mut host, mut port) = ("127.0.0.1".to_owned(), 6379_u16);
    let mut words = arguments.iter().peekable();
    while let Some(word) = words.next_if(|w| w.starts_with('-')) {
        match word.as_str() {
            "-h" => host = words.next().cloned().unwrap_or_default(),
            "-p" => port = words.next().and_then(|p| p.parse().ok()).unwrap_or(port),
            "-a" | "-n" | "-u" | "--user" | "--pass" => drop(words.next()),
            "--version" | "-v" => {
                say("redis-cli 7.4.1\n");
                return 0;
            }
            _ => {}
        }
    }
    let stream = match connect(&host, port) {
        Ok(stream) => stream,
        Err(why) => {
            let why = match why {
                NotOpen::Refused(_) => "Connection refused",
                NotOpen::TimedOut(_) => "Connection timed out",
                NotOpen::NoName(_) | NotOpen::NoResolver => "Name or service not known",
            };
            eprintln!("Could not connect to Redis at {host}:{port}: {why}");
            return 1;
        }
    };
    let given: Vec<String> = words.cloned().collect();
    let mut commands = vec![given];
    if commands.first().is_none_or(Vec::is_empty) {
        let mut text = String::new();
        // What cannot be read is no command.
        let _ = std::io::stdin().read_to_string(&mut text);
        commands =
            text.lines().map(|l| l.split_whitespace().map(str::to_owned).collect()).filter(|c: &Vec<String>| !c.is_empty()).collect();
    }
    converse_redis(stream, &commands)
}

fn converse_redis(stream: TcpStream, commands: &[Vec<String>]) -> i32 {
    let talk = async {
        stream.set_nonblocking(true)?;
        let mut stream = tokio::io::BufReader::new(tokio::net::TcpStream::from_std(stream)?);
        for command in commands {
            let words: Vec<&str> = command.iter().map(String::as_str).collect();
            tokio::io::AsyncWriteExt::write_all(stream.get_mut(), &redis::encode(&words)).await?;
            let reply = redis::read_reply(&mut stream, 0).await?;
            let shown = if std::io::stdout().is_terminal() { reply.shown("") } else { reply.raw() };
            say(&format!("{shown}\n"));
        }
        Ok::<(), std::io::Error>(())
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(talk)) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("Error: {error}");
            1
        }
    }
}
