//! The cluster that the tests may use, if there is one.

use aiopslab::cluster::environment::LiveConfig;
use aiopslab::cluster::live::LiveCluster;

/// Connects; `None` (after a word about it) where there is no cluster and none is required.
pub fn cluster(test: &str) -> Option<LiveCluster> {
    let required = std::env::var("AIOPSLAB_LIVE").is_ok_and(|value| value == "required");
    if std::env::var("KUBECONFIG").is_ok_and(|path| !path.is_empty()) {
        match LiveCluster::connect(&LiveConfig::default()) {
            Ok(cluster) => return Some(cluster),
            Err(error) => assert!(!required, "{test}: {error}"),
        }
    }
    assert!(!required, "{test}: no cluster (set KUBECONFIG)");
    println!("skipped: {test}: no cluster (set KUBECONFIG)");
    None
}
