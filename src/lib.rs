//! Gymnasium environments for agents that operate Kubernetes applications.
//!
//! The core resets, steps and observes an application with an injected fault, on a deterministic simulated cluster or a
//! live one. Start reading at `session`, which is the whole episode in order. Layers only look down
//! (`tests/it/tidy.rs` holds the table); ARCHITECTURE.md explains why each is there.

pub mod rng;
pub mod time;

pub mod object;

pub mod app;
pub mod telemetry;
pub mod workload;

pub mod shell;

pub mod cluster;

pub mod fault;
pub mod tool;

pub mod reward;
pub mod task;

pub mod problem;
pub mod trajectory;

pub mod session;

#[cfg(feature = "testbed")]
pub mod testbed;

#[cfg(feature = "python")]
mod python;
