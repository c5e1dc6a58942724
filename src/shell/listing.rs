//! `ls` as GNU prints it to a pipe: the first command that prompts show, so it needs no interpreter.
//!
//! Options: `-l -a -A -1 -d -R -h -t -S -r -F -p -n -g -o`. Everything belongs to root.

use super::vfs::{Kind, Node, Vfs, normal};
use super::{Finished, Request};
use crate::time::SimTime;
use std::time::Duration;

/// What the options ask for.
#[derive(Default)]
struct Options {
    long: bool,
    all: bool,
    almost_all: bool,
    folders_themselves: bool,
    recursive: bool,
    human: bool,
    by_time: bool,
    by_size: bool,
    reverse: bool,
    classify: bool,
    slash: bool,
    numeric: bool,
    no_owner: bool,
    no_group: bool,
}

/// A name and what lies there.
type Entry = (String, Node);

/// Times before this long ago show the year instead of the hour: half a mean year.
const RECENT: Duration = Duration::from_secs(15_778_476);

/// Most entries that one listing shows.
const ENTRIES_MAX: usize = 50_000;

impl Options {
    fn read(args: &[String]) -> Result<(Options, Vec<String>), String> {
        let (mut options, mut paths, mut only_paths) = (Options::default(), Vec::new(), false);
        for arg in args {
            match arg.strip_prefix('-').filter(|flags| !flags.is_empty() && !only_paths) {
                Some("-") => only_paths = true,
                Some(long) if long.starts_with('-') => options.long_flag(long, arg)?,
                Some(flags) => flags.chars().try_for_each(|flag| options.flag(flag))?,
                None => paths.push(arg.clone()),
            }
        }
        Ok((options, paths))
    }

    fn long_flag(&mut self, long: &str, arg: &str) -> Result<(), String> {
        match long.trim_start_matches('-') {
            "all" => self.all = true,
            "almost-all" => self.almost_all = true,
            "directory" => self.folders_themselves = true,
            "recursive" => self.recursive = true,
            "human-readable" => self.human = true,
            "reverse" => self.reverse = true,
            "classify" => self.classify = true,
            "numeric-uid-gid" => (self.long, self.numeric) = (true, true),
            "no-group" => self.no_group = true,
            other if other.starts_with("color") || other.starts_with("time-style") => {}
            _ => return Err(format!("ls: unrecognized option '{arg}'\nTry 'ls --help' for more information.\n")),
        }
        Ok(())
    }

    fn flag(&mut self, flag: char) -> Result<(), String> {
        match flag {
            'l' => self.long = true,
            'a' => self.all = true,
            'A' => self.almost_all = true,
            'd' => self.folders_themselves = true,
            'R' => self.recursive = true,
            'h' => self.human = true,
            't' => self.by_time = true,
            'S' => self.by_size = true,
            'r' => self.reverse = true,
            'F' => self.classify = true,
            'p' => self.slash = true,
            'n' => (self.long, self.numeric) = (true, true),
            'g' => (self.long, self.no_owner) = (true, true),
            'o' => (self.long, self.no_group) = (true, true),
            '1' | 'C' | 'x' | 'q' | 'N' | 'U' | 'G' => {}
            other => return Err(format!("ls: invalid option -- '{other}'\nTry 'ls --help' for more information.\n")),
        }
        Ok(())
    }

    fn sort(&self, entries: &mut [Entry]) {
        entries.sort_by(|a, b| {
            let by_name = || name_key(&a.0).cmp(&name_key(&b.0)).then_with(|| a.0.cmp(&b.0));
            match (self.by_time, self.by_size) {
                (true, _) => b.1.modified.cmp(&a.1.modified).then_with(by_name),
                (false, true) => b.1.size().cmp(&a.1.size()).then_with(by_name),
                (false, false) => by_name(),
            }
        });
        if self.reverse {
            entries.reverse();
        }
    }
}

/// Names in the order of a UTF-8 locale: case and leading dots count last.
fn name_key(name: &str) -> String {
    name.trim_start_matches('.').to_lowercase()
}

