//! Commands as data: what a verb is called, its flags and its code; how a command line finds its verb.

use super::failure::{Failure, quote};
use super::flags::{self, Flag, Flags};
use super::globals::GLOBAL;
use super::resources::Mapper;
use super::{Context, Output};
use crate::cluster::{ApiReply, ApiRequest, Identity};
use crate::object::ResourceRef;
use crate::time::SimTime;
use arcstr::ArcStr;

/// The code of a verb. It prints through [`Call::out`] and says by an error how it failed.
pub type Run = fn(&mut Call<'_, '_>) -> Result<(), Failure>;

/// One verb, or a group of verbs.
#[derive(Debug)]
pub struct Command {
    /// All its words: `kubectl rollout status`.
    pub path: &'static str,
    /// Other names for its last word.
    pub aliases: &'static [&'static str],
    /// Wrong names for which it is suggested.
    pub suggest_for: &'static [&'static str],
    /// What follows `path` in its usage line.
    pub usage: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// Its flags, global ones apart.
    pub flags: &'static [&'static [Flag]],
    /// The verbs below it.
    pub subcommands: &'static [&'static Command],
    /// Its code; a group without code prints its help and fails.
    pub run: Option<Run>,
}

impl Command {
    /// A command without aliases and subcommands.
    pub const fn leaf(
        path: &'static str,
        usage: &'static str,
        about: &'static str,
        flags: &'static [&'static [Flag]],
        run: Run,
    ) -> Command {
        Command { path, aliases: &[], suggest_for: &[], usage, about, flags, subcommands: &[], run: Some(run) }
    }

    /// A group of verbs that does nothing itself.
    pub const fn group(path: &'static str, usage: &'static str, about: &'static str, subcommands: &'static [&'static Command]) -> Command {
        Command { path, aliases: &[], suggest_for: &[], usage, about, flags: &[], subcommands, run: None }
    }

    /// A command that kubectl has and this implementation has not.
    pub const fn absent(path: &'static str, about: &'static str) -> Command {
        Command::leaf(path, "[flags]", about, &[], not_available)
    }

    /// The same command with other names.
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Command {
        self.aliases = aliases;
        self
    }

    /// The same command, suggested for wrong names.
    pub const fn suggest_for(mut self, names: &'static [&'static str]) -> Command {
        self.suggest_for = names;
        self
    }

    /// The same command with verbs below it.
    pub const fn subcommands(mut self, subcommands: &'static [&'static Command]) -> Command {
        self.subcommands = subcommands;
        self
    }

    /// Its last word.
    pub fn name(&self) -> &'static str {
        self.path.rsplit(' ').next().unwrap_or(self.path)
    }

    fn is_called(&self, word: &str) -> bool {
        self.name() == word || self.aliases.contains(&word)
    }

    fn tables(&self) -> Vec<&'static [Flag]> {
        let mut tables = vec![HELP];
        tables.extend(self.flags);
        tables.push(GLOBAL);
        tables
    }

    /// Its help text.
    pub fn help(&self) -> String {
        let mut out = format!("{}.\n\n", self.about);
        if !self.subcommands.is_empty() {
            out.push_str("Available Commands:\n");
            let width = self.subcommands.iter().map(|c| c.name().len()).max().unwrap_or(0).max(11) + 3;
            for command in self.subcommands {
                out.push_str(&format!("  {:width$}{}\n", command.name(), command.about));
            }
            out.push('\n');
        }
        let mut own: Vec<&Flag> = self.flags.iter().flat_map(|table| table.iter()).filter(|f| f.deprecated.is_none()).collect();
        own.sort_by_key(|flag| flag.long);
        if !own.is_empty() {
            out.push_str("Options:\n");
            out.push_str(&own.iter().map(|flag| flag.usage()).collect::<Vec<_>>().join("\n"));
            out.push('\n');
        }
        out.push_str(&format!("Usage:\n  {} {} [options]\n\n", self.path, self.usage));
        if !self.subcommands.is_empty() {
            out.push_str(&format!("Use \"{} <command> --help\" for more information about a given command.\n", self.path));
        }
        out.push_str("Use \"kubectl options\" for a list of global command-line options (applies to all commands).\n");
        out
    }
}

