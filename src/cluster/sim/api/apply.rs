//! Server-side apply, and who manages which fields (`metadata.managedFields`).
//!
//! Requests from outside are tracked. Not modelled: the fields that controllers, scheduler and kubelets write, versions other than the one
//! that is served, the cap on the number of managers.

use super::call::Call;
use super::write::{self, Part};
use super::{errors, rbac, update};
use crate::cluster::sim::store::Key;
use crate::cluster::sim::world::World;
use crate::cluster::{ApiError, Subresource};
use crate::object::decode;
use crate::object::field_set::{self, FieldSet, path_text};
use crate::object::field_types;
use crate::object::schema::TypeId;
use crate::object::{Json, Object, ResourceType};
use crate::{array, object};
use arcstr::ArcStr;

/// Fields of metadata that nobody manages.
const UNMANAGED: [&str; 9] =
    ["name", "namespace", "creationTimestamp", "selfLink", "uid", "generation", "managedFields", "resourceVersion", "deletionTimestamp"];

/// One manager of fields.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    manager: ArcStr,
    /// `Apply` or `Update`.
    operation: ArcStr,
    subresource: ArcStr,
    version: ArcStr,
    time: ArcStr,
    fields: FieldSet,
}

impl Entry {
    fn is(&self, manager: &str, operation: &str, subresource: &str) -> bool {
        self.manager == manager && self.operation == operation && self.subresource == subresource
    }

    fn to_json(&self) -> Json {
        let mut entry = object! {
            "apiVersion" => &self.version, "fieldsType" => "FieldsV1", "fieldsV1" => self.fields.to_json(),
            "manager" => &self.manager, "operation" => &self.operation,
        };
        if !self.time.is_empty() {
            entry.set("time", &self.time);
        }
        if !self.subresource.is_empty() {
            entry.set("subresource", &self.subresource);
        }
        entry
    }

    /// `"kubectl" using apps/v1`, as conflicts name it.
    fn shown(&self) -> String {
        let mut text = errors::quote(&self.manager);
        if !self.subresource.is_empty() {
            text.push_str(&format!(" with subresource {}", errors::quote(&self.subresource)));
        }
        if self.operation == "Update" {
            text.push_str(&format!(" using {}", self.version));
        }
        text
    }
}

fn entries(object: &Json) -> Vec<Entry> {
    let list = object.at(&["metadata", "managedFields"]).items().iter();
    let read = |entry: &Json| {
        let text = |field: &str| entry.get(field).as_text().cloned().unwrap_or_default();
        Entry {
            manager: text("manager"),
            operation: text("operation"),
            subresource: text("subresource"),
            version: text("apiVersion"),
            time: text("time"),
            fields: FieldSet::from_json(entry.get("fieldsV1")),
        }
    };
    list.map(read).collect()
}

fn put_entries(object: &mut Object, mut entries: Vec<Entry>) {
    entries.retain(|entry| !entry.fields.is_empty());
    entries.sort_by(|a, b| (&a.operation, &a.time, &a.manager, &a.subresource).cmp(&(&b.operation, &b.time, &b.manager, &b.subresource)));
    if entries.is_empty() {
        object.remove_at(&["metadata", "managedFields"]);
    } else {
        object.set_at(&["metadata", "managedFields"], entries.iter().map(Entry::to_json).collect::<Json>());
    }
}

/// Takes out of a set what nobody manages: system metadata, and the part that the request does not write.
fn strip(set: &mut FieldSet, part: Part, has_status: bool) {
    for field in ["apiVersion", "kind"] {
        set.cut(&[field]);
    }
    for field in UNMANAGED {
        set.cut(&["metadata", field]);
    }
    set.cut_member(&["metadata"]);
    match part {
        Part::Status => {
            set.cut(&["spec"]);
            set.cut(&["metadata"]);
        }
        Part::Main if has_status => set.cut(&["status"]),
        Part::Main => {}
    }
}

/// An object of a kind with nothing set, as the server prints it.
fn nothing(ty: Option<TypeId>) -> Json {
    ty.map_or_else(|| object! { "metadata" => object! {} }, |ty| decode::normalize(&object! {}, ty))
}

/// Notes the fields that a new object's creator sets.
pub fn track_create(world: &World, resource: &ResourceType, manager: &str, object: &mut Object) {
    let ty = crate::object::schema::schema().of_kind(resource);
    let mut set = field_set::compare(&nothing(ty), object, ty);
    let mut fields = std::mem::take(&mut set.added).union(&set.modified);
    strip(&mut fields, Part::Main, !object.status().is_null());
    let entry = Entry {
        manager: manager.into(),
        operation: "Update".into(),
        subresource: ArcStr::new(),
        version: resource.api_version().into(),
        time: world.now.rfc3339().into(),
        fields,
    };
    put_entries(object, vec![entry]);
}

