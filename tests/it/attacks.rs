//! Graders under attack, through whole episodes: what must fail fails, what must pass passes, and nothing gives the answer away.

use aiopslab::object::Json;
use aiopslab::problem::{Problem, Registry};
use aiopslab::session::{Options, Session, Step};
use aiopslab::task::Task;
use aiopslab::trajectory::Action;
use std::sync::Arc;

fn begun(id: &str, seed: u64, options: Options) -> Session {
    let registry = Registry::embedded();
    let problem = registry.problem(id).expect("known");
    let mut session = Session::new(registry, problem, options);
    session.reset(seed).unwrap_or_else(|error| panic!("{id}: {error}"));
    session
}

fn act(session: &mut Session, action: &str) -> Step {
    session.step(Action::Text(action.to_owned())).expect("in progress")
}

fn problems(of: impl Fn(&Problem) -> bool) -> Vec<Arc<Problem>> {
    let all = Registry::embedded().list(None, None, None).expect("all");
    let found: Vec<_> = all.into_iter().filter(|p| of(p)).collect();
    assert!(!found.is_empty());
    found
}

/// Plays commands, `{ns}` standing for the namespace, then submits. Returns the last step and everything that was shown.
fn repaired(id: &str, seed: u64, commands: &[&str]) -> (Step, String) {
    let mut session = begun(id, seed, Options { max_steps: 100, ..Options::default() });
    let namespace = Registry::embedded().problem(id).expect("known").app.namespace.clone();
    let mut shown = String::new();
    for command in commands {
        let command = command.replace("{ns}", &namespace);
        let arguments = aiopslab::object! { "command" => command.as_str(), "timeout" => 90 };
        let step = session.step(Action::Tool { name: "exec_shell".into(), arguments }).expect("in progress");
        assert!(step.info.valid_action);
        shown.push_str(&format!("$ {command}\n{}\n", step.observation));
    }
    (act(&mut session, "submit()"), shown)
}

#[track_caller]
fn passes(id: &str, commands: &[&str]) {
    let (step, shown) = repaired(id, 5, commands);
    assert_eq!((step.info.success, step.reward), (Some(true), 1.0), "{id}\n{shown}\n{:?}", step.info.grade);
}

#[track_caller]
fn fails(id: &str, commands: &[&str]) {
    let (step, shown) = repaired(id, 5, commands);
    assert_eq!((step.info.success, step.reward), (Some(false), 0.0), "{id}\n{shown}\n{:?}", step.info.grade);
    assert!(step.terminated && !step.truncated);
    assert!(step.info.grade.get("checks").items().iter().any(|c| !c.get("passed").is_true() && !c.get("saw").text().is_empty()));
}

