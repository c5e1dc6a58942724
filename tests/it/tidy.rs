//! Rules of the tree that no compiler checks: layers, module docs, file length.

use std::fs;
use std::path::{Path, PathBuf};

/// Layers, lowest first; a module may use `crate::` paths of its own layer's module or of lower layers only.
const LAYERS: &[&[&str]] = &[
    &["time", "rng", "ids"],
    &["object", "workload"],
    &["app", "telemetry"],
    &["shell", "cluster"],
    &["cluster::client", "cluster::environment", "cluster::live", "cluster::outpost", "cluster::sim"],
    &["fault", "tool"],
    &["task", "reward"],
    &["problem", "trajectory"],
    &["session"],
    &["pool", "serve", "testbed"],
    &["python"],
];

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("readable folder") {
        let path = entry.expect("readable entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn tree() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let all: Vec<_> = ["src", "tests/it"].iter().flat_map(|d| sources(&root.join(d))).collect();
    assert!(all.len() >= 20, "the scan saw only {} files", all.len());
    all.into_iter()
        .map(|p| (p.strip_prefix(root).expect("below the root").display().to_string(), fs::read_to_string(&p).expect("utf-8")))
        .collect()
}

fn layer_of(module: &str) -> Option<usize> {
    let nested = LAYERS.iter().position(|l| l.iter().any(|m| m.contains("::") && module.starts_with(m)));
    nested.or_else(|| LAYERS.iter().position(|l| l.contains(&module.split("::").next().unwrap_or(module))))
}

fn module_of(path: &str) -> String {
    path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::")
}

#[test]
fn layers_only_look_down() {
    let mut seen = 0;
    let mut wrong = Vec::new();
    for (path, text) in tree().iter().filter(|(p, _)| p.starts_with("src/") && p != "src/lib.rs" && !p.starts_with("src/bin")) {
        let module = module_of(path);
        let own = layer_of(&module).unwrap_or_else(|| panic!("{path}: its module is in no layer; add it to LAYERS"));
        for (at, line) in text.lines().enumerate().filter(|(_, l)| !l.trim_start().starts_with("//")) {
            for used in line.split("crate::").skip(1) {
                let used: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':').collect();
                let Some(theirs) = layer_of(&used) else { continue };
                seen += 1;
                let same_module = used.split("::").next() == module.split("::").next() && theirs <= own;
                if theirs > own || (theirs == own && !same_module && used.split("::").next() != module.split("::").next()) {
                    wrong.push(format!("{path}:{}: {module} (layer {own}) uses {used} (layer {theirs})", at + 1));
                }
            }
        }
    }
    assert!(seen >= 20, "the scan saw only {seen} uses");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let bare: Vec<_> = tree().into_iter().filter(|(_, text)| !text.starts_with("//!")).map(|(p, _)| p).collect();
    assert!(bare.is_empty(), "files without an opening //! line: {bare:?}");
}

#[test]
fn files_have_one_subject() {
    let long: Vec<_> = tree().into_iter().map(|(p, t)| (p, t.lines().count())).filter(|(_, n)| *n > 900).collect();
    assert!(long.is_empty(), "files over 900 lines: {long:?}");
    let vague: Vec<_> = tree().into_iter().map(|(p, _)| p).filter(|p| p.contains("util") || p.contains("helper")).collect();
    assert!(vague.is_empty(), "files named after nothing: {vague:?}");
}
