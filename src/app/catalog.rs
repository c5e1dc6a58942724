//! [`Catalog`]: the images and applications that a cluster knows, and what a container does that runs one of them.

use super::answer::Documents;
use super::endpoint::Endpoint;
use super::image::{Executable, Image, Pull, Reference};
use super::program::{FilePath, Port, Program, Source};
use crate::object::Json;
use crate::workload::{Profile, Workload};
use arcstr::ArcStr;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An application.
#[derive(Clone, Debug)]
pub struct App {
    /// Name, that of its folder.
    pub name: ArcStr,
    /// The service's name in the prompts.
    pub title: ArcStr,
    /// Where it is deployed unless told otherwise.
    pub namespace: ArcStr,
    /// Description in the prompts.
    pub description: ArcStr,
    /// Supported operations in the prompts.
    pub operations: Vec<ArcStr>,
    /// Where users come in.
    pub entry: Entry,
    /// What users ask for.
    pub endpoints: Vec<Endpoint>,
    /// How many requests come when, in its own workload.
    pub load: Profile,
    /// Deployments that the others need when they start; a quiet deploy waits for them.
    pub first: Vec<ArcStr>,
    /// Stores whose users, roles and data belong to the baseline.
    pub stores: Vec<Store>,
    /// Objects to deploy, in order.
    pub manifests: Vec<Json>,
    /// Objects that are deployed besides in strict mode (and replace those of the same kind and name).
    pub strict_manifests: Vec<Json>,
    /// Documents that its stores hold, by name.
    pub documents: Arc<Documents>,
}

/// A store whose users, roles and data belong to the application's baseline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Its Deployment.
    pub deployment: ArcStr,
    /// A program for its container whose output is the same as long as they are.
    pub fingerprint: Vec<String>,
    /// A program for its container that says what data it holds, users and roles apart, a line each; `NAME: at least N ...` for what may
    /// grow. Empty where its data may be lost.
    pub holds: Vec<String>,
    /// The folder that holds all of it.
    pub data: ArcStr,
}

/// Where users come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Service.
    pub service: ArcStr,
    /// Port.
    pub port: u16,
}

impl App {
    /// The workload of a profile on all endpoints.
    pub fn under(&self, profile: Profile) -> Workload {
        Workload { profile, mix: self.endpoints.iter().map(|endpoint| (endpoint.name.clone(), endpoint.weight)).collect() }
    }

    /// Its own workload.
    pub fn workload(&self) -> Workload {
        self.under(self.load.clone())
    }

    /// The endpoint called `name`.
    pub fn endpoint(&self, name: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|e| e.name == name)
    }
}

/// Images and apps that are known to a cluster.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// Images.
    pub images: Vec<Arc<Image>>,
    /// Applications.
    pub apps: Vec<Arc<App>>,
    /// Registry hosts that exist.
    pub registries: Vec<ArcStr>,
}

/// A program as it runs in one container: with the values of its settings.
#[derive(Clone, Debug)]
pub struct Instance {
    /// The program.
    pub program: Arc<Program>,
    /// The image it came from.
    pub image: Arc<Image>,
    /// Its command line, wrappers taken off.
    pub argv: Vec<ArcStr>,
    /// The values of its settings, in the order of [`Program::settings`].
    pub settings: Vec<ArcStr>,
}

impl Instance {
    /// The value of a setting.
    pub fn setting(&self, at: usize) -> &ArcStr {
        static EMPTY: ArcStr = arcstr::literal!("");
        self.settings.get(at).unwrap_or(&EMPTY)
    }

    /// The value of a setting by name.
    pub fn named(&self, name: &str) -> Option<&ArcStr> {
        self.program.setting(name).map(|at| self.setting(at))
    }

    /// The number of a port; `None` when the setting holds none.
    pub fn port(&self, port: &Port) -> Option<u16> {
        match port {
            Port::Fixed(port) => Some(*port),
            Port::Setting(at) => self.setting(*at).rsplit(':').next()?.parse().ok(),
        }
    }

    /// Whether it talks only with clients that use TLS: what `net.tls.mode` says of MongoDB.
    pub fn requires_tls(&self) -> bool {
        self.named("tls").is_some_and(|mode| mode == "requireTLS")
    }

