//! Environments: whatever an episode did and wherever a process was killed, the next reset brings the recorded baseline back.

use aiopslab::app::{App, Catalog};
use aiopslab::cluster::environment::{
    Difference, EnvironmentError, Held, Holder, Journal, Journaled, LABEL, Origin, Phase, Place, Record, Restored, acquire, differences,
    ensure_namespaces, placed, recipe, release, remove, renew, restore, survey, take_record,
};
use aiopslab::cluster::sim::api::bootstrap;
use aiopslab::cluster::sim::cluster::SimCluster;
use aiopslab::cluster::sim::world::World;
use aiopslab::cluster::*;
use aiopslab::fault::{Fault, NetworkLoss, Redeploy, Scale, SetImage};
use aiopslab::object;
use aiopslab::object::{Json, ResourceRef, resource};
use aiopslab::time::SimTime;
use aiopslab::workload::Workload;
use arcstr::ArcStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const BOUND: Duration = Duration::from_secs(300);

/// A cluster whose caller is killed after so many requests: every later one fails and changes nothing.
struct Mortal {
    cluster: SimCluster,
    left: usize,
    /// Whether disturbances cannot be ended.
    stubborn: bool,
}

impl Mortal {
    fn alive(&mut self) -> Result<(), ApiError> {
        self.left = self.left.checked_sub(1).ok_or_else(|| ApiError::new(503, "ServiceUnavailable", "killed"))?;
        Ok(())
    }
}

impl Cluster for Mortal {
    fn now(&self) -> SimTime {
        self.cluster.now()
    }
    fn wait(&mut self, until: SimTime, interests: &[Interest]) -> Woken {
        self.cluster.wait(until, interests)
    }
    fn resources(&mut self) -> Result<Arc<Vec<ResourceRef>>, ApiError> {
        self.cluster.resources()
    }
    fn api(&mut self, who: &Identity, request: &ApiRequest) -> Result<ApiReply, ApiError> {
        self.alive()?;
        self.cluster.api(who, request)
    }
    fn exec(&mut self, who: &Identity, request: &ExecRequest) -> Result<ExecOutput, ApiError> {
        self.alive()?;
        self.cluster.exec(who, request)
    }
    fn telemetry(&mut self, who: &Identity, query: &TelemetryQuery) -> Result<TelemetryReply, ApiError> {
        self.cluster.telemetry(who, query)
    }
    fn http(&mut self, from: &HttpOrigin, request: &HttpRequest) -> Result<HttpReply, ConnectError> {
        self.cluster.http(from, request)
    }
    fn resolve(&mut self, from: &HttpOrigin, host: &str) -> Result<Vec<ArcStr>, ConnectError> {
        self.cluster.resolve(from, host)
    }
    fn drive(&mut self, namespace: &str, workload: Option<&Workload>) -> Result<(), WorkloadError> {
        self.cluster.drive(namespace, workload)
    }
    fn probe(&mut self, requests: &[ProbeRequest]) -> Vec<ProbeReply> {
        self.cluster.probe(requests)
    }
    fn disturb(&mut self, name: &str, disturbance: &Disturbance) -> Result<(), DisturbError> {
        self.cluster.disturb(name, disturbance)
    }
    fn relieve(&mut self, name: &str) -> Result<(), DisturbError> {
        if self.stubborn {
            return Err(DisturbError::Failed { what: name.to_owned(), why: "the helper does not answer".to_owned() });
        }
        self.cluster.relieve(name)
    }
    fn fork(&self) -> Result<Box<dyn Cluster>, Unsupported> {
        self.cluster.fork()
    }
    fn state_hash(&self) -> Option<u128> {
        self.cluster.state_hash()
    }
}

/// A place with a deployed and recorded application, on a cluster that somebody else uses too.
struct Deployed {
    cluster: SimCluster,
    place: Place,
    app: Arc<App>,
    recipe: String,
}

fn bare() -> SimCluster {
    let mut world = World::new(SimTime::from_secs(1_768_471_200), 0, Catalog::embedded());
    bootstrap::bootstrap(&mut world).expect("a cluster");
    let settled = world.now + Duration::from_secs(60);
    world.run_until(settled);
    SimCluster::new(world)
}

