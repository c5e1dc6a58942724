//! Container images: how they are named, what is in them, what they start.

use super::program::Program;
use arcstr::ArcStr;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A parsed image reference, with the defaults that container runtimes fill in.
///
/// ```
/// use aiopslab::app::Reference;
/// let memcached = Reference::parse("memcached").expect("valid");
/// assert_eq!(memcached.to_string(), "docker.io/library/memcached:latest");
/// assert!(Reference::parse("Upper/Case").is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// Registry host, `docker.io` when none is given.
    pub registry: ArcStr,
    /// Repository, `library/NAME` for Docker Hub's own.
    pub repository: ArcStr,
    /// Tag, `latest` when neither tag nor digest is given; empty with a digest alone.
    pub tag: ArcStr,
    /// `sha256:…`, if the reference has one.
    pub digest: Option<ArcStr>,
}

impl Reference {
    /// Parses a reference; `None` when it is malformed (the kubelet's `InvalidImageName`).
    pub fn parse(text: &str) -> Option<Reference> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        if digest.is_some_and(|d| !is_digest(d)) {
            return None;
        }
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        let (registry, repository) = match name.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path.to_owned()),
            Some(_) => ("docker.io", name.to_owned()),
            None => ("docker.io", format!("library/{name}")),
        };
        let tag = match (tag, digest) {
            (Some(tag), _) => tag,
            (None, Some(_)) => "",
            (None, None) => "latest",
        };
        let valid = repository.split('/').all(is_component) && (is_tag(tag) || (tag.is_empty() && !rest.ends_with(':')));
        let registry = if registry == "index.docker.io" { "docker.io" } else { registry };
        valid.then(|| Reference {
            registry: registry.into(),
            repository: repository.into(),
            tag: tag.into(),
            digest: digest.map(ArcStr::from),
        })
    }

    /// The repository with its registry, `docker.io/library/memcached`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if !self.tag.is_empty() {
            write!(f, ":{}", self.tag)?;
        }
        self.digest.as_ref().map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

fn is_component(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    !text.is_empty()
        && text.chars().all(|c| inner(c) || matches!(c, '.' | '_' | '-'))
        && text.starts_with(inner)
        && text.ends_with(inner)
        && !text.contains("..")
        && !text.contains("___")
}

fn is_tag(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        && !text.starts_with(['.', '-'])
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')))
}

/// What a registry answers to a pull.
#[derive(Clone, Debug)]
pub enum Pull {
    /// The image.
    Found(Arc<Image>),
    /// The reference is malformed.
    InvalidName,
    /// The registry has the repository, but not this tag or digest.
    NoTag(Reference),
    /// The registry has no such repository (or hides it).
    NoRepository(Reference),
    /// There is no such registry host.
    NoRegistry(Reference),
}

/// The shell of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// GNU bash, with `sh` being dash: Debian and its kin.
    BashAndDash,
    /// BusyBox' ash only: Alpine and BusyBox images.
    Ash,
    /// dash only: slim images without bash.
    Dash,
}

/// What stands behind the name of an executable.
#[derive(Clone, Debug)]
pub enum Executable {
    /// A program with behaviour of its own.
    Program(Arc<Program>),
    /// A tool of the userland that `exec` provides (`ls`, `curl` …).
    Tool,
    /// An entry point that runs its arguments, after this command when they name no executable.
    Wrapper(ArcStr),
}

/// An image: files, defaults and executables.
#[derive(Clone, Debug)]
pub struct Image {
    /// Repositories with registry, `docker.io/library/mongo`.
    pub repositories: Vec<ArcStr>,
    /// Tags that exist; `*` stands for any.
    pub tags: Vec<ArcStr>,
    /// `ENTRYPOINT`.
    pub entrypoint: Vec<ArcStr>,
    /// `CMD`.
    pub cmd: Vec<ArcStr>,
    /// `ENV`, in order.
    pub env: Vec<(ArcStr, ArcStr)>,
    /// `WORKDIR`.
    pub workdir: ArcStr,
    /// Numeric user id that processes run as.
    pub uid: u32,
    /// The user's name.
    pub user: ArcStr,
    /// The shell, if there is one.
    pub shell: Option<Shell>,
    /// `PRETTY_NAME` of `/etc/os-release`.
    pub os: ArcStr,
    /// Executables by name (without folder), with the folder they are in.
    pub executables: BTreeMap<ArcStr, (ArcStr, Executable)>,
    /// Files that are baked in, by absolute path.
    pub files: BTreeMap<ArcStr, ArcStr>,
    /// Compressed size, which the time of a pull and the `Pulled` event follow.
    pub size_bytes: u64,
}

