//! Integration tests: one binary, one module a subject.

#![allow(clippy::too_many_lines, reason = "tests are tables of cases")]

mod agent_texts;
mod answers;
mod api_admission;
mod api_apply;
mod api_policy;
mod api_server;
mod attack_matrix;
mod attacks;
mod below;
mod client_pods;
mod cluster_fixture;
#[cfg(feature = "bash")]
#[path = "../conformance/mod.rs"]
mod conformance;
#[cfg(feature = "bash")]
mod conformance_backend;
mod controllers;
mod determinism;
mod environment;
mod episodes;
mod exec;
#[cfg(feature = "bash")]
mod exec_scripts;
mod exhaustion;
mod failing;
mod fidelity;
mod flow;
mod flow_reference;
mod hotel;
mod hotel_faults;
mod hotel_fixture;
mod hotel_load;
mod hotel_probes;
mod hotel_shapes;
mod hotel_traces;
mod intervals;
mod kubectl_acting;
mod kubectl_objects;
mod kubectl_reading;
mod kubelet;
mod metrics;
mod mitigation;
mod network;
#[cfg(feature = "testbed")]
mod outpost;
mod overload;
mod pods;
mod problems;
mod ready;
mod recorded;
mod recorded_objects;
mod resource_metrics;
mod rollout;
mod scheduling;
mod shop;
mod signatures;
mod social;
#[cfg(feature = "testbed")]
mod testbed;
#[cfg(feature = "testbed")]
mod testbed_calls;
#[cfg(feature = "testbed")]
mod testbed_fixture;
#[cfg(feature = "testbed")]
mod testbed_images;
#[cfg(feature = "testbed")]
mod testbed_stores;
mod tidy;
mod traces_tool;
