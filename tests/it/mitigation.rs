//! Mitigations of the hotel application: doing nothing and destroying fail, every repair that serves users passes.

use crate::hotel_fixture::{Hotel, NS};
use aiopslab::app::Catalog;
use aiopslab::cluster::{Cluster, Identity};
use aiopslab::fault::{Fault, Symptom, Undo};
use aiopslab::object::Json;
use aiopslab::task::{Baseline, Condition, Grade, grade_mitigation};
use aiopslab::tool::grammar::Dialect;
use aiopslab::tool::shell_tool::{exec_shell, workstation};
use aiopslab::tool::table::{Reply, ToolContext};
use aiopslab::workload::Arrivals;
use arcstr::ArcStr;
use serde::Deserialize;
use std::time::Duration;

/// A broken application.
struct Broken {
    hotel: Hotel,
    baseline: Baseline,
    condition: Condition,
    undo: Undo,
}

#[derive(Deserialize)]
struct Written {
    fault: Fault,
}

fn endpoints() -> Vec<ArcStr> {
    Catalog::embedded().app("hotel-reservation").expect("embedded").endpoints.iter().map(|e| e.name.clone()).collect()
}

fn stores() -> Vec<aiopslab::app::Store> {
    Catalog::embedded().app("hotel-reservation").expect("embedded").stores.clone()
}

/// Deploys, breaks, and proves that the fault took effect and that users notice.
fn broken(fault: &str, failing: &str) -> Broken {
    let fault = toml::from_str::<Written>(fault).expect("a fault").fault;
    let mut hotel = Hotel::deployed(11);
    hotel.drive(10.0, Arrivals::Poisson);
    hotel.run(60.0);
    let baseline = Baseline::record(&mut hotel.cluster, NS, &stores()).expect("recorded");
    let condition = Condition { deployments: vec![fault.target().to_owned()], ..Condition::default() };
    let symptom = Symptom { endpoints: vec![failing.into()], error_share: 0.9 };
    assert!(!symptom.shows(&mut hotel.cluster, NS), "healthy before");
    assert!(fault.prove(&mut hotel.cluster, NS).is_err(), "not in effect before");
    let undo = fault.inject(&mut hotel.cluster, NS).expect("injected");
    let limit = hotel.cluster.now() + Duration::from_secs(60);
    while fault.prove(&mut hotel.cluster, NS).is_err() || !symptom.shows(&mut hotel.cluster, NS) {
        assert!(hotel.cluster.now() < limit, "{:?}", fault.prove(&mut hotel.cluster, NS));
        hotel.run(1.0);
    }
    Broken { hotel, baseline, condition, undo }
}

fn misconfigured() -> Broken {
    let image =
        r#"fault = { set-image = { deployment = "geo", container = "hotel-reserv-geo", image = "yinfangchen/hotelreservation:1.1.3" } }"#;
    broken(image, "GET /hotels")
}