    /// Host and port of a `host:port` setting.
    pub fn address(&self, at: usize) -> Option<(&str, u16)> {
        let (host, port) = self.setting(at).rsplit_once(':')?;
        Some((host, port.parse().ok()?))
    }
}

/// Why a container's process cannot be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartError {
    /// The image is not known (the kubelet never gets this far then).
    NoImage,
    /// There is nothing to run: neither the pod nor the image says what.
    NoCommand,
    /// The executable is not in the image.
    NotFound(ArcStr),
}

impl Catalog {
    /// What a registry answers to a pull of `image`.
    pub fn pull(&self, image: &str) -> Pull {
        let Some(reference) = Reference::parse(image) else { return Pull::InvalidName };
        if let Some(found) = self.images.iter().find(|i| i.answers_to(&reference)) {
            return Pull::Found(found.clone());
        }
        let name = reference.name();
        if self.images.iter().any(|i| i.repositories.iter().any(|r| *r == name)) {
            Pull::NoTag(reference)
        } else if self.registries.contains(&reference.registry) {
            Pull::NoRepository(reference)
        } else {
            Pull::NoRegistry(reference)
        }
    }

    /// The image that `image` names.
    pub fn image(&self, image: &str) -> Option<Arc<Image>> {
        match self.pull(image) {
            Pull::Found(image) => Some(image),
            _ => None,
        }
    }

    /// The application called `name`.
    pub fn app(&self, name: &str) -> Option<&Arc<App>> {
        self.apps.iter().find(|a| a.name == name)
    }

    /// What a container does that runs `argv` in `image`.
    ///
    /// # Errors
    /// When its process cannot be started.
    pub fn instance(
        &self,
        image: &str,
        argv: &[ArcStr],
        env: &BTreeMap<ArcStr, ArcStr>,
        files: &BTreeMap<ArcStr, ArcStr>,
    ) -> Result<Instance, StartError> {
        let image = self.image(image).ok_or(StartError::NoImage)?;
        let argv0 = argv.first().ok_or(StartError::NoCommand)?;
        let (found, argv) = image.unwrap(argv).ok_or_else(|| StartError::NotFound(argv0.clone()))?;
        let program = match found {
            Executable::Program(program) => program.clone(),
            Executable::Tool | Executable::Wrapper(_) => Program::command(),
        };
        let read = |source: &Source| match source {
            Source::Env(name) => env.get(name).cloned(),
            Source::Argument(at) => argv.get(*at).cloned(),
            Source::Flag(name) => flag(&argv, name),
            Source::Switch { flag, value } => argv.contains(flag).then(|| value.clone()),
            Source::File { path, key, port, value } => {
                let path = path.named(&argv)?;
                let text = files.get(&path).or_else(|| image.files.get(&path))?;
                let found = configured(text, key, port.as_deref())?;
                Some(value.clone().unwrap_or(found))
            }
        };
        let settings = program.settings.iter().map(|s| s.sources.iter().find_map(read).unwrap_or_else(|| s.default.clone())).collect();
        Ok(Instance { program, image, argv, settings })
    }
}

impl FilePath {
    /// The path, given a command line.
    pub fn named(&self, argv: &[ArcStr]) -> Option<ArcStr> {
        match self {
            FilePath::Fixed(path) => Some(path.clone()),
            FilePath::Flag(name) => flag(argv, name),
        }
    }
}

/// What a configuration file (JSON or YAML) says in a field, or in two as `host:port`.
fn configured(text: &str, key: &str, port: Option<&str>) -> Option<ArcStr> {
    let file = Json::parse(text).ok().or_else(|| serde_saphyr::from_str(text).ok())?;
    let field = |path: &str| match path.split('.').fold(&file, |at, name| at.get(name)) {
        Json::Null => None,
        value => Some(value.as_text().cloned().unwrap_or_else(|| value.to_compact().into())),
    };
    let value = field(key)?;
    match port {
        None => Some(value),
        Some(port) => Some(format!("{value}:{}", field(port)?).into()),
    }
}

/// The value of `--name=VALUE` or `--name VALUE`.
fn flag(argv: &[ArcStr], name: &str) -> Option<ArcStr> {
    argv.iter().enumerate().skip(1).find_map(|(at, arg)| match arg.strip_prefix(name)? {
        "" => argv.get(at + 1).cloned().or_else(|| Some(ArcStr::new())),
        value => value.strip_prefix('=').map(ArcStr::from),
    })
}
