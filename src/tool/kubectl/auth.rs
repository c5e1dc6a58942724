//! `kubectl auth can-i` and `kubectl auth whoami`.
//!
//! Not modelled: `auth reconcile`.

use super::builder::ALL_NAMESPACES;
use super::command::{Call, Command};
use super::describe::rights;
use super::failure::Failure;
use super::flags::Flag;
use super::output::json::{FieldOrder, ordered};
use super::output::tabs::{TABLE, align};
use super::output::{OUTPUT, Printer};
use crate::cluster::ApiRequest;
use crate::object;
use crate::object::{Json, Object, ResourceRef};

static FLAGS: &[Flag] = &[
    Flag::switch("list", "Print all allowed actions."),
    Flag::switch("no-headers", "Leave the header line of --list out."),
    Flag::switch("quiet", "Print nothing; the exit code tells.").short('q'),
    Flag::text("subresource", "Subresource, such as log of pods or scale of deployments."),
];

/// `kubectl auth`.
pub static COMMAND: Command = Command::group("kubectl auth", "[flags]", "Inspect authorization", &[&CAN_I, &RECONCILE, &WHO_AM_I]);

static CAN_I: Command = Command::leaf(
    "kubectl auth can-i",
    "VERB [TYPE | TYPE/NAME | NONRESOURCEURL]",
    "Check whether an action is allowed",
    &[FLAGS, ALL_NAMESPACES],
    can_i,
);
static RECONCILE: Command = Command::absent(
    "kubectl auth reconcile",
    "Reconciles rules for RBAC role, role binding, cluster role, and cluster role binding objects",
);
static WHO_AM_I: Command = Command::leaf("kubectl auth whoami", "", "Experimental: Check self subject attributes", &[OUTPUT], who_am_i);

const VERBS: &[&str] = &[
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "use",
    "bind",
    "impersonate",
    "*",
    "approve",
    "sign",
    "escalate",
    "attest",
];
const PATH_VERBS: &[&str] = &["get", "put", "post", "head", "options", "delete", "patch", "*"];
/// Resources that exist for rights only.
const WITHOUT_API: &[&str] = &["users", "groups"];

/// What `can-i` asks about.
enum Asked {
    Path(String),
    Resource { resource: Option<ResourceRef>, word: String, name: String },
}

fn can_i(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    if call.flags.on("list") {
        return list(call);
    }
    let [verb, what] = call.args.as_slice() else {
        let words = "you must specify two arguments: verb resource or verb resource/resourceName.";
        return Err(format!("{words}\nSee 'kubectl auth can-i -h' for help and examples.").into());
    };
    let (verb, what) = (verb.clone(), what.clone());
    let asked = if what.starts_with('/') { Asked::Path(what) } else { resource(call, &what)? };
    check(call, &verb, &asked)?;
    let spec = match asked {
        Asked::Path(path) => object! { "nonResourceAttributes" => object! { "verb" => verb, "path" => path } },
        Asked::Resource { resource, word, name } => {
            let (group, plural) = resource.map_or((String::new(), word), |r| (r.group.clone(), r.plural.clone()));
            let namespace = if call.flags.on("all-namespaces") { String::new() } else { call.namespace.clone() };
            object! {
                "resourceAttributes" => object! {
                    "verb" => verb, "group" => group, "resource" => plural, "name" => name, "namespace" => namespace,
                    "subresource" => call.flags.text("subresource"),
                }
            }
        }
    };
    let answer = review(call, "authorization.k8s.io", "SelfSubjectAccessReview", spec)?;
    let status = answer.status();
    let allowed = status.get("allowed").as_bool() == Some(true);
    if !call.flags.on("quiet") {
        let why = ["reason", "evaluationError"].map(|field| status.get(field).text());
        let why: String = why.iter().filter(|text| !allowed && !text.is_empty()).map(|text| format!(" - {text}")).collect();
        call.say(format_args!("{}{why}", if allowed { "yes" } else { "no" }));
    }
    if allowed { Ok(()) } else { Err(Failure::Exit(1)) }
}

/// A warning; kubectl ends these with an empty line.
fn warn(call: &mut Call<'_, '_>, words: &str) {
    call.complain(format_args!("Warning: {words}\n"));
}

fn resource(call: &mut Call<'_, '_>, what: &str) -> Result<Asked, Failure> {
    let (word, name) = what.split_once('/').unwrap_or((what, ""));
    let mut resource = None;
    if word != "*" {
        let lower = word.to_lowercase();
        resource = call.mapper()?.resolve(&lower).ok();
        if resource.is_none() && !WITHOUT_API.contains(&lower.as_str()) {
            let (plural, group) = lower.split_once('.').unwrap_or((&lower, ""));
            let place = if group.is_empty() { String::new() } else { format!(" in group '{group}'") };
            warn(call, &format!("the server doesn't have a resource type '{plural}'{place}"));
        }
    }
    Ok(Asked::Resource { resource, word: word.to_owned(), name: name.to_owned() })
}

