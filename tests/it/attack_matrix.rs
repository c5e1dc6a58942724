//! Every mitigation against bad and good repairs over many seeds: bad ones never pass, good ones always do. Prints the shares with 95 %
//! confidence intervals (`cargo test --release attack_matrix -- --nocapture`).

use crate::intervals::interval;
use aiopslab::problem::{Problem, Registry};
use aiopslab::session::{Options, Session};
use aiopslab::task::Task;
use aiopslab::trajectory::Action;
use std::collections::BTreeMap;

const NS: &str = "test-hotel-reservation";

/// Something to do with a broken application before submitting.
struct Play {
    name: &'static str,
    passes: bool,
    /// Seeds from 0 on which it is played.
    seeds: u64,
    /// The commands; `None` where it makes no sense. `{ns}` stands for the namespace.
    commands: fn(&Problem, &Session) -> Option<Vec<String>>,
}

/// What is particular to a problem: the commands that break it again, and repairs besides the oracle's.
struct Case {
    again: Vec<String>,
    elsewhere: Vec<String>,
    others: Vec<Vec<String>>,
}

fn texts(commands: &[&str]) -> Vec<String> {
    commands.iter().map(|command| (*command).to_owned()).collect()
}

fn mongo(service: &str, user: &str, script: &str) -> String {
    format!(
        "kubectl exec -n {{ns}} deploy/mongodb-{service} -- mongo admin -u {user} -p {user} --authenticationDatabase admin --eval \"{script}\""
    )
}

fn grant(service: &str) -> String {
    mongo(service, "admin", &format!("db.grantRolesToUser('admin', [{{role: 'readWrite', db: '{service}-db'}}])"))
}

fn create(service: &str, roles: &str) -> String {
    mongo(
        service,
        "root",
        &format!("db.createUser({{user: 'admin', pwd: 'admin', roles: [{{role: 'readWrite', db: '{service}-db'}}{roles}]}})"),
    )
}

fn replaced(service: &str) -> String {
    format!("kubectl delete pod -n {{ns}} -l io.kompose.service={service}")
}

fn restarted(service: &str) -> String {
    format!("kubectl rollout restart deployment/{service} -n {{ns}}")
}

fn image(service: &str, tag: &str) -> String {
    format!("kubectl set image deployment/{service} hotel-reserv-{service}=yinfangchen/hotelreservation:{tag} -n {{ns}}")
}

fn command(deployment: &str, program: &str) -> String {
    format!(
        "kubectl patch deployment {deployment} -n {{ns}} --type=json -p '[{{\"op\":\"replace\",\"path\":\"/spec/template/spec/containers/0/command\",\"value\":[\"{program}\"]}}]'"
    )
}

fn scaled(deployment: &str, replicas: u32) -> String {
    format!("kubectl scale deployment {deployment} --replicas={replicas} -n {{ns}}")
}

const VOLUMES: [&str; 6] = ["geo", "profile", "rate", "recommendation", "reservation", "user"];

fn freed(volume: &str) -> String {
    format!("kubectl patch pv {volume}-pv -p '{{\"spec\":{{\"claimRef\":null}}}}'")
}

fn case(problem: &Problem) -> Case {
    let id = problem.id.as_str();
    let target = problem.fault.as_ref().map_or("", |fault| fault.target());
    let (service, other) = match target.trim_start_matches("mongodb-") {
        "geo" => ("geo", "rate"),
        "rate" => ("rate", "geo"),
        "profile" => ("profile", "search"),
        "search" => ("search", "geo"),
        _ => ("recommendation", "profile"),
    };
    let case = |again: Vec<String>, elsewhere: Vec<String>, others: Vec<Vec<String>>| Case { again, elsewhere, others };
    match id.split("-mitigation").next().unwrap_or(id) {
        "misconfig_app_hotel_res" => case(
            vec![image("geo", "1.1.3"), "sleep 20".to_owned()],
            vec![image("rate", "latest"), restarted("rate"), restarted("geo")],
            vec![
                vec!["kubectl rollout undo deployment/geo -n {ns}".to_owned()],
                vec![image("geo", "latest"), restarted("profile"), scaled("geo", 2)],
            ],
        ),
        "revoke_auth_mongodb" => case(
            vec![
                mongo(service, "admin", &format!("db.revokeRolesFromUser('admin', [{{role: 'readWrite', db: '{service}-db'}}])")),
                replaced(service),
            ],
            vec![grant(other), replaced(other), replaced(service)],
            vec![vec![grant(service)], vec![grant(service), restarted(service), restarted("frontend")]],
        ),
        "user_unregistered_mongodb" => case(
            vec![mongo(service, "root", "db.dropUser('admin')"), replaced(service)],
            vec![create(other, ""), restarted(other), replaced(service)],
            vec![
                vec![create(service, ""), replaced(service)],
                vec![create(service, ", {role: 'userAdminAnyDatabase', db: 'admin'}"), restarted(service)],
            ],
        ),
        "scale_pod_zero_hotel_res" => case(
            vec![scaled(service, 0)],
            vec![scaled(other, 2), restarted(service)],
            vec![
                vec![scaled(service, 2)],
                vec![format!("kubectl patch deployment {service} -n {{ns}} --type=merge -p '{{\"spec\":{{\"replicas\":1}}}}'")],
            ],
        ),
        "wrong_bin_usage" => case(
            vec![command("profile", "geo"), "sleep 20".to_owned()],
            vec![command("search", "search"), restarted("profile")],
            vec![vec![command("profile", "profile")], vec![command("profile", "/go/bin/profile"), scaled("profile", 2)]],
        ),
        "redeploy_without_PV" => case(
            texts(&[
                "sleep 60",
                "kubectl delete pvc geo-pvc -n {ns} --wait=false",
                "kubectl delete pod -n {ns} -l io.kompose.service=mongodb-geo",
            ]),
            VOLUMES[1..].iter().map(|volume| freed(volume)).chain(["sleep 60".to_owned()]).collect(),
            vec![VOLUMES.iter().map(|volume| freed(volume)).collect()],
        ),
        other => panic!("a new family of mitigations, {other}: say what breaks it again and which repairs are right"),
    }
}

