//! The objects of `create namespace|serviceaccount|quota|poddisruptionbudget|priorityclass|role…`: arguments in, object out.

use crate::object::{Json, Map};
use crate::{array, object};

/// A Namespace.
pub fn namespace(name: &str) -> Json {
    object! {
        "apiVersion" => "v1", "kind" => "Namespace", "metadata" => object! { "name" => name }, "spec" => object! {}, "status" => object! {},
    }
}

/// A ServiceAccount.
pub fn service_account(name: &str) -> Json {
    object! { "apiVersion" => "v1", "kind" => "ServiceAccount", "metadata" => object! { "name" => name } }
}

/// A ResourceQuota. `quantity` gives the canonical form of a quantity, or says what is wrong with it.
///
/// # Errors
/// kubectl's text for a pair or a scope that cannot be read.
pub fn quota(name: &str, hard: &str, scopes: &str, quantity: impl Fn(&str) -> Result<String, String>) -> Result<Json, String> {
    let mut spec = object! {};
    if !hard.is_empty() {
        spec.set("hard", resource_list(hard, quantity)?);
    }
    if !scopes.is_empty() {
        if scopes.split(',').any(str::is_empty) {
            return Err("invalid resource quota scope \"\"".to_owned());
        }
        spec.set("scopes", scopes.split(',').map(Json::from).collect::<Json>());
    }
    Ok(object! {
        "apiVersion" => "v1", "kind" => "ResourceQuota",
        "metadata" => object! { "name" => name }, "spec" => spec, "status" => object! {},
    })
}

/// Reads `cpu=100m,memory=1Gi`.
///
/// # Errors
/// kubectl's text for a pair or a quantity that cannot be read.
pub fn resource_list(text: &str, quantity: impl Fn(&str) -> Result<String, String>) -> Result<Json, String> {
    let mut list = Map::new();
    for pair in text.split(',') {
        let parts: Vec<&str> = pair.split('=').collect();
        let &[resource, amount] = parts.as_slice() else {
            return Err(format!("Invalid argument syntax {pair}, expected <resource>=<value>"));
        };
        list.insert(resource, Json::from(quantity(amount)?));
    }
    Ok(Json::from(list))
}

/// What `create poddisruptionbudget` was told.
#[derive(Debug, Clone, Default)]
pub struct BudgetArguments<'a> {
    /// `--selector`.
    pub selector: &'a str,
    /// `--min-available`.
    pub min_available: &'a str,
    /// `--max-unavailable`.
    pub max_unavailable: &'a str,
}

/// A PodDisruptionBudget; `selector` is the label selector that `--selector` means.
///
/// # Errors
/// kubectl's text for arguments that are missing, malformed or exclude each other.
pub fn disruption_budget(name: &str, args: &BudgetArguments<'_>, selector: impl Fn(&str) -> Result<Json, String>) -> Result<Json, String> {
    let (least, most) = (args.min_available, args.max_unavailable);
    if args.selector.is_empty() {
        return Err("a selector must be specified".to_owned());
    }
    match (least, most) {
        ("", "") => return Err("one of min-available or max-unavailable must be specified".to_owned()),
        ("", most) if !is_count_or_share(most) => return Err("invalid format specified for max-unavailable".to_owned()),
        (least, "") if !is_count_or_share(least) => return Err("invalid format specified for min-available".to_owned()),
        ("", _) | (_, "") => {}
        _ => return Err("min-available and max-unavailable cannot be both specified".to_owned()),
    }
    let mut spec = object! { "selector" => selector(args.selector)? };
    if least.is_empty() {
        spec.set("maxUnavailable", int_or_text(most));
    } else {
        spec.set("minAvailable", int_or_text(least));
    }
    Ok(object! {
        "apiVersion" => "policy/v1", "kind" => "PodDisruptionBudget",
        "metadata" => object! { "name" => name }, "spec" => spec,
        "status" => object! { "currentHealthy" => 0, "desiredHealthy" => 0, "disruptionsAllowed" => 0, "expectedPods" => 0 },
    })
}

fn is_count_or_share(text: &str) -> bool {
    let digits = text.strip_suffix('%').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// A whole number where the text is one, else the text: `intstr.Parse`.
pub fn int_or_text(text: &str) -> Json {
    text.parse::<i32>().map_or_else(|_| Json::from(text), Json::from)
}

/// What `create priorityclass` was told.
#[derive(Debug, Clone, Default)]
pub struct PriorityArguments<'a> {
    /// `--value`.
    pub value: i64,
    /// `--global-default`.
    pub global_default: bool,
    /// `--description`.
    pub description: &'a str,
    /// `--preemption-policy`.
    pub preemption_policy: &'a str,
}

