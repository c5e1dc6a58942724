//! Ready episodes: a reset that finds one gives exactly the bytes of a reset that does not, and nothing else is taken for it.

use aiopslab::problem::Registry;
use aiopslab::session::{Options, Session};
use aiopslab::trajectory::Action;
use std::sync::Arc;

const PROBLEM: &str = "misconfig_app_hotel_res-mitigation-1";

const ACTIONS: [&str; 4] = [
    r#"exec_shell("kubectl get pods,endpoints,events -n test-hotel-reservation -o wide")"#,
    r#"exec_shell("kubectl logs deployment/geo -n test-hotel-reservation --tail 20")"#,
    r#"exec_shell("kubectl delete pod -n test-hotel-reservation -l io.kompose.service=search; kubectl exec -n test-hotel-reservation deploy/rate -- env")"#,
    "submit()",
];

fn session(ready_episodes: u32) -> Session {
    let registry = Registry::embedded();
    let problem = registry.problem(PROBLEM).expect("known");
    Session::new(registry, problem, Options { ready_episodes, ..Options::default() })
}

/// Everything that an episode shows: first observation, recording, state.
fn play(session: &mut Session, seed: u64) -> (String, String, u128) {
    let (first, _) = session.reset(seed).expect("begins");
    for action in ACTIONS {
        session.step(Action::Text(action.to_owned())).expect("in progress");
    }
    (first, session.trajectory().expect("begun"), session.state_hash())
}

#[test]
#[allow(clippy::disallowed_methods, reason = "trainers have threads of their own")]
fn a_ready_episode_is_the_one_that_a_reset_comes_to() {
    let fresh = play(&mut session(0), 4711);
    assert_eq!(play(&mut session(8), 4711), fresh, "the one that is kept");
    let mut kept = session(8);
    for _ in 0..2 {
        assert_eq!(play(&mut kept, 4711), fresh, "a copy, whatever was done to others");
    }
    let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(|| play(&mut session(8), 4711))).collect();
    for thread in threads {
        assert_eq!(thread.join().expect("plays"), fresh, "in another thread");
    }
    assert_ne!(play(&mut kept, 4712).1, fresh.1, "another seed");
}

#[test]
fn options_and_files_tell_ready_episodes_apart() {
    let hash = |options: &Options| {
        let registry = Registry::embedded();
        let problem = registry.problem(PROBLEM).expect("known");
        let mut session = Session::new(registry, problem, options.clone());
        session.reset(5).expect("begins");
        (session.state_hash(), session.trajectory().expect("begun"))
    };
    let plain = hash(&Options::default());
    for options in [Options { strict: true, ..Options::default() }, Options { max_steps: 7, ..Options::default() }] {
        assert_ne!(hash(&options).1, plain.1, "{options:?}");
        assert_eq!(hash(&options), hash(&Options { ready_episodes: 0, ..options }));
    }
    // The same id in a file of other bytes.
    let registry = Registry::embedded();
    let known = registry.problem(PROBLEM).expect("known");
    let (file, text) = &*known.source;
    let changed = format!("{text}\n# another file\n");
    let other = registry.problem_of(file, &changed, PROBLEM).expect("reads");
    let mut session = Session::new(Arc::clone(&registry), other, Options::default());
    session.reset(5).expect("begins");
    assert_ne!(session.trajectory().expect("begun"), plain.1, "the digest in the header is that of the file");
}
