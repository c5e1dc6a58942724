//! Authorization: what Roles, ClusterRoles and their bindings allow a caller.
//!
//! Not modelled: aggregation of ClusterRoles after start.

use super::errors;
use crate::cluster::sim::store::{Key, Kind, Store};
use crate::cluster::sim::world::World;
use crate::cluster::{ApiError, ApiRequest, Identity, Verb};
use crate::object::{FieldSelector, Json, Object, ResourceType};
use arcstr::ArcStr;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Kinds that the policy is made of.
pub fn is_policy(kind: Kind) -> bool {
    matches!(kind, Kind::ROLE | Kind::ROLE_BINDING | Kind::CLUSTER_ROLE | Kind::CLUSTER_ROLE_BINDING)
}

/// What a caller wants to do.
#[derive(Clone, Debug, Default)]
pub struct Attributes {
    /// `get`, `list`, …
    pub verb: ArcStr,
    /// API group.
    pub group: ArcStr,
    /// Plural name, with the subresource: `pods/log`.
    pub resource: ArcStr,
    /// Namespace; empty at the cluster scope.
    pub namespace: ArcStr,
    /// Name; empty when none is named.
    pub name: ArcStr,
}

/// One rule of a role.
#[derive(Clone, Debug)]
pub struct Rule {
    pub(super) verbs: Vec<ArcStr>,
    pub(super) groups: Vec<ArcStr>,
    pub(super) resources: Vec<ArcStr>,
    pub(super) names: Vec<ArcStr>,
    pub(super) urls: Vec<ArcStr>,
}

/// Rules that a binding gives to a subject, and how it came by them.
#[derive(Clone, Debug)]
struct Grant {
    rules: Arc<Vec<Rule>>,
    /// The role is not there.
    missing: Option<ArcStr>,
    /// `RBAC: allowed by ClusterRoleBinding "x" of ClusterRole "y" to Group "z"`.
    by: ArcStr,
}

/// Grants, each with its namespace (empty: the whole cluster), by the name of who gets them.
type Grants = BTreeMap<ArcStr, Vec<(ArcStr, Grant)>>;

/// The policy, by subject.
#[derive(Debug, Default)]
pub struct Policy {
    users: Grants,
    groups: Grants,
}

fn list(json: &Json) -> Vec<ArcStr> {
    json.items().iter().filter_map(|item| item.as_text().cloned()).collect()
}

/// The rules of a role.
pub(super) fn rules_of(role: &Object) -> Vec<Rule> {
    let read = |rule: &Json| Rule {
        verbs: list(rule.get("verbs")),
        groups: list(rule.get("apiGroups")),
        resources: list(rule.get("resources")),
        names: list(rule.get("resourceNames")),
        urls: list(rule.get("nonResourceURLs")),
    };
    role.get("rules").items().iter().map(read).collect()
}

/// Whether a list of a rule holds an item, by name or by star.
pub(super) fn has(list: &[ArcStr], wanted: &str) -> bool {
    list.iter().any(|item| item == "*" || item == wanted)
}

impl Rule {
    fn allows(&self, wanted: &Attributes) -> bool {
        let part = wanted.resource.split_once('/').map(|(_, part)| part);
        let resource =
            |item: &ArcStr| item == "*" || *item == wanted.resource || part.is_some_and(|part| item.strip_prefix("*/") == Some(part));
        has(&self.verbs, &wanted.verb)
            && has(&self.groups, &wanted.group)
            && self.resources.iter().any(resource)
            && (self.names.is_empty() || self.names.contains(&wanted.name))
    }

    fn allows_path(&self, verb: &str, path: &str) -> bool {
        let matches = |url: &ArcStr| url == "*" || url == path || url.strip_suffix('*').is_some_and(|start| path.starts_with(start));
        has(&self.verbs, verb) && self.urls.iter().any(matches)
    }
}

impl Policy {
    /// Reads the policy off the objects.
    pub fn of(store: &Store) -> Policy {
        let mut roles: BTreeMap<Key, Arc<Vec<Rule>>> = BTreeMap::new();
        for kind in [Kind::CLUSTER_ROLE, Kind::ROLE] {
            for (key, role) in store.list_keyed(kind, None) {
                roles.insert(key.clone(), Arc::new(rules_of(role)));
            }
        }
        let mut policy = Policy::default();
        for kind in [Kind::CLUSTER_ROLE_BINDING, Kind::ROLE_BINDING] {
            for (key, binding) in store.list_keyed(kind, None) {
                policy.add(key, binding, &roles);
            }
        }
        policy
    }

