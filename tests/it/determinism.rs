//! The same seed and actions give the same bytes: in one thread, in eight, and in another process. All problems, played by the oracle
//! after a few looks around.

use aiopslab::problem::{Problem, Registry};
use aiopslab::rng::Key;
use aiopslab::session::{Options, Session};
use aiopslab::trajectory::Action;
use std::collections::BTreeSet;
use std::sync::Arc;

const SEEDS: [u64; 2] = [11, 4_000_000_000];

const LOOKS: [&str; 8] = [
    r#"exec_shell("kubectl get pods,endpoints,pvc -n test-hotel-reservation -o wide")"#,
    r#"exec_shell("kubectl get events -n test-hotel-reservation")"#,
    r#"exec_shell("kubectl describe pods -n test-hotel-reservation")"#,
    r#"get_logs("test-hotel-reservation", "frontend")"#,
    r#"exec_shell("kubectl logs deployment/geo -n test-hotel-reservation --tail=100")"#,
    r#"get_metrics("test-hotel-reservation", 5)"#,
    r#"get_traces("test-hotel-reservation", 2)"#,
    r#"exec_shell("curl -s -o /dev/null -w %{http_code} http://frontend.test-hotel-reservation:5000/hotels?inDate=2015-04-09&outDate=2015-04-10&lat=38&lon=-122")"#,
];

/// Digests of an episode: its recording, and the state that it ends in.
type Digest = (String, u64, u64, u128);

fn played(problem: &Arc<Problem>, seed: u64) -> Digest {
    let options = Options { ready_episodes: 0, ..Options::default() };
    let mut session = Session::new(Registry::embedded(), problem.clone(), options);
    session.reset(seed).unwrap_or_else(|error| panic!("{} {seed}: {error}", problem.id));
    let last = session.oracle_actions().expect("begun");
    for action in LOOKS.iter().map(|action| (*action).to_owned()).chain(last) {
        session.step(Action::Text(action)).expect("in progress");
    }
    let recording = session.trajectory().expect("begun");
    assert!(recording.contains("\"state_hash\""), "{} {seed} is over", problem.id);
    (problem.id.to_string(), seed, Key::new(0).part(&recording).value(), session.state_hash())
}

fn episodes() -> Vec<(Arc<Problem>, u64)> {
    let problems = Registry::embedded().list(None, None, None).expect("all");
    problems.into_iter().flat_map(|problem| SEEDS.map(|seed| (problem.clone(), seed))).collect()
}

fn line((id, seed, recording, state): &Digest) -> String {
    format!("episode {id} {seed} {recording:016x} {state:032x}")
}

/// What another process runs; prints the digests.
#[test]
#[ignore = "run by the_same_bytes_in_one_thread_in_eight_and_in_another_process"]
fn digests() {
    for (problem, seed) in episodes().iter().rev() {
        println!("{}", line(&played(problem, *seed)));
    }
}

fn in_another_process() -> BTreeSet<String> {
    let program = std::env::current_exe().expect("a program");
    let output = std::process::Command::new(program)
        .args(["--exact", "determinism::digests", "--ignored", "--nocapture", "--test-threads=1"])
        .output()
        .expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter_map(|line| Some(format!("episode {}", line.split_once("episode ")?.1))).collect()
}

#[test]
#[allow(clippy::disallowed_methods, reason = "trainers have threads of their own")]
fn the_same_bytes_in_one_thread_in_eight_and_in_another_process() {
    let all = episodes();
    let alone: Vec<String> = all.iter().map(|(problem, seed)| line(&played(problem, *seed))).collect();
    let chunks: Vec<Vec<_>> = (0..8).map(|at| all.iter().skip(at).step_by(8).cloned().collect()).collect();
    let threads: Vec<_> = chunks
        .into_iter()
        .map(|chunk| std::thread::spawn(move || chunk.iter().map(|(problem, seed)| line(&played(problem, *seed))).collect::<Vec<_>>()))
        .collect();
    let mut together: Vec<String> = threads.into_iter().flat_map(|thread| thread.join().expect("plays")).collect();
    together.sort();
    let mut sorted = alone.clone();
    sorted.sort();
    assert_eq!(together, sorted, "eight threads");
    assert_eq!(in_another_process().into_iter().collect::<Vec<_>>(), sorted, "another process");
    let distinct: BTreeSet<&String> = alone.iter().collect();
    assert_eq!(distinct.len(), all.len());
}
