//! The registry: every problem and suite by name, built in and from a folder of the user's.

use super::{Problem, written};
use crate::app::{Catalog, DataError, edits};
use arcstr::ArcStr;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

macro_rules! files {
    ($($path:literal),* $(,)?) => { &[$(($path, include_str!(concat!("../../envs/", $path)))),*] };
}

/// Every file of problems and suites that is compiled in.
const FILES: &[(&str, &str)] = files![
    "problems/assign_to_non_existent_node_social_net.toml",
    "problems/auth_miss_mongodb.toml",
    "problems/container_kill.toml",
    "problems/k8s_target_port-misconfig.toml",
    "problems/misconfig_app_hotel_res.toml",
    "problems/network_delay_hotel_res.toml",
    "problems/network_loss_hotel_res.toml",
    "problems/noop_hotel_reservation.toml",
    "problems/noop_social_network.toml",
    "problems/pod_failure_hotel_res.toml",
    "problems/pod_kill_hotel_res.toml",
    "problems/redeploy_without_PV.toml",
    "problems/revoke_auth_mongodb.toml",
    "problems/scale_pod_zero_hotel_res.toml",
    "problems/scale_pod_zero_social_net.toml",
    "problems/user_unregistered_mongodb.toml",
    "problems/wrong_bin_usage.toml",
    "suites/hotel-38.toml",
    "suites/smoke.toml",
    "suites/social-25.toml",
];

/// Problems and suites by name, with the catalogue of applications they play on.
#[derive(Debug)]
pub struct Registry {
    problems: BTreeMap<ArcStr, Arc<Problem>>,
    suites: BTreeMap<ArcStr, Vec<ArcStr>>,
    catalog: Arc<Catalog>,
}

