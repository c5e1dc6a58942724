//! A small shell for builds without the interpreter: sequences, pipes, variables, loops, and the commonest text tools.
//!
//! Not modelled: arrays, `case`, arithmetic, globs, here-documents, background jobs; a script that needs them is refused.

use super::{Session, script, texts};
use crate::shell::{Finished, Host, Request, Vfs, vfs};
use std::collections::BTreeMap;
use std::time::Duration;

/// Commands that a script may run.
const COMMANDS_MAX: usize = 20_000;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// A word: pieces with whether variables stand in them.
    Word(Vec<(String, bool)>),
    Sign(&'static str),
    /// A redirection: descriptor, kind.
    Redirect(u8, &'static str),
}

struct Interpreter<'s, 'w> {
    session: &'s mut Session<'w>,
    files: &'s mut Vfs,
    variables: BTreeMap<String, String>,
    args: Vec<String>,
    cwd: String,
    status: i32,
    out: Vec<u8>,
    err: Vec<u8>,
    commands: usize,
    exit: bool,
}

/// Runs a script.
pub(super) fn run(session: &mut Session<'_>, text: &str, args: &[String], files: &mut Vfs) -> Finished {
    let tokens = match tokens(text) {
        Ok(tokens) => tokens,
        Err(message) => return Finished::fail(2, format!("bash: {message}\n")),
    };
    let (variables, cwd) = (session.environment(), session.image.workdir.to_string());
    let (out, err) = (Vec::new(), Vec::new());
    let mut shell = Interpreter { session, files, variables, args: args.to_vec(), cwd, status: 0, out, err, commands: 0, exit: false };
    if let Err(message) = shell.list(&tokens) {
        shell.err.extend_from_slice(format!("bash: {message}\n").as_bytes());
        shell.status = 2;
    }
    Finished { stdout: shell.out, stderr: shell.err, exit_code: shell.status }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let chars: Vec<char> = text.chars().collect();
    let mut all = Vec::new();
    let mut at = 0;
    while let Some(c) = chars.get(at).copied() {
        let next = chars.get(at + 1).copied();
        match (c, next) {
            ('\\', Some('\n')) => at += 2,
            ('\n', _) => {
                all.push(Token::Sign(";"));
                at += 1;
            }
            (c, _) if c.is_whitespace() => at += 1,
            ('#', _) => at += chars.iter().skip(at).take_while(|c| **c != '\n').count(),
            ('&', Some('&')) | ('|', Some('|')) => {
                all.push(Token::Sign(if c == '&' { "&&" } else { "||" }));
                at += 2;
            }
            ('<', Some('<')) => return Err("here-documents need the feature `bash`".to_owned()),
            ('2', Some('>')) | ('1', Some('>')) | ('>' | '<', _) => at = redirect(&chars, at, &mut all),
            (';', _) => {
                all.push(Token::Sign(";"));
                at += 1;
            }
            ('|', _) => {
                all.push(Token::Sign("|"));
                at += 1;
            }
            ('&', _) => return Err("background jobs need the feature `bash`".to_owned()),
            _ => {
                let (word, end) = word(&chars, at)?;
                all.push(Token::Word(word));
                at = end;
            }
        }
    }
    Ok(all)
}

fn redirect(chars: &[char], mut at: usize, all: &mut Vec<Token>) -> usize {
    let descriptor = match chars.get(at) {
        Some('2') => 2,
        Some('<') => 0,
        _ => 1,
    };
    at += usize::from(matches!(chars.get(at), Some('1' | '2')));
    let double = chars.get(at + 1) == Some(&'>');
    at += if double { 2 } else { 1 };
    if chars.get(at) == Some(&'&') {
        all.push(Token::Redirect(descriptor, "&"));
        return at + 2;
    }
    all.push(Token::Redirect(
        descriptor,
        if double {
            ">>"
        } else if descriptor == 0 {
            "<"
        } else {
            ">"
        },
    ));
    at
}

fn word(chars: &[char], mut at: usize) -> Result<(Vec<(String, bool)>, usize), String> {
    let mut pieces: Vec<(String, bool)> = Vec::new();
    let mut push = |text: String, expands: bool| pieces.push((text, expands));
    while let Some(c) = chars.get(at).copied() {
        match c {
            '\'' | '"' => {
                let (text, end) = quoted(chars, at + 1, c)?;
                push(text, c == '"');
                at = end;
            }
            '\\' => {
                push(chars.get(at + 1).map(char::to_string).unwrap_or_default(), false);
                at += 2;
            }
            c if c.is_whitespace() || matches!(c, ';' | '|' | '&' | '<' | '>') => break,
            _ => {
                let text: String = chars
                    .iter()
                    .skip(at)
                    .take_while(|c| !c.is_whitespace() && !matches!(c, ';' | '|' | '&' | '<' | '>' | '\'' | '"' | '\\'))
                    .collect();
                at += text.chars().count();
                push(text, true);
            }
        }
    }
    Ok((pieces, at))
}

fn quoted(chars: &[char], mut at: usize, quote: char) -> Result<(String, usize), String> {
    let mut text = String::new();
    loop {
        match chars.get(at).copied() {
            None => return Err(format!("unexpected EOF while looking for matching `{quote}'")),
            Some(c) if c == quote => return Ok((text, at + 1)),
            Some('\\') if quote == '"' && matches!(chars.get(at + 1), Some('"' | '\\' | '$' | '`' | '\n')) => {
                match chars.get(at + 1).copied() {
                    Some('$') => text.push('\u{1}'),
                    Some('\n') | None => {}
                    Some(c) => text.push(c),
                }
                at += 1;
            }
            Some(c) => text.push(c),
        }
        at += 1;
    }
}

fn is_word(token: &Token, text: &str) -> bool {
    matches!(token, Token::Word(pieces) if pieces.len() == 1 && pieces.first().is_some_and(|(p, _)| p == text))
}

impl Interpreter<'_, '_> {
    /// Runs commands with `;`, `&&` and `||` between them.
    fn list(&mut self, tokens: &[Token]) -> Result<(), String> {
        let mut rest = tokens;
        let mut skip = false;
        while !rest.is_empty() && !self.exit {
            let (command, separator, after) = split(rest)?;
            if !skip && !command.is_empty() {
                self.compound(command)?;
            }
            skip = match separator {
                Some("&&") => self.status != 0,
                Some("||") => self.status == 0,
                _ => false,
            };
            rest = after;
        }
        Ok(())
    }

    fn compound(&mut self, tokens: &[Token]) -> Result<(), String> {
        let Some(first) = tokens.first() else { return Ok(()) };
        for (word, wanted) in [("until", false), ("while", true)] {
            if is_word(first, word) {
                let (condition, body) = parts(tokens, "do", "done")?;
                for _ in 0..10_000 {
                    self.list(condition)?;
                    if (self.status == 0) != wanted || self.exit || self.session.spent >= self.session.limit {
                        break;
                    }
                    self.list(body)?;
                }
                self.status = 0;
                return Ok(());
            }
        }
        if is_word(first, "for") {
            return self.each(tokens);
        }
        if is_word(first, "if") {
            let (condition, body) = parts(tokens, "then", "fi")?;
            self.list(condition)?;
            let otherwise = top_level(body, "else");
            let (then, otherwise) = otherwise.map_or((body, &[][..]), |at| (&body[..at], body.get(at + 1..).unwrap_or(&[])));
            let branch = if self.status == 0 { then } else { otherwise };
            self.status = 0;
            return self.list(branch);
        }
        self.pipeline(tokens)
    }

    fn each(&mut self, tokens: &[Token]) -> Result<(), String> {
        let (head, body) = parts(tokens, "do", "done")?;
        let words: Vec<String> =
            head.iter().filter_map(|t| if let Token::Word(w) = t { Some(w.clone()) } else { None }).flat_map(|w| self.expand(&w)).collect();
        let Some((name, rest)) = words.split_first() else { return Err("syntax error near `for'".to_owned()) };
        let values: Vec<String> = rest.iter().skip(1).cloned().collect();
        for value in values {
            self.variables.insert(name.clone(), value);
            self.list(body)?;
        }
        Ok(())
    }

    fn pipeline(&mut self, tokens: &[Token]) -> Result<(), String> {
        let stages: Vec<&[Token]> = tokens.split(|t| *t == Token::Sign("|")).collect();
        let mut input = Vec::new();
        let last = stages.len().saturating_sub(1);
        for (at, stage) in stages.into_iter().enumerate() {
            let finished = self.command(stage, std::mem::take(&mut input))?;
            self.status = finished.exit_code;
            self.err.extend_from_slice(&finished.stderr);
            if at == last {
                self.out.extend_from_slice(&finished.stdout);
            } else {
                input = finished.stdout;
            }
        }
        Ok(())
    }

    fn command(&mut self, tokens: &[Token], stdin: Vec<u8>) -> Result<Finished, String> {
        self.commands += 1;
        if self.commands > COMMANDS_MAX {
            return Err("too many commands".to_owned());
        }
        let (mut words, mut redirects, mut assigns) = (Vec::new(), Vec::new(), true);
        let mut rest = tokens.iter();
        while let Some(token) = rest.next() {
            match token {
                Token::Word(pieces) => {
                    let assignment = assigns.then(|| assignment(pieces)).flatten();
                    match assignment {
                        Some((name, value)) => {
                            let value = self.expand_text(&value);
                            self.variables.insert(name, value);
                        }
                        None => {
                            assigns = false;
                            words.extend(self.expand(pieces));
                        }
                    }
                }
                Token::Redirect(descriptor, "&") => redirects.push((*descriptor, "&", String::new())),
                Token::Redirect(descriptor, kind) => {
                    let Some(Token::Word(target)) = rest.next() else {
                        return Err("syntax error near unexpected token `newline'".to_owned());
                    };
                    redirects.push((*descriptor, *kind, self.expand(target).join(" ")));
                }
                Token::Sign(sign) => return Err(format!("syntax error near unexpected token `{sign}'")),
            }
        }
        let mut input = stdin;
        if let Some((_, _, path)) = redirects.iter().find(|(_, kind, _)| *kind == "<") {
            match self.files.read(&vfs::normal(&self.cwd, path)) {
                Ok(content) => input = content.to_vec(),
                Err(error) => return Ok(Finished::fail(1, format!("bash: line 1: {path}: {error}\n"))),
            }
        }
        let finished = match words.split_first() {
            None => Finished { exit_code: 0, ..Finished::default() },
            Some((name, args)) => self.simple(name, args, input),
        };
        Ok(self.redirected(finished, &redirects))
    }

    /// Puts output where redirections, in their order, send it.
    fn redirected(&mut self, mut finished: Finished, redirects: &[(u8, &str, String)]) -> Finished {
        let mut merged = false;
        for (descriptor, kind, path) in redirects {
            match *kind {
                "&" if *descriptor == 2 => {
                    let err = std::mem::take(&mut finished.stderr);
                    finished.stdout.extend(err);
                    merged = true;
                }
                "&" => {
                    let out = std::mem::take(&mut finished.stdout);
                    finished.stderr.extend(out);
                }
                ">" | ">>" => {
                    // `> file 2>&1` sends errors there too.
                    let both = *descriptor == 1 && !merged && redirects.iter().any(|(d, k, _)| *d == 2 && *k == "&");
                    let mut text = std::mem::take(if *descriptor == 2 { &mut finished.stderr } else { &mut finished.stdout });
                    if both {
                        text.extend(std::mem::take(&mut finished.stderr));
                    }
                    let path = vfs::normal(&self.cwd, path);
                    let done = match (path.as_str(), *kind) {
                        ("/dev/null", _) => Ok(()),
                        (path, ">>") => self.files.append(path, &text),
                        (path, _) => self.files.write(path, &text),
                    };
                    if let Err(error) = done {
                        finished = Finished::fail(1, format!("bash: line 1: {path}: {error}\n"));
                    }
                }
                _ => {}
            }
        }
        finished
    }

    fn expand(&self, pieces: &[(String, bool)]) -> Vec<String> {
        vec![self.expand_text(pieces)]
    }

    fn expand_text(&self, pieces: &[(String, bool)]) -> String {
        pieces.iter().map(|(text, expands)| if *expands { self.variables_in(text) } else { text.clone() }).collect()
    }

    fn variables_in(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            let (before, from) = rest.split_at(at);
            out.push_str(before);
            let tail = from.get(1..).unwrap_or("");
            let (name, after) = match tail.strip_prefix('{').and_then(|t| t.split_once('}')) {
                Some((name, after)) => (name, after),
                None => {
                    let special = tail.starts_with(['?', '#', '@', '*']) || tail.starts_with(|c: char| c.is_ascii_digit());
                    let end = if special { 1 } else { tail.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(tail.len()) };
                    tail.split_at(end)
                }
            };
            match (name, name.parse::<usize>()) {
                ("", _) => out.push('$'),
                ("?", _) => out.push_str(&self.status.to_string()),
                ("#", _) => out.push_str(&self.args.len().to_string()),
                ("@" | "*", _) => out.push_str(&self.args.join(" ")),
                (_, Ok(at)) => out.push_str(at.checked_sub(1).and_then(|at| self.args.get(at)).map_or("", String::as_str)),
                _ => out.push_str(self.variables.get(name).map_or("", String::as_str)),
            }
            rest = after;
        }
        out.push_str(rest);
        out.replace('\u{1}', "$")
    }

    fn simple(&mut self, name: &str, args: &[String], stdin: Vec<u8>) -> Finished {
        match name {
            ":" | "true" => Finished::default(),
            "false" => Finished::fail(1, ""),
            "export" | "set" | "readonly" | "local" => {
                for (name, value) in args.iter().filter_map(|a| a.split_once('=')) {
                    self.variables.insert(name.to_owned(), value.to_owned());
                }
                Finished::default()
            }
            "exit" => {
                self.exit = true;
                let code = args.first().and_then(|c| c.parse().ok()).unwrap_or(self.status);
                Finished { exit_code: code, ..Finished::default() }
            }
            "cd" => {
                self.cwd = vfs::normal(&self.cwd, args.first().map_or("/root", String::as_str));
                Finished::default()
            }
            "pwd" => Finished::ok(format!("{}\n", self.cwd)),
            "echo" => {
                let (bare, words) =
                    if args.first().is_some_and(|a| a == "-n") { (true, args.get(1..).unwrap_or(&[])) } else { (false, args) };
                Finished::ok(format!("{}{}", words.join(" "), if bare { "" } else { "\n" }))
            }
            "sleep" => {
                let total: Duration = args.iter().filter_map(|a| crate::shell::duration(a)).sum();
                self.session.spend(total);
                Finished::default()
            }
            "[" | "test" => Finished { exit_code: i32::from(!condition(args, self.files, &self.cwd)), ..Finished::default() },
            _ if !self.session.image.has(name) => script::unknown(self.session, name),
            _ => self.tool(name, args, stdin),
        }
    }

    fn tool(&mut self, name: &str, args: &[String], stdin: Vec<u8>) -> Finished {
        match texts::run(name, args, &stdin, (self.files, &self.cwd)) {
            Some(finished) => finished,
            None if self.session.has(name) || matches!(name, "sh" | "bash" | "ash" | "dash") => {
                let env = self.variables.clone();
                let deadline = self.session.world.now + self.session.limit;
                let request = Request { name: name.to_owned(), args: args.to_vec(), stdin, cwd: self.cwd.clone(), env, deadline };
                self.session.invoke(&request, self.files)
            }
            None => Finished::fail(127, format!("bash: {name}: command not found\n")),
        }
    }
}