impl Image {
    /// An image with nothing in it.
    pub fn blank() -> Image {
        Image {
            repositories: Vec::new(),
            tags: Vec::new(),
            entrypoint: Vec::new(),
            cmd: Vec::new(),
            env: vec![("PATH".into(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into())],
            workdir: "/".into(),
            uid: 0,
            user: "root".into(),
            shell: None,
            os: ArcStr::new(),
            executables: BTreeMap::new(),
            files: BTreeMap::new(),
            size_bytes: 10_000_000,
        }
    }

    /// Whether the image answers to a reference.
    pub fn answers_to(&self, reference: &Reference) -> bool {
        let name = reference.name();
        self.repositories.iter().any(|r| *r == name) && self.tags.iter().any(|t| t == "*" || *t == reference.tag)
    }

    /// The executable that `argv0` names: by its name on `$PATH`, or by its absolute path.
    pub fn executable(&self, argv0: &str) -> Option<&Executable> {
        match argv0.rsplit_once('/') {
            None => self.executables.get(argv0).map(|(_, e)| e),
            Some((folder, name)) => {
                let (at, executable) = self.executables.get(name)?;
                let same = at == folder || (folder == "/bin" && at == "/usr/bin") || (folder == "/usr/bin" && at == "/bin");
                same.then_some(executable)
            }
        }
    }

    /// Whether a tool of the userland is in the image.
    pub fn has(&self, name: &str) -> bool {
        self.executable(name).is_some()
    }

    /// What really runs for a command line: what stands behind its first word, with wrappers taken off. `None` when it is not there.
    pub fn unwrap(&self, argv: &[ArcStr]) -> Option<(&Executable, Vec<ArcStr>)> {
        let mut argv = argv.to_vec();
        for _ in 0..4 {
            let found = self.executable(argv.first()?)?;
            let Executable::Wrapper(command) = found else { return Some((found, argv)) };
            argv.remove(0);
            if argv.first().is_none_or(|first| first.starts_with('-') || self.executable(first).is_none()) {
                argv.insert(0, command.clone());
            }
        }
        None
    }

    /// What a container runs: the pod's `command` and `args` over the image's entrypoint and cmd.
    pub fn argv(&self, command: &[ArcStr], args: &[ArcStr]) -> Vec<ArcStr> {
        let (first, rest) = match (command.is_empty(), args.is_empty()) {
            (true, true) => (&self.entrypoint[..], &self.cmd[..]),
            (true, false) => (&self.entrypoint[..], args),
            (false, _) => (command, args),
        };
        first.iter().chain(rest).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_get_the_runtime_s_defaults() {
        let check = |text: &str, expect: &str| {
            let got = Reference::parse(text).map_or_else(|| "invalid".to_owned(), |r| r.to_string());
            assert_eq!(got, expect, "{text}");
        };
        check("memcached", "docker.io/library/memcached:latest");
        check("mongo:4.4.6", "docker.io/library/mongo:4.4.6");
        check("yinfangchen/hotelreservation:latest", "docker.io/yinfangchen/hotelreservation:latest");
        check("registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.9");
        check("localhost:5000/a/b", "localhost:5000/a/b:latest");
        check("nginx:", "invalid");
        check("NGINX", "invalid");
        check("a//b", "invalid");
        check("nginx:1.2:3", "invalid");
        check("", "invalid");
        check("nginx@sha256:12", "invalid");
    }
}
