//! `testbed pack`: an OCI image layout with an image for every image of the catalogue, under its own names.
//!
//! Every image has up to three layers of its own content: this program under the paths of the image's executables (hard links, so
//! that nothing shows), static BusyBox under those of its tools, and files. Images with equal layers share them. The bytes follow
//! from the program, BusyBox and the data alone. Layers are not compressed, so that they need not be unpacked to be compared.

use super::layer::{Layer, TIME};
use super::place::FOLDER;
use super::tools;
use crate::app::digest::sha256;
use crate::app::{Catalog, Executable, Image};
use crate::object::Json;
use crate::{array, object};
use arcstr::ArcStr;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const TAR: &str = "application/vnd.oci.image.layer.v1.tar";

/// The name of the image that holds the program alone.
pub const OWN: &str = concat!("docker.io/aiopslab/testbed:", env!("CARGO_PKG_VERSION"));

/// Folders that programs expect to be there and may write to.
const FOLDERS: &[(&str, u32)] = &[
    ("/consul/config", 0o755),
    ("/consul/data", 0o777),
    ("/data/configdb", 0o777),
    ("/data/db", 0o777),
    ("/dev", 0o755),
    ("/docker-entrypoint-initdb.d", 0o755),
    ("/home", 0o755),
    ("/proc", 0o555),
    ("/root", 0o700),
    ("/run", 0o755),
    ("/sys", 0o555),
    ("/tmp", 0o1777),
    ("/var/log", 0o755),
    ("/var/run", 0o755),
    ("/var/tmp", 0o1777),
];

/// What images are made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The program.
    pub program: Arc<[u8]>,
    /// BusyBox.
    pub busybox: Arc<[u8]>,
    /// The names of its applets.
    pub applets: BTreeSet<String>,
    /// The user's own data files, by path below their folder.
    pub envs: BTreeMap<String, Vec<u8>>,
}

/// Runs `testbed pack`.
pub fn run(arguments: &[String]) -> i32 {
    match pack_as_told(arguments) {
        Ok(text) => {
            println!("{text}");
            0
        }
        Err(error) => {
            eprintln!("testbed pack: {error}");
            1
        }
    }
}

const USAGE: &str = "usage: testbed pack --out DIR [--envs DIR] [--busybox FILE] [--binary FILE]";

fn pack_as_told(arguments: &[String]) -> Result<String, String> {
    let mut given: BTreeMap<&str, &str> = BTreeMap::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if !["--out", "--envs", "--busybox", "--binary"].contains(&word.as_str()) {
            return Err(format!("unknown option {word:?}\n{USAGE}"));
        }
        given.insert(word, words.next().ok_or_else(|| format!("{word} needs a value\n{USAGE}"))?);
    }
    let out = PathBuf::from(given.get("--out").ok_or(USAGE)?);
    let envs = given.get("--envs").map(Path::new);
    let catalog = match envs {
        Some(folder) => Arc::new(Catalog::with_folder(folder).map_err(|e| e.to_string())?),
        None => Catalog::embedded(),
    };
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let program = read_static(given.get("--binary").map_or(own.as_path(), Path::new))?;
    let path = Path::new(given.get("--busybox").copied().unwrap_or("/bin/busybox"));
    let busybox = read_static(path).map_err(|e| format!("{e}\nIt needs a static BusyBox (on Debian: apt-get install busybox-static)"))?;
    let listed = Command::new(path).arg("--list").output().map_err(|e| format!("{}: {e}", path.display()))?;
    let applets = String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect();
    let mut files = BTreeMap::new();
    if let Some(folder) = envs {
        read_folder(folder, "", &mut files).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    let names = pack(&catalog, &Parts { program, busybox, applets, envs: files }, &out).map_err(|e| format!("{}: {e}", out.display()))?;
    Ok(format!("{} names of images in {}", names.len(), out.display()))
}

/// A program's bytes, if it runs without libraries.
fn read_static(path: &Path) -> Result<Arc<[u8]>, String> {
    let bytes = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    if has_interpreter(&bytes) {
        return Err(format!("{} is not static; build it with RUSTFLAGS=-Ctarget-feature=+crt-static", path.display()));
    }
    Ok(bytes.into())
}

/// Whether a 64-bit ELF program asks for a dynamic linker.
fn has_interpreter(bytes: &[u8]) -> bool {
    let number = |at: usize, length: usize| {
        let field = bytes.get(at..at + length)?;
        Some(field.iter().rev().fold(0_usize, |n, b| n << 8 | usize::from(*b)))
    };
    if !bytes.starts_with(b"\x7fELF\x02") {
        return false;
    }
    let (Some(table), Some(size), Some(count)) = (number(32, 8), number(54, 2), number(56, 2)) else { return false };
    (0..count).any(|at| number(table.saturating_add(at * size), 4) == Some(3))
}