    fn add(&mut self, key: &Key, binding: &Object, roles: &BTreeMap<Key, Arc<Vec<Rule>>>) {
        let (kind, name) = (binding.at(&["roleRef", "kind"]).text(), binding.at(&["roleRef", "name"]).text());
        let role = match kind {
            "ClusterRole" => Key::new(Kind::CLUSTER_ROLE, "", name),
            _ => Key::new(Kind::ROLE, key.namespace.clone(), name),
        };
        let rules = roles.get(&role).cloned();
        let plural = if kind == "ClusterRole" { "clusterrole" } else { "role" };
        let missing = rules.is_none().then(|| format!("{plural}.rbac.authorization.k8s.io {} not found", errors::quote(name)).into());
        for subject in binding.get("subjects").items() {
            let (subject_kind, who) = (subject.get("kind").text(), subject.get("name").text());
            let space = match subject.get("namespace").text() {
                "" => key.namespace.as_str(),
                space => space,
            };
            let (grants, subject, shown) = match subject_kind {
                "ServiceAccount" => (&mut self.users, format!("system:serviceaccount:{space}:{who}"), format!("{who}/{space}")),
                "Group" => (&mut self.groups, who.to_owned(), who.to_owned()),
                _ => (&mut self.users, who.to_owned(), who.to_owned()),
            };
            let binding_kind = if key.kind == Kind::ROLE_BINDING { "RoleBinding" } else { "ClusterRoleBinding" };
            let place = if key.namespace.is_empty() { key.name.to_string() } else { format!("{}/{}", key.name, key.namespace) };
            let by = format!(
                "RBAC: allowed by {binding_kind} {} of {kind} {} to {subject_kind} {}",
                errors::quote(&place),
                errors::quote(name),
                errors::quote(&shown)
            );
            let grant = Grant { rules: rules.clone().unwrap_or_default(), missing: missing.clone(), by: by.into() };
            grants.entry(subject.into()).or_default().push((key.namespace.clone(), grant));
        }
    }

    /// Grants to a caller that count in `namespace` (those of the whole cluster always do).
    fn grants_to<'a>(&'a self, who: &'a Identity, namespace: &'a str) -> impl Iterator<Item = &'a Grant> {
        let groups = who.groups.iter().filter_map(|group| self.groups.get(group));
        self.users
            .get(&who.user)
            .into_iter()
            .chain(groups)
            .flatten()
            .filter(move |(space, _)| space.is_empty() || *space == namespace)
            .map(|(_, grant)| grant)
    }

    /// Why the caller may do this, or why not (empty when nothing more can be said).
    ///
    /// # Errors
    /// When the caller may not.
    pub fn decide(&self, who: &Identity, wanted: &Attributes) -> Result<ArcStr, ArcStr> {
        if who.is_operator() {
            return Ok(ArcStr::new());
        }
        let mut missing = Vec::new();
        for grant in self.grants_to(who, &wanted.namespace) {
            if grant.rules.iter().any(|rule| rule.allows(wanted)) {
                return Ok(grant.by.clone());
            }
            missing.extend(grant.missing.as_deref());
        }
        match missing.len() {
            0 => Err(ArcStr::new()),
            1 => Err(format!("RBAC: {}", missing.concat()).into()),
            _ => Err(format!("RBAC: [{}]", missing.join(", ")).into()),
        }
    }

    /// Whether the caller may read or write a path that is no object.
    pub fn allows_path(&self, who: &Identity, verb: &str, path: &str) -> bool {
        who.is_operator() || self.grants_to(who, "").any(|grant| grant.rules.iter().any(|rule| rule.allows_path(verb, path)))
    }

    /// The rules that hold for a caller in a namespace, as SelfSubjectRulesReview lists them.
    pub fn rules_for(&self, who: &Identity, namespace: &str) -> Vec<Rule> {
        let all =
            || Rule { verbs: vec!["*".into()], groups: vec!["*".into()], resources: vec!["*".into()], names: Vec::new(), urls: Vec::new() };
        if who.is_operator() {
            let paths = Rule { groups: Vec::new(), resources: Vec::new(), urls: vec!["*".into()], ..all() };
            return vec![all(), paths];
        }
        self.grants_to(who, namespace).flat_map(|grant| grant.rules.iter().cloned()).collect()
    }
}