/// A PriorityClass.
pub fn priority_class(name: &str, args: &PriorityArguments<'_>) -> Json {
    let mut object = object! {
        "apiVersion" => "scheduling.k8s.io/v1", "kind" => "PriorityClass",
        "metadata" => object! { "name" => name }, "value" => args.value, "preemptionPolicy" => args.preemption_policy,
    };
    if args.global_default {
        object.set("globalDefault", true);
    }
    if !args.description.is_empty() {
        object.set("description", args.description);
    }
    object
}

/// Who a binding binds.
#[derive(Debug, Clone, Default)]
pub struct Subjects<'a> {
    /// `--user`.
    pub users: &'a [String],
    /// `--group`.
    pub groups: &'a [String],
    /// `--serviceaccount`: `NAMESPACE:NAME`.
    pub service_accounts: &'a [String],
}

const RBAC: &str = "rbac.authorization.k8s.io";

impl Subjects<'_> {
    /// The subjects as objects, users first.
    ///
    /// # Errors
    /// kubectl's text for a service account that is not `NAMESPACE:NAME`.
    pub fn to_json(&self) -> Result<Json, String> {
        let named = |kind: &'static str| move |name: &String| object! { "kind" => kind, "apiGroup" => RBAC, "name" => name };
        let mut subjects: Vec<Json> = self.users.iter().map(named("User")).collect();
        subjects.extend(self.groups.iter().map(named("Group")));
        for account in self.service_accounts {
            let parts: Vec<&str> = account.split(':').collect();
            let (&[namespace, name], false) = (parts.as_slice(), parts.contains(&"")) else {
                return Err("serviceaccount must be <namespace>:<name>".to_owned());
            };
            subjects.push(object! { "kind" => "ServiceAccount", "name" => name, "namespace" => namespace });
        }
        Ok(Json::from(subjects))
    }
}

/// A RoleBinding or ClusterRoleBinding (`kind`) to `role`, which is a (kind, name).
///
/// # Errors
/// See [`Subjects::to_json`].
pub fn binding(kind: &str, name: &str, role: (&str, &str), subjects: &Subjects<'_>) -> Result<Json, String> {
    let mut object = object! {
        "apiVersion" => "rbac.authorization.k8s.io/v1", "kind" => kind, "metadata" => object! { "name" => name },
        "roleRef" => object! { "apiGroup" => RBAC, "kind" => role.0, "name" => role.1 },
    };
    let subjects = subjects.to_json()?;
    if !subjects.is_empty() {
        object.set("subjects", subjects);
    }
    Ok(object)
}

/// What `create role` and `create clusterrole` were told, with duplicates removed.
#[derive(Debug, Clone, Default)]
pub struct RoleArguments {
    /// `--verb`.
    pub verbs: Vec<String>,
    /// `--resource`: (group, plural with subresource), resolved.
    pub resources: Vec<(String, String)>,
    /// `--resource-name`.
    pub resource_names: Vec<String>,
    /// `--non-resource-url`.
    pub non_resource_urls: Vec<String>,
}

/// Verbs that make sense on resources.
pub const RESOURCE_VERBS: &[&str] = &[
    "*",
    "get",
    "delete",
    "list",
    "create",
    "update",
    "patch",
    "watch",
    "proxy",
    "deletecollection",
    "use",
    "bind",
    "escalate",
    "impersonate",
];

/// Verbs that make sense on paths.
pub const PATH_VERBS: &[&str] = &["*", "get", "post", "put", "delete", "patch", "head", "options"];

/// A Role or ClusterRole (`kind`) with one rule for each API group.
pub fn role(kind: &str, name: &str, args: &RoleArguments) -> Json {
    let texts = |list: &[String]| list.iter().map(Json::from).collect::<Json>();
    let mut groups: Vec<&str> = args.resources.iter().map(|(group, _)| group.as_str()).collect();
    groups.sort_unstable();
    groups.dedup();
    let mut rules = Vec::new();
    for group in groups {
        let mut plurals: Vec<Json> = Vec::new();
        for (_, plural) in args.resources.iter().filter(|(g, _)| g == group) {
            if !plurals.iter().any(|p| p.text() == plural) {
                plurals.push(Json::from(plural));
            }
        }
        let mut rule = object! { "apiGroups" => array![group], "resources" => Json::from(plurals), "verbs" => texts(&args.verbs) };
        if !args.resource_names.is_empty() {
            rule.set("resourceNames", texts(&args.resource_names));
        }
        rules.push(rule);
    }
    if !args.non_resource_urls.is_empty() {
        rules.push(object! { "nonResourceURLs" => texts(&args.non_resource_urls), "verbs" => texts(&args.verbs) });
    }
    object! {
        "apiVersion" => "rbac.authorization.k8s.io/v1", "kind" => kind, "metadata" => object! { "name" => name },
        "rules" => Json::from(rules),
    }
}
