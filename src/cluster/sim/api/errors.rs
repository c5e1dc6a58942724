//! The API server's `Status` errors and the field errors that make up a 422, in the server's own words.

use crate::cluster::ApiError;
use crate::object::{Json, ResourceType};
use crate::{array, object};

/// Go's `%q` of a text.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A value as Go encodes it: the characters of HTML are escaped.
pub fn go_json(value: &Json) -> String {
    value.to_compact().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// `{name} {kind: plural} {group}` of a Status.
fn details(resource: &ResourceType, name: &str) -> Json {
    let mut details = object! {};
    for (key, value) in [("name", name), ("group", resource.group.as_str()), ("kind", resource.plural.as_str())] {
        if !value.is_empty() {
            details.set(key, value);
        }
    }
    details
}

fn with(resource: &ResourceType, name: &str, code: u16, reason: &str, message: String) -> ApiError {
    let mut error = ApiError::new(code, reason, message);
    error.details = details(resource, name);
    error
}

/// 409: an object of the name is there already.
pub fn already_exists(resource: &ResourceType, name: &str) -> ApiError {
    let message = format!("{} {} already exists", resource.qualified_plural(), quote(name));
    with(resource, name, 409, "AlreadyExists", message)
}

/// 409: `Operation cannot be fulfilled on …`.
pub fn conflict(resource: &ResourceType, name: &str, why: &str) -> ApiError {
    let message = format!("Operation cannot be fulfilled on {} {}: {why}", resource.qualified_plural(), quote(name));
    with(resource, name, 409, "Conflict", message)
}

/// 409 of a stale resourceVersion.
pub fn stale(resource: &ResourceType, name: &str) -> ApiError {
    conflict(resource, name, "the object has been modified; please apply your changes to the latest version and try again")
}

/// 403: `pods "x" is forbidden: …`.
pub fn forbidden(resource: &ResourceType, name: &str, why: &str) -> ApiError {
    let what = resource.qualified_plural();
    let message =
        if name.is_empty() { format!("{what} is forbidden: {why}") } else { format!("{what} {} is forbidden: {why}", quote(name)) };
    with(resource, name, 403, "Forbidden", message)
}

/// 400.
pub fn bad_request(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "BadRequest", message)
}

/// 405.
pub fn method_not_allowed() -> ApiError {
    ApiError::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
}

/// 404 of a kind or subresource that is not served.
pub fn no_such_path() -> ApiError {
    ApiError::new(404, "NotFound", "the server could not find the requested resource")
}

/// Why a field was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names are those of the causes in a Status")]
pub enum Cause {
    NotFound,
    Required,
    Duplicate,
    Invalid,
    NotSupported,
    Forbidden,
    TooLong,
    TooMany,
    Internal,
    TypeInvalid,
}

impl Cause {
    fn reason(self) -> &'static str {
        match self {
            Cause::NotFound => "FieldValueNotFound",
            Cause::Required => "FieldValueRequired",
            Cause::Duplicate => "FieldValueDuplicate",
            Cause::Invalid => "FieldValueInvalid",
            Cause::NotSupported => "FieldValueNotSupported",
            Cause::Forbidden => "FieldValueForbidden",
            Cause::TooLong => "FieldValueTooLong",
            Cause::TooMany => "FieldValueTooMany",
            Cause::Internal => "InternalError",
            Cause::TypeInvalid => "FieldValueTypeInvalid",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Cause::NotFound => "Not found",
            Cause::Required => "Required value",
            Cause::Duplicate => "Duplicate value",
            Cause::Invalid | Cause::TypeInvalid => "Invalid value",
            Cause::NotSupported => "Unsupported value",
            Cause::Forbidden => "Forbidden",
            Cause::TooLong => "Too long",
            Cause::TooMany => "Too many",
            Cause::Internal => "Internal error",
        }
    }
}

/// The field errors of one object.
#[derive(Clone, Debug, Default)]
pub struct FieldErrors(Vec<(Cause, String, String)>);

impl FieldErrors {
    /// Adds an error; `value` is shown where the cause shows one.
    pub fn add(&mut self, cause: Cause, field: impl Into<String>, value: &Json, detail: &str) {
        let mut body = cause.words().to_owned();
        match cause {
            Cause::Required | Cause::Forbidden | Cause::TooLong | Cause::Internal => {}
            _ => {
                body.push_str(": ");
                body.push_str(&match value {
                    Json::Str(text) => quote(text),
                    Json::Arr(_) | Json::Obj(_) => go_json(value),
                    plain => plain.to_compact(),
                });
            }
        }
        if !detail.is_empty() {
            body.push_str(": ");
            body.push_str(detail);
        }
        self.0.push((cause, field.into(), body));
    }

