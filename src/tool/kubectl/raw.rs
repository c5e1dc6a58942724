//! `kubectl get --raw`: a path of the API server, answered with what the server would send.

use super::command::Call;
use super::failure::Failure;
use super::output::json;
use crate::cluster::{ApiRequest, Options, ReplyBody};
use crate::object::{Json, ResourceRef};
use crate::{array, object};

/// Prints the answer to `GET path`.
pub fn get(call: &mut Call<'_, '_>, path: &str) -> Result<(), Failure> {
    if !call.args.is_empty() {
        return Err("arguments may not be passed when --raw is specified".into());
    }
    if call.flags.on("watch") || call.flags.on("watch-only") || !call.flags.text("selector").is_empty() {
        return Err("--raw may not be specified with other flags that filter the server request or alter the output".into());
    }
    if !call.flags.text("output").is_empty() {
        return Err("--raw and --output are mutually exclusive".into());
    }
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    if matches!(path, "/healthz" | "/livez" | "/readyz") {
        call.print("ok");
        return Ok(());
    }
    if path == "/version" {
        let version = call.cx.cluster.version();
        call.print(&super::version::server_text(&version));
        return Ok(());
    }
    let options = Options {
        label_selector: parameter(query, "labelSelector"),
        field_selector: parameter(query, "fieldSelector"),
        ..Options::default()
    };
    let Some(request) = request(call, path)? else {
        return Err(crate::cluster::ApiError::new(404, "NotFound", "the server could not find the requested resource").into());
    };
    let resource = request.resource.clone();
    let reply = call.api(&request.options(options))?;
    let answer = match reply.body {
        ReplyBody::Object(object) => object.0,
        ReplyBody::List { resource_version, items } => list(&resource, &resource_version, items.into_iter().map(|item| item.0).collect()),
    };
    let mut text = String::new();
    json::compact(&answer, &mut text);
    text.push('\n');
    call.print(&text);
    Ok(())
}

/// A list as the server sends it: items without their own kind.
fn list(resource: &ResourceRef, version: &str, mut items: Vec<Json>) -> Json {
    for item in &mut items {
        item.remove("kind");
        item.remove("apiVersion");
    }
    let mut list = object! {
        "apiVersion" => resource.api_version(), "items" => array![], "kind" => format!("{}List", resource.kind),
        "metadata" => object! {},
    };
    if !version.is_empty() {
        list.set_at(&["metadata", "resourceVersion"], version);
    }
    list.set("items", items);
    list
}

fn parameter(query: &str, name: &str) -> String {
    let value = query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name)).map_or("", |(_, value)| value);
    let mut out = Vec::new();
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        let hex: String = if byte == b'%' { bytes.by_ref().take(2).map(char::from).collect() } else { String::new() };
        out.push(match (byte, u8::from_str_radix(&hex, 16)) {
            (b'%', Ok(decoded)) => decoded,
            (b'+', _) => b' ',
            (byte, _) => byte,
        });
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The request that a path stands for.
fn request(call: &mut Call<'_, '_>, path: &str) -> Result<Option<ApiRequest>, Failure> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return Ok(None),
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some(*namespace), rest),
        rest => (None, rest),
    };
    let mapper = call.mapper()?;
    let named = |plural: &str| mapper.all().iter().find(|r| r.plural == plural && r.group == group && r.version == version).cloned();
    Ok(match rest {
        [plural] => named(plural).map(|resource| ApiRequest::list(&resource, namespace)),
        [plural, name] => named(plural).map(|resource| ApiRequest::get(&resource, namespace, name)),
        _ => None,
    })
}
