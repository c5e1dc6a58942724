//! The `mongo` shell: command line, scripts, what it prints. How it reaches its server is its caller's business.
//!
//! Texts are those of version 4.4. Input comes from `--eval`, from files, or from standard input, where `use`, `show` and `exit`
//! work as at a prompt.
//!
//! Not modelled: TLS, replica set connection strings, the interactive prompt itself, `it`.

use super::eval::{Shell, Thrown};
use super::server::Server;
use super::syntax;
use crate::app::Credentials;
use crate::object;
use arcstr::ArcStr;
use std::time::Duration;

/// The command line of a shell.
#[derive(Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the flags' names")]
pub struct Options {
    pub host: Option<String>,
    pub port: Option<u16>,
    pub database: Option<String>,
    pub user: Option<String>,
    pub password: Option<String>,
    pub user_database: Option<String>,
    pub evals: Vec<String>,
    pub files: Vec<String>,
    pub quiet: bool,
    pub help: bool,
    pub version: bool,
    pub nodb: bool,
    pub tls: bool,
}

impl Options {
    /// Reads a command line.
    ///
    /// # Errors
    /// What the shell says about it.
    pub fn read(args: &[String]) -> Result<Options, String> {
        let mut options = Options::default();
        let mut words = args.iter();
        let mut address_seen = false;
        while let Some(word) = words.next() {
            let (name, attached) = match word.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
                _ => (word.as_str(), None),
            };
            let mut value = |what: &str| attached.clone().or_else(|| words.next().cloned()).ok_or_else(|| missing(what));
            match name {
                "-u" | "--username" => options.user = Some(value("username")?),
                "-p" | "--password" => options.password = Some(value("password")?),
                "--authenticationDatabase" => options.user_database = Some(value("authenticationDatabase")?),
                "--authenticationMechanism" | "--gssapiServiceName" | "--networkMessageCompressors" => drop(value(name)?),
                "--eval" => options.evals.push(value("eval")?),
                "--host" => options.host = Some(value("host")?),
                "--port" => options.port = value("port")?.parse().ok(),
                "-f" | "--file" => options.files.push(value("file")?),
                "--quiet" => options.quiet = true,
                "--help" | "-h" => options.help = true,
                "--version" => options.version = true,
                "--nodb" => options.nodb = true,
                "--tls" | "--ssl" => options.tls = true,
                "--tlsCAFile" | "--tlsCertificateKeyFile" | "--sslCAFile" | "--sslPEMKeyFile" => drop(value(name)?),
                "--tlsAllowInvalidCertificates"
                | "--tlsAllowInvalidHostnames"
                | "--sslAllowInvalidCertificates"
                | "--sslAllowInvalidHostnames" => {}
                "--shell" | "--norc" | "--verbose" | "--ipv6" | "--disableImplicitSessions" => {}
                flag if flag.starts_with("-u") && !flag.starts_with("--") => options.user = flag.get(2..).map(str::to_owned),
                flag if flag.starts_with("-p") && !flag.starts_with("--") => options.password = flag.get(2..).map(str::to_owned),
                flag if flag.starts_with('-') => {
                    return Err(format!(
                        "Error parsing command line: unrecognised option '{flag}'\ntry 'mongo --help' for more information\n"
                    ));
                }
                _ if word.ends_with(".js") => options.files.push(word.clone()),
                _ if !address_seen => {
                    address_seen = true;
                    options.address(word);
                }
                _ => options.files.push(word.clone()),
            }
        }
        Ok(options)
    }

    /// `DB`, `HOST/DB`, `HOST:PORT/DB` or a connection string.
    fn address(&mut self, text: &str) {
        let (text, is_url) = match text.strip_prefix("mongodb://") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let (text, query) = text.split_once('?').unwrap_or((text, ""));
        let rest = match text.rsplit_once('@').filter(|_| is_url) {
            Some((who, rest)) => {
                let (user, password) = who.split_once(':').unwrap_or((who, ""));
                self.user = Some(user.to_owned());
                self.password = Some(password.to_owned());
                rest
            }
            None => text,
        };
        let (place, database) = match rest.split_once('/') {
            Some((place, database)) => (Some(place), Some(database)),
            None if is_url || rest.contains(':') => (Some(rest), None),
            None => (None, Some(rest)),
        };
        if let Some((host, port)) = place.map(|p| p.split_once(':').unwrap_or((p, ""))) {
            self.host = Some(host.to_owned());
            self.port = port.parse().ok();
        }
        self.database = database.filter(|d| !d.is_empty()).map(str::to_owned);
        if let Some(source) = query.split('&').find_map(|q| q.strip_prefix("authSource=")) {
            self.user_database = Some(source.to_owned());
        }
    }

    /// Host and port of the server.
    pub fn place(&self) -> (String, u16) {
        (self.host.clone().unwrap_or_else(|| "127.0.0.1".to_owned()), self.port.unwrap_or(27017))
    }

    /// Whom it logs in as.
    pub fn credentials(&self) -> Option<Credentials> {
        let user = self.user.as_ref()?;
        let database = self.user_database.as_deref().or(self.database.as_deref()).unwrap_or("admin");
        let password = self.password.clone().unwrap_or_default();
        Some(Credentials { user: user.into(), password: password.into(), database: database.into() })
    }

    /// What it prints without a server: its version, its usage.
    pub fn printed_alone(&self) -> Option<&'static str> {
        let usage = "MongoDB shell version v4.4.6\nusage: mongo [options] [db address] [file names (ending in .js)]\n";
        match (self.version, self.help) {
            (true, _) => Some("MongoDB shell version v4.4.6\nBuild Info: {\n    \"version\": \"4.4.6\"\n}\n"),
            (false, true) => Some(usage),
            (false, false) => None,
        }
    }

    /// What it prints before it connects.
    pub fn banner(&self) -> String {
        let (host, port) = self.place();
        let url = self.url(&host, port);
        if self.quiet { String::new() } else { format!("MongoDB shell version v4.4.6\nconnecting to: {url}\n") }
    }

    /// What it prints once it is connected.
    pub fn greeting(&self, session: &str) -> String {
        let text = format!("Implicit session: session {{ \"id\" : UUID(\"{session}\") }}\nMongoDB server version: 4.4.6\n");
        if self.quiet { String::new() } else { text }
    }

    fn url(&self, host: &str, port: u16) -> String {
        let source = self.user_database.as_ref().map(|d| format!("authSource={d}&")).unwrap_or_default();
        let database = self.database.as_deref().unwrap_or(if self.user.is_some() || self.host.is_none() { "" } else { "test" });
        format!("mongodb://{host}:{port}/{database}?{source}compressors=disabled&gssapiServiceName=mongodb")
    }
}

