//! Whole episodes through the session.

use aiopslab::problem::Registry;
use aiopslab::session::{Options, Session, Step};
use aiopslab::trajectory::Action;

fn session(id: &str) -> Session {
    let registry = Registry::embedded();
    let problem = registry.problem(id).expect("known");
    Session::new(registry, problem, Options::default())
}

fn play(session: &mut Session, action: &str) -> Step {
    session.step(Action::Text(action.to_owned())).expect("in progress")
}

#[test]
fn the_oracle_solves_each_problem() {
    let registry = Registry::embedded();
    for problem in registry.list(None, None, None).expect("all") {
        let mut session = session(&problem.id);
        session.reset(0).unwrap_or_else(|error| panic!("{}: {error}", problem.id));
        let mut last = None;
        for action in session.oracle_actions().expect("begun") {
            last = Some(play(&mut session, &action));
        }
        let last = last.expect("a step");
        assert_eq!(last.info.success, Some(true), "{}: {:?}\n{}", problem.id, last.info.grade, session.trajectory().expect("begun"));
    }
}