fn read_folder(folder: &Path, prefix: &str, found: &mut BTreeMap<String, Vec<u8>>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let (path, name) = {
            let entry = entry?;
            (entry.path(), format!("{prefix}{}", entry.file_name().to_string_lossy()))
        };
        if path.is_dir() {
            read_folder(&path, &format!("{name}/"), found)?;
        } else {
            found.insert(name, std::fs::read(&path)?);
        }
    }
    Ok(())
}

/// Writes the layout; the names of the images in it.
///
/// # Errors
/// When it cannot be written.
pub fn pack(catalog: &Catalog, parts: &Parts, out: &Path) -> io::Result<Vec<String>> {
    std::fs::create_dir_all(out.join("blobs/sha256"))?;
    let mut layout = Layout { out, written: BTreeMap::new(), manifests: Vec::new() };
    for image in &catalog.images {
        let names = names(catalog, image);
        let Some(first) = names.first() else { continue };
        let layers = layers(image, parts, Some(first));
        layout.image(image, &layers, &names)?;
    }
    let own = own_image();
    let mut layer = vec![own_layer(parts)];
    layer.extend(layers(&own, parts, None));
    layout.image(&own, &layer, &[OWN.to_owned()])?;
    let names = layout.manifests.iter().map(|(name, _)| name.clone()).collect();
    layout.finish()?;
    Ok(names)
}

/// The full references under which the catalogue knows an image; those of another image that comes first are left out.
fn names(catalog: &Catalog, image: &Arc<Image>) -> Vec<String> {
    let tags = image.tags.iter().map(|tag| if tag == "*" { "latest" } else { tag.as_str() });
    let all = tags.flat_map(|tag| image.repositories.iter().map(move |repository| format!("{repository}:{tag}")));
    all.filter(|name| catalog.image(name).is_some_and(|found| Arc::ptr_eq(&found, image))).collect()
}

/// The image that holds the program alone.
fn own_image() -> Image {
    let catalog = Catalog::embedded();
    let mut image = catalog.image("debian").map_or_else(Image::blank, |image| (*image).clone());
    (image.entrypoint, image.cmd) = (vec!["/usr/local/bin/testbed".into()], Vec::new());
    image
}

fn own_layer(parts: &Parts) -> Layer {
    let mut layer = Layer::default();
    layer.program(&BTreeSet::from(["/usr/local/bin/testbed".to_owned()]), &parts.program);
    if parts.applets.contains("nsenter") {
        // The node helper runs the node's own programs.
        layer.program(&BTreeSet::from(["/usr/local/bin/nsenter".to_owned()]), &parts.busybox);
    }
    layer
}

/// The layers of an image; `name` is what the program in it reads to know where it is.
fn layers(image: &Image, parts: &Parts, name: Option<&str>) -> Vec<Layer> {
    // Debian and its kin have /bin as a link to /usr/bin.
    let merged = image.executables.get("ls").is_some_and(|(folder, _)| folder == "/usr/bin");
    let at = |folder: &str, name: &str| match folder {
        "/bin" | "/sbin" if merged => format!("/usr{folder}/{name}"),
        _ => format!("{folder}/{name}"),
    };
    let (mut ours, mut tools) = (BTreeSet::new(), BTreeSet::new());
    for (name, (folder, executable)) in &image.executables {
        let is_ours = !matches!(executable, Executable::Tool) || tools::NAMES.contains(&name.as_str());
        if is_ours {
            ours.insert(at(folder, name));
        } else if parts.applets.contains(name.as_str()) {
            tools.insert(at(folder, name));
            if name == "env" && !merged {
                tools.insert("/usr/bin/env".to_owned());
            }
        }
    }
    let mut program = Layer::default();
    program.program(&ours, &parts.program);
    let mut userland = Layer::default();
    userland.program(&tools, &parts.busybox);
    let mut user = Layer::default();
    for (path, content) in &parts.envs {
        user.file(&format!("{FOLDER}/envs/{path}"), 0o644, content.clone());
    }
    let all = [program, userland, user, files(image, name, merged)];
    all.into_iter().filter(|layer| !layer.is_empty()).collect()
}

/// The layer with the files of an image.
fn files(image: &Image, name: Option<&str>, merged: bool) -> Layer {
    let mut layer = Layer::default();
    for (path, mode) in FOLDERS {
        layer.folder(path, *mode, 0);
    }
    layer.folder(&image.workdir, 0o755, image.uid);
    if merged {
        for folder in ["bin", "sbin"] {
            layer.folder(&format!("/usr/{folder}"), 0o755, 0);
            layer.symlink(&format!("/{folder}"), &format!("usr/{folder}"));
        }
    }
    let shell = if image.shell.is_some() { "/bin/sh" } else { "/sbin/nologin" };
    let mut passwd = format!("root:x:0:0:root:/root:{shell}\n");
    let mut group = "root:x:0:\n".to_owned();
    if image.uid != 0 {
        passwd.push_str(&format!("{0}:x:{1}:{1}::/home/{0}:{shell}\n", image.user, image.uid));
        group.push_str(&format!("{}:x:{}:\n", image.user, image.uid));
    }
    layer.file("/etc/passwd", 0o644, passwd.into_bytes());
    layer.file("/etc/group", 0o644, group.into_bytes());
    if !image.os.is_empty() {
        layer.file("/etc/os-release", 0o644, os_release(&image.os).into_bytes());
    }
    if let Some(name) = name {
        layer.file(&format!("{FOLDER}/image"), 0o644, format!("{name}\n").into_bytes());
    }
    for (path, text) in &image.files {
        let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
        layer.file(path, mode, text.as_bytes().to_vec());
    }
    layer
}

