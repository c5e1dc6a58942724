//! Pod Security: the levels `baseline` and `restricted` that a namespace's labels ask for.
//!
//! Not modelled: SELinux options, sysctls, Windows host processes, user namespaces, versions of the levels before the present one.

use super::Notes;
use crate::cluster::ApiError;
use crate::cluster::sim::api::errors;
use crate::cluster::sim::store::{Key, Kind};
use crate::cluster::sim::world::World;
use crate::object::{Json, Object};
use std::collections::BTreeSet;

const PREFIX: &str = "pod-security.kubernetes.io/";

/// What is wrong: a reason and its detail.
type Finding = (&'static str, String);

/// The level and version that a mode (`enforce`, `warn`) asks for in a namespace.
fn level(world: &World, namespace: &str, mode: &str) -> Option<(String, String)> {
    let object = world.store.get(&Key::new(Kind::NAMESPACE, "", namespace))?;
    let level = object.label(&format!("{PREFIX}{mode}")).filter(|l| matches!(*l, "baseline" | "restricted"))?;
    let version = object.label(&format!("{PREFIX}{mode}-version")).unwrap_or("latest");
    Some((level.to_owned(), version.to_owned()))
}

pub(super) fn check_pod(world: &World, pod: &Object, notes: &mut Notes) -> Result<(), ApiError> {
    let verdict = |mode: &str| {
        let (level, version) = level(world, pod.namespace(), mode)?;
        let found = findings(pod.spec(), &level);
        (!found.is_empty()).then(|| format!("PodSecurity \"{level}:{version}\": {}", said(&found)))
    };
    if let Some(text) = verdict("enforce") {
        return Err(errors::forbidden(world.store.resource(Kind::POD), pod.name(), &format!("violates {text}")));
    }
    notes.warnings.extend(verdict("warn").map(|text| format!("would violate {text}").into()));
    Ok(())
}

/// Objects that make pods are only warned about.
pub(super) fn warn_about_template(world: &World, kind: Kind, object: &Object, notes: &mut Notes) {
    let spec = match kind {
        Kind::DEPLOYMENT | Kind::REPLICA_SET | Kind::STATEFUL_SET | Kind::DAEMON_SET | Kind::JOB => object.spec().at(&["template", "spec"]),
        Kind::CRON_JOB => object.spec().at(&["jobTemplate", "spec", "template", "spec"]),
        _ => return,
    };
    if let Some((level, version)) = level(world, object.namespace(), "warn") {
        let found = findings(spec, &level);
        if !found.is_empty() {
            notes.warnings.push(format!("would violate PodSecurity \"{level}:{version}\": {}", said(&found)).into());
        }
    }
}

fn said(found: &[Finding]) -> String {
    found.iter().map(|(reason, detail)| format!("{reason} ({detail})")).collect::<Vec<_>>().join(", ")
}

fn quoted<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(errors::quote).collect::<Vec<_>>().join(", ")
}

fn plural(word: &str, count: usize) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}

/// `container "a"` or `containers "a", "b"`.
fn named(names: &[&str]) -> String {
    format!("{} {}", plural("container", names.len()), quoted(names.iter().copied()))
}

fn containers(spec: &Json) -> impl Iterator<Item = &Json> {
    ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(|list| spec.get(list).items())
}

fn names_of(spec: &Json, bad: impl Fn(&Json) -> bool) -> Vec<&str> {
    containers(spec).filter(|c| bad(c)).map(|c| c.get("name").text()).collect()
}