fn hotel() -> Arc<App> {
    Catalog::embedded().app("hotel-reservation").expect("the app").clone()
}

fn origin(app: &App) -> Origin {
    Origin { app: app.name.to_string(), strict: false, cpu_scale: 1.0, image: "testbed".into() }
}

/// Deploys once; tests work on copies.
fn deployed() -> Deployed {
    static ONCE: OnceLock<(SimCluster, Place, Arc<App>, String)> = OnceLock::new();
    let (cluster, place, app, recipe) = ONCE
        .get_or_init(|| {
            let mut cluster = bare();
            let place = Place::of(&hotel(), "2");
            let app = placed(&hotel(), &place, 0.5);
            let recipe = recipe(&place, &app, false);
            ensure_namespaces(&mut cluster, &place, &app).expect("namespaces");
            let done = reset(&mut cluster, &place, &app, &recipe).expect("a deploy");
            assert!(done.redeployed.is_some(), "{done:?}");
            (cluster, place, app, recipe)
        })
        .clone();
    Deployed { cluster, place, app, recipe }
}

/// What a reset does besides the lease.
fn reset(cluster: &mut dyn Cluster, place: &Place, app: &App, recipe: &str) -> Result<Restored, EnvironmentError> {
    let record = Record::read(cluster, place)?;
    let done = restore(cluster, (place, app, false), &record, recipe, BOUND)?;
    if done.redeployed.is_some() {
        take_record(cluster, (place, app), recipe, &origin(app))?;
    }
    Ok(done)
}

/// That nothing differs from the record, nothing is left in the journal, and every pod is ready and untouched.
#[track_caller]
fn assert_baseline(deployed: &mut Deployed, what: &str) {
    let cluster = &mut deployed.cluster;
    let record = Record::read(cluster, &deployed.place).expect("a record");
    assert_eq!((record.phase, &record.recipe), (Phase::Ready, &deployed.recipe), "{what}");
    let parts = survey(cluster, &deployed.place, &record).expect("a survey");
    assert_eq!(differences(&record, &parts), [], "{what}");
    let journal = Journal::open(cluster, &deployed.place).expect("a journal");
    assert_eq!(journal.entries(cluster).expect("entries"), [], "{what}");
    let pods = list(cluster, "", "pods", &deployed.place.namespace);
    let live: Vec<_> = pods.iter().filter(|pod| !pod.is_terminating()).collect();
    assert_eq!(live.len(), 19, "{what}");
    for pod in live {
        assert_eq!(pod.condition("Ready").map(|c| c.get("status").text()), Some("True"), "{what}: {}", pod.name());
    }
}

fn list(cluster: &mut dyn Cluster, group: &str, plural: &str, namespace: &str) -> Vec<aiopslab::object::Object> {
    let kind = resource::builtin_named(group, plural).expect("a kind");
    cluster.api(&Identity::operator(), &ApiRequest::list(kind, Some(namespace))).expect("a list").into_items()
}

/// What an agent may do to an application: whatever a namespace's administrator can.
fn vandalize(cluster: &mut dyn Cluster, place: &Place) {
    let kind = |group: &str, plural: &str| resource::builtin_named(group, plural).expect("a kind");
    let namespace = Some(place.namespace.as_str());
    let agent =
        Identity { user: format!("system:serviceaccount:{}:engineer", place.own).into(), groups: vec!["system:authenticated".into()] };
    let meta = |name: &str| object! { "metadata" => object! { "name" => name } };
    let extra = object! { "metadata" => object! { "name" => "note", "finalizers" => aiopslab::array!["example.com/keep"] } };
    let label = object! { "metadata" => object! { "labels" => object! { LABEL => Json::Null } } };
    let command = object! { "spec" => object! { "template" => object! { "spec" => object! { "containers" =>
    aiopslab::array![object! { "name" => "hotel-reserv-rate", "command" => aiopslab::array!["geo"] }] } } } };
    let requests = [
        ApiRequest::delete(kind("apps", "deployments"), namespace, "search"),
        ApiRequest::delete(kind("", "services"), namespace, "mongodb-geo"),
        ApiRequest::delete(kind("", "configmaps"), namespace, "mongo-geo-script"),
        ApiRequest::create(kind("", "configmaps"), namespace, extra),
        ApiRequest::create(kind("", "serviceaccounts"), namespace, meta("helper")),
        ApiRequest::patch(kind("apps", "deployments"), namespace, "rate", PatchKind::Strategic, command),
        ApiRequest::patch(kind("", "persistentvolumes"), None, "rate-pv-2", PatchKind::Merge, label),
    ];
    for request in requests {
        cluster.api(&agent, &request).unwrap_or_else(|error| panic!("{request:?}: {error}"));
    }
    let until = cluster.now() + Duration::from_secs(20);
    cluster.wait(until, &[]);
}