/// Who writes by a request without a field manager.
pub fn manager_of(call: &Call) -> ArcStr {
    call.request.options.field_manager.clone().unwrap_or_else(|| arcstr::literal!("kubectl"))
}

/// Notes who wrote which fields.
pub fn track_update(world: &World, call: &Call, old: &Object, new: &mut Object) {
    match old.meta().get("managedFields") {
        // Objects of the cluster's own parts have no managers, and get none by updates.
        had if had.is_empty() => {
            new.remove_at(&["metadata", "managedFields"]);
            return;
        }
        had => new.set_at(&["metadata", "managedFields"], had),
    }
    let part = if call.request.subresource == Some(Subresource::Status) { Part::Status } else { Part::Main };
    let found = field_set::compare(old, new, call.schema());
    let (mut written, mut removed) = (found.added.union(&found.modified), found.removed);
    for set in [&mut written, &mut removed] {
        strip(set, part, !old.status().is_null());
    }
    if written.is_empty() && removed.is_empty() {
        return;
    }
    let subresource = call.request.subresource.map_or("", Subresource::as_str);
    let manager = manager_of(call);
    // Whoever scales is noted without a time.
    let time = if call.request.subresource == Some(Subresource::Scale) { ArcStr::new() } else { world.now.rfc3339().into() };
    let mut all = entries(new);
    let mut mine = FieldSet::default();
    for entry in &mut all {
        if entry.is(&manager, "Update", subresource) {
            mine = entry.fields.clone();
        } else {
            entry.fields = entry.fields.difference(&written).difference(&removed);
        }
    }
    all.retain(|entry| !entry.is(&manager, "Update", subresource));
    all.push(Entry {
        manager,
        operation: "Update".into(),
        subresource: subresource.into(),
        version: call.resource.api_version().into(),
        time,
        fields: mine.difference(&removed).union(&written),
    });
    put_entries(new, all);
}

/// Server-side apply: the object is created, or gets what the configuration says and loses what it no longer says.
///
/// # Errors
/// 409 when others manage fields that it changes; whatever creation and update refuse.
pub fn apply(world: &mut World, call: &mut Call, patch: &Json) -> Result<Object, ApiError> {
    let Some(manager) = call.request.options.field_manager.clone().filter(|m| !m.is_empty()) else {
        let mut causes = errors::FieldErrors::default();
        causes.required("fieldManager", "is required for apply patch");
        return causes.into_result("meta.k8s.io", "PatchOptions", "").map(|()| Object::default());
    };
    if !patch.at(&["metadata", "managedFields"]).is_empty() {
        return Err(errors::bad_request("metadata.managedFields must be nil"));
    }
    let config = configuration(world, call, patch)?;
    let key = call.key();
    let ty = call.schema();
    let old = world.store.get(&key).cloned();
    let live = old.clone().unwrap_or_else(|| Object(nothing(ty)));
    let mut merged = Object(field_set::merge(&live, &config, ty));
    let mut all = entries(&live);
    if old.is_some() && all.is_empty() {
        all.push(before_first_apply(world, call, &live));
    }
    let had = all.iter().find(|e| e.is(&manager, "Apply", "")).map(|e| e.fields.clone()).unwrap_or_default();
    all.retain(|e| !e.is(&manager, "Apply", ""));
    let mut fields = field_set::fields_of(&config, ty);
    strip(&mut fields, Part::Main, !config.get("status").is_null());
    let kept = all.iter().fold(fields.clone(), |kept, entry| kept.union(&entry.fields));
    field_set::remove(&mut merged, &had.difference(&fields), &kept, ty);
    let found = field_set::compare(&live, &merged, ty);
    let (mut written, mut removed) = (found.added.union(&found.modified), found.removed);
    for set in [&mut written, &mut removed] {
        strip(set, Part::Main, true);
    }
    let conflicts: Vec<(Entry, FieldSet)> =
        all.iter().map(|e| (e.clone(), e.fields.intersection(&written))).filter(|(_, set)| !set.is_empty()).collect();
    if !call.request.options.force && !conflicts.is_empty() {
        return Err(conflict(&conflicts));
    }
    for entry in &mut all {
        entry.fields = entry.fields.difference(&written).difference(&removed);
    }
    all.push(Entry {
        manager,
        operation: "Apply".into(),
        subresource: ArcStr::new(),
        version: call.resource.api_version().into(),
        time: world.now.rfc3339().into(),
        fields,
    });
    store(world, call, (old, merged), all)
}

