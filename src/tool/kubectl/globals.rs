//! Flags that every command takes, and what they mean for the call.

use super::command::{Call, Command};
use super::failure::{Failure, quote};
use super::flags::{Flag, parse_duration};
use super::kubeconfig;
use crate::cluster::{ApiError, ApiRequest, Identity};
use crate::object;
use arcstr::ArcStr;

/// The global flags.
pub static GLOBAL: &[Flag] = &[
    Flag::text("as", "User to act as."),
    Flag::list("as-group", "Group to act as; may be repeated."),
    Flag::text("as-uid", "UID to act as."),
    Flag::text("cache-dir", "Directory of the discovery cache.").default("/root/.kube/cache"),
    Flag::text("certificate-authority", "Certificate file of the authority that signed the server's certificate."),
    Flag::text("client-certificate", "Client certificate file for TLS."),
    Flag::text("client-key", "Client key file for TLS."),
    Flag::text("cluster", "Name of the kubeconfig's cluster to use."),
    Flag::text("context", "Name of the kubeconfig's context to use."),
    Flag::switch("disable-compression", "Ask the server not to compress its answers."),
    Flag::switch("insecure-skip-tls-verify", "Do not check the server's certificate."),
    Flag::text("kubeconfig", "Path of the kubeconfig file."),
    Flag::text("kuberc", "Path of the file with preferences."),
    Flag::duration("log-flush-frequency", "5s", "Time between flushes of kubectl's own log."),
    Flag::switch("match-server-version", "Fail unless the server's version is the client's."),
    Flag::text("namespace", "Namespace of this request.").short('n'),
    Flag::text("password", "Password for basic authentication."),
    Flag::text("profile", "Name of the profile to capture.").default("none"),
    Flag::text("profile-output", "File to write the profile to.").default("profile.pprof"),
    Flag::text("request-timeout", "Longest time to wait for one answer of the server; 0 waits for ever.").default("0"),
    Flag::text("server", "Address and port of the API server.").short('s'),
    Flag::text("tls-server-name", "Name to expect in the server's certificate."),
    Flag::text("token", "Bearer token for the API server."),
    Flag::text("user", "Name of the kubeconfig's user to use."),
    Flag::text("username", "User name for basic authentication."),
    Flag::int32("v", "0", "Verbosity of kubectl's own log.").short('v'),
    Flag::text("vmodule", "Verbosity by file, pattern=N."),
    Flag::switch("warnings-as-errors", "Fail when the server sends a warning."),
];

/// `kubectl options`.
pub static OPTIONS: Command = Command::leaf("kubectl options", "", "Print the list of flags inherited by all commands", &[], options);

fn options(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let shown: Vec<String> = GLOBAL.iter().map(Flag::usage).collect();
    call.print(&format!("The following options can be passed to any command:\n\n{}", shown.join("\n")));
    Ok(())
}

/// Takes the namespace and the identity from the flags and the kubeconfig.
pub(super) fn apply(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    if call.path.starts_with("kubectl config ")
        || call.path == "kubectl options"
        || (call.path == "kubectl version" && call.flags.on("client"))
    {
        return Ok(());
    }
    let timeout = call.flags.text("request-timeout");
    if timeout.parse::<u64>().is_err() && parse_duration(&timeout).is_err() {
        return Err("Invalid timeout value. Timeout must be a single integer in seconds, or an integer followed by a corresponding time unit (e.g. 1s | 2m | 3h)".into());
    }
    kubeconfig::choose(call)?;
    let namespace = call.flags.text("namespace");
    if !namespace.is_empty() {
        call.namespace = namespace;
        call.namespace_given = true;
    }
    impersonate(call)
}

/// `--as`: acts as somebody else, when the caller may.
fn impersonate(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let user = call.flags.text("as");
    let mut groups = call.flags.list("as-group");
    if user.is_empty() {
        if !groups.is_empty() || call.flags.changed("as-uid") {
            let user = kubeconfig::user(call)?;
            return Err(format!("requesting uid, groups or user-extra for {user} without impersonating a user").into());
        }
        return Ok(());
    }
    let account = user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    match account {
        Some((namespace, name)) => may_impersonate(call, "serviceaccounts", name, Some(namespace))?,
        None => may_impersonate(call, "users", &user, None)?,
    }
    for group in &groups {
        may_impersonate(call, "groups", group, None)?;
    }
    if let Some((namespace, _)) = account.filter(|_| groups.is_empty()) {
        groups = vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
    }
    let known = if user == "system:anonymous" { "system:unauthenticated" } else { "system:authenticated" };
    if !groups.iter().any(|group| group == known) {
        groups.push(known.to_owned());
    }
    call.who = Identity { user: user.into(), groups: groups.into_iter().map(ArcStr::from).collect() };
    Ok(())
}

/// Asks the server whether the caller may act as a user, a group or a service account.
fn may_impersonate(call: &mut Call<'_, '_>, resource: &str, name: &str, namespace: Option<&str>) -> Result<(), Failure> {
    if call.who.is_operator() {
        return Ok(());
    }
    let reviews = call.mapper()?.plural("authorization.k8s.io", "selfsubjectaccessreviews");
    let mut wanted = object! { "verb" => "impersonate", "resource" => resource, "name" => name };
    if let Some(namespace) = namespace {
        wanted.set("namespace", namespace);
    }
    let review = object! {
        "apiVersion" => "authorization.k8s.io/v1", "kind" => "SelfSubjectAccessReview", "spec" => object! { "resourceAttributes" => wanted },
    };
    if let Some(reviews) = reviews
        && let crate::cluster::ReplyBody::Object(answer) = call.api(&ApiRequest::create(&reviews, None, review))?.body
        && answer.at(&["status", "allowed"]).as_bool() == Some(true)
    {
        return Ok(());
    }
    let place = namespace.map_or_else(|| "at the cluster scope".to_owned(), |namespace| format!("in the namespace {}", quote(namespace)));
    let message = format!(
        "{resource} {} is forbidden: User {} cannot impersonate resource {} in API group \"\" {place}",
        quote(name),
        quote(&call.who.user),
        quote(resource)
    );
    Err(ApiError::new(403, "Forbidden", message).into())
}
