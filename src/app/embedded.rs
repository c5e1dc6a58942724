//! The data that is compiled in, and data read from a folder.
//!
//! The list of files is checked against the folder by a test; adding a file to an app means adding a line here.

use super::catalog::Catalog;
use super::error::DataError;
use super::resolve::{self, DataFile};
use std::path::Path;
use std::sync::{Arc, OnceLock};

macro_rules! files {
    ($($path:literal),* $(,)?) => { &[$(($path, include_str!(concat!("../../envs/", $path)))),*] };
}

/// Every file of application data that is compiled in.
pub const FILES: &[DataFile<'static>] = files![
    "apps/hotel-reservation/app.toml",
    "apps/hotel-reservation/data/geo.json",
    "apps/hotel-reservation/data/hotels.json",
    "apps/hotel-reservation/data/inventory.json",
    "apps/hotel-reservation/data/number.json",
    "apps/hotel-reservation/data/recommendation.json",
    "apps/hotel-reservation/data/reservation.json",
    "apps/hotel-reservation/data/user.json",
    "apps/hotel-reservation/manifests/consul.yaml",
    "apps/hotel-reservation/manifests/frontend.yaml",
    "apps/hotel-reservation/manifests/geo.yaml",
    "apps/hotel-reservation/manifests/jaeger.yaml",
    "apps/hotel-reservation/manifests/mongo-scripts.yaml",
    "apps/hotel-reservation/manifests/profile.yaml",
    "apps/hotel-reservation/manifests/rate.yaml",
    "apps/hotel-reservation/manifests/recommendation.yaml",
    "apps/hotel-reservation/manifests/reservation.yaml",
    "apps/hotel-reservation/manifests/search.yaml",
    "apps/hotel-reservation/manifests/user.yaml",
    "apps/hotel-reservation/strict/failure-scripts.yaml",
    "apps/hotel-reservation/strict/mongodb-auth.yaml",
    "apps/social-network/app.toml",
    "apps/social-network/manifests/compose-post.yaml",
    "apps/social-network/manifests/home-timeline.yaml",
    "apps/social-network/manifests/jaeger.yaml",
    "apps/social-network/manifests/media.yaml",
    "apps/social-network/manifests/nginx.yaml",
    "apps/social-network/manifests/post-storage.yaml",
    "apps/social-network/manifests/social-graph.yaml",
    "apps/social-network/manifests/text.yaml",
    "apps/social-network/manifests/url-shorten.yaml",
    "apps/social-network/manifests/user-timeline.yaml",
    "apps/social-network/manifests/user.yaml",
    "images/bases.toml",
    "images/clients.toml",
    "images/stores.toml",
];

impl Catalog {
    /// The catalogue that is compiled in.
    ///
    /// # Panics
    /// Never in a released build: a test reads the same data.
    pub fn embedded() -> Arc<Catalog> {
        static EMBEDDED: OnceLock<Arc<Catalog>> = OnceLock::new();
        let read = || match resolve::catalog(FILES) {
            Ok(catalog) => Arc::new(catalog),
            Err(error) => panic!("the embedded application data is wrong: {error}"),
        };
        EMBEDDED.get_or_init(read).clone()
    }

    /// The embedded catalogue with the files of a folder added; a file at the same path replaces the embedded one.
    ///
    /// # Errors
    /// What is wrong in the folder's files, or why they cannot be read.
    pub fn with_folder(folder: &Path) -> Result<Catalog, DataError> {
        let mut found = Vec::new();
        read_folder(folder, "", &mut found)?;
        let replaced = |path: &str| found.iter().any(|(p, _)| p == path);
        let mut files: Vec<DataFile<'_>> = FILES.iter().filter(|(path, _)| !replaced(path)).copied().collect();
        files.extend(found.iter().map(|(path, text)| (path.as_str(), text.as_str())));
        resolve::catalog(&files)
    }
}

/// Reads every data file below a folder, with paths relative to it, in order of their names.
fn read_folder(folder: &Path, prefix: &str, found: &mut Vec<(String, String)>) -> Result<(), DataError> {
    let unreadable = |error: std::io::Error| DataError::file(&folder.display().to_string(), format!("cannot be read: {error}"));
    let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut names: Vec<_> = entries.map_err(unreadable)?.into_iter().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    for name in names {
        let (path, relative) = (folder.join(&name), format!("{prefix}{name}"));
        if path.is_dir() {
            read_folder(&path, &format!("{relative}/"), found)?;
        } else if [".toml", ".yaml", ".json"].iter().any(|end| name.ends_with(end)) {
            found.push((relative, std::fs::read_to_string(&path).map_err(unreadable)?));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_compiled_in() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("envs");
        let mut found = Vec::new();
        read_folder(&root, "", &mut found).expect("readable");
        found.retain(|(path, _)| path.starts_with("apps/") || path.starts_with("images/"));
        let on_disk: Vec<_> = found.iter().map(|(path, _)| path.as_str()).collect();
        let listed: Vec<_> = FILES.iter().map(|(path, _)| *path).collect();
        assert!(listed.len() > 10, "{listed:?}");
        assert_eq!(on_disk, listed);
    }

    #[test]
    fn the_embedded_data_is_right() {
        if let Err(error) = resolve::catalog(FILES) {
            panic!("{error}");
        }
        let catalog = Catalog::embedded();
        let app = catalog.app("hotel-reservation").expect("there");
        assert_eq!(app.manifests.iter().filter(|o| o.get("kind").text() == "Deployment").count(), 19);
        assert_eq!(app.manifests.iter().filter(|o| o.get("kind").text() == "Service").count(), 20);
        assert_eq!(app.documents["user"].len(), 501);
    }
}