static HELP: &[Flag] = &[Flag::switch("help", "").short('h')];

fn not_available(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    Err(format!("{} is not available here", quote(call.path)).into())
}

/// Kinds of which a server warns: group, plural, words.
const DEPRECATED: &[(&str, &str, &str)] = &[
    ("", "endpoints", "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"),
    ("", "componentstatuses", "v1 ComponentStatus is deprecated in v1.19+"),
];

/// One command at work.
pub struct Call<'a, 'c> {
    /// The world around it.
    pub cx: &'a mut Context<'c>,
    /// The command.
    pub command: &'static Command,
    /// All its words: `kubectl get`.
    pub path: &'static str,
    /// Its flags.
    pub flags: Flags,
    /// Its arguments without flags.
    pub args: Vec<String>,
    /// How many of the arguments stood before `--`.
    pub dash_at: Option<usize>,
    /// The namespace it works in.
    pub namespace: String,
    /// Whether that namespace was given by a flag.
    pub namespace_given: bool,
    /// In whose name.
    pub who: Identity,
    /// What it has printed so far.
    pub out: Output,
    mapper: Option<Mapper>,
    warned: Vec<String>,
}

impl<'a, 'c> Call<'a, 'c> {
    fn new(cx: &'a mut Context<'c>, command: &'static Command, parsed: flags::Parsed) -> Self {
        let (namespace, who) = (cx.namespace.to_owned(), cx.who.clone());
        let out = Output { stderr: parsed.notices.iter().map(|line| format!("{line}\n")).collect(), ..Output::default() };
        Call {
            cx,
            command,
            path: command.path,
            flags: parsed.flags,
            args: parsed.args,
            dash_at: parsed.dash_at,
            namespace,
            namespace_given: false,
            who,
            out,
            mapper: None,
            warned: Vec::new(),
        }
    }

    /// Prints to standard output.
    pub fn print(&mut self, text: &str) {
        self.out.stdout.push_str(text);
    }

    /// Prints a line to standard output.
    pub fn say(&mut self, line: impl std::fmt::Display) {
        self.out.stdout.push_str(&format!("{line}\n"));
    }

    /// Prints a line to standard error.
    pub fn complain(&mut self, line: impl std::fmt::Display) {
        self.out.stderr.push_str(&format!("{line}\n"));
    }

    /// The present instant.
    pub fn now(&self) -> SimTime {
        self.cx.cluster.now()
    }

    /// One request to the API server; its warnings go to standard error, each once.
    ///
    /// # Errors
    /// The API server's refusal.
    pub fn api(&mut self, request: &ApiRequest) -> Result<ApiReply, Failure> {
        match self.cx.cluster.api(&self.who, request) {
            Ok(reply) => {
                self.warn(&reply.warnings);
                Ok(reply)
            }
            Err(error) => {
                self.warn_of(&request.resource);
                Err(error.into())
            }
        }
    }

    /// Refusals carry no warnings here; a server sends those about old kinds with them too.
    fn warn_of(&mut self, resource: &ResourceRef) {
        let named = |(group, plural, _): &&(&str, &str, &str)| resource.group == *group && resource.plural == *plural;
        if let Some((_, _, words)) = DEPRECATED.iter().find(named) {
            self.warn(&[(*words).into()]);
        }
    }

    /// Several reads at once.
    pub fn api_many(&mut self, requests: &[ApiRequest]) -> Vec<Result<ApiReply, Failure>> {
        let replies = self.cx.cluster.api_many(&self.who, requests);
        for (request, reply) in requests.iter().zip(&replies) {
            match reply {
                Ok(reply) => self.warn(&reply.warnings),
                Err(_) => self.warn_of(&request.resource),
            }
        }
        replies.into_iter().map(|reply| reply.map_err(Failure::from)).collect()
    }

