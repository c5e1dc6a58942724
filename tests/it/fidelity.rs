//! The transcripts of `tests/fidelity`: every scenario is played on a simulated cluster with the kubectl of this project, and every
//! command must print what the real kubectl printed on a real cluster, after masking.
//!
//! `known_differences.toml` lists the commands that do not agree yet and why. A command that differs and is not listed fails the
//! test, and so does one that is listed and agrees. For each scenario what differs is written to `fidelity/NAME.diff` in the
//! temporary folder of the build.

use crate::recorded::words;
use aiopslab::app::{Catalog, FILES, read_catalog};
use aiopslab::cluster::sim::api::bootstrap;
use aiopslab::cluster::sim::cluster::SimCluster;
use aiopslab::cluster::sim::kubelet;
use aiopslab::cluster::sim::store::{Key, Kind};
use aiopslab::cluster::sim::world::World;
use aiopslab::cluster::{Cluster, Identity};
use aiopslab::object::Json;
use aiopslab::time::SimTime;
use aiopslab::tool::kubectl::{self, Context, Files, Output};
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How many commands must agree whatever the list says.
const AGREEING_MIN: usize = 150;
/// How long a command may take, in the cluster's time.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(180);
/// What starting kubectl takes, in seconds of the cluster's time; on an agent's machine its shell lets that pass.
const START_UP_S: f64 = 0.06;
const IMAGES: [&str; 4] = ["fidelity/web:1.0", "fidelity/web:2.0", "fidelity/worker:1.0", "fidelity/tools:1.0"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fidelity")
}