#[test]
fn the_oracle_passes_with_other_seeds_too() {
    for problem in problems(|_| true) {
        for seed in [1, 2] {
            let mut session = begun(&problem.id, seed, Options::default());
            let steps: Vec<Step> = session.oracle_actions().expect("begun").iter().map(|action| act(&mut session, action)).collect();
            let last = steps.last().expect("a step");
            assert_eq!(last.info.success, Some(true), "{} {seed}: {:?}", problem.id, last.info.grade);
            assert!((steps.iter().map(|step| step.reward).sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }
}

#[test]
fn doing_nothing_fails() {
    for problem in problems(|p| p.task == Task::Mitigation) {
        for waits in [0, 1, 4] {
            fails(&problem.id, &vec!["sleep 60"; waits]);
        }
    }
}

#[test]
fn destroying_fails() {
    for problem in problems(|p| p.task == Task::Mitigation) {
        let target = problem.fault.as_ref().expect("a fault").target().to_owned();
        for commands in [
            vec!["kubectl delete deployments --all -n {ns}".to_owned()],
            vec!["kubectl scale deployments --all --replicas=0 -n {ns}".to_owned()],
            vec![format!("kubectl delete deployment {target} -n {{ns}}")],
            vec!["kubectl delete namespace {ns}".to_owned()],
        ] {
            fails(&problem.id, &commands.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
}

const MISCONFIG: &str = "misconfig_app_hotel_res-mitigation-1";
const SCALED: &str = "scale_pod_zero_hotel_res-mitigation-1";

#[test]
fn repairs_that_lose_something_fail() {
    fails(MISCONFIG, &["kubectl rollout undo deployment/geo -n {ns}", "kubectl delete service mongodb-rate -n {ns}"]);
    fails(MISCONFIG, &["kubectl rollout undo deployment/geo -n {ns}", "kubectl scale deployment profile --replicas=0 -n {ns}"]);
    fails(MISCONFIG, &["kubectl rollout undo deployment/geo -n {ns}", "kubectl delete configmap mongo-geo-script -n {ns}"]);
    fails(MISCONFIG, &["kubectl set image deployment/geo hotel-reserv-geo=yinfangchen/hotelreservation:no-such-tag -n {ns}"]);
    fails(SCALED, &["kubectl scale deployment geo --replicas=3 -n {ns}"]);
}

#[test]
fn other_right_repairs_pass() {
    let image = "yinfangchen/hotelreservation:latest";
    passes(MISCONFIG, &["kubectl rollout undo deployment/geo -n {ns}"]);
    passes(MISCONFIG, &[&format!("kubectl set image deployment/geo hotel-reserv-geo={image} -n {{ns}}")]);
    passes(
        MISCONFIG,
        &[&format!(
            "kubectl patch deployment geo -n {{ns}} -p '{{\"spec\":{{\"template\":{{\"spec\":{{\"containers\":[{{\"name\":\"hotel-reserv-geo\",\"image\":\"{image}\"}}]}}}}}}}}'"
        )],
    );
    passes(MISCONFIG, &["kubectl rollout undo deployment/geo -n {ns}", "kubectl scale deployment geo --replicas=2 -n {ns}"]);
    let port = "kubectl patch service mongodb-geo -n {ns} --type=json -p '[{\"op\":\"add\",\"path\":\"/spec/ports/-\",\"value\":{\"name\":\"other\",\"port\":27777,\"targetPort\":27017}}]'";
    passes(MISCONFIG, &[port]);
    passes(MISCONFIG, &["sleep 60", "sleep 60", "sleep 60", port]);
    passes(SCALED, &["kubectl scale deployment recommendation --replicas=2 -n {ns}"]);
    passes(SCALED, &["kubectl patch deployment recommendation -n {ns} --type=merge -p '{\"spec\":{\"replicas\":1}}'"]);
}

#[cfg(feature = "bash")]
#[test]
fn an_edited_manifest_passes() {
    // With its old resourceVersion the manifest would be refused: the Deployment's status has changed since.
    passes(
        MISCONFIG,
        &[
            "kubectl get deployment geo -n {ns} -o yaml > /tmp/geo.yaml && sed -i -e 's#hotelreservation:1.1.3#hotelreservation:latest#' -e '/resourceVersion:/d' /tmp/geo.yaml",
            "kubectl apply -f /tmp/geo.yaml && kubectl rollout status deployment/geo -n {ns} --timeout=60s",
        ],
    );
}

#[test]
fn answers_are_graded_by_what_is_right() {
    let malformed = [
        "submit()",
        "submit(None)",
        "submit(5)",
        "submit({})",
        "submit({\"a\": [1]})",
        "submit([[]])",
        "submit([5])",
        "submit(\"\")",
        "submit([\"\"])",
        "submit(True, False)",
        "submit({\"system_level\": 1, \"fault_type\": 2})",
        "submit(\"perhaps\")",
    ];
    for problem in problems(|p| p.task != Task::Mitigation) {
        for action in malformed {
            let mut session = begun(&problem.id, 3, Options::default());
            let step = act(&mut session, action);
            let right = problem.expected.components.is_empty() && matches!(action, "submit()" | "submit(None)");
            if !right {
                assert_ne!(step.info.success, Some(true), "{} {action}", problem.id);
                assert_eq!(step.reward, 0.0, "{} {action}", problem.id);
            }
        }
    }
}

#[test]
fn constant_answers_are_right_only_where_they_are() {
    let solved = |task: Task, action: &str| -> Vec<String> {
        let wins = |p: &Arc<Problem>| {
            let mut session = begun(&p.id, 4, Options::default());
            act(&mut session, action).info.success == Some(true)
        };
        problems(|p| p.task == task).iter().filter(|p| wins(p)).map(|p| p.id.to_string()).collect()
    };
    assert_eq!(solved(Task::Detection, "submit(\"No\")"), ["noop_detection_hotel_reservation-1", "noop_detection_social_network-1"]);
    assert!(!solved(Task::Detection, "submit(\"Yes\")").iter().any(|id| id.starts_with("noop")));
    let geo = [
        "container_kill-localization",
        "misconfig_app_hotel_res-localization-1",
        "revoke_auth_mongodb-localization-1",
        "scale_pod_zero_hotel_res-localization-2",
        "user_unregistered_mongodb-localization-1",
    ];
    assert_eq!(solved(Task::Localization, "submit([\"geo\"])"), geo);
    let all = "submit([\"frontend\", \"search\", \"geo\", \"rate\", \"profile\", \"recommendation\", \"user\", \"reservation\"])";
    assert!(solved(Task::Localization, all).is_empty(), "naming everything is no answer");
    let answer = "submit({\"system_level\": \"Application\", \"fault_type\": \"Misconfiguration\"})";
    assert_eq!(
        solved(Task::Analysis, answer),
        ["auth_miss_mongodb-analysis-1", "misconfig_app_hotel_res-analysis-1", "wrong_bin_usage-analysis-1"]
    );
}

#[test]
fn steps_that_run_out_truncate_and_score_nothing() {
    let mut session = begun(MISCONFIG, 6, Options { max_steps: 3, ..Options::default() });
    for at in 1..=3 {
        let step = act(&mut session, "exec_shell(\"kubectl get pods -n test-hotel-reservation\")");
        assert_eq!((step.truncated, step.terminated, step.reward), (at == 3, false, 0.0));
        assert_eq!(step.info.success, (at == 3).then_some(false));
    }
    assert!(session.step(Action::Text("submit()".into())).is_err(), "an episode that is over takes no step");
}

#[test]
fn the_same_seed_and_actions_give_the_same_bytes() {
    let play = |session: &mut Session, actions: &[&str]| actions.iter().for_each(|action| drop(act(session, action)));
    let first = [
        "exec_shell(\"kubectl get pods -n test-hotel-reservation\")",
        "get_logs(\"test-hotel-reservation\", \"geo\")",
        "no call at all",
        "exec_shell(\"kubectl describe deployment geo -n test-hotel-reservation\")",
    ];
    let second = ["exec_shell(\"kubectl rollout undo deployment/geo -n test-hotel-reservation\")", "exec_shell(\"sleep 5\")", "submit()"];
    let whole = |seed| {
        let mut session = begun(MISCONFIG, seed, Options::default());
        play(&mut session, &first);
        play(&mut session, &second);
        session.trajectory().expect("begun")
    };
    let bytes = whole(8);
    assert_eq!(bytes, whole(8));
    assert_ne!(bytes, whole(9), "another seed gives other names");
    let mut session = begun(MISCONFIG, 8, Options::default());
    play(&mut session, &first);
    let mut fork = session.fork().expect("forked");
    assert_eq!(fork.state_hash(), session.state_hash());
    let snapshot = session.snapshot().expect("begun");
    play(&mut session, &["exec_shell(\"kubectl delete deployment geo -n test-hotel-reservation\")"]);
    play(&mut fork, &second);
    assert_eq!(fork.trajectory().expect("begun"), bytes, "a fork does not see what its original does");
    let registry = Registry::embedded();
    let mut restored = Session::new(registry.clone(), registry.problem(MISCONFIG).expect("known"), Options::default());
    restored.restore(&snapshot).expect("restored");
    play(&mut restored, &second);
    assert_eq!(restored.trajectory().expect("begun"), bytes);
    let mut resumed = Session::resume(&registry, &snapshot).expect("resumed");
    play(&mut resumed, &second);
    assert_eq!(resumed.trajectory().expect("begun"), bytes, "a snapshot holds its problem");
    assert!(Session::resume(&registry, b"{}").is_err() && restored.restore(b"no").is_err() && restored.restore(&snapshot[1..]).is_err());
    assert_eq!(aiopslab::session::replay(&registry, &bytes).expect("replayed"), bytes);
}

#[test]
fn nothing_gives_the_answer_away() {
    for problem in problems(|p| p.task == Task::Detection) {
        let mut session = begun(&problem.id, 10, Options { max_steps: 100, ..Options::default() });
        for command in [
            "kubectl get all,cm,ep,pvc,sa,secrets,events -A -o yaml --show-managed-fields",
            "kubectl get ns,nodes,pv,sc,crd,clusterroles,clusterrolebindings -o yaml --show-managed-fields",
            "kubectl get events -A",
            "kubectl config view --raw",
        ] {
            // The whole text, not the part that an observation shows.
            let arguments = aiopslab::object! { "command" => command };
            let step = session.step(Action::Tool { name: "exec_shell".into(), arguments }).expect("in progress");
            let text = step.observation.to_lowercase();
            for word in ["aiopslab", "inject", "chaos", "fault", "oracle", "grader", "misconfig", "noop", "mitigat", "app3"] {
                // Kubernetes' own words.
                let text = text.replace("default", "").replace("defaultmode", "");
                let at = text.find(word);
                assert!(
                    at.is_none(),
                    "{}: {command}: {:?}",
                    problem.id,
                    at.map(|at| text[at.saturating_sub(80)..].chars().take(160).collect::<String>())
                );
            }
            assert_eq!(step.info.grade, Json::Null);
        }
    }
}

#[test]
fn every_seed_begins() {
    let registry = Registry::embedded();
    let problem = registry.problem("noop_detection_hotel_reservation-1").expect("known");
    let mut session = Session::new(registry, problem, Options::default());
    for seed in (0..120).chain([u64::MAX]) {
        session.reset(seed).unwrap_or_else(|error| panic!("{seed}: {error}"));
    }
}