/// An episode: a fault, what the agent does, another fault; cut off where the process is killed.
fn episode(deployed: &mut Deployed, requests: usize) -> usize {
    let mut mortal = Mortal { cluster: deployed.cluster.clone(), left: requests, stubborn: false };
    let (place, app) = (&deployed.place, &deployed.app);
    let mut play = || -> Result<(), Box<dyn std::error::Error>> {
        reset(&mut mortal, place, app, &deployed.recipe)?;
        let journal = Journal::open(&mut mortal, place)?;
        let left = mortal.left;
        let mut cluster =
            Journaled::new(std::mem::replace(&mut mortal, Mortal { cluster: bare(), left, stubborn: false }), place.clone(), journal);
        let image = Fault::SetImage(SetImage {
            deployment: "geo".into(),
            container: "hotel-reserv-geo".into(),
            image: "yinfangchen/hotelreservation:1.1.3".into(),
            strict_image: None,
        });
        let outcome = image
            .inject(&mut cluster, &place.namespace)
            .and_then(|_| Fault::Scale(Scale { deployment: "user".into(), replicas: 0 }).inject(&mut cluster, &place.namespace));
        let until = cluster.now() + Duration::from_secs(30);
        cluster.wait(until, &[]);
        mortal = cluster.cluster;
        outcome?;
        Ok(())
    };
    let _ = play();
    deployed.cluster = mortal.cluster;
    requests - mortal.left
}

#[test]
fn a_deploy_leaves_the_baseline() {
    let mut deployed = deployed();
    assert_baseline(&mut deployed, "after the deploy");
    let done = reset(&mut deployed.cluster, &deployed.place, &deployed.app, &deployed.recipe).expect("a reset");
    assert_eq!(done, Restored::default(), "nothing is left to do");
}

#[test]
fn what_an_agent_did_is_put_back() {
    let mut deployed = deployed();
    vandalize(&mut deployed.cluster, &deployed.place);
    let record = Record::read(&mut deployed.cluster, &deployed.place).expect("a record");
    let parts = survey(&mut deployed.cluster, &deployed.place, &record).expect("a survey");
    let found: Vec<String> = differences(&record, &parts).iter().map(|d| format!("{d:?}")).collect();
    let expect = [
        "Gone(\"/configmaps/mongo-geo-script\")",
        "Added(\"/configmaps/note\")",
        "Changed(\"/persistentvolumes/rate-pv-2\")",
        "Added(\"/serviceaccounts/helper\")",
        "Gone(\"/services/mongodb-geo\")",
        "Changed(\"apps/deployments/rate\")",
        "Gone(\"apps/deployments/search\")",
    ];
    assert_eq!(found, expect);
    let done = reset(&mut deployed.cluster, &deployed.place, &deployed.app, &deployed.recipe).expect("a reset");
    assert!(done.redeployed.is_some(), "a volume was changed: {done:?}");
    assert_baseline(&mut deployed, "after the reset");
}

#[test]
fn only_what_differs_is_made_anew() {
    let mut deployed = deployed();
    let services = resource::builtin_named("", "services").expect("services");
    let namespace = Some(deployed.place.namespace.as_str());
    deployed.cluster.api(&Identity::operator(), &ApiRequest::delete(services, namespace, "mongodb-geo")).expect("deleted");
    let before: Vec<_> = list(&mut deployed.cluster, "", "pods", &deployed.place.namespace).iter().map(|p| p.uid().to_owned()).collect();
    let done = reset(&mut deployed.cluster, &deployed.place, &deployed.app, &deployed.recipe).expect("a reset");
    assert_eq!(done.differences, [Difference::Gone("/services/mongodb-geo".into())]);
    assert_eq!((done.redeployed, done.pods.len()), (None, 0));
    let after: Vec<_> = list(&mut deployed.cluster, "", "pods", &deployed.place.namespace).iter().map(|p| p.uid().to_owned()).collect();
    assert_eq!(before, after, "no pod was replaced");
    assert_baseline(&mut deployed, "after the reset");
}

