//! Rollouts of Deployments, as timelines.

use crate::cluster_fixture::{Fixture, deployment};
use aiopslab::cluster::sim::store::Kind;
use aiopslab::object::{Json, Object};

fn many(name: &str, replicas: i64, more: &str) -> String {
    deployment(name, "img/app:1", "").replace(r#""replicas":1"#, &format!(r#""replicas":{replicas}{more}"#))
}

fn set_image(f: &mut Fixture, name: &str, image: &str) {
    f.update(Kind::DEPLOYMENT, name, |d| {
        d.get_mut("spec").get_mut("template").get_mut("spec").get_mut("containers").items_mut()[0].set("image", image)
    });
}

fn count(object: &Object, field: &str) -> i64 {
    object.status().get(field).as_i64().unwrap_or(0)
}

fn reason(f: &Fixture, name: &str, kind: &str) -> String {
    f.get(Kind::DEPLOYMENT, name).condition(kind).map(|c| c.get("reason").text().to_owned()).unwrap_or_default()
}

/// Sizes of a Deployment's ReplicaSets, by image.
fn sizes(f: &Fixture) -> Vec<(String, i64)> {
    let mut all: Vec<(String, i64)> = f
        .world
        .store
        .list(Kind::REPLICA_SET, Some("app"))
        .map(|rs| {
            let image = rs.spec().at(&["template", "spec", "containers"]).nth(0).get("image").text().to_owned();
            (image, rs.spec().get("replicas").as_i64().unwrap_or(0))
        })
        .collect();
    all.sort();
    all
}

#[test]
fn a_rolling_update_keeps_within_its_bounds() {
    let mut f = Fixture::new(41);
    f.create(Kind::DEPLOYMENT, &many("web", 8, ""));
    f.run(6.0);
    set_image(&mut f, "web", "img/app:2");
    let start = f.now();
    while f.now() - start < std::time::Duration::from_secs(30) {
        f.step();
        let d = f.get(Kind::DEPLOYMENT, "web");
        assert!(count(&d, "replicas") <= 10 && count(&d, "availableReplicas") >= 6, "{:?}", d.status());
    }
    assert_eq!(sizes(&f), [("img/app:1".to_owned(), 0), ("img/app:2".to_owned(), 8)]);
    assert_eq!(reason(&f, "web", "Progressing"), "NewReplicaSetAvailable");
    let first = f.event_lines().into_iter().find(|l| l.contains("Scaled up") && l.contains("from 0 to 2")).expect("surge of a quarter");
    assert!(first.starts_with("deployment/web Normal ScalingReplicaSet"), "{first}");
}

#[test]
fn a_broken_rollout_stops_and_passes_its_deadline() {
    let mut f = Fixture::new(42);
    f.create(
        Kind::DEPLOYMENT,
        &many("web", 1, r#","minReadySeconds":0"#).replace(r#""progressDeadlineSeconds":600"#, r#""progressDeadlineSeconds":60"#),
    );
    f.run(5.0);
    set_image(&mut f, "web", "img/app:9");
    f.run(40.0);
    let d = f.get(Kind::DEPLOYMENT, "web");
    assert_eq!((count(&d, "readyReplicas"), count(&d, "updatedReplicas"), count(&d, "replicas")), (1, 1, 2));
    assert_eq!(reason(&f, "web", "Progressing"), "ReplicaSetUpdated");
    f.run(30.0);
    assert_eq!(reason(&f, "web", "Progressing"), "ProgressDeadlineExceeded");
    let message = f.get(Kind::DEPLOYMENT, "web").condition("Progressing").map(|c| c.get("message").text().to_owned()).unwrap_or_default();
    assert!(message.ends_with("has timed out progressing."), "{message}");
    // Undoing it brings the first ReplicaSet back under a new revision.
    set_image(&mut f, "web", "img/app:1");
    f.run(5.0);
    let d = f.get(Kind::DEPLOYMENT, "web");
    assert_eq!(d.annotation("deployment.kubernetes.io/revision"), Some("3"));
    let current =
        f.world.store.list(Kind::REPLICA_SET, Some("app")).find(|rs| rs.spec().get("replicas").as_i64() == Some(1)).cloned().expect("one");
    assert_eq!(current.annotation("deployment.kubernetes.io/revision-history"), Some("1"));
    assert_eq!(reason(&f, "web", "Progressing"), "NewReplicaSetAvailable");
}

#[test]
fn recreation_waits_for_the_old_pods_to_go() {
    let mut f = Fixture::new(43);
    let text = many("db", 2, "")
        .replace(r#"{"type":"RollingUpdate","rollingUpdate":{"maxSurge":"25%","maxUnavailable":"25%"}}"#, r#"{"type":"Recreate"}"#);
    f.create(Kind::DEPLOYMENT, &text);
    f.run(5.0);
    set_image(&mut f, "db", "img/app:2");
    let start = f.now();
    while f.now() - start < std::time::Duration::from_secs(10) {
        f.step();
        let images: Vec<String> = f.pods().iter().map(|p| p.spec().get("containers").nth(0).get("image").text().to_owned()).collect();
        assert!(!(images.contains(&"img/app:1".to_owned()) && images.contains(&"img/app:2".to_owned())), "{images:?}");
    }
    assert_eq!(count(&f.get(Kind::DEPLOYMENT, "db"), "availableReplicas"), 2);
}

#[test]
fn a_paused_rollout_waits_but_scales_in_proportion() {
    let mut f = Fixture::new(44);
    f.create(Kind::DEPLOYMENT, &many("web", 8, ""));
    f.run(6.0);
    set_image(&mut f, "web", "img/app:9");
    f.run(6.0);
    assert_eq!(sizes(&f), [("img/app:1".to_owned(), 6), ("img/app:9".to_owned(), 4)]);
    f.update(Kind::DEPLOYMENT, "web", |d| d.set_at(&["spec", "paused"], true));
    f.run(1.0);
    assert_eq!(reason(&f, "web", "Progressing"), "DeploymentPaused");
    f.update(Kind::DEPLOYMENT, "web", |d| d.set_at(&["spec", "replicas"], 16));
    f.run(3.0);
    assert_eq!(sizes(&f), [("img/app:1".to_owned(), 12), ("img/app:9".to_owned(), 8)], "20 pods in the proportion 6 to 4");
    f.update(Kind::DEPLOYMENT, "web", |d| drop(d.remove_at(&["spec", "paused"])));
    set_image(&mut f, "web", "img/app:2");
    f.run(60.0);
    assert_eq!(sizes(&f).iter().map(|(_, n)| *n).sum::<i64>(), 16);
    assert_eq!(reason(&f, "web", "Progressing"), "NewReplicaSetAvailable");
}

#[test]
fn history_is_kept_to_its_limit_and_pods_are_available_after_a_while() {
    let mut f = Fixture::new(45);
    let text = many("web", 1, r#","minReadySeconds":10"#).replace(r#""revisionHistoryLimit":10"#, r#""revisionHistoryLimit":1"#);
    f.create(Kind::DEPLOYMENT, &text);
    f.run(6.0);
    let d = f.get(Kind::DEPLOYMENT, "web");
    assert_eq!((count(&d, "readyReplicas"), count(&d, "availableReplicas")), (1, 0));
    f.run(8.0);
    assert_eq!(count(&f.get(Kind::DEPLOYMENT, "web"), "availableReplicas"), 1);
    for at in 0..3 {
        f.update(Kind::DEPLOYMENT, "web", |d| d.set_at(&["spec", "template", "metadata", "annotations", "round"], at.to_string()));
        f.run(20.0);
    }
    assert_eq!(f.world.store.list(Kind::REPLICA_SET, Some("app")).count(), 2);
    f.run(3600.0);
    assert!(f.world.queue.next_time().is_none());
}

#[test]
fn pods_that_cannot_be_made_are_reported() {
    let mut f = Fixture::new(46);
    let quota = r#"{"metadata":{"name":"few"},"spec":{"hard":{"pods":"1"}}}"#;
    f.create(Kind::RESOURCE_QUOTA, quota);
    f.create(Kind::DEPLOYMENT, &many("web", 3, ""));
    f.run(10.0);
    let d = f.get(Kind::DEPLOYMENT, "web");
    assert_eq!(d.condition("ReplicaFailure").map(|c| c.get("reason").text()), Some("FailedCreate"), "{:?}", d.status());
    assert!(f.event_lines().iter().any(|l| l.starts_with("replicaset/web-RS Warning FailedCreate") && l.contains("exceeded quota: few")));
    assert_eq!(f.pods().len(), 1);
    f.update(Kind::RESOURCE_QUOTA, "few", |q| q.set_at(&["spec", "hard", "pods"], Json::from("5")));
    f.run(60.0);
    assert_eq!(count(&f.get(Kind::DEPLOYMENT, "web"), "availableReplicas"), 3, "{:?}", f.get(Kind::RESOURCE_QUOTA, "few"));
    assert!(f.get(Kind::DEPLOYMENT, "web").condition("ReplicaFailure").is_none());
}
