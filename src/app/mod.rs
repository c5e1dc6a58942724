//! An application as data: images, programs, endpoints, call trees, stores, log templates.
//!
//! Data is written as TOML under `envs/apps/` (`written`), checked and resolved once (`resolve`), and then cannot be wrong.
//! [`Catalog`] is what a cluster knows: every image that can be pulled and every application that can be deployed.
//! [`Catalog::instance`] says what an image with a command, environment and files does: a wrong binary or a bad image tag
//! falls out of that, not out of a special case.

mod answer;
mod catalog;
mod clients;
pub mod consul;
pub mod consul_cli;
pub mod digest;
mod embedded;
mod endpoint;
mod error;
mod image;
pub mod mongo;
mod program;
mod resolve;
pub mod rules;
mod startup;
mod template;
mod written;

pub use answer::{Body, Condition, Documents, Join, Keep, Selection};
pub use catalog::{App, Catalog, Entry, Instance, StartError, Store};
pub use clients::{Clients, Unconnected};
pub use embedded::FILES;
pub use endpoint::{Draw, Endpoint};
pub use error::{DataError, edits, nearest};
pub use image::{Executable, Image, Pull, Reference, Shell};
pub use program::{
    Access, Behaviour, Call, Callee, Check, Cpu, Credentials, Dial, Failure, FilePath, Follow, Handler, Listen, Memory, Miss, Need,
    OnError, OnTerm, Operation, Port, Program, Protocol, Query, Register, Repeat, Reply, Resolve, Rule, Seed, Setting, Source, Span, Start,
    Step, StoreCall, Then,
};
pub use resolve::{DataFile, catalog as read_catalog};
pub use startup::{Effect, Outcome, Startup};
pub use template::{LogFormat, LogLine, Template};
