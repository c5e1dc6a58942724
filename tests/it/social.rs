//! The social network: healthy, under its faults, and as its graders see it.

use aiopslab::problem::Registry;
use aiopslab::session::{Options, Session, Step};
use aiopslab::task::Task;
use aiopslab::trajectory::Action;

const NS: &str = "test-social-network";
const COMPOSE: &str =
    "curl -s -i -d 'user_id=1&username=username_1&post_type=0&text=hello' http://nginx-thrift.{ns}:8080/wrk2-api/post/compose";

fn begun(id: &str, seed: u64) -> Session {
    let registry = Registry::embedded();
    let problem = registry.problem(id).expect("known");
    let mut session = Session::new(registry, problem, Options { max_steps: 100, ..Options::default() });
    session.reset(seed).unwrap_or_else(|error| panic!("{id} {seed}: {error}"));
    session
}

fn run(session: &mut Session, command: &str) -> String {
    let command = command.replace("{ns}", NS);
    let arguments = aiopslab::object! { "command" => command.as_str(), "timeout" => 90 };
    let step = session.step(Action::Tool { name: "exec_shell".into(), arguments }).expect("in progress");
    format!("$ {command}\n{}\n", step.observation)
}

fn submit(session: &mut Session, action: &str) -> Step {
    session.step(Action::Text(action.to_owned())).expect("in progress")
}

#[track_caller]
fn played(id: &str, seed: u64, commands: &[&str], solves: bool) {
    let mut session = begun(id, seed);
    let shown: String = commands.iter().map(|command| run(&mut session, command)).collect();
    let step = submit(&mut session, "submit()");
    assert_eq!(step.info.success, Some(solves), "{id} {seed}\n{shown}\n{}", step.info.grade.to_compact());
}

#[test]
fn all_25_are_there_and_the_oracle_solves_them() {
    let all = Registry::embedded().list(None, None, Some("social-25")).expect("a suite");
    let of = |task: Task| all.iter().filter(|problem| problem.task == task).count();
    assert_eq!((all.len(), [Task::Detection, Task::Localization, Task::Analysis, Task::Mitigation].map(of)), (25, [7, 6, 6, 6]));
    for problem in all {
        for seed in [3, 4] {
            let mut session = begun(&problem.id, seed);
            let steps: Vec<Step> = session.oracle_actions().expect("begun").iter().map(|action| submit(&mut session, action)).collect();
            let last = steps.last().expect("a step");
            assert_eq!(last.info.success, Some(true), "{} {seed}: {}", problem.id, last.info.grade.to_compact());
        }
    }
}

#[test]
fn a_healthy_network_serves_and_says_nothing() {
    let mut session = begun("noop_detection_social_network-1", 1);
    let read = "curl -s 'http://nginx-thrift.{ns}:8080/wrk2-api/home-timeline/read?user_id=1&start=0&stop=10'";
    let check = |session: &mut Session, command: &str, shows: &[&str]| {
        let text = run(session, command);
        for shown in shows {
            assert!(text.contains(shown), "no {shown:?} in\n{text}");
        }
    };
    check(&mut session, COMPOSE, &["HTTP/1.1 200 OK", "Server: openresty", "Successfully upload post"]);
    check(&mut session, &COMPOSE.replace("&text=hello", ""), &["HTTP/1.1 400 Bad Request", "Incomplete arguments"]);
    check(&mut session, read, &["\n{}\n"]);
    check(&mut session, "kubectl get events -n {ns}", &["No resources found"]);
    for service in ["compose-post-service", "nginx-thrift", "text-service", "url-shorten-service", "user-service"] {
        let text = run(&mut session, &format!("kubectl logs deploy/{service} -n {{ns}}"));
        assert!(!text.contains("error"), "{text}");
    }
}

