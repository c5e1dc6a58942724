//! The testbed: plays the programs of an application's containers on a real cluster, from the same data as the simulator.
//!
//! [`play`] is one container's process: [`crate::app::Catalog::instance`] says what it is, [`crate::app::Startup`] what it does
//! until it serves, `start` does that over real sockets, and `serve` answers with the steps of its operations. Texts of lines and
//! errors, time-outs and the rules of clients are those of [`crate::app::rules`], which the simulator uses too.
//!
//! Not played: memory that grows under load, TLS, what stores speak to clients of their own (MongoDB,
//! Postgres), gRPC to anyone but other testbeds.

pub mod alone;
mod balancer;
mod consul;
pub mod disturb;
mod guarded;
mod http;
mod jaeger;
mod layer;
mod line;
mod memcached;
mod metrics;
mod mongod;
mod names;
mod otlp;
pub mod outpost;
pub mod pack;
pub mod place;
mod ports;
mod real_net;
mod redis;
mod role;
mod serve;
mod spans;
mod start;
mod stores;
mod thrift;
pub mod tools;

pub use names::Names;
pub use place::{Output, Place};
pub use ports::METRICS;
pub use role::play;