fn scaled_to_zero() -> Broken {
    broken(r#"fault = { scale = { deployment = "recommendation", replicas = 0 } }"#, "GET /recommendations")
}

impl Broken {
    /// Runs commands as the agent does, and returns what they print.
    fn run(&mut self, commands: &[&str]) -> String {
        let who = Identity::operator();
        let mut shell = workstation(self.hotel.cluster.now(), 1);
        let mut shown = String::new();
        for command in commands {
            let mut context = ToolContext { cluster: &mut self.hotel.cluster, who: &who, shell: &mut shell, dialect: Dialect::Forgiving };
            if let Reply::Observation(text) = exec_shell(&mut context, &[Json::from(*command), Json::Int(60)]) {
                shown.push_str(&format!("$ {command}\n{text}\n"));
            }
            self.hotel.run(1.0);
        }
        shown
    }

    fn grade(&mut self) -> Grade {
        let mut copy = self.hotel.cluster.fork().expect("a fork");
        grade_mitigation(&mut *copy, NS, &self.baseline, &self.condition, &endpoints())
    }

    #[track_caller]
    fn passes(mut self, commands: &[&str]) {
        let shown = self.run(commands);
        let grade = self.grade();
        assert!(grade.success && grade.score == 1.0, "{shown}\n{:#?}", grade.checks);
    }

    #[track_caller]
    fn fails(mut self, commands: &[&str], check: &str) {
        let shown = self.run(commands);
        let grade = self.grade();
        assert!(!grade.success && grade.score == 0.0, "{shown}\n{:#?}", grade.checks);
        assert!(grade.checks.iter().any(|c| !c.passed && c.name.contains(check)), "{shown}\n{:#?}", grade.checks);
    }
}

#[test]
fn doing_nothing_fails_at_any_moment() {
    let mut broken = misconfigured();
    for wait in [0.0, 5.0, 17.0, 60.0, 200.0] {
        broken.hotel.run(wait);
        let grade = broken.grade();
        assert!(!grade.success, "after {wait} s more: {:#?}", grade.checks);
    }
    let grade = scaled_to_zero().grade();
    assert!(!grade.success, "{:#?}", grade.checks);
}

#[test]
fn the_oracles_repair_passes() {
    for mut broken in [misconfigured(), scaled_to_zero()] {
        let commands = broken.undo.commands(NS);
        let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
        let shown = broken.run(&commands);
        let grade = broken.grade();
        assert!(grade.success, "{shown}\n{:#?}", grade.checks);
    }
}

#[test]
fn a_fault_undoes_itself() {
    for mut broken in [misconfigured(), scaled_to_zero()] {
        broken.undo.clone().apply(&mut broken.hotel.cluster, NS).expect("undone");
        let grade = broken.grade();
        assert!(grade.success, "{:#?}", grade.checks);
    }
}

#[test]
fn the_other_kinds_take_effect_show_and_undo() {
    for (fault, failing) in [
        (r#"fault = { set-command = { deployment = "profile", container = "hotel-reserv-profile", command = ["geo"] } }"#, "GET /hotels"),
        (r#"fault = { target-port = { service = "frontend", port = 5000, target_port = 5001 } }"#, "POST /user"),
        (r#"fault = { node-selector = { deployment = "recommendation", key = "disktype", value = "ssd" } }"#, "GET /recommendations"),
    ] {
        let mut broken = broken(fault, failing);
        let grade = broken.grade();
        assert!(!grade.success, "{fault}: {:#?}", grade.checks);
        let commands = broken.undo.commands(NS);
        let shown = broken.run(&commands.iter().map(String::as_str).collect::<Vec<_>>());
        let grade = broken.grade();
        assert!(grade.success, "{fault}\n{shown}\n{:#?}", grade.checks);
    }
}

#[test]
fn destroying_fails() {
    let ns = format!("-n {NS}");
    misconfigured().fails(&[&format!("kubectl delete deployment geo {ns}")], "replicas");
    misconfigured().fails(&[&format!("kubectl delete deployments --all {ns}")], "replicas");
    misconfigured().fails(&[&format!("kubectl scale deployment --all --replicas=0 {ns}")], "replicas");
    misconfigured().fails(&[&format!("kubectl scale deployment geo --replicas=0 {ns}")], "converge");
    misconfigured()
        .fails(&[&format!("kubectl delete service frontend {ns}"), &format!("kubectl rollout undo deployment geo {ns}")], "Services");
}

#[test]
fn other_right_repairs_pass() {
    let ns = format!("-n {NS}");
    let image = "yinfangchen/hotelreservation:latest";
    misconfigured().passes(&[&format!("kubectl rollout undo deployment/geo {ns}")]);
    misconfigured().passes(&[&format!("kubectl set image deployment/geo hotel-reserv-geo={image} {ns}")]);
    misconfigured().passes(&[&format!(
        "kubectl patch deployment geo {ns} --type=json -p '[{{\"op\":\"replace\",\"path\":\"/spec/template/spec/containers/0/image\",\"value\":\"{image}\"}}]'"
    )]);
    misconfigured().passes(&[
        &format!("kubectl set image deployment/geo hotel-reserv-geo={image} {ns}"),
        &format!("kubectl scale deployment geo --replicas=2 {ns}"),
    ]);
    scaled_to_zero().passes(&[&format!("kubectl scale deployment recommendation --replicas=2 {ns}")]);
    scaled_to_zero().passes(&[&format!("kubectl patch deployment recommendation {ns} -p '{{\"spec\":{{\"replicas\":1}}}}'")]);
}
