//! `kubectl create`: from files, and by generators of objects.

pub mod config;
pub mod policies;
pub mod services;
pub mod workloads;