/// Warns of what looks odd, and refuses what contradicts itself.
fn check(call: &mut Call<'_, '_>, verb: &str, asked: &Asked) -> Result<(), Failure> {
    let verbs = match asked {
        Asked::Path(_) => {
            if !call.flags.text("subresource").is_empty() {
                return Err("--subresource can not be used with NonResourceURL".into());
            }
            PATH_VERBS
        }
        Asked::Resource { .. } if call.flags.on("all-namespaces") => &[verb][..],
        Asked::Resource { resource, .. } => {
            if let Some(resource) = resource.as_ref().filter(|resource| !resource.namespaced) {
                let group = if resource.group.is_empty() { String::new() } else { format!(" in group '{}'", resource.group) };
                warn(call, &format!("resource '{}' is not namespace scoped{group}", resource.plural));
            }
            VERBS
        }
    };
    if !verbs.contains(&verb) {
        warn(call, &format!("verb '{verb}' is not a known verb"));
    }
    if call.flags.on("no-headers") {
        return Err("--no-headers cannot be set without --list specified".into());
    }
    Ok(())
}

/// Asks the server by creating a review.
fn review(call: &mut Call<'_, '_>, group: &str, kind: &str, spec: Json) -> Result<Object, Failure> {
    let mapper = call.mapper()?;
    let resource = mapper.all().iter().find(|r| r.kind == kind && r.group == group);
    let resource =
        resource.ok_or_else(|| crate::cluster::ApiError::new(404, "NotFound", "the server could not find the requested resource"))?;
    let mut body = object! { "apiVersion" => resource.api_version(), "kind" => kind };
    if !spec.is_null() {
        body.set("spec", spec);
    }
    Ok(call.api(&ApiRequest::create(resource, None, body))?.into_object())
}

fn list(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    if !call.args.is_empty() {
        return Err("list option must be specified with no arguments".into());
    }
    if call.flags.on("quiet") || call.flags.on("all-namespaces") || !call.flags.text("subresource").is_empty() {
        return Err("list option can't be specified with neither quiet, all-namespaces nor subresource options".into());
    }
    let spec = object! { "namespace" => call.namespace.as_str() };
    let answer = review(call, "authorization.k8s.io", "SelfSubjectRulesReview", spec)?;
    let status = answer.status();
    if status.get("incomplete").as_bool() == Some(true) {
        call.complain(format_args!("Warning: the list may be incomplete: {}", status.get("evaluationError").text()));
    }
    let rules = ["resourceRules", "nonResourceRules"].iter().flat_map(|field| status.get(field).items().to_vec());
    let rules = Json::from(rules.collect::<Vec<_>>());
    let header = "Resources\tNon-Resource URLs\tResource Names\tVerbs".to_owned();
    let header = Some(header).filter(|_| !call.flags.on("no-headers"));
    let lines: Vec<String> = header.into_iter().chain(rights::rows(&rights::compacted(&rules))).collect();
    call.print(&align(&(lines.join("\n") + "\n"), TABLE));
    Ok(())
}

const ORDER: FieldOrder = &[("", &["kind", "apiVersion", "metadata", "status"]), ("userInfo", &["username", "uid", "groups", "extra"])];

fn who_am_i(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let format = call.flags.text("output");
    let is_json = format.eq_ignore_ascii_case("json");
    let is_plain = format.is_empty() && call.flags.text("template").is_empty();
    let printer = if is_json || is_plain { None } else { Some(Printer::of_flags(call, "")?) };
    let answer = review(call, "authentication.k8s.io", "SelfSubjectReview", Json::Null).map_err(|failure| match failure.reason() {
        Some("Forbidden") => {
            "the selfsubjectreviews API is not enabled in the cluster or you do not have permission to call it".into()
        }
        Some("NotFound") => "the selfsubjectreviews API is not enabled in the cluster\nenable APISelfSubjectReview feature gate and authentication.k8s.io/v1alpha1 or authentication.k8s.io/v1beta1 API".into(),
        _ => failure,
    })?;
    let mut text = String::new();
    match printer {
        Some(mut printer) => printer.print(&answer.0, &mut text)?,
        None if is_json => {
            ordered(&answer.0, ORDER, 4, &mut text);
            text.push('\n');
        }
        None => text = align(&attributes(answer.at(&["status", "userInfo"])), TABLE),
    }
    call.print(&text);
    Ok(())
}

fn attributes(user: &Json) -> String {
    let list = |values: &Json| format!("[{}]", values.items().iter().map(Json::text).collect::<Vec<_>>().join(" "));
    let mut text = "ATTRIBUTE\tVALUE\n".to_owned();
    for (title, field) in [("Username", "username"), ("UID", "uid")] {
        if !user.get(field).text().is_empty() {
            text.push_str(&format!("{title}\t{}\n", user.get(field).text()));
        }
    }
    if !user.get("groups").items().is_empty() {
        text.push_str(&format!("Groups\t{}\n", list(user.get("groups"))));
    }
    for (name, values) in user.get("extra").entries() {
        text.push_str(&format!("Extra: {name}\t{}\n", list(values)));
    }
    text
}
