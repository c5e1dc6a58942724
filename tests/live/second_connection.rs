//! `Cluster::wait` while somebody else, on a connection of his own, changes things.

use crate::conformance::bench::{Bench, config_map, kind};
use crate::conformance_backend::on_bench;
use crate::reach;
use aiopslab::cluster::{ApiRequest, Cluster, Identity, Interest, PatchKind, Woken};
use std::time::Duration;

/// Waits for a change of ConfigMap `mine`, while after a second another connection changes the named one.
fn waited(b: &mut Bench, changed: &'static str, bound_s: u64) -> (Woken, f64) {
    let Some(mut other) = reach::cluster("second_connection") else { panic!("the cluster went away") };
    let ns = b.ns.clone();
    b.get("configmaps", "mine");
    let later = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(1));
        let patch = aiopslab::object! { "data" => aiopslab::object! { "a" => "2" } };
        let request = ApiRequest::patch(kind("configmaps"), Some(&ns), changed, PatchKind::Merge, patch);
        other.api(&Identity::operator(), &request).map(drop)
    });
    let interest =
        Interest::Objects { resource: kind("configmaps").clone(), namespace: Some(b.ns.as_str().into()), name: Some("mine".into()) };
    let start = b.cluster.now();
    let woken = b.cluster.wait(start + Duration::from_secs(bound_s), &[interest]);
    let after = b.cluster.now().since(start).as_secs_f64();
    later.join().expect("no panic").expect("changed");
    (woken, after)
}

fn with_maps(name: &str, case: fn(&mut Bench)) {
    on_bench(name, move |b| {
        b.create("configmaps", config_map("mine", "a", "1"));
        b.create("configmaps", config_map("yours", "a", "1"));
        case(b);
    });
}

#[test]
fn a_change_wakes_at_once() {
    with_maps("second::a_change_wakes_at_once", |b| {
        let (woken, after) = waited(b, "mine", 30);
        assert_eq!(woken, Woken::Change);
        assert!((0.5..10.0).contains(&after), "{after}");
    });
}

#[test]
fn a_change_of_another_object_does_not_wake() {
    with_maps("second::a_change_of_another", |b| {
        let (woken, after) = waited(b, "yours", 4);
        assert_eq!(woken, Woken::Time);
        assert!(after >= 4.0, "{after}");
    });
}
