//! Programs that look at a network from a machine or a container: `curl`, `wget`, `getent`, `dig`, `nslookup`, `host`, `ping`, `nc`.
//!
//! They know no cluster, only a [`Net`]: the operator's workstation and the containers of a simulated cluster each have one.
//! Options that are not known are refused.

mod curl;
mod names;
mod options;
mod transfer;
mod url;
mod wget;

pub use curl::curl;
pub use names::{dig, getent, host, nc, nslookup, ping};
pub use wget::wget;

use super::{ConnectError, HttpReply, HttpRequest};
use crate::shell::{Request, Vfs};
use crate::time::SimTime;
use arcstr::ArcStr;

/// The network as one machine sees it, and its clock.
pub trait Net {
    /// The present instant.
    fn now(&self) -> SimTime;
    /// Lets time pass.
    fn wait(&mut self, until: SimTime);
    /// Makes an HTTP request.
    ///
    /// # Errors
    /// When no answer comes, and why.
    fn http(&mut self, request: &HttpRequest) -> Result<HttpReply, ConnectError>;
    /// The addresses of a host name.
    ///
    /// # Errors
    /// When the name does not resolve.
    fn resolve(&mut self, host: &str) -> Result<Vec<ArcStr>, ConnectError>;
    /// The full name under which a host name resolves; the name itself where there is no search path.
    fn full_name(&self, host: &str) -> String {
        host.to_owned()
    }
}

/// What a network program works with.
pub struct Client<'a> {
    /// The network.
    pub net: &'a mut dyn Net,
    /// What was asked for.
    pub request: &'a Request,
    /// Files it may read and write.
    pub files: &'a mut Vfs,
}