/// What a registry cannot do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// There is no problem of this id.
    #[error("there is no problem {id:?}; the nearest are: {}", nearest.join(", "))]
    NotFound {
        /// What was asked for.
        id: String,
        /// The three nearest ids.
        nearest: Vec<String>,
    },
    /// A filter names something that does not exist.
    #[error("there is no {what} {name:?}; there are: {}", known.join(", "))]
    NoSuch {
        /// `task`, `app` or `suite`.
        what: &'static str,
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A file is malformed.
    #[error(transparent)]
    Data(#[from] DataError),
}

impl Registry {
    /// The built-in registry.
    ///
    /// # Panics
    /// Never in a released build: a test reads the same data.
    pub fn embedded() -> Arc<Registry> {
        static EMBEDDED: OnceLock<Arc<Registry>> = OnceLock::new();
        let build = || match Self::build(FILES, Catalog::embedded()) {
            Ok(registry) => Arc::new(registry),
            Err(error) => panic!("the embedded problems are wrong: {error}"),
        };
        EMBEDDED.get_or_init(build).clone()
    }

    /// The built-in registry with the files of a folder added (`apps/`, `problems/`, `suites/`).
    ///
    /// # Errors
    /// What is wrong in the folder's files, or why they cannot be read.
    pub fn with_folder(folder: &Path) -> Result<Arc<Registry>, RegistryError> {
        let catalog = Arc::new(Catalog::with_folder(folder)?);
        let mut found = Vec::new();
        for kind in ["problems", "suites"] {
            read(folder, kind, &mut found)?;
        }
        let replaced = |path: &str| found.iter().any(|(p, _)| p == path);
        let mut files: Vec<(&str, &str)> = FILES.iter().filter(|(path, _)| !replaced(path)).copied().collect();
        files.extend(found.iter().map(|(path, text)| (path.as_str(), text.as_str())));
        Ok(Arc::new(Self::build(&files, catalog)?))
    }

    fn build(files: &[(&str, &str)], catalog: Arc<Catalog>) -> Result<Registry, DataError> {
        let mut problems = BTreeMap::new();
        for (file, text) in files.iter().filter(|(file, _)| file.starts_with("problems/")) {
            for problem in written::problems(file, text, &catalog)? {
                let id = problem.id.clone();
                if problems.insert(id.clone(), Arc::new(problem)).is_some() {
                    return Err(DataError::file(file, format!("problem {id:?} is defined twice")));
                }
            }
        }
        let known: Vec<&str> = problems.keys().map(ArcStr::as_str).collect();
        let mut suites = BTreeMap::new();
        for (file, text) in files.iter().filter(|(file, _)| file.starts_with("suites/")) {
            let name = file.trim_start_matches("suites/").trim_end_matches(".toml");
            suites.insert(ArcStr::from(name), written::suite(file, text, &known)?);
        }
        Ok(Registry { problems, suites, catalog })
    }

    /// The catalogue of images and applications.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// The problem called `id`.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`] with the three nearest ids.
    pub fn problem(&self, id: &str) -> Result<Arc<Problem>, RegistryError> {
        self.problems.get(id).cloned().ok_or_else(|| {
            let mut ranked: Vec<(usize, &ArcStr)> = self.problems.keys().map(|known| (edits(id, known), known)).collect();
            ranked.sort();
            let nearest = ranked.iter().take(3).map(|(_, known)| known.to_string()).collect();
            RegistryError::NotFound { id: id.to_owned(), nearest }
        })
    }

    /// The problem called `id` of a family's file that need not be in the registry, on this registry's applications.
    ///
    /// # Errors
    /// What is wrong in the file, or that it holds no such problem.
    pub fn problem_of(&self, file: &str, text: &str, id: &str) -> Result<Arc<Problem>, RegistryError> {
        let problems = written::problems(file, text, &self.catalog)?;
        let nearest = problems.iter().take(3).map(|p| p.id.to_string()).collect();
        let found = problems.into_iter().find(|problem| problem.id == id).map(Arc::new);
        found.ok_or(RegistryError::NotFound { id: id.to_owned(), nearest })
    }

    /// Problems in order of their ids, filtered by task, application and suite.
    ///
    /// # Errors
    /// [`RegistryError::NoSuch`] when a filter names nothing.
    pub fn list(&self, task: Option<&str>, app: Option<&str>, suite: Option<&str>) -> Result<Vec<Arc<Problem>>, RegistryError> {
        let known = |of: fn(&Problem) -> &str| {
            let mut names: Vec<String> = self.problems.values().map(|p| of(p).to_owned()).collect();
            names.sort();
            names.dedup();
            names
        };
        let check = |what: &'static str, name: Option<&str>, known: Vec<String>| match name {
            Some(name) if !known.iter().any(|k| k == name) => Err(RegistryError::NoSuch { what, name: name.to_owned(), known }),
            _ => Ok(()),
        };
        check("task", task, known(|p| p.task.as_str()))?;
        check("app", app, known(|p| &p.app.name))?;
        check("suite", suite, self.suites.keys().map(ToString::to_string).collect())?;
        let members = suite.and_then(|name| self.suites.get(name));
        let wanted = |p: &&Arc<Problem>| {
            task.is_none_or(|t| p.task.as_str() == t)
                && app.is_none_or(|a| p.app.name == a)
                && members.is_none_or(|ids| ids.contains(&p.id))
        };
        Ok(self.problems.values().filter(wanted).cloned().collect())
    }

    /// Names of the suites, sorted.
    pub fn suites(&self) -> Vec<String> {
        self.suites.keys().map(ToString::to_string).collect()
    }
}