impl Rule {
    /// The rule as `resourceRules` or `nonResourceRules` show it.
    pub fn to_json(&self) -> Json {
        let list = |items: &[ArcStr]| items.iter().map(Json::from).collect::<Json>();
        let mut out = crate::object! { "verbs" => list(&self.verbs) };
        let fields =
            [("apiGroups", &self.groups), ("resources", &self.resources), ("resourceNames", &self.names), ("nonResourceURLs", &self.urls)];
        for (field, items) in fields.into_iter().filter(|(_, items)| !items.is_empty()) {
            out.set(field, list(items));
        }
        out
    }

    /// Whether the rule is about paths.
    pub fn is_about_paths(&self) -> bool {
        !self.urls.is_empty()
    }
}

/// The attributes of a request.
pub fn attributes(request: &ApiRequest, resource: &ResourceType) -> Attributes {
    let part = request.subresource.map(|part| format!("{}/{}", resource.plural, part.as_str()));
    let mut name = request.name.clone().unwrap_or_default();
    if name.is_empty() && matches!(request.verb, Verb::List | Verb::DeleteCollection) && !request.options.field_selector.is_empty() {
        let selector = FieldSelector::parse(&request.options.field_selector).unwrap_or_default();
        name = selector.exact("metadata.name").map(ArcStr::from).unwrap_or_default();
    }
    let namespace = match request.namespace.clone() {
        Some(namespace) if resource.namespaced => namespace,
        _ if resource.plural == "namespaces" && resource.group.is_empty() => name.clone(),
        _ => ArcStr::new(),
    };
    Attributes {
        verb: request.verb.as_str().into(),
        group: resource.group.as_str().into(),
        resource: part.map_or_else(|| resource.plural.as_str().into(), ArcStr::from),
        namespace,
        name,
    }
}

/// Refuses a request that the policy does not allow.
///
/// # Errors
/// 403.
pub fn authorize(world: &World, who: &Identity, request: &ApiRequest, resource: &ResourceType) -> Result<(), ApiError> {
    if who.is_operator() {
        return Ok(());
    }
    check(world, who, resource, &attributes(request, resource))
}

/// Refuses an update or apply that would create its object when the caller may not create it.
///
/// # Errors
/// 403.
pub fn authorize_creation(world: &World, who: &Identity, request: &ApiRequest, resource: &ResourceType) -> Result<(), ApiError> {
    check(world, who, resource, &Attributes { verb: arcstr::literal!("create"), ..attributes(request, resource) })
}

/// Refuses whoever may not reach a Service through the API server's proxy.
///
/// # Errors
/// 403.
pub fn authorize_proxy(world: &World, who: &Identity, services: &ResourceType, service: &Object) -> Result<(), ApiError> {
    let wanted = Attributes {
        verb: arcstr::literal!("get"),
        group: ArcStr::new(),
        resource: arcstr::literal!("services/proxy"),
        namespace: service.namespace().into(),
        name: service.name().into(),
    };
    if who.is_operator() { Ok(()) } else { check(world, who, services, &wanted) }
}

fn check(world: &World, who: &Identity, resource: &ResourceType, wanted: &Attributes) -> Result<(), ApiError> {
    let decided = world.api.policy(&world.store).decide(who, wanted);
    decided.map(drop).map_err(|why| refusal(who, resource, wanted, &why))
}

/// The 403 for a caller.
pub fn refusal(who: &Identity, resource: &ResourceType, wanted: &Attributes, why: &str) -> ApiError {
    let mut text = format!(
        "User {} cannot {} resource {} in API group {}",
        errors::quote(&who.user),
        wanted.verb,
        errors::quote(&wanted.resource),
        errors::quote(&wanted.group)
    );
    if wanted.namespace.is_empty() {
        text.push_str(" at the cluster scope");
    } else {
        text.push_str(&format!(" in the namespace {}", errors::quote(&wanted.namespace)));
    }
    if !why.is_empty() {
        text.push_str(": ");
        text.push_str(why);
    }
    errors::forbidden(resource, &wanted.name, &text)
}
