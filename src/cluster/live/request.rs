//! [`ApiRequest`] as HTTP, and the API server's answer as [`ApiReply`].

use crate::cluster::{
    ApiError, ApiReply, ApiRequest, Body, FieldValidation, Identity, PatchKind, Propagation, ReplyBody, Subresource, Verb,
};
use crate::object;
use crate::object::{Json, Object, ResourceType};
use arcstr::ArcStr;
use http::Request;
use std::fmt::Write;

/// The path of a request, without query.
pub(super) fn path(resource: &ResourceType, namespace: Option<&str>, name: Option<&str>, subresource: Option<Subresource>) -> String {
    let mut path = if resource.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", segment(&resource.group)) };
    let _ = write!(path, "/{}", segment(&resource.version));
    if let Some(namespace) = namespace.filter(|_| resource.namespaced) {
        let _ = write!(path, "/namespaces/{}", segment(namespace));
    }
    let _ = write!(path, "/{}", segment(&resource.plural));
    if let Some(name) = name {
        let _ = write!(path, "/{}", segment(name));
        if let Some(subresource) = subresource {
            let _ = write!(path, "/{}", subresource.as_str());
        }
    }
    path
}

/// One element of a path: what a user typed must not become another path.
pub(super) fn segment(text: &str) -> String {
    escaped(text, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b':'))
}