/// Runs `ls`.
pub(super) fn ls(request: &Request, files: &Vfs, now: SimTime) -> Finished {
    let (options, mut paths) = match Options::read(&request.args) {
        Ok(read) => read,
        Err(message) => return Finished::fail(2, message),
    };
    if paths.is_empty() {
        paths.push(".".to_owned());
    }
    paths.sort();
    let mut listing = Listing { files, options, now, out: String::new(), shown: 0 };
    let mut finished = Finished::default();
    let (mut single, mut folders) = (Vec::new(), Vec::new());
    for path in &paths {
        let place = normal(&request.cwd, path);
        let target = files.follow(&place).ok().and_then(|to| Some((to.clone(), files.entry(&to)?.clone())));
        let itself = files.entry(&place).cloned();
        let shows_link = listing.options.long && !path.ends_with('/') && matches!(itself, Some(Node { kind: Kind::Link(_), .. }));
        match target {
            Some((to, Node { kind: Kind::Folder, .. })) if !listing.options.folders_themselves && !shows_link => {
                folders.push((path.clone(), to))
            }
            Some((_, node)) => single.push((path.clone(), if shows_link { itself.unwrap_or(node) } else { node })),
            None => {
                finished.exit_code = 2;
                finished.stderr.extend_from_slice(format!("ls: cannot access '{path}': No such file or directory\n").as_bytes());
            }
        }
    }
    listing.options.sort(&mut single);
    listing.entries(&single, None);
    let headed = paths.len() > 1 || listing.options.recursive;
    for (at, (shown, place)) in folders.iter().enumerate() {
        if at > 0 || !single.is_empty() {
            listing.out.push('\n');
        }
        listing.folder(shown, place, headed);
    }
    finished.stdout = listing.out.into_bytes();
    finished
}

struct Listing<'a> {
    files: &'a Vfs,
    options: Options,
    now: SimTime,
    out: String,
    shown: usize,
}

impl Listing<'_> {
    /// Lists a folder, and with `-R` those below it.
    fn folder(&mut self, shown: &str, place: &str, headed: bool) {
        let mut entries: Vec<Entry> =
            self.files.list(place).unwrap_or_default().into_iter().map(|(n, node)| (n.to_string(), node.clone())).collect();
        if !self.options.all && !self.options.almost_all {
            entries.retain(|(name, _)| !name.starts_with('.'));
        }
        if self.options.all {
            let above = normal(place, "..");
            let folder = |path: &str| self.files.entry(path).cloned();
            entries.extend(folder(place).map(|node| (".".to_owned(), node)));
            entries.extend(folder(&above).map(|node| ("..".to_owned(), node)));
        }
        self.options.sort(&mut entries);
        if headed {
            self.out.push_str(&format!("{shown}:\n"));
        }
        if self.options.long {
            let blocks: u64 = entries.iter().map(|(_, node)| blocks(node)).sum();
            let total = if self.options.human { human(blocks * 1024) } else { blocks.to_string() };
            self.out.push_str(&format!("total {total}\n"));
        }
        self.entries(&entries, Some(place));
        if self.options.recursive {
            let below = entries.iter().filter(|(name, node)| node.kind == Kind::Folder && name != "." && name != "..");
            for (name, _) in below {
                if self.shown > ENTRIES_MAX {
                    return;
                }
                self.out.push('\n');
                self.folder(&format!("{}/{name}", shown.trim_end_matches('/')), &normal(place, name), true);
            }
        }
    }

    fn entries(&mut self, entries: &[Entry], folder: Option<&str>) {
        self.shown += entries.len();
        if !self.options.long {
            for (name, node) in entries {
                self.out.push_str(&format!("{name}{}\n", self.mark(node)));
            }
            return;
        }
        let rows: Vec<(String, String)> = entries
            .iter()
            .map(|(name, node)| {
                let size = if self.options.human { human(node.size()) } else { node.size().to_string() };
                (self.links(name, node, folder).to_string(), size)
            })
            .collect();
        let width = |of: fn(&(String, String)) -> usize| rows.iter().map(of).max().unwrap_or(1);
        let (links, sizes) = (width(|row| row.0.len()), width(|row| row.1.len()));
        let root = if self.options.numeric { "0 " } else { "root " };
        let owner = if self.options.no_owner { "" } else { root };
        let group = if self.options.no_group { "" } else { root };
        for ((name, node), (link, size)) in entries.iter().zip(&rows) {
            let target = if let Kind::Link(target) = &node.kind { format!(" -> {target}") } else { self.mark(node).to_owned() };
            let line = format!("{} {link:>links$} {owner}{group}{size:>sizes$} {} {name}{target}\n", mode(node), self.time(node));
            self.out.push_str(&line);
        }
    }

    fn mark(&self, node: &Node) -> &'static str {
        match &node.kind {
            Kind::Folder if self.options.classify || self.options.slash => "/",
            Kind::Link(_) if self.options.classify && !self.options.long => "@",
            Kind::File(_) if self.options.classify && node.mode & 0o111 != 0 => "*",
            _ => "",
        }
    }

    /// Hard links: a folder's own name, its `.`, and the `..` of each folder in it.
    fn links(&self, name: &str, node: &Node, folder: Option<&str>) -> usize {
        if node.kind != Kind::Folder {
            return 1;
        }
        let path = normal(folder.unwrap_or("/"), name);
        2 + self.files.list(&path).unwrap_or_default().iter().filter(|(_, node)| node.kind == Kind::Folder).count()
    }

    fn time(&self, node: &Node) -> String {
        let recent = node.modified <= self.now && self.now.since(node.modified) < RECENT;
        node.modified.timestamp().strftime(if recent { "%b %e %H:%M" } else { "%b %e  %Y" }).to_string()
    }
}