#[test]
fn a_reset_follows_a_kill_at_any_request() {
    let whole = {
        let mut deployed = deployed();
        episode(&mut deployed, 100_000)
    };
    assert!(whole > 20, "an episode makes {whole} requests");
    for requests in 0..=whole {
        let mut deployed = deployed();
        episode(&mut deployed, requests);
        let what = format!("killed after {requests} of {whole} requests");
        let (place, app, recipe) = (deployed.place.clone(), deployed.app.clone(), deployed.recipe.clone());
        reset(&mut deployed.cluster, &place, &app, &recipe).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_baseline(&mut deployed, &what);
    }
}

#[test]
fn a_deploy_that_was_killed_is_finished() {
    let (place, app) = (Place::of(&hotel(), ""), placed(&hotel(), &Place::of(&hotel(), ""), 1.0));
    let recipe = recipe(&place, &app, false);
    for requests in (0..200).step_by(13) {
        let mut mortal = Mortal { cluster: bare(), left: requests, stubborn: false };
        let _ = ensure_namespaces(&mut mortal, &place, &app).and_then(|()| reset(&mut mortal, &place, &app, &recipe));
        let mut deployed = Deployed { cluster: mortal.cluster, place: place.clone(), app: app.clone(), recipe: recipe.clone() };
        ensure_namespaces(&mut deployed.cluster, &place, &app).expect("namespaces");
        reset(&mut deployed.cluster, &place, &app, &recipe).unwrap_or_else(|error| panic!("killed after {requests}: {error}"));
        assert_baseline(&mut deployed, &format!("killed after {requests} requests"));
    }
}

#[test]
fn nothing_without_the_label_is_touched() {
    let mut cluster = bare();
    let place = Place::of(&hotel(), "");
    let app = placed(&hotel(), &place, 1.0);
    let kind = |plural: &str| resource::builtin_named("", plural).expect("a kind");
    let foreign = object! { "metadata" => object! { "name" => &place.namespace } };
    cluster.api(&Identity::operator(), &ApiRequest::create(kind("namespaces"), None, foreign)).expect("a namespace");
    let error = ensure_namespaces(&mut cluster, &place, &app).expect_err("it is not ours").to_string();
    assert_eq!(
        error,
        "namespace test-hotel-reservation exists and does not carry the label aiopslab.dev/environment=test-hotel-reservation, so it is not \
         touched; use another suffix or remove it yourself"
    );
    remove(&mut cluster, &place, BOUND).expect("only what is ours");
    let left = ApiRequest::get(kind("namespaces"), None, &place.namespace);
    assert!(cluster.api(&Identity::operator(), &left).is_ok(), "somebody else's namespace is there still");
}

#[test]
fn removal_leaves_nothing() {
    let mut deployed = deployed();
    remove(&mut deployed.cluster, &deployed.place, BOUND).expect("removed");
    let options = Options { label_selector: LABEL.to_owned(), ..Options::default() };
    for kind in deployed.cluster.resources().expect("kinds").iter().filter(|kind| kind.allows("list")) {
        let request = ApiRequest::list(kind, None).options(options.clone());
        let left = deployed.cluster.api(&Identity::operator(), &request).expect("a list").into_items();
        assert!(left.is_empty(), "{}: {:?}", kind.plural, left.iter().map(|o| o.name().to_owned()).collect::<Vec<_>>());
    }
}