/// `NAME=value` at the start of a command.
fn assignment(pieces: &[(String, bool)]) -> Option<(String, Vec<(String, bool)>)> {
    let (first, expands) = pieces.first()?;
    let (name, value) = first.split_once('=')?;
    let valid =
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit());
    let mut rest = vec![(value.to_owned(), *expands)];
    rest.extend_from_slice(pieces.get(1..).unwrap_or(&[]));
    (valid && *expands).then(|| (name.to_owned(), rest))
}

/// A command of a list, what stands behind it, and the rest.
type Split<'t> = (&'t [Token], Option<&'static str>, &'t [Token]);

/// Splits off the first command of a list; a loop or branch is one command.
fn split(tokens: &[Token]) -> Result<Split<'_>, String> {
    let mut depth = 0_i32;
    let mut starts = true;
    for (at, token) in tokens.iter().enumerate() {
        if starts {
            depth += i32::from(["until", "while", "for", "if"].iter().any(|w| is_word(token, w)));
            depth -= i32::from(["done", "fi"].iter().any(|w| is_word(token, w)));
        }
        let keyword = ["do", "then", "else"].iter().any(|w| is_word(token, w));
        starts = matches!(token, Token::Sign(_)) || (starts && keyword);
        if let Token::Sign(sign @ (";" | "&&" | "||")) = token
            && depth <= 0
        {
            return Ok((&tokens[..at], Some(sign), tokens.get(at + 1..).unwrap_or(&[])));
        }
    }
    if depth > 0 { Err("syntax error: unexpected end of file".to_owned()) } else { Ok((tokens, None, &[])) }
}