fn findings(spec: &Json, level: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    let restricted = level == "restricted";
    if !restricted {
        capabilities_baseline(spec, &mut found);
    }
    host(spec, restricted, &mut found);
    let privileged = names_of(spec, |c| c.at(&["securityContext", "privileged"]).is_true());
    if !privileged.is_empty() {
        found.push(("privileged", format!("{} must not set securityContext.privileged=true", named(&privileged))));
    }
    let proc_mount = |c: &Json| !matches!(c.at(&["securityContext", "procMount"]).text(), "" | "Default");
    let mounts = names_of(spec, proc_mount);
    if !mounts.is_empty() {
        let values: BTreeSet<&str> =
            containers(spec).filter(|c| proc_mount(c)).map(|c| c.at(&["securityContext", "procMount"]).text()).collect();
        found.push(("procMount", format!("{} must not set securityContext.procMount to {}", named(&mounts), quoted(values))));
    }
    if restricted {
        restricted_findings(spec, &mut found);
    } else {
        seccomp(spec, false, &mut found);
    }
    found
}

fn capabilities_baseline(spec: &Json, found: &mut Vec<Finding>) {
    const ALLOWED: [&str; 13] = [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ];
    let odd = |c: &Json| -> Vec<String> {
        let added = c.at(&["securityContext", "capabilities", "add"]).items().iter();
        added.map(|a| a.text().to_owned()).filter(|a| !ALLOWED.contains(&a.as_str())).collect()
    };
    let bad = names_of(spec, |c| !odd(c).is_empty());
    if !bad.is_empty() {
        let all: BTreeSet<String> = containers(spec).flat_map(odd).collect();
        let list = quoted(all.iter().map(String::as_str));
        found.push(("non-default capabilities", format!("{} must not include {list} in securityContext.capabilities.add", named(&bad))));
    }
}

fn host(spec: &Json, restricted: bool, found: &mut Vec<Finding>) {
    let spaces: Vec<String> =
        ["hostNetwork", "hostPID", "hostIPC"].into_iter().filter(|f| spec.get(f).is_true()).map(|f| format!("{f}=true")).collect();
    if !spaces.is_empty() {
        found.push(("host namespaces", spaces.join(", ")));
    }
    let volumes: Vec<&str> =
        spec.get("volumes").items().iter().filter(|v| !v.get("hostPath").is_null()).map(|v| v.get("name").text()).collect();
    if !volumes.is_empty() && !restricted {
        found.push(("hostPath volumes", format!("{} {}", plural("volume", volumes.len()), quoted(volumes.iter().copied()))));
    }
    let host_port = |p: &Json| p.get("hostPort").as_i64().filter(|n| *n != 0);
    let bad = names_of(spec, |c| c.get("ports").items().iter().any(|p| host_port(p).is_some()));
    if !bad.is_empty() {
        let ports: BTreeSet<String> =
            containers(spec).flat_map(|c| c.get("ports").items()).filter_map(host_port).map(|n| n.to_string()).collect();
        let uses = if bad.len() == 1 { "uses" } else { "use" };
        let list = ports.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        found.push(("hostPort", format!("{} {uses} {} {list}", named(&bad), plural("hostPort", ports.len()))));
    }
}

fn restricted_findings(spec: &Json, found: &mut Vec<Finding>) {
    let escalating = names_of(spec, |c| c.at(&["securityContext", "allowPrivilegeEscalation"]).as_bool() != Some(false));
    if !escalating.is_empty() {
        let detail = format!("{} must set securityContext.allowPrivilegeEscalation=false", named(&escalating));
        found.push(("allowPrivilegeEscalation != false", detail));
    }
    capabilities_restricted(spec, found);
    volumes(spec, found);
    let own = |c: &Json| c.at(&["securityContext", "runAsNonRoot"]).as_bool();
    let pod = spec.at(&["securityContext", "runAsNonRoot"]).as_bool();
    let setters = setters(pod == Some(false), &names_of(spec, |c| own(c) == Some(false)));
    let silent = names_of(spec, |c| own(c).is_none() && pod != Some(true));
    if !setters.is_empty() {
        found.push(("runAsNonRoot != true", format!("{} must not set securityContext.runAsNonRoot=false", setters.join(" and "))));
    } else if !silent.is_empty() {
        found.push(("runAsNonRoot != true", format!("pod or {} must set securityContext.runAsNonRoot=true", named(&silent))));
    }
    let root = |json: &Json| json.at(&["securityContext", "runAsUser"]).as_i64() == Some(0);
    let setters = self::setters(root(spec), &names_of(spec, root));
    if !setters.is_empty() {
        found.push(("runAsUser=0", format!("{} must not set runAsUser=0", setters.join(" and "))));
    }
    seccomp(spec, true, found);
}