/// The oracle's commands.
fn oracle(session: &Session) -> Vec<String> {
    let actions = session.oracle_actions().expect("begun");
    let command = |action: &String| {
        let call = aiopslab::tool::grammar::parse(action, aiopslab::tool::grammar::Dialect::Forgiving).expect("a call");
        (call.name == "exec_shell").then(|| call.args[0].text().to_owned())
    };
    actions.iter().filter_map(command).collect()
}

fn repaired_then(session: &Session, commands: &[&str]) -> Option<Vec<String>> {
    Some(oracle(session).into_iter().chain(texts(commands)).collect())
}

const FEW: u64 = 8;

fn plays() -> Vec<Play> {
    let bad = |name, seeds, commands| Play { name, passes: false, seeds, commands };
    let good = |name, seeds, commands| Play { name, passes: true, seeds, commands };
    vec![
        bad("nothing", 100, |_, _| Some(Vec::new())),
        bad("wait two minutes", FEW, |_, _| Some(texts(&["sleep 60", "sleep 60"]))),
        bad("delete all deployments", FEW, |_, _| Some(texts(&["kubectl delete deployments --all -n {ns}"]))),
        bad("delete the faulted one", FEW, |problem, _| {
            Some(vec![format!("kubectl delete deployment {} -n {{ns}}", problem.fault.as_ref()?.target())])
        }),
        bad("scale all to zero", FEW, |_, _| Some(texts(&["kubectl scale deployments --all --replicas=0 -n {ns}"]))),
        bad("delete the namespace", FEW, |_, _| Some(texts(&["kubectl delete namespace {ns}"]))),
        bad("rollout restart of all", 100, |_, _| Some(texts(&["kubectl rollout restart deployment -n {ns}", "sleep 60"]))),
        bad("delete all pods", 50, |_, _| Some(texts(&["kubectl delete pods --all -n {ns}", "sleep 60"]))),
        bad("repair another service", FEW, |problem, _| Some(case(problem).elsewhere)),
        bad("repair, then break it again", FEW, |problem, session| Some(oracle(session).into_iter().chain(case(problem).again).collect())),
        bad("repair, then scale frontend to zero", FEW, |_, session| {
            repaired_then(session, &["kubectl scale deployment frontend --replicas=0 -n {ns}"])
        }),
        bad("repair, then delete a Service", FEW, |_, session| repaired_then(session, &["kubectl delete service mongodb-user -n {ns}"])),
        bad("repair, then drop the data of a store", FEW, |_, session| {
            repaired_then(
                session,
                &["sleep 60", "kubectl exec -n {ns} deploy/mongodb-user -- mongo user-db --quiet --eval \"db.dropDatabase()\""],
            )
        }),
        bad("repair, then drop a user of a store", FEW, |problem, session| {
            let other = if problem.fault.as_ref()?.target() == "mongodb-rate" { "geo" } else { "rate" };
            repaired_then(session, &["sleep 60", &mongo(other, "root", "db.dropUser('admin')")]).filter(|_| !problem.condition.stores_moved)
        }),
        bad("repair, then move a store off its data", FEW, |problem, session| {
            let moved = "kubectl patch deployment mongodb-profile -n {ns} --type=json -p '[{\"op\":\"replace\",\"path\":\"/spec/template/spec/volumes/0\",\"value\":{\"name\":\"profile\",\"emptyDir\":{}}}]'";
            let seeded = restarted("profile");
            repaired_then(session, &[moved, "sleep 20", &seeded, "sleep 20"]).filter(|_| !problem.condition.stores_moved)
        }),
        good("oracle", 100, |_, session| Some(oracle(session))),
        good("another right repair", 50, |problem, _| case(problem).others.first().cloned()),
        good("a third right repair", FEW, |problem, _| case(problem).others.get(1).cloned()),
    ]
}

