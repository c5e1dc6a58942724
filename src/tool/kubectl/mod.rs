//! `kubectl`, over `Cluster::api` only, so that it serves simulated and real clusters alike.
//!
//! Output is what kubectl 1.34 prints for the same objects, byte for byte, errors included. Read `command.rs` (a verb as data, and how
//! a command line finds it), `builder.rs` (from arguments to objects), then a verb: one file each, listed in [`ROOT`].

pub mod apply;
pub mod auth;
pub mod autoscale;
pub mod builder;
pub mod cluster_info;
pub mod command;
pub mod config;
pub mod cp;
pub mod create;
pub mod delete;
pub mod describe;
pub mod diff;
pub mod discovery;
pub mod drain;
pub mod events;
pub mod exec;
pub mod explain;
pub mod expose;
pub mod failure;
pub mod flags;
pub mod get;
pub mod globals;
pub mod interactive;
pub mod kubeconfig;
pub mod label;
pub mod logs;
pub mod manifest;
pub mod mutation;
pub mod output;
pub mod overrides;
pub mod pairs;
pub mod patch;
pub mod pods;
pub mod printing;
pub mod raw;
pub mod replace;
pub mod resources;
pub mod rollout;
pub mod run_pod;
pub mod scale;
pub mod set;
pub mod table;
pub mod taint;
pub mod tar;
pub mod top;
pub mod unified_diff;
pub mod version;
pub mod wait;

use command::Root;

use crate::cluster::{Cluster, Identity};
use crate::time::SimTime;

/// Files that a command may read and write: the virtual file system of the shell it runs in.
pub trait Files {
    /// The content of a file; `None` when there is none.
    fn read(&mut self, path: &str) -> Option<Vec<u8>>;
    /// The paths of the files directly in a folder, sorted; `None` when it is no folder.
    fn list(&mut self, path: &str) -> Option<Vec<String>>;
    /// Writes a file.
    ///
    /// # Errors
    /// A reason, as the shell words it (`No such file or directory`).
    fn write(&mut self, path: &str, content: &[u8]) -> Result<(), String>;
}

/// What a command works with.
pub struct Context<'a> {
    /// The cluster.
    pub cluster: &'a mut dyn Cluster,
    /// In whose name.
    pub who: &'a Identity,
    /// Namespace of the current context where the kubeconfig says none.
    pub namespace: &'a str,
    /// Path of the kubeconfig: `$KUBECONFIG`, or `~/.kube/config`.
    pub kubeconfig: &'a str,
    /// Files it may read and write.
    pub files: &'a mut dyn Files,
    /// What it reads.
    pub stdin: &'a [u8],
    /// When the tool's time is over; a command that blocks stops waiting then.
    pub deadline: SimTime,
}

/// What a command printed and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Exit code.
    pub exit_code: i32,
}

/// Runs kubectl with the arguments after its name. What starting it costs in the cluster's time is let pass by the shell.
pub fn run(cx: &mut Context<'_>, argv: &[String]) -> Output {
    command::run(cx, &ROOT, argv)
}

/// Every verb, in the groups and the order in which kubectl lists them.
pub static ROOT: Root = Root {
    groups: &[
        ("Basic Commands (Beginner)", &[&create::COMMAND, &expose::COMMAND, &run_pod::COMMAND, &set::COMMAND]),
        ("Basic Commands (Intermediate)", &[&explain::COMMAND, &get::COMMAND, &interactive::EDIT, &delete::COMMAND]),
        ("Deploy Commands", &[&rollout::COMMAND, &scale::COMMAND, &autoscale::COMMAND]),
        (
            "Cluster Management Commands",
            &[
                &interactive::CERTIFICATE,
                &cluster_info::COMMAND,
                &top::COMMAND,
                &drain::CORDON,
                &drain::UNCORDON,
                &drain::DRAIN,
                &taint::COMMAND,
            ],
        ),
        (
            "Troubleshooting and Debugging Commands",
            &[
                &describe::COMMAND,
                &logs::COMMAND,
                &interactive::ATTACH,
                &exec::COMMAND,
                &interactive::PORT_FORWARD,
                &interactive::PROXY,
                &cp::COMMAND,
                &auth::COMMAND,
                &interactive::DEBUG,
                &events::COMMAND,
            ],
        ),
        (
            "Advanced Commands",
            &[&diff::COMMAND, &apply::COMMAND, &patch::COMMAND, &replace::COMMAND, &wait::COMMAND, &interactive::KUSTOMIZE],
        ),
        ("Settings Commands", &[&label::LABEL, &label::ANNOTATE, &interactive::COMPLETION]),
        ("Subcommands provided by plugins", &[]),
        (
            "Other Commands",
            &[&discovery::RESOURCES, &discovery::VERSIONS, &config::COMMAND, &interactive::PLUGIN, &version::COMMAND, &globals::OPTIONS],
        ),
    ],
};