/// Reads the TOML files of one sub-folder; a missing one holds none.
fn read(folder: &Path, kind: &str, found: &mut Vec<(String, String)>) -> Result<(), DataError> {
    let path = folder.join(kind);
    if !path.is_dir() {
        return Ok(());
    }
    let unreadable = |error: std::io::Error| DataError::file(kind, format!("cannot be read: {error}"));
    let entries = std::fs::read_dir(&path).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(unreadable)?;
    let mut names: Vec<String> = entries.into_iter().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    for name in names.iter().filter(|name| name.ends_with(".toml")) {
        found.push((format!("{kind}/{name}"), std::fs::read_to_string(path.join(name)).map_err(unreadable)?));
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
        for kind in ["problems", "suites"] {
            read(&root, kind, &mut found).expect("readable");
        }
        let on_disk: Vec<_> = found.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(on_disk, FILES.iter().map(|(path, _)| *path).collect::<Vec<_>>());
    }

    #[test]
    fn the_embedded_problems_are_right() {
        let registry = match Registry::build(FILES, Catalog::embedded()) {
            Ok(registry) => registry,
            Err(error) => panic!("{error}"),
        };
        let ids: Vec<String> = registry.problems.keys().map(ToString::to_string).collect();
        assert!(ids.len() >= 9, "{ids:?}");
        for task in ["detection", "localization", "analysis", "mitigation"] {
            assert!(ids.contains(&format!("misconfig_app_hotel_res-{task}-1")), "{ids:?}");
        }
        assert!(ids.contains(&"noop_detection_hotel_reservation-1".to_owned()), "{ids:?}");
    }

    #[test]
    fn unknown_names_say_what_is_near() {
        let registry = Registry::embedded();
        let error = registry.problem("misconfig_app_hotel-mitigation-1").expect_err("unknown").to_string();
        assert!(error.contains("misconfig_app_hotel_res-mitigation-1"), "{error}");
        let error = registry.list(Some("repair"), None, None).expect_err("unknown").to_string();
        assert_eq!(error, "there is no task \"repair\"; there are: analysis, detection, localization, mitigation");
    }

    #[track_caller]
    fn check(file: &str, text: &str, expect: &str) {
        let mut files = FILES.to_vec();
        files.push((file, text));
        let error = Registry::build(&files, Catalog::embedded()).expect_err("malformed").to_string();
        assert!(error.contains(expect), "{error}");
    }

    #[test]
    fn malformed_files_say_where_and_what() {
        let family = "app = \"hotel-reservation\"\ndescription = \"x\"\ntasks = [\"detection\"]\n";
        let target = "[[target]]\n";
        check("problems/a.toml", &format!("{family}dificulty = \"easy\"\n{target}"), "problems/a.toml:4:1: unknown field `dificulty`");
        check("problems/a.toml", &format!("{family}dificulty = \"easy\"\n{target}"), "did you mean `difficulty`?");
        check("problems/a.toml", &family.replace("hotel-r", "hotle-r"), "problems/a.toml:");
        let wrong_app = format!("{}{target}", family.replace("hotel-reservation", "hotel-resevation"));
        check("problems/a.toml", &wrong_app, "there is no app \"hotel-resevation\"; did you mean `hotel-reservation`?");
        check("problems/a.toml", &format!("{family}difficulty = \"tough\"\n{target}"), "none of easy, medium, hard");
        check("problems/a.toml", &format!("{family}delay_s = [9, 1]\n{target}"), "delay_s = [9, 1]");
        check("problems/a.toml", &format!("{family}id = \"x\"\n{target}{target}"), "id lacks {number}");
        check("problems/a.toml", "app = \n", "problems/a.toml:1:");
        let load = |table: &str| format!("{family}\n{target}\n[load]\n{table}");
        check("problems/a.toml", &load("rate = 5\n"), "problems/a.toml:8:1: unknown field `rate`");
        check("problems/a.toml", &load("arrivals = \"constnt\"\n"), "did you mean `constant`?");
        let steps = "steps = [\n  { at_s = 60, rate_per_s = 5 },\n  { at_s = 30, rate_per_s = 9 },\n]\n";
        let expected = "problems/a.toml:10:12: load.steps[1].at_s is 30; steps stand in order of time, and the one before is at 60";
        check("problems/a.toml", &load(steps), expected);
        check("problems/a.toml", &load("bursts = { every_s = 5, for_s = 1, facto = 2 }\n"), "did you mean `factor`?");
        check("problems/a.toml", &load("[load.bursts]\nevery_s = 5\nfor_s = 6\nfactor = 2\n"), "a.toml:10:9: load.bursts.for_s is 6");
        check(
            "suites/a.toml",
            "description = \"\"\nproblems = [\"misconfig_app_hotel_res-mitigation-9\"]\n",
            "suites/a.toml:2:13: there is no problem",
        );
    }
}