    fn warn(&mut self, warnings: &[ArcStr]) {
        for warning in warnings {
            if !self.warned.iter().any(|seen| seen == warning.as_str()) {
                self.warned.push(warning.to_string());
                self.out.stderr.push_str(&format!("Warning: {warning}\n"));
            }
        }
    }

    /// The kind that a user's word names; warns when the word could mean another one too.
    ///
    /// # Errors
    /// `the server doesn't have a resource type "foo"`.
    pub fn resolve(&mut self, word: &str) -> Result<ResourceRef, Failure> {
        let mapper = self.mapper()?;
        let resource = mapper.resolve(word)?;
        if let Some(warning) = mapper.ambiguity(&word.to_lowercase()) {
            self.complain(format!("Warning: {warning}"));
        }
        Ok(resource)
    }

    /// The kinds that the cluster serves, read once a command.
    ///
    /// # Errors
    /// When discovery fails.
    pub fn mapper(&mut self) -> Result<Mapper, Failure> {
        if let Some(mapper) = &self.mapper {
            return Ok(mapper.clone());
        }
        let mapper = Mapper::new(self.cx.cluster.resources()?);
        self.mapper = Some(mapper.clone());
        Ok(mapper)
    }
}

/// How a command line was understood.
enum Found<'t> {
    Command(&'static Command, Vec<String>),
    Root(Vec<String>),
    Unknown(&'t str),
}

/// Runs a command line without its first word.
pub fn run(cx: &mut Context<'_>, root: &Root, argv: &[String]) -> Output {
    match find(root, argv) {
        Found::Command(command, args) => execute(cx, command, &args),
        Found::Root(args) => run_root(root, &args),
        Found::Unknown(_) if argv.first().is_some_and(|arg| arg.starts_with('-')) && !argv.iter().any(|a| a == "help") => {
            failed(&format!("Error: flags cannot be placed before plugin name: {}\n", argv[0]))
        }
        Found::Unknown(word) => {
            let near = root.suggestions(word);
            let hint = if near.is_empty() {
                String::new()
            } else {
                format!("\nDid you mean this?\n{}", near.iter().map(|name| format!("\t{name}\n")).collect::<String>())
            };
            failed(&format!("error: unknown command {} for \"kubectl\"\n{hint}", quote(word)))
        }
    }
}

fn failed(text: &str) -> Output {
    Output { stdout: String::new(), stderr: text.to_owned(), exit_code: 1 }
}

fn printed(text: String) -> Output {
    Output { stdout: text, ..Output::default() }
}

/// The verbs of kubectl, in the groups in which its help lists them.
pub struct Root {
    /// Title and verbs of each group.
    pub groups: &'static [(&'static str, &'static [&'static Command])],
}

