//! `ls` and `which`, over the files of a container.
//!
//! Not modelled: owners other than root, colours, columns, `-R`.

use super::Session;
use crate::shell::vfs::{Kind, Node};
use crate::shell::{FileError, Finished, Request, Vfs, vfs};
use std::fmt::Write;

/// `ls [-1AadhlrtF] [FILE …]`.
pub(super) fn ls(session: &mut Session<'_>, request: &Request, files: &mut Vfs) -> Finished {
    let (flags, paths): (Vec<&String>, Vec<&String>) = request.args.iter().partition(|a| a.starts_with('-') && a.len() > 1);
    let letters: String = flags.iter().filter(|f| !f.starts_with("--")).map(|f| f.trim_start_matches('-')).collect();
    let long = letters.contains('l');
    let here = ".".to_owned();
    let paths = if paths.is_empty() { vec![&here] } else { paths };
    let mut finished = Finished::default();
    let (mut shown, mut singles) = (Vec::new(), Vec::new());
    for path in &paths {
        let full = vfs::normal(&request.cwd, path);
        let target = if long && !path.ends_with('/') { Ok(full.clone()) } else { files.follow(&full) };
        match target.ok().and_then(|t| files.entry(&t).cloned()) {
            None => {
                let gnu = session.image.has("dpkg");
                let place = if gnu { format!("cannot access '{path}'") } else { (*path).clone() };
                let _ = writeln!(Bytes(&mut finished.stderr), "ls: {place}: {}", FileError::NotFound);
                finished.exit_code = if gnu { 2 } else { 1 };
            }
            Some(node) if letters.contains('d') || !matches!(node.kind, Kind::Folder) => singles.push(((*path).clone(), node)),
            Some(_) => shown.push(((*path).clone(), entries(files, &full, &letters))),
        }
    }
    let mut out = listing(files, &singles, &letters, long);
    for (at, (path, entries)) in shown.iter().enumerate() {
        if paths.len() > 1 {
            let gap = if at > 0 || !out.is_empty() { "\n" } else { "" };
            let _ = writeln!(out, "{gap}{path}:");
        }
        if long {
            let blocks: u64 =
                entries.iter().map(|(_, n)| if matches!(n.kind, Kind::Link(_)) { 0 } else { n.size().div_ceil(4096) * 4 }).sum();
            let _ = writeln!(out, "total {blocks}");
        }
        out.push_str(&listing(files, entries, &letters, long));
    }
    finished.stdout = out.into_bytes();
    finished
}

/// Bytes that text can be written to.
struct Bytes<'a>(&'a mut Vec<u8>);

impl Write for Bytes<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

fn entries(files: &Vfs, folder: &str, letters: &str) -> Vec<(String, Node)> {
    let all = letters.contains('a');
    let mut found: Vec<(String, Node)> = files
        .list(folder)
        .unwrap_or_default()
        .into_iter()
        .filter(|(name, _)| all || letters.contains('A') || !name.starts_with('.'))
        .map(|(name, node)| (name.to_string(), node.clone()))
        .collect();
    if letters.contains('t') {
        found.sort_by_key(|(_, node)| std::cmp::Reverse(node.modified));
    }
    if letters.contains('r') {
        found.reverse();
    }
    if all && let Some(own) = files.follow(folder).ok().and_then(|f| files.entry(&f).cloned()) {
        found.splice(0..0, [(".".to_owned(), own.clone()), ("..".to_owned(), own)]);
    }
    found
}

fn listing(files: &Vfs, entries: &[(String, Node)], letters: &str, long: bool) -> String {
    let size = |node: &Node| match &node.kind {
        Kind::Link(target) => target.len() as u64,
        _ => node.size(),
    };
    let width = entries.iter().map(|(_, n)| size(n).to_string().len()).max().unwrap_or(1);
    let mut out = String::new();
    for (name, node) in entries {
        if !long {
            let _ = writeln!(out, "{name}{}", if letters.contains('F') && matches!(node.kind, Kind::Folder) { "/" } else { "" });
            continue;
        }
        let (kind, links, target) = match &node.kind {
            Kind::Folder => ('d', 2, String::new()),
            Kind::File(_) => ('-', 1, String::new()),
            Kind::Link(target) => ('l', 1, format!(" -> {target}")),
        };
        let mode = if kind == 'l' { 0o777 } else { node.mode };
        let time = node.modified.timestamp();
        let recent = files.now.since(node.modified).as_secs() < 15_778_476;
        let stamp = time.strftime(if recent { "%b %e %H:%M" } else { "%b %e  %Y" });
        let _ = writeln!(out, "{kind}{} {links} root root {:>width$} {stamp} {name}{target}", bits(mode), size(node));
    }
    out
}

fn bits(mode: u32) -> String {
    let mut text: String = (0..9).map(|at| if mode & (0o400 >> at) == 0 { '-' } else { ['r', 'w', 'x'][at % 3] }).collect();
    if mode & 0o1000 != 0 {
        text.pop();
        text.push('t');
    }
    text
}

/// `which NAME …`.
pub(super) fn which(session: &mut Session<'_>, request: &Request, files: &mut Vfs) -> Finished {
    let path = session.environment().get("PATH").cloned().unwrap_or_default();
    let names: Vec<&String> = request.args.iter().filter(|a| !a.starts_with('-')).collect();
    let find = |name: &&&String| path.split(':').map(|d| format!("{d}/{name}")).find(|p| files.entry(p).is_some());
    let found: Vec<String> = names.iter().filter_map(|n| find(&n)).collect();
    let text: String = found.iter().map(|p| format!("{p}\n")).collect();
    Finished { exit_code: i32::from(found.len() < names.len()), ..Finished::ok(text) }
}

#[cfg(test)]
mod tests {
    use super::bits;

    #[test]
    fn modes() {
        assert_eq!(bits(0o755), "rwxr-xr-x");
        assert_eq!(bits(0o1777), "rwxrwxrwt");
        assert_eq!(bits(0o600), "rw-------");
    }
}
