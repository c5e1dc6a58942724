//! `--overrides`: a patch of a generated object.

use super::command::Call;
use super::failure::Failure;
use super::flags::Flag;
use super::manifest;
use crate::object::schema::schema;
use crate::object::{Object, patch};

/// `--overrides` and `--override-type`.
pub static OVERRIDES: &[Flag] = &[
    Flag::text("overrides", "A patch of the generated object, as JSON."),
    Flag::text("override-type", "How the patch is meant: json, merge or strategic.").default("merge"),
];

/// Applies `--overrides` to a generated object.
///
/// # Errors
/// When the patch is malformed or does not fit.
pub fn apply(call: &mut Call<'_, '_>, object: &mut Object) -> Result<(), Failure> {
    let text = call.flags.text("overrides");
    if text.is_empty() {
        return Ok(());
    }
    let overrides = manifest::parse(&text).map_err(|why| format!("error parsing overrides: {why}"))?;
    let patched = match call.flags.text("override-type").as_str() {
        "json" => patch::json::apply(object, &overrides),
        "strategic" => {
            let resource = call.mapper()?.kind(object.api_version(), object.kind());
            let ty =
                resource.and_then(|resource| schema().of_kind(&resource)).ok_or("strategic merge patch is not supported for this kind")?;
            patch::strategic::apply(object, &overrides, ty)
        }
        "merge" => Ok(patch::merge::apply(object, &overrides)),
        other => return Err(format!("invalid override type: {other}").into()),
    };
    *object = Object(patched.map_err(|error| error.to_string())?);
    Ok(())
}
