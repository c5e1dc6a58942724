//! `kubectl config set`, `unset`, `set-context`, `set-cluster`, `set-credentials`: single values of a kubeconfig.

use super::exactly;
use crate::object;
use crate::object::Json;
use crate::object::decode::to_base64;
use crate::tool::kubectl::command::{Call, Command};
use crate::tool::kubectl::failure::{Failure, quote};
use crate::tool::kubectl::flags::Flag;
use crate::tool::kubectl::kubeconfig::{CLUSTERS, CONTEXTS, Kubeconfig, Section, USERS};

static RAW_BYTES: &[Flag] = &[Flag::switch("set-raw-bytes", "Take the value of a field with bytes as it is, not as base64.")];
static CONTEXT_FLAGS: &[Flag] = &[
    Flag::text("cluster", "cluster for the context entry in kubeconfig"),
    Flag::switch("current", "Modify the current context"),
    Flag::text("namespace", "namespace for the context entry in kubeconfig"),
    Flag::text("user", "user for the context entry in kubeconfig"),
];
static CLUSTER_FLAGS: &[Flag] = &[
    Flag::text("certificate-authority", "Path of the authority's certificate."),
    Flag::switch("embed-certs", "Put the certificate itself into the entry."),
    Flag::switch("insecure-skip-tls-verify", "Do not check the server's certificate."),
    Flag::text("proxy-url", "Address of a proxy."),
    Flag::text("server", "Address of the server."),
    Flag::text("tls-server-name", "Name to expect in the server's certificate."),
];
static USER_FLAGS: &[Flag] = &[
    Flag::text("client-certificate", "Path of the client's certificate."),
    Flag::text("client-key", "Path of the client's key."),
    Flag::text("password", "Password for basic authentication."),
    Flag::text("token", "Bearer token."),
    Flag::text("username", "User name for basic authentication."),
];

/// `kubectl config set`.
pub static SET: Command =
    Command::leaf("kubectl config set", "PROPERTY_NAME PROPERTY_VALUE", "Set an individual value in a kubeconfig file", &[RAW_BYTES], set);
/// `kubectl config unset`.
pub static UNSET: Command =
    Command::leaf("kubectl config unset", "PROPERTY_NAME", "Unset an individual value in a kubeconfig file", &[], unset);
/// `kubectl config set-context`.
pub static SET_CONTEXT: Command = Command::leaf(
    "kubectl config set-context",
    "[NAME | --current] [--cluster=cluster_nickname] [--user=user_nickname] [--namespace=namespace]",
    "Set a context entry in kubeconfig",
    &[CONTEXT_FLAGS],
    set_context,
);
/// `kubectl config set-cluster`.
pub static SET_CLUSTER: Command = Command::leaf(
    "kubectl config set-cluster",
    "NAME [--server=server] [--certificate-authority=path/to/certificate/authority] [--insecure-skip-tls-verify=true] [--tls-server-name=example.com]",
    "Set a cluster entry in kubeconfig",
    &[CLUSTER_FLAGS],
    set_cluster,
);
/// `kubectl config set-credentials`.
pub static SET_CREDENTIALS: Command = Command::leaf(
    "kubectl config set-credentials",
    "NAME [--client-certificate=path/to/certfile] [--client-key=path/to/keyfile] [--token=bearer_token] [--username=basic_user] [--password=basic_password]",
    "Set a user entry in kubeconfig",
    &[USER_FLAGS],
    set_credentials,
);

/// A property's name taken apart.
enum Property {
    CurrentContext,
    Section(&'static Section),
    Entry(&'static Section, String),
    Field(&'static Section, String, String),
}

/// Names of entries may hold dots, so a field's name is looked for from the left.
fn property(path: &str) -> Result<Property, Failure> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    if first == "current-context" && rest.is_none() {
        return Ok(Property::CurrentContext);
    }
    let Some(section) = [&CLUSTERS, &USERS, &CONTEXTS].into_iter().find(|section| section.list == first) else {
        return Err(format!("unable to parse {path} after [] at api.Config").into());
    };
    let Some(rest) = rest else { return Ok(Property::Section(section)) };
    let parts: Vec<&str> = rest.split('.').collect();
    match parts.iter().skip(1).position(|part| section.fields.contains(part)) {
        None => Ok(Property::Entry(section, rest.to_owned())),
        Some(at) if at + 2 == parts.len() => Ok(Property::Field(section, parts[..=at].join("."), parts[at + 1].to_owned())),
        Some(_) => Err(format!("unable to parse one or more field values of {path}").into()),
    }
}

fn set(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let [name, value] = exactly(call)?;
    if value.is_empty() {
        return Err("you cannot use set to unset a property".into());
    }
    if name.is_empty() {
        return Err("you must specify a property".into());
    }
    let mut config = Kubeconfig::load(call)?;
    match property(&name)? {
        Property::CurrentContext => config.current = value,
        Property::Field(section, entry, field) => {
            let value = typed(&field, value, call.flags.on("set-raw-bytes"))?;
            config.entries(section).entry(entry).or_insert_with(|| object! {}).set(&field, value);
        }
        Property::Section(_) | Property::Entry(..) => return Err(format!("can't set a map to a value: {name}").into()),
    }
    config.save(call)?;
    call.say(format_args!("Property {} set.", quote(&name)));
    Ok(())
}

/// A value as its field holds it.
fn typed(field: &str, value: String, raw: bool) -> Result<Json, Failure> {
    if matches!(field, "insecure-skip-tls-verify" | "disable-compression") {
        return match value.as_str() {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true.into()),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false.into()),
            _ => Err(format!("strconv.ParseBool: parsing {}: invalid syntax", quote(&value)).into()),
        };
    }
    if field.ends_with("-data") && raw {
        return Ok(to_base64(value.as_bytes()).into());
    }
    Ok(value.into())
}

