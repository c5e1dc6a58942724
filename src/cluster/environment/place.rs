//! [`Place`]: the names of an environment, and an App moved to it so that several share one cluster.

use super::LABEL;
use crate::app::App;
use crate::object;
use crate::object::quantity::Quantity;
use crate::object::{Json, resource};
use arcstr::ArcStr;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The names of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Ends the names; empty for the first environment.
    pub suffix: ArcStr,
    /// The application's namespace; the label's value, too.
    pub namespace: ArcStr,
    /// Our own namespace beside it.
    pub own: ArcStr,
}

impl Place {
    /// The place of an application under a suffix.
    pub fn of(app: &App, suffix: &str) -> Place {
        let namespace = named(&app.namespace, suffix);
        Place { suffix: suffix.into(), own: format!("{namespace}-operations").into(), namespace: namespace.into() }
    }

    /// The place whose application's namespace has this name.
    pub fn named(app: &App, namespace: &str) -> Option<Place> {
        let suffix = namespace.strip_prefix(app.namespace.as_str())?;
        let suffix = if suffix.is_empty() { "" } else { suffix.strip_prefix('-')? };
        Some(Place::of(app, suffix))
    }

    /// The namespace of the helpers on nodes, which is there once something was disturbed.
    pub fn nodes(&self) -> String {
        format!("{}-nodes", self.namespace)
    }

    /// A selector of everything that belongs to it.
    pub fn selector(&self) -> String {
        format!("{LABEL}={}", self.namespace)
    }

    /// The name of a cluster-scoped object of ours.
    pub fn cluster_name(&self, what: &str) -> String {
        format!("{}-{what}", self.own)
    }
}

fn named(name: &str, suffix: &str) -> String {
    if suffix.is_empty() { name.to_owned() } else { format!("{name}-{suffix}") }
}

/// The application under the names of a place, its containers' CPU scaled. Cluster-scoped objects get the suffix and the label, host paths
/// and storage classes the suffix, so that no two environments share a volume; node ports are left to the cluster.
pub fn placed(app: &App, place: &Place, cpu_scale: f64) -> Arc<App> {
    let all = || app.manifests.iter().chain(&app.strict_manifests);
    let kind = |object: &Json| resource::builtin_kind(object.get("apiVersion").text(), object.get("kind").text());
    let global = all().filter(|object| kind(object).is_some_and(|kind| !kind.namespaced));
    let mover = Mover {
        place,
        from: &app.namespace,
        cpu_scale,
        global: global.map(|object| object.at(&["metadata", "name"]).text().to_owned()).collect(),
    };
    let moved =
        |objects: &[Json]| objects.iter().map(|object| mover.moved(object, kind(object).is_some_and(|kind| kind.namespaced))).collect();
    Arc::new(App {
        namespace: place.namespace.clone(),
        manifests: moved(&app.manifests),
        strict_manifests: moved(&app.strict_manifests),
        ..app.clone()
    })
}

struct Mover<'a> {
    place: &'a Place,
    from: &'a str,
    cpu_scale: f64,
    /// Names of the application's cluster-scoped objects.
    global: BTreeSet<String>,
}

impl Mover<'_> {
    fn moved(&self, object: &Json, namespaced: bool) -> Json {
        let mut moved = object.clone();
        if self.from != self.place.namespace {
            self.retarget(&mut moved);
        }
        if !namespaced {
            let name = self.suffixed(object.at(&["metadata", "name"]).text());
            moved.set_at(&["metadata", "name"], name);
            self.label(&mut moved);
        }
        match object.get("kind").text() {
            "PersistentVolume" => {
                for path in [&["spec", "hostPath", "path"][..], &["spec", "local", "path"], &["spec", "storageClassName"]] {
                    self.suffix_at(&mut moved, path);
                }
            }
            "PersistentVolumeClaim" => {
                self.suffix_at(&mut moved, &["spec", "storageClassName"]);
                self.follow(&mut moved, &["spec", "volumeName"]);
            }
            "ClusterRoleBinding" | "RoleBinding" => self.follow(&mut moved, &["roleRef", "name"]),
            "Service" if !self.place.suffix.is_empty() => {
                for port in moved.at_mut(&["spec", "ports"]).items_mut() {
                    port.remove("nodePort");
                }
            }
            _ => {}
        }
        self.scale_containers(&mut moved);
        moved
    }

    fn label(&self, object: &mut Json) {
        if !matches!(object.at(&["metadata", "labels"]), Json::Obj(_)) {
            object.set_at(&["metadata", "labels"], object! {});
        }
        object.set_at(&["metadata", "labels", LABEL], &self.place.namespace);
    }

    fn suffixed(&self, name: &str) -> String {
        named(name, &self.place.suffix)
    }

    fn suffix_at(&self, object: &mut Json, path: &[&str]) {
        if let Some(text) = object.at(path).as_str().filter(|text| !text.is_empty()) {
            let text = self.suffixed(text);
            object.set_at(path, text);
        }
    }

    /// A reference to one of the application's own cluster-scoped objects follows its new name.
    fn follow(&self, object: &mut Json, path: &[&str]) {
        if self.global.contains(object.at(path).text()) {
            self.suffix_at(object, path);
        }
    }

    /// The old namespace's name in any text, as a whole word, becomes the new one: addresses such as `x.NAMESPACE.svc`.
    fn retarget(&self, json: &mut Json) {
        match json {
            Json::Str(text) if text.contains(self.from) => *json = replace_word(text, self.from, &self.place.namespace).into(),
            Json::Arr(_) => json.items_mut().iter_mut().for_each(|item| self.retarget(item)),
            Json::Obj(_) => json.map_mut().iter_mut().for_each(|(_, value)| self.retarget(value)),
            _ => {}
        }
    }

    fn scale_containers(&self, object: &mut Json) {
        if self.cpu_scale >= 1.0 || object.at(&["spec", "template", "spec"]).is_null() {
            return;
        }
        for kind in ["containers", "initContainers"] {
            if object.at(&["spec", "template", "spec", kind]).is_null() {
                continue;
            }
            for container in object.at_mut(&["spec", "template", "spec", kind]).items_mut() {
                let path = ["resources", "requests", "cpu"];
                if let Some(cpu) = container.at(&path).as_str().and_then(|text| Quantity::parse(text).ok()) {
                    let milli = (cpu.milli_value() as f64 * self.cpu_scale).max(1.0) as i64;
                    container.set_at(&path, format!("{milli}m"));
                }
            }
        }
    }
}

