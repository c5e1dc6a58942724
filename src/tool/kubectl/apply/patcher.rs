//! The three-way merge of `kubectl apply` and `kubectl diff`.

use super::quoted_name;
use crate::cluster::PatchKind;
use crate::object::patch::{merge, strategic_diff};
use crate::object::schema::schema;
use crate::object::{Json, Object};
use crate::tool::kubectl::builder::Info;
use crate::tool::kubectl::command::Call;
use crate::tool::kubectl::delete::{Deletion, gone};
use crate::tool::kubectl::failure::{Failure, quote};
use crate::tool::kubectl::mutation::{self, LAST_APPLIED, Writer};

/// An object as a file has it; with `annotate`, its own text is kept in its annotation.
pub fn modified(object: &Object, annotate: bool) -> Object {
    let mut modified = object.clone();
    modified.remove_at(&["metadata", "annotations", LAST_APPLIED]);
    if modified.at(&["metadata", "annotations"]).is_null() {
        modified.set_at(&["metadata", "annotations"], crate::object! {});
    }
    if annotate {
        modified.set_at(&["metadata", "annotations", LAST_APPLIED], mutation::applied_configuration(object));
    }
    modified
}

/// What an error says of the object that was being applied.
pub fn described(info: &Info) -> String {
    let r = &info.resource;
    let gvr = format!("{}/{}, Resource={}", r.group, r.version, r.plural);
    let gvk = format!("{}/{}, Kind={}", r.group, r.version, r.kind);
    format!("Resource: {}, GroupVersionKind: {}\n{}", quote(&gvr), quote(&gvk), quoted_name(info))
}

/// How a live object is brought to what a file says.
pub struct Patcher<'w> {
    /// In whose name, and whether for good.
    pub writer: &'w Writer,
    /// Whether the patch holds for the present version only.
    pub lock: bool,
    /// Whether an object that cannot be patched is deleted and created anew.
    pub replace: bool,
}

impl Patcher<'_> {
    /// Patches the live object of `info` to `modified`; whether there was anything to change.
    ///
    /// # Errors
    /// The API server's refusal, with the patch.
    pub fn patch(&self, call: &mut Call<'_, '_>, info: &mut Info, modified: &Object) -> Result<bool, Failure> {
        let (kind, mut patch) = three_way(info, modified)?;
        if patch.is_empty() {
            return Ok(false);
        }
        if self.lock {
            patch.set_at(&["metadata", "resourceVersion"], info.object.resource_version());
        }
        match self.writer.patch(call, info, kind, patch.clone()) {
            Ok(object) => {
                info.object = object;
                Ok(true)
            }
            Err(failure) if self.replace && matches!(failure.reason(), Some("Invalid" | "Conflict")) => {
                self.recreate(call, info, modified).map(|()| true)
            }
            Err(failure) => {
                let what = format!("applying patch:\n{}\nto:\n{}\nfor:", mutation::go_json(&patch), described(info));
                Err(failure.of_source("patching", &info.source).of_source(&what, &info.source))
            }
        }
    }

    fn recreate(&self, call: &mut Call<'_, '_>, info: &mut Info, modified: &Object) -> Result<(), Failure> {
        let deletion = Deletion { quiet: true, grace_period: 0, ..Deletion::background() };
        let found = crate::tool::kubectl::builder::Found { infos: vec![info.clone()], ..Default::default() };
        crate::tool::kubectl::delete::delete(call, &deletion, found)?;
        gone(call, info, None, crate::time::SimTime::MAX)?;
        let scope = info.scope().map(str::to_owned);
        info.object = self.writer.create(call, &info.resource, scope.as_deref(), modified.0.clone())?;
        Ok(())
    }
}

/// The patch from the live object to the file, with what was applied before.
fn three_way(info: &Info, modified: &Object) -> Result<(PatchKind, Json), Failure> {
    let original = match info.object.annotation(LAST_APPLIED) {
        Some(text) => Json::parse(text).map_err(|error| error.to_string())?,
        None => Json::Null,
    };
    let current = &info.object;
    match schema().of_kind(&info.resource) {
        Some(ty) => {
            let patch = strategic_diff::three_way(&original, modified, current, ty).map_err(|error| error.to_string())?;
            Ok((PatchKind::Strategic, patch))
        }
        None => Ok((PatchKind::Merge, merge::three_way(&original, modified, current))),
    }
}