/// Plays commands in a fork of an episode and submits; whether that solves it, and what was seen.
fn solves(session: &Session, commands: &[String]) -> (bool, String) {
    let mut fork = session.fork().expect("forks");
    let mut shown = String::new();
    for command in commands {
        let command = command.replace("{ns}", NS);
        let arguments = aiopslab::object! { "command" => command.as_str(), "timeout" => 90 };
        let step = fork.step(Action::Tool { name: "exec_shell".into(), arguments }).expect("in progress");
        shown.push_str(&format!("$ {command}\n{}\n", step.observation));
    }
    let step = fork.step(Action::Text("submit()".to_owned())).expect("in progress");
    (step.info.success == Some(true), format!("{shown}{}", step.info.grade.to_compact()))
}

#[test]
fn bad_repairs_never_pass_and_good_ones_always_do() {
    let registry = Registry::embedded();
    let problems: Vec<_> = registry.list(Some("mitigation"), Some("hotel-reservation"), None).expect("all");
    let plays = plays();
    let mut counts: BTreeMap<(usize, &str), (u64, u64)> = BTreeMap::new();
    let mut surprises = Vec::new();
    for problem in &problems {
        assert_eq!(problem.task, Task::Mitigation);
        let options = Options { max_steps: 100, ready_episodes: 0, ..Options::default() };
        let mut session = Session::new(registry.clone(), problem.clone(), options);
        for seed in 0..100 {
            session.reset(seed).unwrap_or_else(|error| panic!("{} {seed}: {error}", problem.id));
            for (at, play) in plays.iter().enumerate().filter(|(_, play)| seed < play.seeds) {
                let Some(commands) = (play.commands)(problem, &session) else { continue };
                let (solved, shown) = solves(&session, &commands);
                let count = counts.entry((at, problem.id.as_str())).or_default();
                *count = (count.0 + u64::from(solved), count.1 + 1);
                if solved != play.passes {
                    surprises.push(format!("{} {} at seed {seed}: solved is {solved}\n{shown}", problem.id, play.name));
                }
            }
        }
    }
    println!("{:<40} {:>9}  share solved, 95 % interval", "repair", "episodes");
    for (at, play) in plays.iter().enumerate() {
        let of = counts.iter().filter(|((index, _), _)| *index == at).map(|(_, count)| *count);
        let (solved, all) = of.fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
        let (low, high) = interval(solved, all);
        println!("{:<40} {all:>9}  {:6.2} % ({low:.2} to {high:.2})", play.name, 100.0 * solved as f64 / all as f64);
    }
    assert!(
        surprises.is_empty(),
        "{} surprises, first:\n{}",
        surprises.len(),
        surprises.iter().take(3).cloned().collect::<Vec<_>>().join("\n\n")
    );
}

/// A store may be restarted; what counts is whether it finds its data again.
#[test]
fn a_restarted_store_passes_where_its_data_is() {
    let registry = Registry::embedded();
    let problem = registry.problem("misconfig_app_hotel_res-mitigation-1").expect("known");
    let mut session = Session::new(registry, problem, Options { max_steps: 100, ..Options::default() });
    let run = |session: &mut Session, command: &str| {
        let arguments = aiopslab::object! { "command" => command.replace("{ns}", NS), "timeout" => 90 };
        session.step(Action::Tool { name: "exec_shell".into(), arguments }).expect("in progress").observation
    };
    let at = |node: &str| {
        format!(
            "kubectl patch deployment mongodb-geo -n {{ns}} -p '{{\"spec\":{{\"template\":{{\"spec\":{{\"nodeSelector\":{{\"kubernetes.io/hostname\":\"{node}\"}}}}}}}}}}'"
        )
    };
    for seed in 0..5 {
        session.reset(seed).expect("begins");
        let node = run(&mut session, "kubectl get pod -n {ns} -l io.kompose.service=mongodb-geo -o jsonpath={.items[0].spec.nodeName}")
            .trim()
            .to_owned();
        let other = if node == "node-1" { "node-2" } else { "node-1" };
        run(&mut session, &image("geo", "latest"));
        let verdict = |commands: &[String], passes: bool| {
            let mut fork = session.fork().expect("forks");
            let shown: String = commands.iter().map(|command| run(&mut fork, command)).collect();
            let step = fork.step(Action::Text("submit()".to_owned())).expect("in progress");
            let grade = step.info.grade.to_compact();
            assert_eq!(step.info.success, Some(passes), "{seed}: {commands:?}\n{shown}\n{grade}");
            grade
        };
        let wait = || "sleep 60".to_owned();
        verdict(&[at(&node), wait()], true);
        let grade = verdict(&[at(other), wait(), restarted("geo"), wait()], false);
        let told = format!(
            "mongodb-geo had its data on hostPath /data/volumes/geo-pv of node {node} and has it on hostPath /data/volumes/geo-pv of node {other}"
        );
        assert!(grade.contains(&told), "{told}\n{grade}");
        verdict(&[at(other), wait(), at(&node), wait()], true);
    }
}