#[test]
fn a_lease_has_one_holder() {
    let mut cluster = bare();
    let place = Place::of(&hotel(), "");
    ensure_namespaces(&mut cluster, &place, &hotel()).expect("namespaces");
    let holder = |process: &str| Holder { machine: "m".into(), process: process.into(), session: "0".into() };
    let (first, second) = (holder("1-1"), holder("2-2"));
    let running = |_: &str| false;
    let held = acquire(&mut cluster, &place, &first, &running).expect("free");
    let error = acquire(&mut cluster, &place, &second, &running).expect_err("held").to_string();
    assert!(error.starts_with("namespace test-hotel-reservation is in use by m/1-1/0"), "{error}");
    // A process of this machine that is over loses it at once; any other when it does not renew.
    let taken = acquire(&mut cluster, &place, &second, &|process| process == "1-1").expect("its holder is over");
    assert!(matches!(renew(&mut cluster, &place, &held), Err(EnvironmentError::Held { .. })), "the first has lost it");
    let later = cluster.now() + Duration::from_secs(31);
    cluster.wait(later, &[]);
    let held = acquire(&mut cluster, &place, &first, &running).expect("not renewed in time");
    release(&mut cluster, &place, &taken).expect("not its own any more");
    assert!(matches!(renew(&mut cluster, &place, &held), Ok(())));
    release(&mut cluster, &place, &Held { holder: first }).expect("given back");
    acquire(&mut cluster, &place, &second, &running).expect("free again");
}

/// Runs a script in a store as its administrator, and replaces the service that reads from it, as a fault does.
fn tamper(deployed: &mut Deployed, script: &str) {
    let pods = list(&mut deployed.cluster, "", "pods", &deployed.place.namespace);
    let named = |start: &str| pods.iter().find(|pod| pod.name().starts_with(start)).expect("a pod").name().to_owned();
    let login = ["mongo", "admin", "-u", "admin", "-p", "admin", "--authenticationDatabase", "admin", "--quiet", "--eval", script];
    let namespace = deployed.place.namespace.clone();
    let argv = login.map(str::to_owned).to_vec();
    let request = ExecRequest { namespace, pod: named("mongodb-geo-").into(), container: None, argv, stdin: Vec::new() };
    let output = deployed.cluster.exec(&Identity::operator(), &request).expect("started");
    assert_eq!(output.exit_code, 0, "{output:?}");
    let kind = resource::builtin_named("", "pods").expect("pods");
    let delete = ApiRequest::delete(kind, Some(&deployed.place.namespace), &named("geo-"));
    deployed.cluster.api(&Identity::operator(), &delete).expect("deleted");
    let until = deployed.cluster.now() + Duration::from_secs(60);
    deployed.cluster.wait(until, &[]);
}

const REVOKE: &str = "db.revokeRolesFromUser('admin', [{ role: 'readWrite', db: 'geo-db' }])";

#[test]
fn what_a_store_holds_is_put_back() {
    let check = |script: &str| {
        let mut deployed = deployed();
        tamper(&mut deployed, script);
        let before = deployed.cluster.now();
        let done = reset(&mut deployed.cluster, &deployed.place, &deployed.app, &deployed.recipe).expect("a reset");
        let renewed: Vec<&str> = done.stores.keys().map(String::as_str).collect();
        assert_eq!((done.redeployed.as_deref(), &renewed[..]), (None, &["mongodb-geo"][..]), "{script}: {done:?}");
        let took = deployed.cluster.now().since(before);
        assert!(took < Duration::from_secs(40), "{script}: what cannot become ready is not waited for: {took:?}");
        assert_baseline(&mut deployed, script);
        let again = reset(&mut deployed.cluster, &deployed.place, &deployed.app, &deployed.recipe).expect("a reset");
        assert_eq!(again, Restored::default(), "{script}: nothing is left to do");
    };
    check(REVOKE);
    check("db.dropUser('admin')");
    check("db.getSiblingDB('geo-db').geo.remove({ hotelId: '1' })");
    check("db.createUser({ user: 'other', pwd: 'x', roles: [] })");
}

#[test]
fn what_was_repaired_in_a_store_is_as_it_was() {
    let mut deployed = deployed();
    let back = "db.grantRolesToUser('admin', [{ role: 'readWrite', db: 'geo-db' }])";
    tamper(&mut deployed, &format!("{REVOKE}; {back}"));
    let done = reset(&mut deployed.cluster, &deployed.place, &deployed.app, &deployed.recipe).expect("a reset");
    assert_eq!((done.redeployed, done.stores.len()), (None, 0), "roles in another order are the same roles");
    assert_baseline(&mut deployed, "after the reset");
}