/// Stores what an apply made, with its managers.
fn store(world: &mut World, call: &mut Call, (old, merged): (Option<Object>, Object), all: Vec<Entry>) -> Result<Object, ApiError> {
    let key = call.key();
    let (read, _) = call.read(world, merged).map_err(|error| {
        let (kind, what) = (format!("{}, Kind={}", call.resource.api_version(), call.resource.kind), error.converter);
        let text = format!(
            "failed to convert new object ({}; {kind}) to proper version: unable to convert unstructured object to {kind}: {what}",
            place(&key)
        );
        ApiError::new(500, "", text)
    })?;
    let Some(old) = old else {
        rbac::authorize_creation(world, call.who, call.request, &call.resource)?;
        let mut fresh = read;
        put_entries(&mut fresh, all);
        call.notes.manager = None;
        let namespace = key.namespace.clone();
        return write::create(world, call.who, (call.kind, &namespace), fresh, &mut call.notes);
    };
    let unchanged = |e: &Entry, f: &Entry| e.fields == f.fields && e.is(&f.manager, &f.operation, &f.subresource);
    let before = entries(&old);
    let same = before.len() == all.len() && all.iter().all(|e| before.iter().any(|f| unchanged(e, f)));
    update::finish_with(world, call, &old, read, |new| {
        if same {
            new.set_at(&["metadata", "managedFields"], old.meta().get("managedFields"));
        } else {
            put_entries(new, all);
        }
    })
}

/// The manager of all that an object without managers had before.
fn before_first_apply(world: &World, call: &Call, live: &Object) -> Entry {
    let mut fields = field_set::fields_of(live, call.schema());
    strip(&mut fields, Part::Main, true);
    Entry {
        manager: "before-first-apply".into(),
        operation: "Update".into(),
        subresource: ArcStr::new(),
        version: call.resource.api_version().into(),
        time: world.now.rfc3339().into(),
        fields,
    }
}

/// `NAMESPACE/NAME`, as messages name an object.
fn place(key: &Key) -> String {
    format!("{}/{}", key.namespace, key.name)
}

/// The configuration as it was sent: fields that the kind lacks are refused, nothing is filled in.
fn configuration(world: &World, call: &Call, patch: &Json) -> Result<Json, ApiError> {
    let key = call.key();
    let kind = format!("{}, Kind={}", call.resource.api_version(), call.resource.kind);
    let what = format!("failed to create typed patch object ({}; {kind})", place(&key));
    let refuse = |why: String| ApiError::new(500, "", format!("{what}: {why}"));
    let undeclared = |path: &String| format!(".{path}: field not declared in schema");
    let complaints: Vec<String> = match call.schema() {
        Some(ty) => field_types::complaints(patch, ty),
        None => call.read(world, Object(patch.clone())).map_err(|error| refuse(error.json))?.1.iter().map(undeclared).collect(),
    };
    match &complaints[..] {
        [] => {}
        [one] => return Err(refuse(one.clone())),
        many => return Err(refuse(format!("errors:\n  {}", many.join("\n  ")))),
    }
    let mut config = patch.clone();
    config.set("apiVersion", call.resource.api_version());
    config.set("kind", call.resource.kind.as_str());
    if config.at(&["metadata", "name"]).text().is_empty() {
        config.set_at(&["metadata", "name"], &key.name);
    }
    if !key.namespace.is_empty() {
        config.set_at(&["metadata", "namespace"], &key.namespace);
    }
    Ok(config)
}

fn conflict(conflicts: &[(Entry, FieldSet)]) -> ApiError {
    let mut causes = array![];
    let mut count = 0;
    let mut messages = Vec::new();
    for (entry, set) in conflicts {
        let paths: Vec<String> = set.paths().iter().map(|p| path_text(p)).collect();
        count += paths.len();
        for path in &paths {
            let message = format!("conflict with {}", entry.shown());
            causes.push(object! { "reason" => "FieldManagerConflict", "message" => message, "field" => path });
        }
        let list: Vec<String> = paths.iter().map(|p| format!("- {p}")).collect();
        messages.push((format!("conflicts with {}:\n{}", entry.shown(), list.join("\n")), paths));
    }
    let text = match (&messages[..], count) {
        ([(_, paths)], 1) => format!("Apply failed with 1 conflict: conflict with {}: {}", conflicts[0].0.shown(), paths.concat()),
        _ => {
            messages.sort();
            let all: Vec<String> = messages.into_iter().map(|(text, _)| text).collect();
            format!("Apply failed with {count} conflicts: {}", all.join("\n"))
        }
    };
    let mut error = ApiError::new(409, "Conflict", text);
    error.details = object! { "causes" => causes };
    error
}
