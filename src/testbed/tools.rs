//! Programs that people run in containers and that no userland has: `mongo`, `redis-cli`; and the way to those that one has.

use super::line;
use super::names::Names;
use super::redis;
use crate::app::mongo::{Options, Server, Trouble, converse, scripts};
use crate::app::rules::NotOpen;
use crate::app::{Credentials, Instance};
use crate::object;
use crate::object::Json;
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
pub const NAMES: &[&str] = &["bash", "dash", "mongo", "mongosh", "printenv", "redis-cli", "valkey-cli", "zsh"];

/// Runs a program by the name it is called; its exit code. `None` when it is not one of these.
pub fn run(name: &str, arguments: &[String]) -> Option<i32> {
    Some(match name {
        "mongo" | "mongosh" => mongo(arguments),
        "redis-cli" | "valkey-cli" => redis_cli(arguments),
        "bash" | "dash" | "zsh" => shell(name, arguments),
        "printenv" => printenv(arguments),
        _ => return None,
    })
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
        std::env::vars().for_each(|(name, value)| println!("{name}={value}"));
    }
    for wanted in arguments {
        match std::env::vars().find(|(name, _)| name == wanted) {
            Some((_, value)) => println!("{value}"),
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
        print!("{printed}");
        return 0;
    }
    print!("{}", options.banner());
    let (host, port) = options.place();
    match connect_mongo(&options, &host, port) {
        Err(trouble) => {
            print!("{}", trouble.text(&host, port));
            1
        }
        Ok(mut server) => {
            print!("{}", options.greeting(&super::place::randomness().uuid()));
            let mut stdin = Vec::new();
            if options.evals.is_empty() && options.files.is_empty() && std::io::stdin().read_to_end(&mut stdin).is_err() {
                return 1;
            }
            let scripts = scripts(&options, &stdin, &|path| std::fs::read(path).ok());
            let (text, code, slept) = converse(&mut server, options.database.as_deref().unwrap_or("test"), scripts);
            #[allow(clippy::disallowed_methods, reason = "a real client really sleeps")]
            std::thread::sleep(slept);
            print!("{text}");
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
                println!("redis-cli 7.4.1");
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
            println!("{}", if std::io::stdout().is_terminal() { reply.shown("") } else { reply.raw() });
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
