//! Tests on a real cluster: the conformance suite, and an agent that tries to leave its box.
//!
//! The cluster is `$KUBECONFIG`'s. Without one the tests say so and pass, unless `AIOPSLAB_LIVE=required`.

#![allow(clippy::too_many_lines, reason = "tests are tables of cases")]
#![allow(clippy::disallowed_methods, reason = "which cluster a test may use is said by the environment")]

mod arena;
#[path = "../conformance/mod.rs"]
mod conformance;
mod conformance_backend;
mod disturb;
mod hostile;
mod load;
mod reach;
mod second_connection;
mod telemetry;
