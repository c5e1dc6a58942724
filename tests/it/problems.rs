//! AIOpsLab's 38 hotel problems: all there, solved by the oracle, by other right repairs and by nothing else, with answers in every dress.

use aiopslab::object::Json;
use aiopslab::problem::Registry;
use aiopslab::session::{Options, Session, Step};
use aiopslab::task::Task;
use aiopslab::trajectory::Action;

/// Episodes of each problem and policy; a benchmark may play more.
const SEEDS: std::ops::Range<u64> = 20..22;

fn begun(id: &str, seed: u64) -> Session {
    let registry = Registry::embedded();
    let problem = registry.problem(id).expect("known");
    let mut session = Session::new(registry, problem, Options { max_steps: 100, ..Options::default() });
    session.reset(seed).unwrap_or_else(|error| panic!("{id} {seed}: {error}"));
    session
}

fn run(session: &mut Session, command: &str) -> String {
    let command = command.replace("{ns}", "test-hotel-reservation");
    let arguments = aiopslab::object! { "command" => command.as_str(), "timeout" => 90 };
    let step = session.step(Action::Tool { name: "exec_shell".into(), arguments }).expect("in progress");
    format!("$ {command}\n{}\n", step.observation)
}

fn submit(session: &mut Session, action: &str) -> Step {
    session.step(Action::Text(action.to_owned())).expect("in progress")
}

#[track_caller]
fn played(id: &str, commands: &[&str], solves: bool) {
    for seed in SEEDS {
        let mut session = begun(id, seed);
        let shown: String = commands.iter().map(|command| run(&mut session, command)).collect();
        let step = submit(&mut session, "submit()");
        assert_eq!(step.info.success, Some(solves), "{id} {seed}\n{shown}\n{}", step.info.grade.to_compact());
    }
}

#[test]
fn all_38_are_there() {
    let all = Registry::embedded().list(None, None, Some("hotel-38")).expect("a suite");
    let of = |task: Task| all.iter().filter(|problem| problem.task == task).count();
    let counts = [Task::Detection, Task::Localization, Task::Analysis, Task::Mitigation].map(of);
    assert_eq!((all.len(), counts), (38, [13, 11, 7, 7]), "{:?}", all.iter().map(|p| p.id.as_str()).collect::<Vec<_>>());
}

const GRANT: &str = "kubectl exec -n {ns} deploy/mongodb-geo -- mongo admin -u admin -p admin --authenticationDatabase admin --eval \"db.grantRolesToUser('admin', [{role: 'readWrite', db: 'geo-db'}]);\"";
const CREATE: &str = "kubectl exec -n {ns} deploy/mongodb-rate -- mongo admin -u root -p root --authenticationDatabase admin --eval \"db.createUser({user: 'admin', pwd: 'admin', roles: [{role: 'readWrite', db: 'rate-db'}]})\"";

#[test]
fn other_right_repairs_pass() {
    // No pod is touched: the service comes back by itself when its back-off is over.
    played("revoke_auth_mongodb-mitigation-1", &[GRANT], true);
    played("user_unregistered_mongodb-mitigation-2", &[CREATE, "kubectl delete pod -n {ns} -l io.kompose.service=rate"], true);
    let profile = "kubectl patch deployment profile -n {ns} --type=json -p '[{\"op\":\"replace\",\"path\":\"/spec/template/spec/containers/0/command\",\"value\":[\"profile\"]}]'";
    played("wrong_bin_usage-mitigation-1", &[profile], true);
    let free = |volume: &str| format!("kubectl patch pv {volume} -p '{{\"spec\":{{\"claimRef\":null}}}}'");
    let volumes = ["geo", "profile", "rate", "recommendation", "reservation", "user"].map(|name| free(&format!("{name}-pv")));
    played("redeploy_without_PV-mitigation-1", &volumes.each_ref().map(String::as_str), true);
}

#[test]
fn repairs_of_something_else_fail() {
    played("revoke_auth_mongodb-mitigation-1", &[&GRANT.replace("-geo", "-rate").replace("geo-db", "rate-db")], false);
    played("revoke_auth_mongodb-mitigation-2", &["kubectl rollout restart deployment/rate deployment/mongodb-rate -n {ns}"], false);
    played("user_unregistered_mongodb-mitigation-1", &["kubectl rollout restart deployment/geo -n {ns}", "sleep 60"], false);
    let open = "kubectl patch deployment mongodb-geo -n {ns} --type=json -p '[{\"op\":\"remove\",\"path\":\"/spec/template/spec/containers/0/args\"}]'";
    played("revoke_auth_mongodb-mitigation-1", &[open, "kubectl delete pod -n {ns} -l io.kompose.service=geo"], false);
    played("wrong_bin_usage-mitigation-1", &["kubectl rollout restart deployment/profile -n {ns}"], false);
    played("wrong_bin_usage-mitigation-1", &["kubectl scale deployment profile --replicas=0 -n {ns}"], false);
    let one = "kubectl patch pv geo-pv -p '{\"spec\":{\"claimRef\":null}}'";
    played("redeploy_without_PV-mitigation-1", &[one, "sleep 60"], false);
}

