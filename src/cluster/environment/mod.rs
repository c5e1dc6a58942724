//! An application's place on a cluster that others use too: names, rights, lease, journal, baseline, and the way back to it.
//!
//! Functions over [`Cluster`](super::Cluster), written once and tested on the simulated cluster. Two namespaces belong to an environment: the
//! application's, and one of our own beside it, which the agent can look at but whose Secrets (record, journal, keys) it cannot read.
//! Everything carries [`LABEL`]; nothing without it is ever changed.

mod config;
mod deploy;
mod difference;
mod emptying;
mod journal;
mod lease;
mod notes;
mod place;
mod restore;
mod rights;
mod stores;
mod volumes;

pub use config::{LiveConfig, OnClose, ShellKind};
pub use deploy::{apply, ensure_namespaces, ensure_nodes_namespace, ensure_own_namespace, raise, wait_available};
pub use difference::{Difference, differences, digest_of, survey};
pub use journal::{Entry, Journal, Journaled};
pub use lease::{Held, Holder, acquire, holder_of, release, renew};
pub use notes::{Notes, Origin, Phase, Record, recipe, take_record};
pub use place::{Place, placed};
pub use restore::{Restored, remove, restore};
pub use rights::{AGENT, needed};
pub use stores::fingerprints;

/// The label on everything that belongs to an environment; its value is the application's namespace.
pub const LABEL: &str = "aiopslab.dev/environment";

/// Why an environment cannot be had.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EnvironmentError {
    /// The API server refused or did not answer.
    #[error("{doing}: {error}")]
    Api {
        /// What was attempted.
        doing: String,
        /// Its answer.
        error: super::ApiError,
    },
    /// Rights are missing.
    #[error("the kubeconfig's user lacks rights that an environment needs: {}", rights.join(", "))]
    MissingRights {
        /// The rights, as `verb resource in namespace`.
        rights: Vec<String>,
    },
    /// Somebody else has it.
    #[error("namespace {namespace} is in use by {holder} (its lease was renewed {age_s} s ago); use another suffix or wait until it ends")]
    Held {
        /// The application's namespace.
        namespace: String,
        /// Who holds the lease.
        holder: String,
        /// Seconds since it was renewed.
        age_s: u64,
    },
    /// It exists and is not ours.
    #[error(
        "{what} exists and does not carry the label {LABEL}={namespace}, so it is not touched; use another suffix or remove it yourself"
    )]
    Foreign {
        /// The object.
        what: String,
        /// The label's value.
        namespace: String,
    },
    /// The application did not become ready.
    #[error("the application in namespace {namespace} is not ready after {seconds} s: {why}")]
    NotReady {
        /// Namespace.
        namespace: String,
        /// The bound.
        seconds: u64,
        /// What is missing.
        why: String,
    },
}

impl EnvironmentError {
    /// What was attempted, on an answer of the API server.
    pub fn api(doing: impl Into<String>) -> impl FnOnce(super::ApiError) -> EnvironmentError {
        let doing = doing.into();
        move |error| EnvironmentError::Api { doing, error }
    }
}
