//! What kubectl says without changing much: transcripts of kubectl 1.34.4 against a real cluster, byte for byte.
//!
//! `$ COMMAND`, its output, `[no newline]` where the output does not end with one, `2| ` before lines of standard error and
//! `[exit N]` after a failure.

use crate::recorded::words;
use aiopslab::app::Catalog;
use aiopslab::cluster::sim::api::bootstrap;
use aiopslab::cluster::sim::cluster::SimCluster;
use aiopslab::cluster::sim::world::World;
use aiopslab::cluster::{Cluster, Identity};
use aiopslab::time::SimTime;
use aiopslab::tool::kubectl::{self, Context, Files};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

#[derive(Default)]
struct Memory(BTreeMap<String, Vec<u8>>);

impl Files for Memory {
    fn read(&mut self, path: &str) -> Option<Vec<u8>> {
        self.0.get(path).cloned()
    }
    fn list(&mut self, _: &str) -> Option<Vec<String>> {
        None
    }
    fn write(&mut self, path: &str, content: &[u8]) -> Result<(), String> {
        self.0.insert(path.to_owned(), content.to_vec());
        Ok(())
    }
}

const PATH: &str = "/root/.kube/config";
const KUBECONFIG: &str = "apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: YQ==
    server: https://172.18.0.1:6443
  name: kubernetes
contexts:
- context:
    cluster: kubernetes
    user: kubernetes-admin
  name: kubernetes-admin@kubernetes
current-context: kubernetes-admin@kubernetes
kind: Config
users:
- name: kubernetes-admin
  user:
    client-certificate-data: YQ==
    client-key-data: YQ==
";

fn run(cluster: &mut dyn Cluster, files: &mut Memory, line: &str) -> String {
    let words = words(line);
    let deadline = cluster.now() + Duration::from_secs(30);
    let mut cx = Context { cluster, who: &Identity::operator(), namespace: "default", kubeconfig: PATH, files, stdin: b"", deadline };
    let output = kubectl::run(&mut cx, &words[1..]);
    let mut text = format!("$ {line}\n{}", output.stdout);
    if !text.ends_with('\n') {
        text.push_str("\n[no newline]\n");
    }
    for line in output.stderr.split_inclusive('\n') {
        text.push_str(&format!("2| {line}"));
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    if output.exit_code != 0 {
        text.push_str(&format!("[exit {}]\n", output.exit_code));
    }
    text
}

/// The commands of a transcript with their output.
fn blocks(transcript: &str) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    for line in transcript.lines() {
        if line.starts_with("$ ") {
            blocks.push(String::new());
        }
        if let Some(block) = blocks.last_mut() {
            block.push_str(line);
            block.push('\n');
        }
    }
    blocks
}

fn check(transcript: &str) {
    let mut world = World::new(SimTime::from_secs(1_767_225_600), 7, Arc::new(Catalog::default()));
    bootstrap::bootstrap(&mut world).expect("seeds are valid");
    let mut cluster = SimCluster::new(world);
    let mut files = Memory::default();
    files.0.insert(PATH.to_owned(), KUBECONFIG.as_bytes().to_vec());
    let mut wrong = Vec::new();
    let blocks = blocks(transcript);
    for want in &blocks {
        let line = want.lines().next().and_then(|line| line.strip_prefix("$ ")).expect("a command");
        let got = run(&mut cluster, &mut files, line);
        if got != *want {
            wrong.push(format!("--- kubectl\n{want}--- ours\n{got}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ\n{}", wrong.len(), blocks.len(), wrong.join("\n"));
}

#[test]
fn mistakes_are_answered_like_kubectl() {
    check(include_str!("kubectl_reading/mistakes.txt"));
}

#[test]
fn kubeconfigs_are_read_and_changed_like_kubectl() {
    check(include_str!("kubectl_reading/config.txt"));
}

#[test]
fn discovery_prints_like_kubectl() {
    check(include_str!("kubectl_reading/discovery.txt"));
}

#[test]
fn rights_are_told_like_kubectl() {
    check(include_str!("kubectl_reading/auth.txt"));
}

#[test]
fn kinds_are_explained_like_kubectl() {
    check(include_str!("kubectl_reading/explain.txt"));
}