fn os_release(pretty: &str) -> String {
    let is_word = |word: &&str| !word.contains(|c: char| c.is_ascii_digit());
    let name = pretty.split_whitespace().take_while(is_word).collect::<Vec<_>>().join(" ");
    let id = pretty.split_whitespace().next().unwrap_or("linux").to_ascii_lowercase();
    format!("PRETTY_NAME=\"{pretty}\"\nNAME=\"{name}\"\nID={id}\n")
}

/// A layout being written.
struct Layout<'a> {
    out: &'a Path,
    /// Sizes of blobs by digest.
    written: BTreeMap<String, usize>,
    /// Names with the descriptors of their manifests.
    manifests: Vec<(String, Json)>,
}

impl Layout<'_> {
    /// Writes a blob; its descriptor.
    fn blob(&mut self, kind: &str, bytes: &[u8]) -> io::Result<Json> {
        let digest = sha256(bytes);
        if !self.written.contains_key(&digest) {
            std::fs::write(self.out.join("blobs/sha256").join(&digest), bytes)?;
            self.written.insert(digest.clone(), bytes.len());
        }
        Ok(object! { "mediaType" => kind, "digest" => format!("sha256:{digest}"), "size" => bytes.len() })
    }

    fn image(&mut self, image: &Image, layers: &[Layer], names: &[String]) -> io::Result<()> {
        let descriptors = layers.iter().map(|layer| self.blob(TAR, &layer.archive()?)).collect::<io::Result<Vec<_>>>()?;
        let config = self.blob(CONFIG, config(image, &descriptors).to_compact().as_bytes())?;
        let manifest = object! { "schemaVersion" => 2, "mediaType" => MANIFEST, "config" => config, "layers" => Json::from(descriptors) };
        let descriptor = self.blob(MANIFEST, manifest.to_compact().as_bytes())?;
        for name in names {
            let mut named = descriptor.clone();
            named.set("platform", object! { "architecture" => architecture(), "os" => "linux" });
            named.set("annotations", object! { "io.containerd.image.name" => name, "org.opencontainers.image.ref.name" => name });
            self.manifests.push((name.clone(), named));
        }
        Ok(())
    }

    fn finish(self) -> io::Result<()> {
        let manifests: Json = self.manifests.into_iter().map(|(_, descriptor)| descriptor).collect();
        let index = object! { "schemaVersion" => 2, "mediaType" => INDEX, "manifests" => manifests };
        std::fs::write(self.out.join("index.json"), index.to_compact())?;
        std::fs::write(self.out.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
    }
}

fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

fn config(image: &Image, layers: &[Json]) -> Json {
    let texts = |all: &[ArcStr]| all.iter().map(Json::from).collect::<Json>();
    let env: Json = image.env.iter().map(|(name, value)| Json::from(format!("{name}={value}"))).collect();
    let mut run = object! { "Env" => env, "WorkingDir" => &image.workdir };
    if !image.entrypoint.is_empty() {
        run.set("Entrypoint", texts(&image.entrypoint));
    }
    if !image.cmd.is_empty() {
        run.set("Cmd", texts(&image.cmd));
    }
    if image.uid != 0 {
        run.set("User", image.uid.to_string());
    }
    let created = crate::time::SimTime::from_secs(TIME).rfc3339();
    let ids: Json = layers.iter().map(|layer| layer.get("digest").clone()).collect();
    let history = layers.iter().map(|_| object! { "created" => &created }).collect::<Json>();
    object! {
        "architecture" => architecture(), "os" => "linux", "created" => &created, "config" => run,
        "rootfs" => object! { "type" => "layers", "diff_ids" => ids }, "history" => if layers.is_empty() { array![] } else { history },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dynamic_programs_are_told_apart() {
        let own = std::fs::read(std::env::current_exe().expect("known")).expect("readable");
        assert!(has_interpreter(&own));
        assert!(!has_interpreter(b"#!/bin/sh\n") && !has_interpreter(b"\x7fELF\x02"));
    }

    #[test]
    fn names_of_operating_systems() {
        let check = |pretty: &str, name: &str, id: &str| {
            let text = os_release(pretty);
            assert!(text.contains(&format!("\nNAME=\"{name}\"\nID={id}\n")), "{text}");
        };
        check("Alpine Linux v3.22", "Alpine Linux", "alpine");
        check("Ubuntu 18.04.5 LTS", "Ubuntu", "ubuntu");
    }
}