/// Kilobytes that an entry takes on a disk of 4 KiB blocks.
fn blocks(node: &Node) -> u64 {
    match &node.kind {
        Kind::Link(_) => 0,
        _ => node.size().div_ceil(4096) * 4,
    }
}

fn mode(node: &Node) -> String {
    let kind = match node.kind {
        Kind::Folder => 'd',
        Kind::File(_) => '-',
        Kind::Link(_) => 'l',
    };
    let mut text = String::from(kind);
    for (at, letter) in "rwxrwxrwx".chars().enumerate() {
        text.push(if node.mode >> (8 - at) & 1 == 1 { letter } else { '-' });
    }
    if node.mode & 0o1000 != 0 {
        text.pop();
        text.push(if node.mode & 1 == 1 { 't' } else { 'T' });
    }
    text
}

/// `4.0K`: one decimal below ten, rounded up, as GNU does.
fn human(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["K", "M", "G", "T", "P"];
    if bytes < 1024 {
        return bytes.to_string();
    }
    let (mut unit, mut scale) = (0, 1024_u64);
    while bytes.div_ceil(scale) >= 1024 && unit + 1 < UNITS.len() {
        scale *= 1024;
        unit += 1;
    }
    let tenths = (bytes * 10).div_ceil(scale);
    if tenths < 100 {
        format!("{}.{}{}", tenths / 10, tenths % 10, UNITS[unit])
    } else {
        format!("{}{}", bytes.div_ceil(scale), UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(args: &str, stdout: &str, stderr: &str, exit_code: i32) {
        let now = SimTime::from_secs(1_768_471_200);
        let mut files = Vfs::new(now);
        files.make_folder("/srv/wiki/deep", true).expect("made");
        files.make_folder("/srv/.kube", true).expect("made");
        files.write("/srv/wiki/b.txt", &[b'x'; 5000]).expect("written");
        files.write("/srv/wiki/A", b"").expect("written");
        files.set_mode("/srv/wiki/A", 0o755).expect("set");
        files.link("wiki", "/srv/w").expect("linked");
        let args = args.split_whitespace().map(str::to_owned).collect();
        let request = Request { name: "ls".into(), args, cwd: "/srv".into(), ..Request::default() };
        let finished = ls(&request, &files, now);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        assert_eq!((text(finished.stdout).as_str(), text(finished.stderr).as_str(), finished.exit_code), (stdout, stderr, exit_code));
    }

    #[test]
    fn lists_as_gnu_does() {
        check("", "w\nwiki\n", "", 0);
        check("-a", ".\n..\n.kube\nw\nwiki\n", "", 0);
        check("-l", "total 4\nlrwxrwxrwx 1 root root    4 Jan 15 10:00 w -> wiki\ndrwxr-xr-x 3 root root 4096 Jan 15 10:00 wiki\n", "", 0);
        check(
            "-lah wiki",
            "total 20K\ndrwxr-xr-x 3 root root 4.0K Jan 15 10:00 .\ndrwxr-xr-x 4 root root 4.0K Jan 15 10:00 ..\n\
             -rwxr-xr-x 1 root root    0 Jan 15 10:00 A\n-rw-r--r-- 1 root root 4.9K Jan 15 10:00 b.txt\n\
             drwxr-xr-x 2 root root 4.0K Jan 15 10:00 deep\n",
            "",
            0,
        );
        check("-F w wiki/A", "wiki/A*\n\nw:\nA*\nb.txt\ndeep/\n", "", 0);
        check("-d wiki", "wiki\n", "", 0);
        check("-R wiki", "wiki:\nA\nb.txt\ndeep\n\nwiki/deep:\n", "", 0);
        check("-S1 wiki", "b.txt\ndeep\nA\n", "", 0);
    }

    #[test]
    fn mistakes() {
        check("nope wiki/A", "wiki/A\n", "ls: cannot access 'nope': No such file or directory\n", 2);
        check("-y", "", "ls: invalid option -- 'y'\nTry 'ls --help' for more information.\n", 2);
        check("--nope", "", "ls: unrecognized option '--nope'\nTry 'ls --help' for more information.\n", 2);
    }
}
