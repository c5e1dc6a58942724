//! `kubectl config`: reads and changes kubeconfig files.

mod entries;
mod property;
mod view;

use super::command::{Call, Command};
use super::failure::Failure;

/// `kubectl config`.
pub static COMMAND: Command = Command::group(
    "kubectl config",
    "SUBCOMMAND",
    "Modify kubeconfig files",
    &[
        &entries::CURRENT_CONTEXT,
        &entries::DELETE_CLUSTER,
        &entries::DELETE_CONTEXT,
        &entries::DELETE_USER,
        &entries::GET_CLUSTERS,
        &entries::GET_CONTEXTS,
        &entries::GET_USERS,
        &entries::RENAME_CONTEXT,
        &property::SET,
        &property::SET_CLUSTER,
        &property::SET_CONTEXT,
        &property::SET_CREDENTIALS,
        &property::UNSET,
        &entries::USE_CONTEXT,
        &view::COMMAND,
    ],
);

/// The arguments of a command that takes `N` of them; otherwise its help is printed too.
fn exactly<const N: usize>(call: &mut Call<'_, '_>) -> Result<[String; N], Failure> {
    match call.args.clone().try_into() {
        Ok(args) => Ok(args),
        Err(args) => {
            let args: Vec<String> = args;
            call.print(&call.command.help());
            Err(format!("Unexpected args: [{}]", args.join(" ")).into())
        }
    }
}