fn missing(what: &str) -> String {
    format!("Error parsing command line: the required argument for option '--{what}' is missing\ntry 'mongo --help' for more information\n")
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Something listens there that is no MongoDB server.
    NotMongo,
    /// Nothing listens at this address.
    Refused(ArcStr),
    /// Nothing comes back.
    TimedOut,
    /// The name does not resolve.
    NoName,
    /// The server does not accept the credentials.
    Denied,
}

impl Trouble {
    /// What the shell prints before it ends with exit code 1.
    pub fn text(&self, host: &str, port: u16) -> String {
        let attempt = format!("couldn't connect to server {host}:{port}, connection attempt failed");
        let why = match self {
            Trouble::NotMongo => format!("network error while attempting to run command 'isMaster' on host '{host}:{port}' "),
            Trouble::Refused(address) => {
                let to = if address == host { format!("{host}:{port}") } else { format!("{host}:{port} ({address}:{port})") };
                format!("{attempt}: SocketException: Error connecting to {to} :: caused by :: Connection refused")
            }
            Trouble::TimedOut => {
                format!("{attempt}: SocketException: Error connecting to {host}:{port} :: caused by :: Connection timed out")
            }
            Trouble::NoName => {
                format!(
                    "{attempt}: HostNotFound: Could not find address for {host}:{port}: SocketException: Host not found (authoritative)"
                )
            }
            Trouble::Denied => "Authentication failed.".to_owned(),
        };
        format!("Error: {why} :\nconnect@src/mongo/shell/mongo.js:374:17\n@(connect):2:6\nexception: connect failed\nexiting with code 1\n")
    }
}

/// A script, and whether it is typed at a prompt.
pub type Script = (String, bool);

/// What a command line asks to run; the error is what the shell prints about a file that it cannot read.
pub fn scripts(options: &Options, stdin: &[u8], read: &dyn Fn(&str) -> Option<Vec<u8>>) -> Vec<Result<Script, String>> {
    let mut all: Vec<Result<Script, String>> = options.evals.iter().map(|e| Ok((e.clone(), false))).collect();
    for path in &options.files {
        all.push(match read(path) {
            Some(content) => Ok((format!("\u{0}{}", String::from_utf8_lossy(&content)), false)),
            None => Err(format!("file [{path}] doesn't exist\nfailed to load: {path}\nexiting with code -3\n")),
        });
    }
    if all.is_empty() {
        all.push(Ok((String::from_utf8_lossy(stdin).into_owned(), true)));
    }
    all
}

/// Runs scripts; what was printed, the exit code, and time that passed.
pub fn converse(connection: &mut dyn Server, database: &str, scripts: Vec<Result<Script, String>>) -> (String, i32, Duration) {
    let mut shell = Shell::new(Some(connection), database);
    let mut code = 0;
    for script in scripts {
        match script {
            Err(message) => {
                shell.out.push_str(&message);
                code = 253;
            }
            Ok((text, true)) => prompt(&mut shell, &text),
            Ok((text, false)) => {
                let (text, shows) = text.strip_prefix('\u{0}').map_or((text.as_str(), true), |t| (t, false));
                code = evaluate(&mut shell, text, shows);
            }
        }
        if code != 0 || shell.quit.is_some() {
            break;
        }
    }
    let slept = Duration::from_millis(shell.slept_ms);
    (shell.out, shell.quit.unwrap_or(code), slept)
}

