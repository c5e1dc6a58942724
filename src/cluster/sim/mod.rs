//! The simulated cluster: a deterministic Kubernetes in virtual time, with the application on it, in this process.
//!
//! `world` owns the state and the clock; everything else is functions over it. Reads go through `api`, which never
//! changes the world; writes go through `api` too (admission, defaults, validation) and end in `store`, whose changes
//! wake controllers, scheduler, kubelets and the network through one event queue.

pub mod world;

pub mod api;
pub mod baseline;
pub mod cluster;
pub mod controllers;
pub mod derive;
pub mod digest;
pub mod disturb;
pub mod exec;
mod exhaustion;
pub mod flow;
pub mod graph;
pub mod history;
pub mod http;
pub mod kubelet;
pub mod lazy;
pub mod metrics;
pub mod network;
mod places;
pub mod plan;
pub mod programs;
pub mod queue;
pub mod rename;
pub mod scheduler;
pub mod store;
pub mod traces;
pub mod traffic;
pub mod walk;
