//! An application as data: images, programs, endpoints, call trees, stores, log templates.

/// Images and apps that are known to a cluster.
#[derive(Debug, Default)]
pub struct Catalog {}