/// Cuts resets of a state off, and has the next one finish.
fn kill_resets(state: impl Fn() -> Deployed, every: usize, what: &str) {
    for requests in (0..).step_by(every) {
        let mut deployed = state();
        let mut mortal = Mortal { cluster: deployed.cluster.clone(), left: requests, stubborn: false };
        let whole = reset(&mut mortal, &deployed.place, &deployed.app, &deployed.recipe).is_ok();
        deployed.cluster = mortal.cluster;
        let what = format!("{what}, killed after {requests} requests");
        reset(&mut deployed.cluster, &deployed.place, &deployed.app, &deployed.recipe).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_baseline(&mut deployed, &what);
        if whole {
            assert!(requests > 40, "{what}: that was all");
            return;
        }
    }
}

#[test]
fn a_store_is_put_back_after_a_kill_at_any_request() {
    let mut tampered = deployed();
    tamper(&mut tampered, REVOKE);
    let state = || Deployed {
        cluster: tampered.cluster.clone(),
        place: tampered.place.clone(),
        app: tampered.app.clone(),
        recipe: tampered.recipe.clone(),
    };
    kill_resets(state, 11, "a tampered store");
}

/// Deploys the application anew beside its old volumes, cut off after so many requests; whether it was not.
fn redeploy(deployed: &mut Deployed, requests: usize) -> bool {
    let mut mortal = Mortal { cluster: deployed.cluster.clone(), left: requests, stubborn: false };
    let Ok(journal) = Journal::open(&mut mortal, &deployed.place) else { return false };
    let mut cluster = Journaled::new(mortal, deployed.place.clone(), journal);
    let fault = Fault::Redeploy(Redeploy { deployment: "mongodb-rate".into() });
    let whole = fault.inject(&mut cluster, &deployed.place.namespace).is_ok();
    let until = cluster.now() + Duration::from_secs(60);
    cluster.wait(until, &[]);
    deployed.cluster = cluster.cluster.cluster;
    whole
}

#[test]
fn volumes_of_an_earlier_deploy_are_bound_again() {
    let mut deployed = deployed();
    assert!(redeploy(&mut deployed, 100_000));
    let done = reset(&mut deployed.cluster, &deployed.place, &deployed.app, &deployed.recipe).expect("a reset");
    // A volume is a folder of a node: a store that comes to another node begins on an empty one.
    assert_eq!((&done.redeployed, done.volumes.len()), (&None, 6), "{done:?}");
    assert_baseline(&mut deployed, "after the reset");
}

#[test]
fn a_redeploy_is_put_back_after_a_kill_at_any_request() {
    for requests in (0..).step_by(11) {
        let mut deployed = deployed();
        let whole = redeploy(&mut deployed, requests);
        let what = format!("killed after {requests} requests");
        reset(&mut deployed.cluster, &deployed.place, &deployed.app, &deployed.recipe).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_baseline(&mut deployed, &what);
        if whole {
            assert!(requests > 40, "a redeploy makes {requests} requests");
            return;
        }
    }
}

#[test]
fn a_disturbance_that_cannot_be_ended_is_reported_and_its_pod_replaced() {
    let mut deployed = deployed();
    let mut mortal = Mortal { cluster: deployed.cluster.clone(), left: 100_000, stubborn: true };
    let journal = Journal::open(&mut mortal, &deployed.place).expect("a journal");
    let mut cluster = Journaled::new(mortal, deployed.place.clone(), journal);
    let fault = Fault::NetworkLoss(NetworkLoss { deployment: "user".into(), share: 1.0, callers: Vec::new() });
    fault.inject(&mut cluster, &deployed.place.namespace).expect("injected");
    let mut mortal = cluster.cluster;
    let done = reset(&mut mortal, &deployed.place, &deployed.app, &deployed.recipe).expect("a reset all the same");
    assert_eq!(done.unrelieved.len(), 1, "{done:?}");
    assert!(matches!(&done.pods[..], [pod] if pod.starts_with("user-") && done.unrelieved[0].ends_with(pod)), "{done:?}");
    deployed.cluster = mortal.cluster;
    let done = reset(&mut deployed.cluster, &deployed.place, &deployed.app, &deployed.recipe).expect("a reset");
    assert_eq!((done.undone, done.unrelieved), (1, Vec::new()), "what was not ended is tried again");
    assert_baseline(&mut deployed, "after the reset");
}