/// Who sets a field to a bad value: the pod, containers, or both.
fn setters(pod: bool, containers: &[&str]) -> Vec<String> {
    let mut who = Vec::new();
    if pod {
        who.push("pod".to_owned());
    }
    if !containers.is_empty() {
        who.push(named(containers));
    }
    who
}

fn capabilities_restricted(spec: &Json, found: &mut Vec<Finding>) {
    let has = |c: &Json, list: &str, name: &str| c.at(&["securityContext", "capabilities", list]).items().iter().any(|x| x.text() == name);
    let odd = |c: &Json| -> Vec<String> {
        let added = c.at(&["securityContext", "capabilities", "add"]).items().iter();
        added.map(|a| a.text().to_owned()).filter(|a| a != "NET_BIND_SERVICE").collect()
    };
    let mut details = Vec::new();
    let missing = names_of(spec, |c| !has(c, "drop", "ALL"));
    if !missing.is_empty() {
        details.push(format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", named(&missing)));
    }
    let adding = names_of(spec, |c| !odd(c).is_empty());
    if !adding.is_empty() {
        let all: BTreeSet<String> = containers(spec).flat_map(odd).collect();
        let list = quoted(all.iter().map(String::as_str));
        details.push(format!("{} must not include {list} in securityContext.capabilities.add", named(&adding)));
    }
    if !details.is_empty() {
        found.push(("unrestricted capabilities", details.join("; ")));
    }
}

fn volumes(spec: &Json, found: &mut Vec<Finding>) {
    const ALLOWED: [&str; 9] =
        ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret"];
    let source = |v: &Json| v.entries().map(|(k, _)| k.to_string()).find(|k| k != "name").unwrap_or_else(|| "unknown".to_owned());
    let bad: Vec<&Json> = spec.get("volumes").items().iter().filter(|v| !ALLOWED.contains(&source(v).as_str())).collect();
    if bad.is_empty() {
        return;
    }
    let kinds: BTreeSet<String> = bad.iter().map(|v| source(v)).collect();
    let uses = if bad.len() == 1 { "uses" } else { "use" };
    let names = quoted(bad.iter().map(|v| v.get("name").text()));
    let kind_words = if kinds.len() == 1 { "restricted volume type" } else { "restricted volume types" };
    let list = quoted(kinds.iter().map(String::as_str));
    found.push(("restricted volume types", format!("{} {names} {uses} {kind_words} {list}", plural("volume", bad.len()))));
}

fn seccomp(spec: &Json, must_set: bool, found: &mut Vec<Finding>) {
    let of = |json: &Json| json.at(&["securityContext", "seccompProfile", "type"]).as_str().map(str::to_owned);
    let bad = |json: &Json| of(json).filter(|t| !matches!(t.as_str(), "RuntimeDefault" | "Localhost"));
    let who = setters(bad(spec).is_some(), &names_of(spec, |c| bad(c).is_some()));
    if !who.is_empty() {
        let values: BTreeSet<String> = bad(spec).into_iter().chain(containers(spec).filter_map(bad)).collect();
        let list = quoted(values.iter().map(String::as_str));
        found.push(("seccompProfile", format!("{} must not set securityContext.seccompProfile.type to {list}", who.join(" and "))));
        return;
    }
    let silent = names_of(spec, |c| of(c).is_none() && of(spec).is_none());
    if must_set && !silent.is_empty() {
        let detail =
            format!("pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"", named(&silent));
        found.push(("seccompProfile", detail));
    }
}