#[test]
fn answers_are_accepted_in_their_documented_variants() {
    for (id, right, wrong) in [
        ("revoke_auth_mongodb-localization-1", &["mongodb-geo", "geo", "svc/mongodb-geo"][..], &["rate", "frontend"][..]),
        ("user_unregistered_mongodb-localization-2", &["mongodb-rate", "rate", "deployment/rate"], &["memcached-rate", "geo"]),
        ("wrong_bin_usage-localization-1", &["profile"], &["geo", "mongodb-profile"]),
        ("container_kill-localization", &["geo"], &["mongodb-geo"]),
        ("pod_failure_hotel_res-localization-1", &["user"], &["mongodb-user"]),
        ("network_delay_hotel_res-localization-1", &["user"], &["frontend"]),
    ] {
        for (names, expected) in [(right, true), (wrong, false)] {
            for name in names {
                let step = submit(&mut begun(id, 20), &format!("submit([{name:?}])"));
                assert_eq!(step.info.success, Some(expected), "{id}: {name}");
            }
        }
    }
    let kinds = [("Network/Storage Issue", true), ("Authentication Issue", true), ("Misconfiguration", false)];
    for (kind, expected) in kinds {
        let answer = format!("submit({{\"system_level\": \"Application\", \"fault_type\": {kind:?}}})");
        let step = submit(&mut begun("user_unregistered_mongodb-analysis-1", 20), &answer);
        assert_eq!(step.info.success, Some(expected), "{kind}");
    }
}

/// What an agent sees of a fault: texts in what commands print, and texts that must not be there.
#[test]
fn every_fault_shows_where_it_should_and_nowhere_else() {
    let log = |service: &str| format!("kubectl logs deploy/{service} -n {{ns}} --tail=60");
    let pods = "kubectl get pods -n {ns} --no-headers".to_owned();
    let events = "kubectl get events -n {ns}".to_owned();
    let check = |id: &str, command: &str, shows: &[&str], hides: &[&str]| {
        let mut session = begun(id, 21);
        let text = run(&mut session, command);
        for shown in shows {
            assert!(text.contains(shown), "{id}: no {shown:?} in\n{text}");
        }
        for hidden in hides {
            assert!(!text.contains(hidden), "{id}: {hidden:?} in\n{text}");
        }
    };
    check("revoke_auth_mongodb-detection-1", &log("geo"), &["not authorized on geo-db to execute command"], &[]);
    check("revoke_auth_mongodb-detection-1", &log("rate"), &["Successfully registered in consul"], &["not authorized"]);
    check("user_unregistered_mongodb-detection-2", &log("rate"), &["Authentication failed"], &[]);
    check("user_unregistered_mongodb-detection-2", &log("geo"), &["Successfully registered in consul"], &["Authentication"]);
    check("wrong_bin_usage-detection-1", &log("profile"), &["cmd/geo/main.go", "srv-geo"], &["cmd/profile"]);
    check("wrong_bin_usage-detection-1", &pods, &["profile"], &["CrashLoopBackOff", "Error"]);
    check("container_kill-detection", "kubectl describe pod -n {ns} -l io.kompose.service=geo", &["Exit Code:    137"], &["OOM"]);
    check(
        "pod_failure_hotel_res-detection-1",
        &events,
        &["definition changed, will be restarted", "executable file not found"],
        &["pod/geo"],
    );
    check("network_loss_hotel_res-detection-1", &pods, &["Running"], &["CrashLoopBackOff", "Error", "0/1"]);
    check("network_delay_hotel_res-detection-1", &events, &["No resources found"], &[]);
    check("redeploy_without_PV-detection-1", "kubectl get pv,pvc -n {ns}", &["Released", "Pending"], &["Bound"]);
    check("redeploy_without_PV-detection-1", &pods, &["Pending"], &[]);
}

#[test]
fn a_container_is_killed_again_and_its_successor_is_not() {
    let mut session = begun("container_kill-detection", 20);
    let restarts = |session: &mut Session| {
        let text = run(session, "kubectl get pods -n {ns} -l io.kompose.service=geo -o json");
        let json = Json::parse(text.split_once('\n').map_or("", |(_, json)| json)).expect("json");
        json.get("items").nth(0).at(&["status", "containerStatuses"]).nth(0).get("restartCount").as_i64().unwrap_or(-1)
    };
    let first = restarts(&mut session);
    (0..4).for_each(|_| drop(run(&mut session, "sleep 60")));
    assert!(restarts(&mut session) > first, "it goes on");
    run(&mut session, "kubectl delete pod -n {ns} -l io.kompose.service=geo");
    (0..2).for_each(|_| drop(run(&mut session, "sleep 60")));
    assert_eq!(restarts(&mut session), 0, "a new pod is left alone");
}