/// A value in a query.
pub(super) fn value(text: &str) -> String {
    escaped(text, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~'))
}

fn escaped(text: &str, plain: fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if plain(byte) {
            out.push(byte as char);
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    // A lone dot would be taken for a step up or nowhere.
    if matches!(out.as_str(), "." | "..") { out.replace('.', "%2E") } else { out }
}

/// Parameters of a query, in order.
#[derive(Default)]
pub(super) struct Query(String);

impl Query {
    pub(super) fn add(&mut self, name: &str, text: &str) {
        let mark = if self.0.is_empty() { '?' } else { '&' };
        let _ = write!(self.0, "{mark}{name}={}", value(text));
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

fn query(request: &ApiRequest) -> Query {
    let (options, mut query) = (&request.options, Query::default());
    let writes = matches!(request.verb, Verb::Create | Verb::Update | Verb::Patch);
    if !options.label_selector.is_empty() {
        query.add("labelSelector", &options.label_selector);
    }
    if !options.field_selector.is_empty() {
        query.add("fieldSelector", &options.field_selector);
    }
    if options.dry_run && writes {
        query.add("dryRun", "All");
    }
    if let Some(manager) = options.field_manager.as_ref().filter(|_| writes) {
        query.add("fieldManager", manager);
    }
    if options.force && matches!(request.body, Body::Patch(PatchKind::Apply, _)) {
        query.add("force", "true");
    }
    if writes {
        match options.field_validation {
            FieldValidation::Ignore => query.add("fieldValidation", "Ignore"),
            FieldValidation::Warn => query.add("fieldValidation", "Warn"),
            FieldValidation::Strict => query.add("fieldValidation", "Strict"),
        }
    }
    query
}

fn delete_options(request: &ApiRequest) -> Json {
    let options = &request.options;
    let mut body = object! { "kind" => "DeleteOptions", "apiVersion" => "v1" };
    if let Some(grace) = options.grace_period_s {
        body.set("gracePeriodSeconds", grace);
    }
    if let Some(propagation) = options.propagation {
        let text = match propagation {
            Propagation::Background => "Background",
            Propagation::Foreground => "Foreground",
            Propagation::Orphan => "Orphan",
        };
        body.set("propagationPolicy", text);
    }
    if options.dry_run {
        body.set("dryRun", crate::array!["All"]);
    }
    if let Some(uid) = &options.uid {
        body.set("preconditions", object! { "uid" => uid });
    }
    body
}

/// The HTTP request; `acting_as` adds impersonation.
pub(super) fn http_request(request: &ApiRequest, acting_as: Option<&Identity>) -> Result<Request<kube::client::Body>, ApiError> {
    let subresource = request.subresource;
    let uri = format!(
        "{}{}",
        path(&request.resource, request.namespace.as_deref(), request.name.as_deref(), subresource),
        query(request).into_text()
    );
    let (method, media, body) = match (request.verb, &request.body) {
        (Verb::Get | Verb::List, _) => ("GET", None, None),
        (Verb::Create, Body::Object(object)) => ("POST", Some("application/json"), Some(object.to_compact())),
        (Verb::Update, Body::Object(object)) => ("PUT", Some("application/json"), Some(object.to_compact())),
        (Verb::Patch, Body::Patch(kind, patch)) => ("PATCH", Some(media_type(*kind)), Some(patch.to_compact())),
        (Verb::Delete | Verb::DeleteCollection, _) => ("DELETE", Some("application/json"), Some(delete_options(request).to_compact())),
        (Verb::Create, _) => ("POST", None, None),
        (Verb::Update, _) => ("PUT", None, None),
        (Verb::Patch, _) => ("PATCH", None, None),
    };
    let mut builder = Request::builder().method(method).uri(uri).header("Accept", "application/json");
    if let Some(media) = media {
        builder = builder.header("Content-Type", media);
    }
    if let Some(who) = acting_as {
        builder = builder.header("Impersonate-User", who.user.as_str());
        for group in &who.groups {
            builder = builder.header("Impersonate-Group", group.as_str());
        }
    }
    let body = body.map_or_else(kube::client::Body::empty, |text| text.into_bytes().into());
    builder.body(body).map_err(|error| ApiError::new(400, "BadRequest", format!("the request cannot be sent: {error}")))
}

fn media_type(kind: PatchKind) -> &'static str {
    match kind {
        PatchKind::Json => "application/json-patch+json",
        PatchKind::Merge => "application/merge-patch+json",
        PatchKind::Strategic => "application/strategic-merge-patch+json",
        PatchKind::Apply => "application/apply-patch+yaml",
    }
}

/// The answer as the trait gives it.
pub(super) fn reply(request: &ApiRequest, status: u16, warnings: Vec<ArcStr>, body: &[u8]) -> Result<ApiReply, ApiError> {
    let parsed = std::str::from_utf8(body).ok().and_then(|text| Json::parse(text).ok());
    let Some(answer) = parsed else {
        let text = String::from_utf8_lossy(&body[..body.len().min(500)]).trim().to_owned();
        if (200..300).contains(&status) {
            return Err(ApiError::new(502, "InternalError", format!("the API server's answer is no JSON: {text}")));
        }
        return Err(plain_error(status, &text));
    };
    if !(200..300).contains(&status) {
        return Err(error_of(status, &answer));
    }
    if request.verb == Verb::List || matches!(answer.get("items"), Json::Arr(_)) && answer.get("kind").text().ends_with("List") {
        return Ok(ApiReply { body: list(&request.resource, &answer), warnings });
    }
    Ok(ApiReply { body: ReplyBody::Object(Object(answer)), warnings })
}

/// Items of a list come without kind; everybody else wants to know it.
fn list(resource: &ResourceType, answer: &Json) -> ReplyBody {
    let (api_version, kind) = (ArcStr::from(resource.api_version()), ArcStr::from(resource.kind.as_str()));
    let item = |item: &Json| {
        let mut item = item.clone();
        item.set("apiVersion", &api_version);
        item.set("kind", &kind);
        Object(item)
    };
    let resource_version = answer.at(&["metadata", "resourceVersion"]).text().into();
    let mut items: Vec<Object> = answer.get("items").items().iter().map(item).collect();
    items.sort_by(|a, b| (a.namespace(), a.name()).cmp(&(b.namespace(), b.name())));
    ReplyBody::List { resource_version, items }
}

/// A `Status` as an error.
pub(super) fn error_of(status: u16, answer: &Json) -> ApiError {
    if answer.get("kind").text() != "Status" {
        return plain_error(status, &answer.to_compact());
    }
    let code = answer.get("code").as_i64().and_then(|code| u16::try_from(code).ok()).unwrap_or(status);
    let mut error = ApiError::new(code, answer.get("reason").text(), answer.get("message").text());
    error.details = answer.get("details").clone();
    error
}

fn plain_error(status: u16, text: &str) -> ApiError {
    let reason = match status {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        405 => "MethodNotAllowed",
        409 => "Conflict",
        410 => "Expired",
        413 => "RequestEntityTooLarge",
        415 => "UnsupportedMediaType",
        422 => "Invalid",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "InternalError",
    };
    ApiError::new(status, reason, if text.is_empty() { format!("the server answered {status}") } else { text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Options;
    use crate::object::resource;

    #[test]
    fn requests_have_the_paths_that_kubectl_uses() {
        let check = |request: ApiRequest, expect: &str| {
            let sent = http_request(&request, None).expect("a request");
            assert_eq!(format!("{} {}", sent.method(), sent.uri()), expect);
        };
        let pods = resource::builtin_named("", "pods").expect("pods");
        let deployments = resource::builtin_named("apps", "deployments").expect("deployments");
        let nodes = resource::builtin_named("", "nodes").expect("nodes");
        check(ApiRequest::get(pods, Some("a"), "x"), "GET /api/v1/namespaces/a/pods/x");
        check(ApiRequest::list(pods, None), "GET /api/v1/pods");
        check(ApiRequest::get(nodes, Some("a"), "n"), "GET /api/v1/nodes/n");
        let options = Options { label_selector: "a in (b,c)".into(), field_selector: "spec.nodeName=n".into(), ..Options::default() };
        check(
            ApiRequest::list(pods, Some("a")).options(options),
            "GET /api/v1/namespaces/a/pods?labelSelector=a%20in%20%28b%2Cc%29&fieldSelector=spec.nodeName%3Dn",
        );
        let options = Options { field_manager: Some("m".into()), force: true, dry_run: true, ..Options::default() };
        check(
            ApiRequest::patch(deployments, Some("a"), "d", PatchKind::Apply, object! {}).options(options),
            "PATCH /apis/apps/v1/namespaces/a/deployments/d?dryRun=All&fieldManager=m&force=true&fieldValidation=Ignore",
        );
        check(
            ApiRequest::get(pods, Some("../../secrets"), "a/b?c").subresource(Subresource::Log),
            "GET /api/v1/namespaces/..%2F..%2Fsecrets/pods/a%2Fb%3Fc/log",
        );
        check(ApiRequest::get(pods, Some(".."), "."), "GET /api/v1/namespaces/%2E%2E/pods/%2E");
    }

    #[test]
    fn answers_and_errors() {
        let pods = resource::builtin_named("", "pods").expect("pods");
        let body = br#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7"},"items":[{"metadata":{"name":"b","namespace":"x"}},{"metadata":{"name":"a","namespace":"x"}}]}"#;
        let answer = reply(&ApiRequest::list(pods, None), 200, vec![], body).expect("a list");
        let names: Vec<String> = answer.into_items().iter().map(|o| format!("{} {}", o.kind(), o.name())).collect();
        assert_eq!(names, ["Pod a", "Pod b"]);
        let status = br#"{"kind":"Status","code":404,"reason":"NotFound","message":"pods \"x\" not found","details":{"name":"x"}}"#;
        let error = reply(&ApiRequest::get(pods, None, "x"), 404, vec![], status).expect_err("not there");
        assert_eq!((error.code, error.reason.as_str(), error.message.as_str()), (404, "NotFound", "pods \"x\" not found"));
        let error = reply(&ApiRequest::get(pods, None, "x"), 503, vec![], b"upstream is gone\n").expect_err("not there");
        assert_eq!((error.reason.as_str(), error.message.as_str()), ("ServiceUnavailable", "upstream is gone"));
        let error = reply(&ApiRequest::get(pods, None, "x"), 200, vec![], b"<html>").expect_err("no JSON");
        assert_eq!(error.message, "the API server's answer is no JSON: <html>");
    }
}
