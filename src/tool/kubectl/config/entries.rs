//! `kubectl config get-contexts`, `use-context`, `delete-…`: clusters, users and contexts by name.

use super::exactly;
use crate::tool::kubectl::command::{Call, Command};
use crate::tool::kubectl::failure::{Failure, quote};
use crate::tool::kubectl::flags::Flag;
use crate::tool::kubectl::kubeconfig::{CLUSTERS, CONTEXTS, Kubeconfig, Section, USERS, default_path};
use crate::tool::kubectl::output::tabs::{TABLE, align};

static LISTING: &[Flag] = &[Flag::switch("no-headers", "Leave the header line out."), Flag::text("output", "Format: name.").short('o')];

/// `kubectl config current-context`.
pub static CURRENT_CONTEXT: Command =
    Command::leaf("kubectl config current-context", "", "Display the current-context", &[], current_context);
/// `kubectl config get-contexts`.
pub static GET_CONTEXTS: Command =
    Command::leaf("kubectl config get-contexts", "[(-o|--output=)name)]", "Describe one or many contexts", &[LISTING], get_contexts);
/// `kubectl config get-clusters`.
pub static GET_CLUSTERS: Command =
    Command::leaf("kubectl config get-clusters", "", "Display clusters defined in the kubeconfig", &[], |call| names(call, &CLUSTERS));
/// `kubectl config get-users`.
pub static GET_USERS: Command =
    Command::leaf("kubectl config get-users", "", "Display users defined in the kubeconfig", &[], |call| names(call, &USERS));
/// `kubectl config use-context`.
pub static USE_CONTEXT: Command =
    Command::leaf("kubectl config use-context", "CONTEXT_NAME", "Set the current-context in a kubeconfig file", &[], use_context)
        .aliases(&["use"]);
/// `kubectl config rename-context`.
pub static RENAME_CONTEXT: Command = Command::leaf(
    "kubectl config rename-context",
    "CONTEXT_NAME NEW_NAME",
    "Rename a context from the kubeconfig file",
    &[],
    rename_context,
);
/// `kubectl config delete-context`.
pub static DELETE_CONTEXT: Command =
    Command::leaf("kubectl config delete-context", "NAME", "Delete the specified context from the kubeconfig", &[], |call| {
        delete(call, &CONTEXTS)
    });
/// `kubectl config delete-cluster`.
pub static DELETE_CLUSTER: Command =
    Command::leaf("kubectl config delete-cluster", "NAME", "Delete the specified cluster from the kubeconfig", &[], |call| {
        delete(call, &CLUSTERS)
    });
/// `kubectl config delete-user`.
pub static DELETE_USER: Command =
    Command::leaf("kubectl config delete-user", "NAME", "Delete the specified user from the kubeconfig", &[], |call| delete(call, &USERS));

fn current_context(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let config = Kubeconfig::load(call)?;
    if config.current.is_empty() {
        return Err("current-context is not set".into());
    }
    call.say(&config.current);
    Ok(())
}

fn names(call: &mut Call<'_, '_>, section: &Section) -> Result<(), Failure> {
    let mut config = Kubeconfig::load(call)?;
    call.say("NAME");
    config.entries(section).keys().for_each(|name| call.say(name));
    Ok(())
}

fn get_contexts(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let format = call.flags.text("output");
    if !["", "name"].contains(&format.as_str()) {
        return Err(format!("--output {format} is not available in kubectl config get-contexts; resetting to default output format").into());
    }
    let config = Kubeconfig::load(call)?;
    let wanted = call.args.clone();
    let unknown = wanted.iter().filter(|name| !config.contexts.contains_key(*name));
    let unknown = unknown.map(|name| Failure::from(format!("context {name} not found"))).collect();
    let mut text = String::new();
    if format.is_empty() && !call.flags.on("no-headers") {
        text.push_str("CURRENT\tNAME\tCLUSTER\tAUTHINFO\tNAMESPACE\n");
    }
    for (name, context) in config.contexts.iter().filter(|(name, _)| wanted.is_empty() || wanted.contains(name)) {
        if format == "name" {
            text.push_str(&format!("{name}\n"));
            continue;
        }
        let mark = if config.current == *name { "*" } else { " " };
        let field = |field: &str| context.get(field).text();
        text.push_str(&format!("{mark}\t{name}\t{}\t{}\t{}\n", field("cluster"), field("user"), field("namespace")));
    }
    call.print(&align(&text, TABLE));
    Failure::all(unknown)
}

fn use_context(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let [name] = exactly(call)?;
    let mut config = Kubeconfig::load(call)?;
    if name.is_empty() {
        return Err("empty context names are not allowed".into());
    }
    if !config.contexts.contains_key(&name) {
        return Err(format!("no context exists with the name: {}", quote(&name)).into());
    }
    config.current.clone_from(&name);
    config.save(call)?;
    call.say(format_args!("Switched to context {}.", quote(&name)));
    Ok(())
}

fn rename_context(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let [old, new] = exactly(call)?;
    if new.is_empty() {
        return Err("You must specify a new non-empty context name".into());
    }
    let mut config = Kubeconfig::load(call)?;
    let path = default_path(call);
    let (from, to) = (quote(&old), quote(&new));
    if !config.contexts.contains_key(&old) {
        return Err(format!("cannot rename the context {from}, it's not in {path}").into());
    }
    if config.contexts.contains_key(&new) {
        return Err(format!("cannot rename the context {from}, the context {to} already exists in {path}").into());
    }
    if let Some(context) = config.contexts.remove(&old) {
        config.contexts.insert(new.clone(), context);
    }
    if config.current == old {
        config.current = new;
    }
    config.save(call)?;
    call.say(format_args!("Context {from} renamed to {to}."));
    Ok(())
}

fn delete(call: &mut Call<'_, '_>, section: &Section) -> Result<(), Failure> {
    let mut config = Kubeconfig::load(call)?;
    let [name] = call.args.as_slice() else {
        if section.entry == "user" {
            return Err(Failure::usage(call, "user to delete is required"));
        }
        call.print(&call.command.help());
        return Ok(());
    };
    let (name, path) = (name.clone(), default_path(call));
    let entry = section.entry;
    if config.entries(section).remove(&name).is_none() {
        return Err(format!("cannot delete {entry} {name}, not in {path}").into());
    }
    if entry == "context" && config.current == name {
        call.complain(r#"warning: this removed your active context, use "kubectl config use-context" to select a different one"#);
    }
    config.save(call)?;
    call.say(format_args!("deleted {entry} {name} from {path}"));
    Ok(())
}
