//! Integration tests: one binary, one module a subject.

mod network;
mod tidy;
