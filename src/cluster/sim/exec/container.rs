//! The files of a container: what the image bakes in, what volumes mount, and what the kernel and the kubelet put there.

use super::Session;
use crate::app::{Executable, FilePath, Shell as ImageShell, Source};
use crate::shell::Vfs;
use std::sync::Arc;

/// The file by which a folder is known to hold a MongoDB server's data.
const MONGO_MARK: &str = "WiredTiger";

/// Files as a process of the container sees them, with what earlier ones left.
pub(super) fn files(session: &Session<'_>) -> Vfs {
    match super::programs::kept_files(session.world, session.run) {
        Some(kept) => {
            let mut files = (*kept).clone();
            mount(session, &mut files);
            files
        }
        None => fresh(session),
    }
}

/// Keeps what a process changed in the files that it found, for those after it.
pub(super) fn keep(session: &mut Session<'_>, mut found: Vfs, mut left: Vfs) {
    (found.now, left.now) = (session.world.now, session.world.now);
    // Most processes change nothing; the two share their nodes then, and comparing them is quick.
    if left != found {
        for (path, storage) in session.launch.data.clone().iter() {
            let there = |files: &Vfs| files.entry(&format!("{path}/{MONGO_MARK}")).is_some();
            if there(&found) && !there(&left) {
                super::programs::mongo::forget(session.world, storage);
            }
        }
        super::programs::keep_files(session.world, session.run, Arc::new(left));
    }
}

fn put(files: &mut Vfs, path: &str, text: &str) {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let _ = files.make_folder(if folder.is_empty() { "/" } else { folder }, true);
    let _ = files.write(path, text.as_bytes());
}

fn fresh(session: &Session<'_>) -> Vfs {
    let image = &session.image;
    let started = session.world.history.run(session.run).map_or(session.world.now, |r| r.started_at);
    let mut files = Vfs::new(started);
    for folder in
        ["/bin", "/dev", "/etc", "/home", "/proc/1", "/root", "/run", "/sys", "/tmp", "/usr/bin", "/usr/local/bin", "/var/log", "/var/run"]
    {
        let _ = files.make_folder(folder, true);
    }
    let _ = files.set_mode("/tmp", 0o1777);
    let _ = files.make_folder(&image.workdir, true);
    for (name, (folder, executable)) in &image.executables {
        let path = format!("{folder}/{name}");
        put(&mut files, &path, &binary(executable));
        let _ = files.set_mode(&path, 0o755);
    }
    for (path, text) in &image.files {
        put(&mut files, path, text);
    }
    system_files(session, &mut files);
    mount(session, &mut files);
    files
}

/// What stands in an executable for those who look for texts in it: the names and defaults of its settings.
fn binary(executable: &Executable) -> String {
    let Executable::Program(program) = executable else { return String::new() };
    let mut texts = String::from("\u{7f}ELF\u{2}\u{1}\u{1}\0");
    for setting in &program.settings {
        for source in &setting.sources {
            match source {
                Source::File { path: FilePath::Fixed(path) | FilePath::Flag(path), key, .. } => {
                    texts.push_str(&format!("{}\0{key}\0", path.rsplit('/').next().unwrap_or(path)));
                }
                Source::Argument(_) => {}
                Source::Env(name) | Source::Flag(name) | Source::Switch { flag: name, .. } => texts.push_str(&format!("{name}\0")),
            }
        }
    }
    texts
}

fn system_files(session: &Session<'_>, files: &mut Vfs) {
    let (image, launch) = (&session.image, &session.launch);
    let host = launch.env.get("HOSTNAME").unwrap_or(&launch.pod);
    put(files, "/etc/hostname", &format!("{host}\n"));
    let hosts = format!(
        "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n{}\t{host}\n",
        launch.pod_ip
    );
    put(files, "/etc/hosts", &hosts);
    let resolv = format!(
        "search {ns}.svc.cluster.local svc.cluster.local cluster.local\nnameserver {}\noptions ndots:5\n",
        super::network::dns::SERVER,
        ns = launch.namespace
    );
    put(files, "/etc/resolv.conf", &resolv);
    if !image.os.is_empty() {
        let id = image.os.split(' ').next().unwrap_or("").to_lowercase();
        put(files, "/etc/os-release", &format!("PRETTY_NAME=\"{}\"\nID={id}\n", image.os));
    }
    let shell = if image.shell == Some(ImageShell::BashAndDash) { "/bin/bash" } else { "/bin/sh" };
    let mut passwd = format!("root:x:0:0:root:/root:{shell}\n");
    if image.uid != 0 && image.user.parse::<u32>().is_err() {
        passwd.push_str(&format!("{0}:x:{1}:{1}::{2}:/sbin/nologin\n", image.user, image.uid, image.workdir));
    }
    put(files, "/etc/passwd", &passwd);
    let argv: String = launch.argv.iter().map(|a| format!("{a}\0")).collect();
    put(files, "/proc/1/cmdline", &argv);
    let env: String = launch.env.iter().map(|(k, v)| format!("{k}={v}\0")).collect();
    put(files, "/proc/1/environ", &env);
    let name = launch.argv.first().and_then(|a| a.rsplit('/').next()).unwrap_or("");
    put(files, "/proc/1/comm", &format!("{name}\n"));
    put(files, "/proc/1/status", &format!("Name:\t{name}\nState:\tS (sleeping)\nPid:\t1\nPPid:\t0\nUid:\t{0}\t{0}\t{0}\t{0}\n", image.uid));
}

/// What volumes put into the container.
fn mount(session: &Session<'_>, files: &mut Vfs) {
    let started = session.world.history.run(session.run).map_or(session.world.now, |r| r.started_at);
    for (path, text) in session.launch.files.iter() {
        // As the kubelet lays a volume out: files in a folder with a date, and links to them.
        let Some((folder, name)) = path.rsplit_once('/') else { continue };
        let dated = started.timestamp().strftime("..%Y_%m_%d_%H_%M_%S.%f").to_string();
        put(files, &format!("{folder}/{dated}/{name}"), text);
        if files.entry(&format!("{folder}/..data")).is_none() {
            let _ = files.link(&dated, &format!("{folder}/..data"));
        }
        if files.entry(path).is_none_or(|node| !matches!(node.kind, crate::shell::vfs::Kind::Link(_))) {
            let _ = files.remove(path, false);
            let _ = files.link(&format!("..data/{name}"), path);
        }
    }
    for (path, storage) in session.launch.data.iter() {
        let _ = files.make_folder(path, true);
        for name in super::programs::mongo::files(session.world, storage) {
            put(files, &format!("{path}/{name}"), "");
        }
    }
}
