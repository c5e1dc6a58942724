//! Names of kinds: what `deploy`, `pods.v1.`, `Deployment.apps` or `all` mean on a cluster.

use super::failure::{Failure, quote};
use crate::object::ResourceRef;
use std::sync::Arc;

/// The kinds that a cluster serves, searchable by the names that users type.
#[derive(Debug, Clone)]
pub struct Mapper(Arc<Vec<ResourceRef>>);

impl Mapper {
    /// A mapper over a cluster's kinds, in order of preference.
    pub fn new(resources: Arc<Vec<ResourceRef>>) -> Self {
        Mapper(resources)
    }

    /// All kinds, in the order of discovery.
    pub fn all(&self) -> &[ResourceRef] {
        &self.0
    }

    /// The kind that a user's word names: plural, singular, short name or kind, with a group or with version and group.
    ///
    /// # Errors
    /// `the server doesn't have a resource type "foo"`.
    pub fn resolve(&self, word: &str) -> Result<ResourceRef, Failure> {
        let name = word.split('.').next().unwrap_or(word);
        self.lookup(word).ok_or_else(|| format!("the server doesn't have a resource type {}", quote(name)).into())
    }

    fn lookup(&self, word: &str) -> Option<ResourceRef> {
        let (name, rest) = word.split_once('.').map_or((word, None), |(name, rest)| (name, Some(rest)));
        let lower = name.to_lowercase();
        let Some(rest) = rest else {
            return self.named(&lower, None, "").or_else(|| self.of_kind(name, None, ""));
        };
        if let Some((version, group)) = rest.split_once('.') {
            let full = self.named(&lower, Some(version), group).or_else(|| self.of_kind(name, Some(version), group));
            if full.is_some() {
                return full;
            }
        }
        self.named(&lower, None, rest).or_else(|| self.of_kind(name, None, rest))
    }

    /// What to warn of when a short name means several kinds.
    pub fn ambiguity(&self, word: &str) -> Option<String> {
        let by_name = |r: &ResourceRef| r.plural == word || r.singular == word;
        if word.contains('.') || self.0.iter().any(by_name) {
            return None;
        }
        let mut called = self.0.iter().filter(|r| r.short_names.iter().any(|short| short == word));
        let first = called.next()?;
        let other = called.find(|r| r.group != first.group || r.plural != first.plural)?;
        Some(format!("short name {} could also match lower priority resource {}", quote(word), other.qualified_plural()))
    }

    /// By plural or singular, else by short name. `group` may be a prefix where no group is called so.
    fn named(&self, name: &str, version: Option<&str>, group: &str) -> Option<ResourceRef> {
        let in_version = |r: &&ResourceRef| version.is_none_or(|v| r.version == v);
        let exact = |r: &&ResourceRef| if version.is_some() { r.group == group } else { group.is_empty() || r.group == group };
        let prefixed = |r: &&ResourceRef| version.is_none() && r.group.starts_with(group);
        let by_name = |r: &&ResourceRef| r.plural == name || r.singular == name;
        let by_short = |r: &&ResourceRef| r.short_names.iter().any(|short| short == name);
        let find = |called: &dyn Fn(&&ResourceRef) -> bool, grouped: &dyn Fn(&&ResourceRef) -> bool| {
            self.0.iter().find(|r| called(r) && in_version(r) && grouped(r)).cloned()
        };
        find(&by_name, &exact)
            .or_else(|| find(&by_short, &exact))
            .or_else(|| find(&by_name, &prefixed))
            .or_else(|| find(&by_short, &prefixed))
    }

    fn of_kind(&self, kind: &str, version: Option<&str>, group: &str) -> Option<ResourceRef> {
        let fits = |r: &&ResourceRef| r.kind == kind && r.group == group && version.is_none_or(|v| r.version == v);
        self.0.iter().find(fits).cloned()
    }

    /// The kind of a manifest.
    pub fn kind(&self, api_version: &str, kind: &str) -> Option<ResourceRef> {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        self.of_kind(kind, Some(version), group)
    }

    /// The kind `plural` of `group`.
    pub fn plural(&self, group: &str, plural: &str) -> Option<ResourceRef> {
        self.0.iter().find(|r| r.plural == plural && r.group == group).cloned()
    }

    /// A list of types with categories such as `all` replaced by their members.
    pub fn expand(&self, types: &str) -> String {
        let members = |word: &str| {
            let of = |r: &&ResourceRef| r.categories.iter().any(|category| category == word);
            let names: Vec<String> = self.0.iter().filter(of).map(|r| r.qualified_plural()).collect();
            if names.is_empty() { word.to_owned() } else { names.join(",") }
        };
        types.split(',').map(members).collect::<Vec<_>>().join(",")
    }
}

/// `TYPE/NAME` taken apart; `None` when there is no slash.
///
/// # Errors
/// When there is more than one slash, or a side is empty.
pub fn split_name(word: &str) -> Result<Option<(String, String)>, Failure> {
    let Some((kind, name)) = word.split_once('/') else { return Ok(None) };
    if name.contains('/') {
        return Err("arguments in resource/name form may not have more than one slash".into());
    }
    if kind.is_empty() || name.is_empty() || kind.contains(',') {
        return Err("arguments in resource/name form must have a single resource and name".into());
    }
    Ok(Some((kind.to_owned(), name.to_owned())))
}

/// The parts of a list separated by commas, each once.
pub fn split_types(word: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for part in word.split(',') {
        if !parts.iter().any(|seen| seen == part) {
            parts.push(part.to_owned());
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::resource::builtin;

    fn mapper() -> Mapper {
        Mapper::new(Arc::new(builtin().to_vec()))
    }

    #[test]
    fn knows_every_spelling() {
        let check = |word: &str, plural: &str| assert_eq!(mapper().resolve(word).expect(word).qualified_plural(), plural, "{word}");
        for word in ["pods", "pod", "po", "Pod", "PODS", "pods.v1.", "pod.", "po.v1."] {
            check(word, "pods");
        }
        for word in ["deploy", "deployment.apps", "Deployment.v1.apps", "deployments.v1.apps", "deploy.ap", "deploy.v1.apps"] {
            check(word, "deployments.apps");
        }
        check("ev", "events");
        check("events.events.k8s.io", "events.events.k8s.io");
        check("events.v1.events.k8s.io", "events.events.k8s.io");
    }

    #[test]
    fn refuses_what_there_is_not() {
        let wrong = |word: &str, name: &str| {
            let failure = mapper().resolve(word).expect_err(word);
            assert_eq!(failure.to_string(), format!("the server doesn't have a resource type \"{name}\""), "{word}");
        };
        wrong("foo", "foo");
        wrong("", "");
        wrong("pods.foo", "pods");
        wrong("pods.v1", "pods");
        wrong("deployments.v2.apps", "deployments");
    }

    #[test]
    fn expands_categories() {
        let all = "pods,replicationcontrollers,services,daemonsets.apps,deployments.apps,replicasets.apps,statefulsets.apps,\
                   horizontalpodautoscalers.autoscaling,cronjobs.batch,jobs.batch";
        assert_eq!(mapper().expand("all"), all);
        assert_eq!(mapper().expand("cm,all"), format!("cm,{all}"));
    }
}
