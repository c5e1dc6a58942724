//! The conformance suite on a real cluster: each case in a namespace of its own, deleted whatever happens.

use crate::conformance::Case;
use crate::conformance::bench::{Bench, GUEST};
use crate::reach;
use aiopslab::cluster::live::AgentAccount;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Runs a case.
pub fn run(name: &str, case: Case) {
    on_bench(name, case);
}

/// Runs something on a bench in a namespace of its own.
pub fn on_bench(name: &str, case: impl FnOnce(&mut Bench)) {
    let Some(mut cluster) = reach::cluster(name) else { return };
    let short: String = name.replace("::", "-").replace('_', "-").chars().take(46).collect();
    let namespace = format!("conf-{}-{}", std::process::id() % 100_000, short.trim_end_matches('-'));
    cluster.set_agent(AgentAccount { namespace: namespace.as_str().into(), name: GUEST.into() });
    let mut bench = Bench::new(Box::new(cluster), &namespace, true);
    let done = catch_unwind(AssertUnwindSafe(|| {
        bench.prepare();
        case(&mut bench);
    }));
    let cleared = catch_unwind(AssertUnwindSafe(|| bench.clear()));
    if let Err(panic) = done.and(cleared) {
        resume_unwind(panic);
    }
}