fn text(path: &str) -> String {
    std::fs::read_to_string(folder().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn toml(path: &str) -> Json {
    toml::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What differs between any two runs: `masks.toml`, applied as `compare.py` does.
struct Masks {
    masks: Vec<(Option<Regex>, Regex, String)>,
    optional: Vec<(Regex, Regex)>,
    unordered: Vec<(Regex, Regex)>,
    spaces: Regex,
    dashes: Regex,
    trailing: Regex,
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"))
}

impl Masks {
    fn load() -> Masks {
        let rules = toml("masks.toml");
        let mask = |m: &Json| (m.get("command").as_str().map(regex), regex(m.get("pattern").text()), m.get("replace").text().to_owned());
        let lines = |r: &Json| (regex(r.get("command").text()), regex(r.get("lines").text()));
        Masks {
            masks: rules.get("mask").items().iter().map(mask).collect(),
            optional: rules.get("optional").items().iter().map(lines).collect(),
            unordered: rules.get("unordered").items().iter().map(lines).collect(),
            spaces: regex(" {3,}"),
            dashes: regex("-{3,}"),
            trailing: regex("(?m) +$"),
        }
    }

    fn masked(&self, command: &str, text: &str) -> String {
        let applies = |on: &Option<Regex>| on.as_ref().is_none_or(|on| on.is_match(command));
        let mut text = text.to_owned();
        for (_, pattern, replacement) in self.masks.iter().filter(|(on, ..)| applies(on)) {
            text = pattern.replace_all(&text, replacement.as_str()).into_owned();
        }
        let text = self.spaces.replace_all(&text, "   ");
        let text = self.dashes.replace_all(&text, "---");
        self.trailing.replace_all(&text, "").into_owned()
    }

    /// The text of one stream as it is compared.
    fn comparable(&self, command: &str, text: &str) -> String {
        let masked = self.masked(command, text);
        let mut lines: Vec<&str> = masked.split('\n').collect();
        for (_, optional) in self.optional.iter().filter(|(on, _)| on.is_match(command)) {
            lines.retain(|line| !optional.is_match(line));
        }
        for (_, unordered) in self.unordered.iter().filter(|(on, _)| on.is_match(command)) {
            let loose: BTreeSet<&str> = lines.iter().copied().filter(|line| unordered.is_match(line)).collect();
            lines.retain(|line| !unordered.is_match(line));
            lines = loose.into_iter().chain(lines).collect();
        }
        lines.join("\n")
    }
}

/// The folder in which a scenario's commands run.
#[derive(Default)]
struct Folder(BTreeMap<String, Vec<u8>>);

fn plain(path: &str) -> String {
    path.split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/")
}

impl Files for Folder {
    fn read(&mut self, path: &str) -> Option<Vec<u8>> {
        self.0.get(&plain(path)).cloned()
    }
    fn list(&mut self, path: &str) -> Option<Vec<String>> {
        let folder = plain(path);
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let inside = |name: &&String| name.strip_prefix(&prefix).is_some_and(|rest| !rest.contains('/'));
        let found: Vec<String> =
            self.0.keys().filter(inside).map(|name| format!("{}/{}", path.trim_end_matches('/'), &name[prefix.len()..])).collect();
        (!found.is_empty()).then_some(found)
    }
    fn write(&mut self, path: &str, content: &[u8]) -> Result<(), String> {
        self.0.insert(plain(path), content.to_vec());
        Ok(())
    }
}

/// A simulated cluster, and a clean place to type kubectl commands from.
struct Machine {
    cluster: SimCluster,
    files: Folder,
    variables: BTreeMap<String, String>,
    notes: Vec<String>,
}

/// The images of the recording app.
fn catalog() -> Arc<Catalog> {
    let app = text("app/app.toml");
    let bases = FILES.iter().find(|(path, _)| *path == "images/bases.toml").expect("embedded");
    Arc::new(read_catalog(&[*bases, ("images/recording-app.toml", &app)]).unwrap_or_else(|error| panic!("{error}")))
}

impl Machine {
    fn new(catalog: &Arc<Catalog>, scenario: &Json) -> Machine {
        let mut world = World::new(SimTime::from_secs(1_767_225_600), 7, catalog.clone());
        bootstrap::bootstrap(&mut world).expect("seeds are valid");
        // The agent's account is not part of a recorded cluster.
        let (namespace, account) = bootstrap::AGENT;
        let strangers = [
            (Kind::CLUSTER_ROLE_BINDING, "", account.to_owned()),
            (Kind::CLUSTER_ROLE_BINDING, "", format!("{account}-view")),
            (Kind::CLUSTER_ROLE, "", account.to_owned()),
            (Kind::NAMESPACE, "", namespace.to_owned()),
        ];
        for (kind, namespace, name) in strangers {
            world.delete(&Identity::operator(), &Key::new(kind, namespace, name), None, None).expect("there");
        }
        let settled = world.now + Duration::from_secs(3600);
        world.run_until(settled);
        for number in 1..=bootstrap::NODES {
            for image in IMAGES {
                kubelet::preload(&mut world, &format!("node-{number}"), image);
            }
        }
        let mut files = Folder::default();
        for entry in std::fs::read_dir(folder().join("app/manifests")).expect("a folder") {
            let path = entry.expect("readable").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            files.0.insert(format!("app/{name}"), std::fs::read(&path).expect("readable"));
        }
        for (name, content) in scenario.get("files").entries() {
            files.0.insert(name.to_string(), content.text().as_bytes().to_vec());
        }
        let mut machine = Machine { cluster: SimCluster::new(world), files, variables: BTreeMap::new(), notes: Vec::new() };
        for name in scenario.get("namespaces").items() {
            machine.quiet(&format!("kubectl create namespace {}", name.text()), b"");
            machine.pass(2.0);
        }
        machine
    }

    fn pass(&mut self, seconds: f64) {
        let until = self.cluster.now() + Duration::from_secs_f64(seconds);
        self.cluster.world.run_until(until);
    }

    fn expand(&self, template: &str) -> String {
        self.variables.iter().fold(template.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value))
    }

    fn run(&mut self, template: &str, stdin: &[u8]) -> Output {
        let argv = words(&self.expand(template));
        self.pass(START_UP_S);
        let deadline = self.cluster.now() + COMMAND_TIMEOUT;
        let who = Identity::operator();
        let mut cx = Context {
            cluster: &mut self.cluster,
            who: &who,
            namespace: "default",
            kubeconfig: "/root/.kube/config",
            files: &mut self.files,
            stdin,
            deadline,
        };
        kubectl::run(&mut cx, argv.get(1..).unwrap_or_default())
    }

    /// The standard output of a command that should succeed.
    fn quiet(&mut self, command: &str, stdin: &[u8]) -> String {
        let output = self.run(command, stdin);
        if output.exit_code != 0 {
            self.notes.push(format!("`{command}` failed: {}", output.stderr.trim()));
        }
        output.stdout
    }

    fn wait(&mut self, condition: &Json) {
        let seconds = |json: &Json| json.as_f64().or_else(|| json.as_i64().map(|s| s as f64));
        if let Some(length) = seconds(condition.get("seconds")) {
            return self.pass(length);
        }
        let (command, matches) = (condition.get("until").text(), regex(condition.get("matches").text()));
        let end = self.cluster.now() + Duration::from_secs_f64(seconds(condition.get("timeout_s")).unwrap_or(60.0));
        loop {
            let output = self.run(command, b"");
            let all = output.stdout + &output.stderr;
            if matches.is_match(&all) {
                return;
            }
            if self.cluster.now() > end {
                return self.notes.push(format!("`{command}` never matched {matches}: {all}"));
            }
            self.pass(0.3);
        }
    }
}

/// One command and how it went.
struct Played {
    /// `SCENARIO: COMMAND`, with the number of its occurrence from the second on.
    name: String,
    /// What differs; `None` when it agrees.
    difference: Option<String>,
}

fn difference(masks: &Masks, entry: &Json, command: &str, ours: &Output) -> Option<String> {
    let mut out = String::new();
    for (stream, printed) in [("stdout", &ours.stdout), ("stderr", &ours.stderr)] {
        let real = masks.comparable(entry.get("command").text(), entry.get(stream).text());
        let ours = masks.comparable(command, printed);
        if real != ours {
            let (real, ours): (Vec<&str>, Vec<&str>) = (real.lines().collect(), ours.lines().collect());
            out.push_str(&format!("  {stream}\n"));
            out.extend(real.iter().filter(|l| !ours.contains(l)).map(|l| format!("    - {l}\n")));
            out.extend(ours.iter().filter(|l| !real.contains(l)).map(|l| format!("    + {l}\n")));
        }
    }
    let code = entry.get("exit_code").as_i64().unwrap_or(0);
    if code != i64::from(ours.exit_code) {
        out.push_str(&format!("  exit code {code} and {}\n", ours.exit_code));
    }
    (!out.is_empty()).then_some(out)
}

/// Plays a scenario.
fn play(masks: &Masks, catalog: &Arc<Catalog>, scenario: &str) -> Vec<Played> {
    let data = toml(&format!("scenarios/{scenario}.toml"));
    let recording = Json::parse(&text(&format!("recordings/{scenario}.json"))).expect("a recording is JSON");
    let mut entries = recording.items().iter();
    let mut machine = Machine::new(catalog, &data);
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut played = Vec::new();
    for step in data.get("step").items() {
        let stdin = step.get("stdin").text().as_bytes().to_vec();
        if let Some(template) = step.get("run").as_str() {
            let command = machine.expand(template);
            let output = machine.run(&command, &stdin);
            let times = seen.entry(template.to_owned()).or_default();
            *times += 1;
            let suffix = if *times > 1 { format!(" ({times})") } else { String::new() };
            let entry = entries.next().expect("one entry for each command");
            let difference = difference(masks, entry, &command, &output);
            played.push(Played { name: format!("{scenario}: {template}{suffix}"), difference });
        } else if let Some(command) = step.get("quiet").as_str() {
            machine.quiet(command, &stdin);
        } else if !step.get("wait").is_null() {
            machine.wait(step.get("wait"));
        }
        for (name, command) in step.get("let").entries() {
            let value = machine.quiet(command.text(), b"").trim().to_owned();
            machine.variables.insert(name.to_string(), value);
        }
    }
    report(scenario, &machine.notes, &played);
    played
}

/// Writes what differs where somebody who wants to know finds it.
fn report(scenario: &str, notes: &[String], played: &[Played]) {
    let into = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fidelity");
    let mut out: String = notes.iter().map(|note| format!("! {note}\n")).collect();
    for Played { name, difference } in played {
        out.extend(difference.iter().map(|text| format!("$ {name}\n{text}")));
    }
    std::fs::create_dir_all(&into).and_then(|()| std::fs::write(into.join(format!("{scenario}.diff")), out)).expect("written");
}

/// Plays every scenario, two at a time.
fn play_all() -> Vec<Played> {
    let mut scenarios: Vec<String> = std::fs::read_dir(folder().join("scenarios"))
        .expect("a folder")
        .map(|e| e.expect("readable").path().file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    scenarios.sort();
    let (masks, catalog, next, all) = (Masks::load(), catalog(), AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let played = play(&masks, &catalog, scenario);
                    all.lock().expect("whole").insert(scenario.clone(), played);
                }
            });
        }
    });
    all.into_inner().expect("whole").into_values().flatten().collect()
}

