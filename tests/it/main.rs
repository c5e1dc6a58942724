//! Integration tests: one binary, one module a subject.

mod api_policy;
mod api_server;
mod kubectl_objects;
mod cluster_fixture;
mod kubelet;
mod network;
mod recorded;
mod tidy;