/// Replaces a name where it is not part of a longer one.
fn replace_word(text: &str, from: &str, to: &str) -> String {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(from) {
        let (before, after) = (&rest[..at], &rest[at + from.len()..]);
        let whole = !is_part(before.chars().next_back().or(out.chars().next_back())) && !is_part(after.chars().next());
        out.push_str(before);
        out.push_str(if whole { to } else { from });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Catalog;

    #[test]
    fn words_are_replaced_and_parts_of_words_are_not() {
        let check = |text: &str, expect: &str| assert_eq!(replace_word(text, "shop", "shop-2"), expect);
        check("shop", "shop-2");
        check("db.shop.svc:80,shop", "db.shop-2.svc:80,shop-2");
        check("my-shop shops shop-a", "my-shop shops shop-a");
        check("shopshop", "shopshop");
    }

    #[test]
    fn environments_share_no_name_at_the_cluster_scope() {
        let catalog = Catalog::embedded();
        for app in &catalog.apps {
            let names = |suffix: &str| -> BTreeSet<String> {
                let placed = placed(app, &Place::of(app, suffix), 1.0);
                let texts = placed.manifests.iter().filter(|object| object.get("kind").text().starts_with("PersistentVolume"));
                let mut found = BTreeSet::new();
                for object in texts {
                    found.insert(object.at(&["spec", "storageClassName"]).text().to_owned());
                    if object.get("kind").text() == "PersistentVolume" {
                        found.insert(object.at(&["metadata", "name"]).text().to_owned());
                        found.insert(object.at(&["spec", "hostPath", "path"]).text().to_owned());
                    }
                }
                found
            };
            let (first, second) = (names(""), names("2"));
            assert!(
                first.is_disjoint(&second) && (app.name != "hotel-reservation" || !first.is_empty()),
                "{}: {first:?} {second:?}",
                app.name
            );
        }
    }

    #[test]
    fn the_first_environment_runs_the_manifests_unchanged_but_for_the_label() {
        let catalog = Catalog::embedded();
        let app = catalog.app("hotel-reservation").expect("the app");
        let placed = placed(app, &Place::of(app, ""), 1.0);
        for (ours, theirs) in placed.manifests.iter().zip(&app.manifests) {
            let mut bare = ours.clone();
            if ours.get("kind").text() == "PersistentVolume" {
                assert_eq!(ours.at(&["metadata", "labels", LABEL]).text(), "test-hotel-reservation");
                bare.remove_at(&["metadata", "labels"]);
            }
            let mut known = theirs.clone();
            known.remove_at(&["metadata", "labels", LABEL]);
            assert_eq!(bare, known);
        }
    }

    #[test]
    fn cpu_requests_scale() {
        let catalog = Catalog::embedded();
        let app = catalog.app("hotel-reservation").expect("the app");
        let placed = placed(app, &Place::of(app, "x"), 0.2);
        let cpu = placed.manifests.iter().find_map(|object| {
            let path = ["spec", "template", "spec", "containers"];
            object.at(&path).items().first().map(|c| c.at(&["resources", "requests", "cpu"]).text().to_owned())
        });
        assert_eq!(cpu.as_deref(), Some("20m"));
    }
}