#[test]
fn transcripts_agree_with_a_real_cluster() {
    let played = play_all();
    let listed = toml("known_differences.toml");
    let known: BTreeSet<String> =
        listed.get("group").items().iter().flat_map(|g| g.get("commands").items()).map(|c| c.text().to_owned()).collect();
    let agreeing = played.iter().filter(|p| p.difference.is_none()).count();
    println!("{agreeing} of {} commands agree", played.len());
    let new: Vec<&Played> = played.iter().filter(|p| p.difference.is_some() && !known.contains(&p.name)).collect();
    let lines: Vec<String> = new.iter().map(|p| format!("{}\n{}", p.name, p.difference.as_deref().unwrap_or(""))).collect();
    let mended: Vec<&str> = played.iter().filter(|p| p.difference.is_none() && known.contains(&p.name)).map(|p| p.name.as_str()).collect();
    let names: BTreeSet<&str> = played.iter().map(|p| p.name.as_str()).collect();
    let gone: Vec<&String> = known.iter().filter(|name| !names.contains(name.as_str())).collect();
    assert!(lines.is_empty(), "{} commands differ and are not listed:\n{}", lines.len(), lines.join("\n"));
    assert!(mended.is_empty(), "listed, but they agree; take them off the list:\n{}", mended.join("\n"));
    assert!(gone.is_empty(), "listed, but no scenario has them: {gone:?}");
    assert!(agreeing >= AGREEING_MIN, "only {agreeing} of {} commands agree", played.len());
}
