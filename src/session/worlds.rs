//! Where episodes take place: the one place above the `Cluster` trait that knows which worlds there are.

use super::options::Options;
use crate::app::{App, Catalog};
use crate::cluster::sim::baseline;
use crate::cluster::sim::cluster::SimCluster;
use crate::cluster::{ApiError, Cluster};
use std::sync::Arc;

/// A simulated cluster with a settled, healthy application on it, under the names of `seed`.
///
/// # Errors
/// Why the baseline could not be built.
pub fn simulated(catalog: &Arc<Catalog>, app: &Arc<App>, options: &Options, seed: u64) -> Result<Box<dyn Cluster>, ApiError> {
    let settled = baseline::baseline(catalog, app, options.strict)?;
    Ok(Box::new(SimCluster::new(baseline::fork(&settled, app, seed)?)))
}