/// Runs the text of `--eval` or of a file; the exit code.
fn evaluate(shell: &mut Shell<'_>, text: &str, shows: bool) -> i32 {
    let thrown = match syntax::parse(text) {
        Err(error) => format!("uncaught exception: SyntaxError: {} :\n@(shell eval):{}:{}\n", error.message, error.line, error.column),
        Ok(script) => match shell.run(&script) {
            Ok(value) => {
                if let Some(shown) = value.shown().filter(|_| shows && shell.quit.is_none()) {
                    shell.print(&shown);
                }
                return 0;
            }
            Err(thrown) => uncaught(&thrown, "@(shell eval):1:1"),
        },
    };
    shell.out.push_str(&thrown);
    shell.out.push_str("exiting with code -4\n");
    252
}

fn uncaught(thrown: &Thrown, place: &str) -> String {
    let frames: String = thrown.frames.iter().map(|f| format!("{f}\n")).collect();
    format!("uncaught exception: {} :\n{frames}{place}\n", thrown.text)
}

/// Runs what is typed at a prompt, statement by statement.
fn prompt(shell: &mut Shell<'_>, text: &str) {
    let mut pending = String::new();
    for line in text.lines().chain(std::iter::once("")) {
        if pending.is_empty() && words(shell, line.trim().trim_end_matches(';')) {
            if shell.quit.is_some() {
                return;
            }
            continue;
        }
        if pending.is_empty() && line.trim().is_empty() {
            continue;
        }
        pending.push_str(line);
        pending.push('\n');
        match syntax::parse(&pending) {
            Err(error) if error.message.ends_with("end of script") => continue,
            Err(error) => {
                let message = format!("uncaught exception: SyntaxError: {} :\n@(shell):{}:{}\n", error.message, error.line, error.column);
                shell.out.push_str(&message);
            }
            Ok(script) => match shell.run(&script) {
                Ok(value) => {
                    if let Some(shown) = value.shown() {
                        shell.print(&shown);
                    }
                }
                Err(thrown) => {
                    let message = uncaught(&thrown, "@(shell):1:1");
                    shell.out.push_str(&message);
                }
            },
        }
        pending.clear();
        if shell.quit.is_some() {
            return;
        }
    }
    shell.print("bye");
}

/// `use`, `show` and `exit`; whether the line was one of them.
fn words(shell: &mut Shell<'_>, line: &str) -> bool {
    let mut parts = line.split_whitespace();
    match (parts.next(), parts.next()) {
        (Some("exit" | "quit"), None) => {
            shell.print("bye");
            shell.quit = Some(0);
            true
        }
        (Some("use"), Some(database)) => {
            shell.database = database.into();
            shell.print(&format!("switched to db {database}"));
            true
        }
        (Some("show"), Some("dbs" | "databases")) => {
            let reply = shell.connection.as_mut().map(|c| c.command("admin", &object! { "listDatabases" => 1 })).unwrap_or_default();
            let all = reply.get("databases").items().to_vec();
            let width = all.iter().map(|d| d.get("name").text().len()).max().unwrap_or(0);
            for database in all {
                let gigabytes = database.get("sizeOnDisk").as_f64().unwrap_or(0.0) / 1e9;
                shell.print(&format!("{:width$}  {gigabytes:.3}GB", database.get("name").text()));
            }
            true
        }
        (Some("show"), Some("collections" | "tables")) => evaluate_word(shell, "db.getCollectionNames().forEach(print)"),
        (Some("show"), Some("users")) => evaluate_word(shell, "db.getUsers().forEach(printjson)"),
        (Some("db"), None) => {
            let name = shell.database.to_string();
            shell.print(&name);
            true
        }
        _ => false,
    }
}

fn evaluate_word(shell: &mut Shell<'_>, script: &str) -> bool {
    let outcome = syntax::parse(script).map(|s| shell.run(&s));
    if let Ok(Err(thrown)) = outcome {
        let message = uncaught(&thrown, "@(shell):1:1");
        shell.out.push_str(&message);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines() {
        let read = |line: &str| Options::read(&line.split(' ').map(str::to_owned).collect::<Vec<_>>()).expect("valid");
        let options = read("admin -u root -p root --authenticationDatabase admin --quiet --eval db.getUsers()");
        assert_eq!((options.database.as_deref(), options.user.as_deref(), options.quiet), (Some("admin"), Some("root"), true));
        assert_eq!(
            options.url("127.0.0.1", 27017),
            "mongodb://127.0.0.1:27017/admin?authSource=admin&compressors=disabled&gssapiServiceName=mongodb"
        );
        let options = read("mongodb://admin:secret@mongodb-geo:27777/geo-db?authSource=admin");
        assert_eq!(
            (options.host.as_deref(), options.port, options.database.as_deref()),
            (Some("mongodb-geo"), Some(27777), Some("geo-db"))
        );
        assert_eq!(options.user_database.as_deref(), Some("admin"));
        let options = read("--host=mongodb-user --port 27018 x.js");
        assert_eq!((options.host.as_deref(), options.port, options.files), (Some("mongodb-user"), Some(27018), vec!["x.js".to_owned()]));
        assert!(Options::read(&["--what".to_owned()]).is_err());
    }
}
