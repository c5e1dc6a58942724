//! MongoDB without a network: what a server holds, what it answers to commands, and the `mongo` shell.
//!
//! The simulator's servers and those of the testbed share it, so both answer in the same words.

mod data;
mod eval;
mod methods;
mod query;
mod server;
mod shell;
mod show;
mod syntax;

pub use data::{AUTHENTICATION_FAILED, Action, Collection, Database, INITIALISED, Role, User};
pub use server::{Connection, Keep, Server};
pub use shell::{Options, Script, Trouble, converse, scripts};