/// What an agent sees of each fault, and where it sees nothing.
#[test]
fn faults_show_where_they_should() {
    let logs = |service: &str| format!("kubectl logs deploy/{service} -n {{ns}} --tail=40");
    let pods = "kubectl get pods -n {ns} --no-headers".to_owned();
    let check = |id: &str, command: &str, shows: &[&str], hides: &[&str]| {
        let text = run(&mut begun(id, 5), command);
        for shown in shows {
            assert!(text.contains(shown), "{id}: no {shown:?} in\n{text}");
        }
        for hidden in hides {
            assert!(!text.contains(hidden), "{id}: {hidden:?} in\n{text}");
        }
    };
    let refused = "TSocket::open() connect() <Host: user-service Port: 9090>: Connection refused";
    let port = "k8s_target_port-misconfig-detection-1";
    check(port, COMPOSE, &["500 Internal Server Error", "compost_post failure: Failed to connect to user-service"], &[]);
    check(port, &logs("compose-post-service"), &[refused, "Failed to connect user-service-client"], &["text-service"]);
    check(port, &logs("text-service"), &["Starting the text-service server"], &["error"]);
    check(port, "kubectl get endpoints user-service -n {ns}", &[":9999"], &[]);
    check(port, &pods, &["Running"], &["Pending", "CrashLoopBackOff"]);
    let third = "k8s_target_port-misconfig-detection-3";
    check(
        third,
        &logs("home-timeline-service"),
        &["ReadHomeTimeline) Failed to connect to post-storage-service", "Host: post-storage-service"],
        &[],
    );
    let tls = "auth_miss_mongodb-detection-1";
    check(tls, &logs("url-shorten-service"), &["Error in createIndexes: No suitable servers found", "try again"], &["Starting the"]);
    check(tls, &logs("url-shorten-mongodb"), &["SSLHandshakeFailed", "\"ssl\":\"on\""], &[]);
    check(tls, &logs("text-service"), &["Failed to connect to url-shorten-service"], &["user-mention-service"]);
    check(tls, &pods, &["Running"], &["Pending", "CrashLoopBackOff", "Error"]);
    let shell = "kubectl exec -n {ns} deploy/url-shorten-mongodb -- mongo --quiet --eval 'db.version()'";
    check(tls, shell, &["network error while attempting to run command 'isMaster'"], &["4.4.6"]);
    check(tls, &shell.replace("--quiet", "--quiet --tls --tlsAllowInvalidCertificates"), &["4.4.6"], &["network error"]);
    check("scale_pod_zero_social_net-detection-1", &pods, &["Running"], &["\nuser-service"]);
    check("scale_pod_zero_social_net-detection-1", &logs("compose-post-service"), &[refused], &[]);
    let node = "assign_to_non_existent_node_social_net-detection-1";
    check(node, &pods, &["Pending"], &["CrashLoopBackOff"]);
    check(node, "kubectl get events -n {ns}", &["FailedScheduling", "didn't match Pod's node affinity/selector"], &[]);
}

#[test]
fn other_right_repairs_pass() {
    let port = "kubectl patch svc user-service -n {ns} --type=merge -p '{\"spec\":{\"ports\":[{\"name\":\"9090\",\"port\":9090,\"targetPort\":9090}]}}'";
    played("k8s_target_port-misconfig-mitigation-1", 6, &[port], true);
    // The service tries again by itself.
    let config = "kubectl patch configmap url-shorten-mongodb -n {ns} --type=merge -p '{\"data\":{\"mongod.conf\":\"net:\\n  tls:\\n    mode: disabled\\n\"}}'";
    let restart = "kubectl rollout restart deployment/url-shorten-mongodb -n {ns}";
    played("auth_miss_mongodb-mitigation-1", 6, &[config, restart, "sleep 60"], true);
    let prefer = config.replace("mode: disabled", "mode: preferTLS");
    played("auth_miss_mongodb-mitigation-1", 7, &[&prefer, restart, "sleep 60"], true);
    played("scale_pod_zero_social_net-mitigation-1", 6, &["kubectl scale deployment user-service -n {ns} --replicas=2", "sleep 20"], true);
    let free = "kubectl patch deployment user-service -n {ns} --type=json -p '[{\"op\":\"remove\",\"path\":\"/spec/template/spec/nodeSelector\"}]'";
    played("assign_to_non_existent_node_social_net-mitigation-1", 6, &[free, "sleep 20"], true);
    let label = "kubectl patch deployment user-service -n {ns} -p '{\"spec\":{\"template\":{\"spec\":{\"nodeSelector\":{\"kubernetes.io/hostname\":\"node-1\"}}}}}'";
    played("assign_to_non_existent_node_social_net-mitigation-1", 7, &[label, "sleep 20"], true);
}

#[test]
fn bad_repairs_fail() {
    let attacks: &[&[&str]] = &[
        &[],
        &["sleep 80"],
        &["kubectl delete deployments --all -n {ns}"],
        &["kubectl scale deployment --all --replicas=0 -n {ns}"],
        &["kubectl delete namespace {ns} --wait=false"],
        &["kubectl rollout restart deployment -n {ns}", "sleep 60"],
        &["kubectl delete pods --all -n {ns} --wait=false", "sleep 60"],
        &["kubectl delete svc --all -n {ns}"],
        &["kubectl rollout restart deployment/text-service -n {ns}"],
    ];
    let all = Registry::embedded().list(Some("mitigation"), None, Some("social-25")).expect("a suite");
    for problem in all {
        for commands in attacks {
            played(&problem.id, 8, commands, false);
        }
    }
}

#[test]
fn strict_mode_takes_aiopslabs_own_names() {
    let registry = Registry::embedded();
    let problem = registry.problem("assign_to_non_existent_node_social_net-detection-1").expect("known");
    let mut session = Session::new(registry, problem, Options { strict: true, ..Options::default() });
    session.reset(1).expect("reset");
    let command = "exec_shell(\"kubectl get deployment user-service -n test-social-network -o yaml\")";
    let text = submit(&mut session, &format!("```\n{command}\n```")).observation.to_string();
    assert!(text.contains("extra-node"), "{text}");
}