fn unset(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let [name] = exactly(call)?;
    if name.is_empty() {
        return Err("you must specify a property".into());
    }
    let mut config = Kubeconfig::load(call)?;
    match property(&name)? {
        Property::CurrentContext => config.current.clear(),
        Property::Section(section) => config.entries(section).clear(),
        Property::Entry(section, entry) => drop(config.entries(section).remove(&entry)),
        Property::Field(section, entry, field) => match config.entries(section).get_mut(&entry) {
            Some(entry) => drop(entry.remove(&field)),
            None => return Err(format!("current map key `{entry}` is invalid").into()),
        },
    }
    config.save(call)?;
    call.say(format_args!("Property {} unset.", quote(&name)));
    Ok(())
}

/// Sets fields of an entry from the flags of the same names that were given.
fn from_flags(call: &Call<'_, '_>, entry: &mut Json, fields: &[&'static str]) {
    for field in fields.iter().filter(|field| call.flags.changed(field)) {
        entry.set(field, call.flags.text(field));
    }
}

fn set_context(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    if call.args.len() > 1 {
        exactly::<1>(call)?;
    }
    let name = call.args.first().cloned().unwrap_or_default();
    let current = call.flags.on("current");
    if name.is_empty() && !current {
        return Err("you must specify a non-empty context name or --current".into());
    }
    if !name.is_empty() && current {
        return Err("you cannot specify both a context name and --current".into());
    }
    let mut config = Kubeconfig::load(call)?;
    if current && config.current.is_empty() {
        return Err("no current context is set".into());
    }
    let name = if current { config.current.clone() } else { name };
    let what = if config.contexts.contains_key(&name) { "modified" } else { "created" };
    from_flags(call, config.contexts.entry(name.clone()).or_insert_with(|| object! {}), &["cluster", "user", "namespace"]);
    config.save(call)?;
    call.say(format_args!("Context {} {what}.", quote(&name)));
    Ok(())
}

fn set_cluster(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let [name] = exactly(call)?;
    if name.is_empty() {
        return Err("you must specify a non-empty cluster name".into());
    }
    let authority = call.flags.text("certificate-authority");
    let insecure = call.flags.on("insecure-skip-tls-verify");
    if insecure && !authority.is_empty() {
        return Err("you cannot specify a certificate authority and insecure mode at the same time".into());
    }
    let embedded = call.flags.on("embed-certs");
    if embedded && authority.is_empty() {
        return Err("you must specify a --certificate-authority to embed".into());
    }
    let certificate = if embedded { call.cx.files.read(&authority) } else { None };
    if embedded && certificate.is_none() {
        return Err(format!("could not stat certificate-authority file {authority}: stat {authority}: no such file or directory").into());
    }
    let mut config = Kubeconfig::load(call)?;
    let cluster = config.clusters.entry(name.clone()).or_insert_with(|| object! {});
    if call.flags.changed("server") {
        cluster.remove("tls-server-name");
    }
    from_flags(call, cluster, &["server", "tls-server-name", "proxy-url"]);
    cluster.set("insecure-skip-tls-verify", insecure);
    if insecure || call.flags.changed("certificate-authority") {
        cluster.remove("certificate-authority");
        cluster.remove("certificate-authority-data");
    }
    if !authority.is_empty() {
        cluster.remove("insecure-skip-tls-verify");
        match certificate {
            Some(bytes) => cluster.set("certificate-authority-data", to_base64(&bytes)),
            None => cluster.set("certificate-authority", authority),
        }
    }
    config.save(call)?;
    call.say(format_args!("Cluster {} set.", quote(&name)));
    Ok(())
}

fn set_credentials(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let [name] = call.args.as_slice() else {
        return Err(format!("unexpected args: [{}]", call.args.join(" ")).into());
    };
    let name = name.clone();
    if name.is_empty() {
        return Err("you must specify a non-empty user name".into());
    }
    let given = |flag: &'static str| !call.flags.text(flag).is_empty();
    let (token, basic) = (given("token"), given("username") || given("password"));
    if token && basic {
        return Err("you cannot specify more than one authentication method at the same time: --token, --username/--password".into());
    }
    let mut config = Kubeconfig::load(call)?;
    let user = config.users.entry(name.clone()).or_insert_with(|| object! {});
    from_flags(call, user, &["client-certificate", "client-key", "token", "username", "password"]);
    if token {
        user.remove("username");
        user.remove("password");
    } else if basic {
        user.remove("token");
    }
    config.save(call)?;
    call.say(format_args!("User {} set.", quote(&name)));
    Ok(())
}
