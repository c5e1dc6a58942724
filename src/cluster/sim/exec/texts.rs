//! The commonest tools for text and files, for builds without the interpreter.
//!
//! Not modelled: most of their options.

use crate::shell::{Finished, Vfs, vfs};

/// What a tool works with.
struct Work<'a> {
    name: &'a str,
    flags: Vec<&'a str>,
    paths: Vec<&'a str>,
    stdin: &'a [u8],
    files: &'a mut Vfs,
    cwd: &'a str,
}

/// Runs a tool; `None` when this is none of them.
pub(super) fn run(name: &str, args: &[String], stdin: &[u8], (files, cwd): (&mut Vfs, &str)) -> Option<Finished> {
    let (flags, paths): (Vec<&str>, Vec<&str>) = args.iter().map(String::as_str).partition(|a| a.starts_with('-') && a.len() > 1);
    let mut work = Work { name, flags, paths, stdin, files, cwd };
    match name {
        "cat" => Some(work.shown(&work.paths.clone(), str::to_owned)),
        "head" | "tail" => Some(work.ends()),
        "wc" => Some(work.count()),
        "grep" | "egrep" => work.grep(),
        "date" => Some(Finished::ok(format!("{}\n", work.files.now.timestamp().strftime("%a %b %e %H:%M:%S UTC %Y")))),
        "mkdir" => Some(work.make_folders()),
        "rm" => Some(work.remove()),
        _ => None,
    }
}

impl Work<'_> {
    fn has(&self, letter: char) -> bool {
        self.flags.iter().any(|f| f.contains(letter))
    }

    /// The content of files, or of standard input.
    fn text(&self, paths: &[&str]) -> Result<String, String> {
        if paths.is_empty() {
            return Ok(String::from_utf8_lossy(self.stdin).into_owned());
        }
        let one = |path: &&str| match self.files.read(&vfs::normal(self.cwd, path)) {
            Ok(content) => Ok(String::from_utf8_lossy(&content).into_owned()),
            Err(error) => Err(format!("{}: {path}: {error}\n", self.name)),
        };
        paths.iter().map(one).collect()
    }

    fn shown(&self, paths: &[&str], change: impl Fn(&str) -> String) -> Finished {
        self.text(paths).map_or_else(|error| Finished::fail(1, error), |text| Finished::ok(change(&text)))
    }

    fn ends(&self) -> Finished {
        let separate = self.paths.first().filter(|_| self.flags.contains(&"-n")).and_then(|p| p.parse::<usize>().ok());
        let attached = self.flags.iter().find_map(|f| f.trim_start_matches("-n").trim_start_matches('-').parse::<usize>().ok());
        let count = separate.or(attached).unwrap_or(10);
        let paths = if separate.is_some() { self.paths.get(1..).unwrap_or(&[]) } else { &self.paths[..] };
        self.shown(paths, |text| {
            let all: Vec<&str> = text.lines().collect();
            let skip = if self.name == "tail" { all.len().saturating_sub(count) } else { 0 };
            all.into_iter().skip(skip).take(count).map(|l| format!("{l}\n")).collect()
        })
    }

    fn count(&self) -> Finished {
        self.shown(&self.paths, |text| match self.has('l') {
            true => format!("{}\n", text.lines().count()),
            false => format!("{} {} {}\n", text.lines().count(), text.split_whitespace().count(), text.len()),
        })
    }

    fn grep(&self) -> Option<Finished> {
        let (pattern, rest) = self.paths.split_first()?;
        let built = regex::RegexBuilder::new(pattern).case_insensitive(self.has('i')).build().ok()?;
        let text = match self.text(rest) {
            Ok(text) => text,
            Err(message) => return Some(Finished::fail(2, message)),
        };
        let found: Vec<&str> = text.lines().filter(|l| built.is_match(l) != self.has('v')).collect();
        let out = if self.has('c') { format!("{}\n", found.len()) } else { found.iter().map(|l| format!("{l}\n")).collect() };
        Some(Finished { exit_code: i32::from(found.is_empty()), ..Finished::ok(out) })
    }

    /// `rm`, with patterns for all files of a folder, which this shell has nowhere else.
    fn remove(&mut self) -> Finished {
        for path in &self.paths {
            let full = vfs::normal(self.cwd, path);
            let (folder, pattern) = full.rsplit_once('/').unwrap_or(("", &full));
            let all: Vec<String> = match pattern {
                "*" | ".[!.]*" => {
                    let names = self.files.list(folder).unwrap_or_default().into_iter().map(|(name, _)| name);
                    names.filter(|name| name.starts_with('.') == (pattern != "*")).map(|name| format!("{folder}/{name}")).collect()
                }
                _ => vec![full.clone()],
            };
            for each in all {
                let done = self.files.remove(&each, self.has('r') || self.has('R'));
                if let Err(error) =
                    done.or_else(|error| if self.has('f') && self.files.entry(&each).is_none() { Ok(()) } else { Err(error) })
                {
                    return Finished::fail(1, format!("rm: cannot remove '{path}': {error}\n"));
                }
            }
        }
        Finished::default()
    }

    fn make_folders(&mut self) -> Finished {
        for path in &self.paths {
            if let Err(error) = self.files.make_folder(&vfs::normal(self.cwd, path), true) {
                return Finished::fail(1, format!("mkdir: cannot create directory '{path}': {error}\n"));
            }
        }
        Finished::default()
    }
}