    /// As [`FieldErrors::add`], with the value as it is to be shown.
    pub fn shown(&mut self, cause: Cause, field: impl Into<String>, value: &str, detail: &str) {
        let separator = if detail.is_empty() { "" } else { ": " };
        self.0.push((cause, field.into(), format!("{}: {value}{separator}{detail}", cause.words())));
    }

    /// `Required value`.
    pub fn required(&mut self, field: impl Into<String>, detail: &str) {
        self.add(Cause::Required, field, &Json::Null, detail);
    }

    /// `Invalid value`.
    pub fn invalid(&mut self, field: impl Into<String>, value: impl Into<Json>, detail: &str) {
        self.add(Cause::Invalid, field, &value.into(), detail);
    }

    /// `Forbidden`.
    pub fn forbidden(&mut self, field: impl Into<String>, detail: &str) {
        self.add(Cause::Forbidden, field, &Json::Null, detail);
    }

    /// `Duplicate value`.
    pub fn duplicate(&mut self, field: impl Into<String>, value: impl Into<Json>) {
        self.add(Cause::Duplicate, field, &value.into(), "");
    }

    /// `Not found`.
    pub fn not_found(&mut self, field: impl Into<String>, value: impl Into<Json>) {
        self.add(Cause::NotFound, field, &value.into(), "");
    }

    /// `Unsupported value`, with the values that are supported.
    pub fn not_supported(&mut self, field: impl Into<String>, value: impl Into<Json>, supported: &[&str]) {
        let list: Vec<String> = supported.iter().map(|v| quote(v)).collect();
        let detail = if list.is_empty() { String::new() } else { format!("supported values: {}", list.join(", ")) };
        self.add(Cause::NotSupported, field, &value.into(), &detail);
    }

    /// `Too long`.
    pub fn too_long(&mut self, field: impl Into<String>, most: usize) {
        let unit = if most == 1 { "byte" } else { "bytes" };
        self.add(Cause::TooLong, field, &Json::Null, &format!("may not be more than {most} {unit}"));
    }

    /// `Too many`.
    pub fn too_many(&mut self, field: impl Into<String>, actual: usize, most: usize) {
        let unit = if most == 1 { "item" } else { "items" };
        self.add(Cause::TooMany, field, &Json::from(actual), &format!("must have at most {most} {unit}"));
    }

    /// Whether nothing was refused.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends the errors of a part.
    pub fn extend(&mut self, more: FieldErrors) {
        self.0.extend(more.0);
    }

    /// The errors as lines, `field: body`.
    pub fn lines(&self) -> Vec<String> {
        self.0.iter().map(|(_, field, body)| format!("{field}: {body}")).collect()
    }

    /// The 422 for an object of kind `kind` in `group`, or nothing when no field was refused.
    ///
    /// # Errors
    /// The 422.
    pub fn into_result(self, group: &str, kind: &str, name: &str) -> Result<(), ApiError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut lines: Vec<String> = Vec::new();
        for line in self.lines() {
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        let what = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let why = if lines.len() == 1 { lines.concat() } else { format!("[{}]", lines.join(", ")) };
        let mut error = ApiError::new(422, "Invalid", format!("{what} {} is invalid: {why}", quote(name)));
        let mut details = object! {};
        for (key, value) in [("name", name), ("group", group), ("kind", kind)] {
            if !value.is_empty() {
                details.set(key, value);
            }
        }
        let mut causes = array![];
        for (cause, field, body) in &self.0 {
            causes.push(object! { "reason" => cause.reason(), "message" => body, "field" => field });
        }
        details.set("causes", causes);
        error.details = details;
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_422_reads_as_the_servers() {
        let mut errors = FieldErrors::default();
        errors.required("spec.containers", "");
        let error = errors.clone().into_result("", "Pod", "x").expect_err("refused");
        assert_eq!(error.message, "Pod \"x\" is invalid: spec.containers: Required value");
        errors.not_supported("spec.restartPolicy", "Perhaps", &["Always", "Never"]);
        errors.invalid("spec.replicas", -1, "must be greater than or equal to 0");
        let error = errors.into_result("apps", "Deployment", "x").expect_err("refused");
        assert_eq!(
            error.message,
            "Deployment.apps \"x\" is invalid: [spec.containers: Required value, \
             spec.restartPolicy: Unsupported value: \"Perhaps\": supported values: \"Always\", \"Never\", \
             spec.replicas: Invalid value: -1: must be greater than or equal to 0]"
        );
        assert_eq!(error.details.get("causes").items().len(), 3);
    }
}