/// The place of a keyword outside nested loops and branches.
fn top_level(tokens: &[Token], word: &str) -> Option<usize> {
    let mut depth = 0_i32;
    for (at, token) in tokens.iter().enumerate() {
        if depth == 0 && is_word(token, word) {
            return Some(at);
        }
        depth += i32::from(["until", "while", "for", "if"].iter().any(|w| is_word(token, w)));
        depth -= i32::from(["done", "fi"].iter().any(|w| is_word(token, w)));
    }
    None
}

/// What stands before and after the keyword in the middle of a loop or branch.
fn parts<'t>(tokens: &'t [Token], middle: &str, end: &str) -> Result<(&'t [Token], &'t [Token]), String> {
    let inner = tokens.get(1..).unwrap_or(&[]);
    let wrong = || format!("syntax error: `{end}' expected");
    let at = top_level(inner, middle).ok_or_else(wrong)?;
    let close = inner.iter().rposition(|t| is_word(t, end)).filter(|close| *close > at).ok_or_else(wrong)?;
    Ok((&inner[..at], &inner[at + 1..close]))
}

fn condition(args: &[String], files: &Vfs, cwd: &str) -> bool {
    let words: Vec<&str> = args.iter().map(String::as_str).filter(|a| *a != "]").collect();
    let entry = |path: &str| files.follow(&vfs::normal(cwd, path)).ok().and_then(|p| files.entry(&p).cloned());
    match &words[..] {
        ["!", rest @ ..] => !condition(&rest.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>(), files, cwd),
        ["-z", text] => text.is_empty(),
        ["-n", text] | [text] => !text.is_empty(),
        ["-f", path] => entry(path).is_some_and(|n| !matches!(n.kind, vfs::Kind::Folder)),
        ["-d", path] => entry(path).is_some_and(|n| matches!(n.kind, vfs::Kind::Folder)),
        ["-e" | "-r" | "-s" | "-x", path] => entry(path).is_some(),
        [a, "=" | "==", b] => a == b,
        [a, "!=", b] => a != b,
        [a, op, b] => match (a.parse::<i64>(), b.parse::<i64>()) {
            (Ok(a), Ok(b)) => match *op {
                "-eq" => a == b,
                "-ne" => a != b,
                "-lt" => a < b,
                "-le" => a <= b,
                "-gt" => a > b,
                "-ge" => a >= b,
                _ => false,
            },
            _ => false,
        },
        _ => false,
    }
}
