//! `kubectl create token`.

use super::name_of;
use crate::cluster::{ApiRequest, Subresource};
use crate::object;
use crate::object::Json;
use crate::tool::kubectl::command::{Call, Command};
use crate::tool::kubectl::failure::Failure;
use crate::tool::kubectl::flags::Flag;
use crate::tool::kubectl::mutation::DryRun;
use crate::tool::kubectl::printing::{PRINT, Printer};

static FLAGS: &[Flag] = &[
    Flag::list("audience", "For whom the token is; may be repeated."),
    Flag::text("bound-object-kind", "Kind of the object that the token is bound to: Node, Pod, Secret."),
    Flag::text("bound-object-name", "Name of the object that the token is bound to."),
    Flag::text("bound-object-uid", "UID of the object that the token is bound to."),
    Flag::duration("duration", "0s", "How long the token is valid; 0 as the server decides."),
];

/// The command.
pub static COMMAND: Command =
    Command::leaf("kubectl create token", "SERVICE_ACCOUNT_NAME", "Request a service account token", &[FLAGS, PRINT], run);

const SECOND: i64 = 1_000_000_000;

fn run(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let name = name_of(call)?;
    let mut printer = Printer::of(call, DryRun::None)?;
    let spec = spec(call)?;
    let resource = call.mapper()?.resolve("serviceaccounts")?;
    let body = object! { "apiVersion" => "authentication.k8s.io/v1", "kind" => "TokenRequest", "metadata" => object! {}, "spec" => spec };
    let mut request = ApiRequest::create(&resource, Some(&call.namespace), body).subresource(Subresource::Token);
    request.name = Some(name.into());
    let answer = call.api(&request).map_err(|failure| format!("failed to create token: {failure}"))?.into_object();
    let token = answer.at(&["status", "token"]).text().to_owned();
    if token.is_empty() {
        return Err("failed to create token: no token in server response".into());
    }
    if call.flags.changed("output") {
        return printer.print(call, &answer, "created");
    }
    call.print(&token);
    Ok(())
}

fn spec(call: &Call<'_, '_>) -> Result<Json, Failure> {
    let flags = &call.flags;
    let duration = flags.nanos("duration");
    if duration < 0 {
        return Err("--duration must be greater than or equal to 0".into());
    }
    if duration % SECOND != 0 {
        return Err("--duration cannot be expressed in units less than seconds".into());
    }
    let audiences = flags.list("audience");
    if audiences.iter().any(String::is_empty) {
        return Err("--audience must not be an empty string".into());
    }
    let (kind, name, uid) = (flags.text("bound-object-kind"), flags.text("bound-object-name"), flags.text("bound-object-uid"));
    let mut spec = object! { "audiences" => if audiences.is_empty() { Json::Null } else { audiences.iter().map(Json::from).collect() } };
    if duration > 0 {
        spec.set("expirationSeconds", duration / SECOND);
    }
    if kind.is_empty() {
        if !name.is_empty() {
            return Err("--bound-object-name can only be set if --bound-object-kind is provided".into());
        }
        if !uid.is_empty() {
            return Err("--bound-object-uid can only be set if --bound-object-kind is provided".into());
        }
        return Ok(spec);
    }
    if !matches!(kind.as_str(), "Node" | "Pod" | "Secret") {
        return Err("supported --bound-object-kind values are Node, Pod, Secret".into());
    }
    if name.is_empty() {
        return Err("--bound-object-name is required if --bound-object-kind is provided".into());
    }
    let mut bound = object! { "apiVersion" => "v1", "kind" => kind, "name" => name };
    if !uid.is_empty() {
        bound.set("uid", uid);
    }
    spec.set("boundObjectRef", bound);
    Ok(spec)
}
