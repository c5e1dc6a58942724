//! The conformance suite on the simulated cluster.

use crate::conformance::differences::DIFFERENCES;
use crate::conformance::{Bench, Case};
use aiopslab::app::Catalog;
use aiopslab::cluster::sim::api::bootstrap;
use aiopslab::cluster::sim::cluster::SimCluster;
use aiopslab::cluster::sim::world::World;
use aiopslab::time::SimTime;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::OnceLock;
use std::time::Duration;

/// A cluster as it is after its start; cases work on copies.
fn bare() -> SimCluster {
    static ONCE: OnceLock<SimCluster> = OnceLock::new();
    let make = || {
        let mut world = World::new(SimTime::from_secs(1_768_471_200), 0, Catalog::embedded());
        bootstrap::bootstrap(&mut world).expect("a cluster");
        let settled = world.now + Duration::from_secs(60);
        world.run_until(settled);
        SimCluster::new(world)
    };
    ONCE.get_or_init(make).clone()
}

/// Runs a case; one that is listed as different has to fail.
pub fn run(name: &str, case: Case) {
    let mut bench = Bench::new(Box::new(bare()), "conformance", false);
    bench.prepare();
    let done = catch_unwind(AssertUnwindSafe(|| case(&mut bench)));
    bench.clear();
    let listed = DIFFERENCES.iter().find(|(known, _)| *known == name);
    match (done, listed) {
        (Ok(()), None) | (Err(_), Some(_)) => {}
        (Ok(()), Some((_, reason))) => panic!("{name} agrees with a real cluster now, but is listed as different: {reason}"),
        (Err(panic), None) => resume_unwind(panic),
    }
}