impl Root {
    fn commands(&self) -> impl Iterator<Item = &'static Command> {
        self.groups.iter().flat_map(|(_, commands)| commands.iter().copied())
    }

    /// Cobra's suggestions for a word that is no command.
    fn suggestions(&self, word: &str) -> Vec<&'static str> {
        let lower = word.to_lowercase();
        let near =
            |c: &&Command| distance(&lower, c.name()) <= 2 || c.name().starts_with(&lower) || c.suggest_for.contains(&lower.as_str());
        self.commands().filter(near).map(|c| c.name()).collect()
    }

    fn help(&self) -> String {
        let mut out =
            "kubectl controls the Kubernetes cluster manager.\n\n Find more information at: https://kubernetes.io/docs/reference/kubectl/\n\n".to_owned();
        for (title, commands) in self.groups {
            out.push_str(&format!("{title}:\n"));
            for command in commands.iter().filter(|c| !matches!(c.name(), "options" | "help")) {
                out.push_str(&format!("  {:16}{}\n", command.name(), command.about));
            }
            out.push('\n');
        }
        out.push_str(
            "Usage:\n  kubectl [flags] [options]\n\nUse \"kubectl <command> --help\" for more information about a given command.\n",
        );
        out.push_str("Use \"kubectl options\" for a list of global command-line options (applies to all commands).\n");
        out
    }
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let cost = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Where the first word that is neither a flag nor a flag's value stands, as cobra looks for it.
fn first_word(tables: &[&'static [Flag]], args: &[String]) -> Option<usize> {
    let mut at = 0;
    while at < args.len() {
        let arg = args[at].as_str();
        let takes_next = match arg.strip_prefix("--") {
            Some("") => return None,
            Some(long) => !arg.contains('=') && flags::find_long(tables, long).is_none_or(|flag| flag.bare.is_none()),
            None if arg.starts_with('-') => {
                let mut letters = arg[1..].chars();
                match (letters.next(), letters.next()) {
                    (Some(letter), None) => flags::find_short(tables, letter).is_none_or(|flag| flag.bare.is_none()),
                    _ => false,
                }
            }
            None if arg.is_empty() => false,
            None => return Some(at),
        };
        at += if takes_next { 2 } else { 1 };
    }
    None
}

fn find<'t>(root: &Root, argv: &'t [String]) -> Found<'t> {
    let Some(at) = first_word(&[GLOBAL], argv) else {
        return Found::Root(argv.to_vec());
    };
    let without = |args: &[String], at: usize| [&args[..at], &args[at + 1..]].concat();
    if argv[at] == "help" {
        return Found::Root(argv.to_vec());
    }
    let Some(mut command) = root.commands().find(|c| c.is_called(&argv[at])) else {
        return Found::Unknown(&argv[at]);
    };
    let mut args = without(argv, at);
    while !command.subcommands.is_empty() {
        let Some(at) = first_word(&command.tables()[1..], &args) else { break };
        let Some(next) = command.subcommands.iter().find(|c| c.is_called(&args[at])) else { break };
        args = without(&args, at);
        command = next;
    }
    Found::Command(command, args)
}

fn run_root(root: &Root, args: &[String]) -> Output {
    let parsed = match flags::parse(&[HELP, GLOBAL], args) {
        Ok(parsed) => parsed,
        Err(message) => return failed(&format!("error: {message}\nSee 'kubectl --help' for usage.\n")),
    };
    let topic = match parsed.args.split_first() {
        Some((first, topic)) if first == "help" => topic,
        _ => &[],
    };
    match find(root, topic) {
        Found::Command(command, _) => printed(command.help()),
        Found::Unknown(_) => printed(format!("Unknown help topic [{}]\n\n\n{}", go_list(topic), root.help())),
        Found::Root(_) => printed(root.help()),
    }
}

fn go_list(words: &[String]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" ")
}

fn execute(cx: &mut Context<'_>, command: &'static Command, args: &[String]) -> Output {
    let parsed = match flags::parse(&command.tables(), args) {
        Ok(parsed) => parsed,
        Err(message) if command.name() == "options" => {
            return failed(&format!("error: {message}\nRun 'kubectl options' without flags.\n"));
        }
        Err(message) => return failed(&format!("error: {message}\nSee '{} --help' for usage.\n", command.path)),
    };
    if parsed.flags.on("help") {
        return printed(if command.name() == "options" { String::new() } else { command.help() });
    }
    let mut call = Call::new(cx, command, parsed);
    let ended = match command.run {
        Some(run) => super::globals::apply(&mut call).and_then(|()| run(&mut call)),
        None if call.args.is_empty() => {
            // Only this group prints its help as output, the others as an error.
            if command.path == "kubectl rollout" {
                call.print(&command.help())
            } else {
                call.out.stderr.push_str(&command.help())
            }
            Err(Failure::Exit(1))
        }
        None => Err(Failure::usage(&call, format!("unknown command {}", quote(&call.args.join(" "))))),
    };
    let mut out = std::mem::take(&mut call.out);
    if let Err(failure) = ended {
        let (text, code) = failure.report();
        out.stderr.push_str(&text);
        out.exit_code = code;
    } else if call.flags.on("warnings-as-errors") && !call.warned.is_empty() {
        let plural = if call.warned.len() == 1 { "" } else { "s" };
        out.stderr.push_str(&format!("error: {} warning{plural} received\n", call.warned.len()));
        out.exit_code = 1;
    }
    out
}
