//! Flags that every command takes, and what they mean for the call.

use super::command::Call;
use super::failure::{Failure, quote};
use super::flags::{Flag, parse_duration};
use crate::cluster::Identity;
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

/// Takes the namespace and the identity from the flags.
pub(super) fn apply(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let timeout = call.flags.text("request-timeout");
    if timeout.parse::<u64>().is_err() && parse_duration(&timeout).is_err() {
        return Err("Invalid timeout value. Timeout must be a single integer in seconds, or an integer followed by a corresponding time unit (e.g. 1s | 2m | 3h)".into());
    }
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
    if user.is_empty() {
        if call.flags.changed("as-group") {
            return Err("requesting uid, groups or user-extra for  without impersonating a user".into());
        }
        return Ok(());
    }
    if !call.who.is_operator() {
        let message = format!(
            "users {} is forbidden: User {} cannot impersonate resource \"users\" in API group \"\" at the cluster scope",
            quote(&user),
            quote(&call.who.user)
        );
        return Err(crate::cluster::ApiError::new(403, "Forbidden", message).into());
    }
    let mut groups: Vec<ArcStr> = call.flags.list("as-group").iter().map(|g| ArcStr::from(g.as_str())).collect();
    if let Some((namespace, _)) = user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')) {
        groups.push("system:serviceaccounts".into());
        groups.push(format!("system:serviceaccounts:{namespace}").into());
    }
    groups.push("system:authenticated".into());
    call.who = Identity { user: user.into(), groups };
    Ok(())
}
