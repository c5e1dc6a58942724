//! Integration tests: one binary, one module a subject.

mod api_server;
mod network;
mod tidy;
