//! Flow: traffic without requests. The load on an application is solved, not replayed.
//!
//! A [`Net`] is what a compiled graph of calls asks of processes and nodes. [`Load`] is how that goes at one instant: rates, utilisations,
//! times. A [`System`] moves from one settled state to the next.

pub mod compile;
pub mod net;
pub mod pool;
pub mod pressure;
pub mod sharing;
pub mod solve;
pub mod transient;

pub use compile::{Compiled, compile};
pub use net::{Call, Entry, Moments, Net, Operation, Part, Station};
pub use pool::PoolLoad;
pub use pressure::Pressure;
pub use solve::{Going, Load, OperationLoad, State, StationLoad};
pub use transient::{Phase, System, following};
