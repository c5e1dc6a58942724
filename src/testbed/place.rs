//! Where a program is played: its image, command line, environment, files, addresses and output.

use super::names::Names;
use crate::app::{Catalog, Executable, Instance, Source, StartError};
use crate::rng::{Key, Stream};
use crate::time::SimTime;
use arcstr::ArcStr;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The folder of an image that holds what is the testbed's own.
pub const FOLDER: &str = "/usr/lib/testbed";

/// Where lines go.
#[derive(Clone, Debug)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// A list.
    Kept(Arc<Mutex<Vec<String>>>),
}

/// Where a program is played.
#[derive(Clone, Debug)]
pub struct Place {
    /// What images and programs there are.
    pub catalog: Arc<Catalog>,
    /// The image's full reference.
    pub image: String,
    /// The command line.
    pub argv: Vec<ArcStr>,
    /// The environment.
    pub env: BTreeMap<ArcStr, ArcStr>,
    /// The folder below which absolute paths are looked up; `/` in a container.
    pub root: PathBuf,
    /// The address on which it listens.
    pub listen: Ipv4Addr,
    /// The address under which others find it.
    pub address: ArcStr,
    /// How it resolves host names.
    pub names: Names,
    /// Where its lines go.
    pub output: Output,
    /// Whether it takes signals.
    pub signals: bool,
    /// Ends it from outside, as SIGKILL does.
    pub kill: Arc<tokio::sync::Notify>,
}

impl Place {
    /// The container that this process runs in, from its image's own files.
    ///
    /// # Errors
    /// What is wrong with the image.
    pub fn container(argv: Vec<ArcStr>) -> Result<Place, String> {
        let image = std::fs::read_to_string(format!("{FOLDER}/image")).map_err(|e| format!("{FOLDER}/image: {e}"))?;
        let folder = PathBuf::from(format!("{FOLDER}/envs"));
        let catalog =
            if folder.is_dir() { Arc::new(Catalog::with_folder(&folder).map_err(|e| e.to_string())?) } else { Catalog::embedded() };
        let env = std::env::vars().map(|(name, value)| (name.into(), value.into())).collect();
        Ok(Place {
            catalog,
            image: image.trim().to_owned(),
            argv,
            env,
            root: PathBuf::from("/"),
            listen: Ipv4Addr::UNSPECIFIED,
            address: own_address().into(),
            names: Names::System,
            output: Output::Stdout,
            signals: true,
            kill: Arc::default(),
        })
    }

    /// What a command line runs in this image.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn instance(&self) -> Result<Instance, StartError> {
        let image = self.catalog.image(&self.image).ok_or(StartError::NoImage)?;
        let mut files = BTreeMap::new();
        if let Some((Executable::Program(program), argv)) = image.unwrap(&self.argv) {
            for source in program.settings.iter().flat_map(|s| &s.sources) {
                if let Source::File { path, .. } = source
                    && let Some(path) = path.named(&argv)
                    && let Ok(text) = std::fs::read_to_string(self.path(&path))
                {
                    files.insert(path, ArcStr::from(text));
                }
            }
        }
        self.catalog.instance(&self.image, &self.argv, &self.env, &files)
    }

    /// Whether this is a container of one of the testbed's images.
    pub fn is_container(&self) -> bool {
        self.root == Path::new("/") && Path::new(FOLDER).join("image").exists()
    }

    /// A path of the container.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(Path::new(path).strip_prefix("/").unwrap_or(Path::new(path)))
    }

    /// The host's name.
    pub fn host(&self) -> ArcStr {
        let kept = || std::fs::read_to_string(self.path("/etc/hostname")).unwrap_or_default().trim().into();
        self.env.get("HOSTNAME").cloned().unwrap_or_else(kept)
    }

    /// The namespace, as the container's service account has it.
    pub fn namespace(&self) -> ArcStr {
        let path = self.path("/var/run/secrets/kubernetes.io/serviceaccount/namespace");
        std::fs::read_to_string(path).unwrap_or_default().trim().into()
    }

    /// Writes a line.
    pub fn write(&self, line: &str) {
        match &self.output {
            Output::Stdout => {
                let mut out = std::io::stdout().lock();
                // Nobody is left to be told when standard output is gone.
                let _ = out.write_all(format!("{line}\n").as_bytes());
                let _ = out.flush();
            }
            Output::Kept(lines) => lines.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned()),
        }
    }
}

/// The present instant, by the machine's clock.
pub fn now() -> SimTime {
    let nanos = jiff::Timestamp::now().as_nanosecond();
    SimTime::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

/// Randomness that differs from process to process.
pub fn randomness() -> Stream {
    let mut seed = [0_u8; 8];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut seed));
    let base = if read.is_ok() { u64::from_le_bytes(seed) } else { u64::from(std::process::id()) };
    Key::new(base).number(now().as_nanos()).stream()
}

/// The address that the machine's own name has, else the one that packets to elsewhere leave from.
fn own_address() -> String {
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let name = std::env::vars().find(|(n, _)| n == "HOSTNAME").map(|(_, v)| v).unwrap_or_default();
    let own = hosts.lines().filter(|l| !l.starts_with('#')).find_map(|line| {
        let mut words = line.split_whitespace();
        let address: IpAddr = words.next()?.parse().ok()?;
        (!address.is_loopback() && words.any(|w| w == name)).then(|| address.to_string())
    });
    own.or_else(|| {
        // No packet is sent: connecting a datagram socket only looks up the route.
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        socket.connect((Ipv4Addr::new(10, 255, 255, 255), 9)).ok()?;
        Some(socket.local_addr().ok()?.ip().to_string())
    })
    .unwrap_or_else(|| "127.0.0.1".to_owned())
}
