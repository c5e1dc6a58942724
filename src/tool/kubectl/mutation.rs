//! What commands that change objects share: dry runs, field validation, requests made in a manager's name, and the line that says
//! what became of an object.

use super::builder::{Info, has_files};
use super::command::Call;
use super::failure::{Failure, quote};
use super::flags::Flag;
use super::output::json;
use super::printing;
use crate::cluster::{ApiRequest, FieldValidation, Interest, Options, PatchKind, Subresource, Woken};
use crate::object::patch::{merge, strategic_diff};
use crate::object::schema::schema;
use crate::object::{Json, Object, ResourceRef};
use crate::time::SimTime;
use arcstr::ArcStr;
use std::time::Duration;

/// `--dry-run`.
pub static DRY_RUN: &[Flag] = &[Flag::text("dry-run", "none, client (print what would be sent) or server (send it, but keep nothing).")
    .default("none")
    .bare("unchanged")];

/// `--validate`.
pub static VALIDATE: &[Flag] =
    &[Flag::text("validate", "What unknown fields are: strict (or true) an error, warn a warning, ignore (or false) nothing.")
        .default("strict")
        .bare("strict")];

/// `--save-config`.
pub static SAVE_CONFIG: &[Flag] = &[Flag::switch("save-config", "Keep the configuration in an annotation, for a later kubectl apply.")];

/// `--record`, which has no effect any more.
pub static RECORD: &[Flag] =
    &[Flag::switch("record", "Record the command in an annotation of the object.").deprecated("--record will be removed in the future")];

/// `--all`.
pub static ALL: &[Flag] = &[Flag::switch("all", "Take all objects of the types, in the namespace.")];

/// `--local`.
pub static LOCAL: &[Flag] = &[Flag::switch("local", "Work on the objects of files, without asking the server.")];

/// Whether a change is made, shown, or tried on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DryRun {
    /// The change is made.
    #[default]
    None,
    /// The change is only shown.
    Client,
    /// The server does everything but keep it.
    Server,
}

impl DryRun {
    /// What is put behind the result in the line about an object.
    pub fn suffix(self) -> &'static str {
        match self {
            DryRun::None => "",
            DryRun::Client => " (dry run)",
            DryRun::Server => " (server dry run)",
        }
    }

    /// `--dry-run` of this call.
    ///
    /// # Errors
    /// When its value is none of the known ones.
    pub fn of(call: &mut Call<'_, '_>) -> Result<DryRun, Failure> {
        let text = call.flags.text("dry-run");
        let deprecated = |call: &mut Call<'_, '_>, words: String, dry_run| {
            let head = printing::log_head(call.now(), "helpers.go");
            call.complain(format!("{head}{words}"));
            Ok(dry_run)
        };
        match text.as_str() {
            "none" => Ok(DryRun::None),
            "client" => Ok(DryRun::Client),
            "server" => Ok(DryRun::Server),
            "unchanged" => {
                deprecated(call, "731] --dry-run is deprecated and can be replaced with --dry-run=client.".to_owned(), DryRun::Client)
            }
            "1" | "t" | "T" | "TRUE" | "true" | "True" => {
                let words = format!("746] --dry-run={text} is deprecated (boolean value) and can be replaced with --dry-run=client.");
                deprecated(call, words, DryRun::Client)
            }
            "0" | "f" | "F" | "FALSE" | "false" | "False" => {
                let words = format!("749] --dry-run={text} is deprecated (boolean value) and can be replaced with --dry-run=none.");
                deprecated(call, words, DryRun::None)
            }
            _ => Err(format!("Invalid dry-run value ({text}). Must be \"none\", \"server\", or \"client\".").into()),
        }
    }
}

/// `--validate` of this call.
///
/// # Errors
/// When its value is none of the known ones.
pub fn validation(call: &Call<'_, '_>) -> Result<FieldValidation, Failure> {
    let text = call.flags.text("validate");
    match text.as_str() {
        "strict" | "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(FieldValidation::Strict),
        "warn" => Ok(FieldValidation::Warn),
        "ignore" | "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(FieldValidation::Ignore),
        _ => Err(format!("invalid - validate option {}; must be one of: strict (or true), warn, ignore (or false)", quote(&text)).into()),
    }
}

/// How a command writes: as whom, and whether for good.
#[derive(Debug, Clone, Default)]
pub struct Writer {
    /// Field manager.
    pub manager: ArcStr,
    /// Dry run.
    pub dry_run: DryRun,
    /// What unknown fields are.
    pub validation: Option<FieldValidation>,
    /// The part of the object that is written.
    pub subresource: Option<Subresource>,
    /// Whether server-side apply takes fields over.
    pub force: bool,
}

impl Writer {
    /// A writer with `--dry-run` and `--field-manager` of this call.
    ///
    /// # Errors
    /// See [`DryRun::of`].
    pub fn of(call: &mut Call<'_, '_>) -> Result<Writer, Failure> {
        let dry_run = DryRun::of(call)?;
        let manager = if call.flags.knows("field-manager") { call.flags.text("field-manager") } else { "kubectl".to_owned() };
        Ok(Writer { manager: manager.into(), dry_run, ..Writer::default() })
    }

    fn options(&self) -> Options {
        Options {
            dry_run: self.dry_run == DryRun::Server,
            field_manager: (!self.manager.is_empty()).then(|| self.manager.clone()),
            field_validation: self.validation.unwrap_or(FieldValidation::Warn),
            force: self.force,
            ..Options::default()
        }
    }

    fn send(&self, call: &mut Call<'_, '_>, mut request: ApiRequest) -> Result<Object, Failure> {
        request.options = self.options();
        request.subresource = self.subresource;
        Ok(call.api(&request)?.into_object())
    }

    /// Patches the object of `info`.
    ///
    /// # Errors
    /// The API server's refusal.
    pub fn patch(&self, call: &mut Call<'_, '_>, info: &Info, kind: PatchKind, patch: Json) -> Result<Object, Failure> {
        self.send(call, ApiRequest::patch(&info.resource, info.scope(), &info.name, kind, patch))
    }

    /// Creates an object.
    ///
    /// # Errors
    /// The API server's refusal.
    pub fn create(
        &self,
        call: &mut Call<'_, '_>,
        resource: &ResourceRef,
        namespace: Option<&str>,
        object: Json,
    ) -> Result<Object, Failure> {
        self.send(call, ApiRequest::create(resource, namespace.filter(|_| resource.namespaced), object))
    }

    /// Replaces the object of `info`, whatever its present version unless `object` names one.
    ///
    /// # Errors
    /// The API server's refusal.
    pub fn replace(&self, call: &mut Call<'_, '_>, info: &Info, object: Json) -> Result<Object, Failure> {
        self.send(call, ApiRequest::update(&info.resource, info.scope(), &info.name, object))
    }
}

/// Sends the change from `before` to the present object of `info` as a patch; what the server made of it, or `None` without a change.
///
/// # Errors
/// The API server's refusal.
pub fn patch_changes(call: &mut Call<'_, '_>, writer: &Writer, info: &Info, before: &Json) -> Result<Option<Object>, Failure> {
    let (kind, patch) = match schema().of_kind(&info.resource) {
        Some(ty) => (PatchKind::Strategic, strategic_diff::two_way(before, &info.object, ty).map_err(|error| error.to_string())?),
        None => (PatchKind::Merge, merge::diff(before, &info.object)),
    };
    if strategic_diff::is_nothing(&patch) {
        return Ok(None);
    }
    writer.patch(call, info, kind, patch).map(Some)
}

/// Lets time pass until `until`, a change of `interests`, or the end of the tool's time, whichever comes first.
///
/// # Errors
/// When the tool's time is over: the command is cut off.
pub fn wait(call: &mut Call<'_, '_>, until: SimTime, interests: &[Interest]) -> Result<Woken, Failure> {
    let deadline = call.cx.deadline;
    let woken = call.cx.cluster.wait(until.min(deadline), interests);
    if woken == Woken::Time && deadline < until { Err(Failure::Exit(CUT_OFF)) } else { Ok(woken) }
}

/// Exit code of a command that ran out of the tool's time, as `timeout` gives it.
pub const CUT_OFF: i32 = 124;

/// Changes of the object of `info`.
pub fn changes_of(info: &Info) -> Interest {
    Interest::Objects {
        resource: info.resource.clone(),
        namespace: Some(ArcStr::from(info.namespace.as_str())),
        name: Some(ArcStr::from(info.name.as_str())),
    }
}

/// The instant `nanos` from now; the end of time for a wait without a bound.
pub fn from_now(call: &Call<'_, '_>, nanos: i64) -> SimTime {
    u64::try_from(nanos).map_or(SimTime::MAX, |nanos| call.now() + Duration::from_nanos(nanos))
}

/// The annotation in which `kubectl apply` keeps what was applied.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Puts the configuration of an object into its annotation: always, or only where it has one already.
pub fn save_config(object: &mut Object, always: bool) {
    if always || object.annotation(LAST_APPLIED).is_some() {
        let text = applied_configuration(object);
        object.set_at(&["metadata", "annotations", LAST_APPLIED], text);
    }
}

/// The text under which `kubectl apply` remembers an object: compact JSON with the annotation itself left out.
pub fn applied_configuration(object: &Object) -> String {
    let mut bare = object.0.clone();
    bare.remove_at(&["metadata", "annotations", LAST_APPLIED]);
    if bare.at(&["metadata", "annotations"]).is_null() {
        bare.set_at(&["metadata", "annotations"], crate::object! {});
    }
    format!("{}\n", go_json(&bare))
}

/// Compact JSON as Go writes it: `<`, `>` and `&` escaped.
pub fn go_json(value: &Json) -> String {
    let mut text = String::new();
    json::compact(value, &mut text);
    text
}

/// The subresource that a flag names.
///
/// # Errors
/// The server's answer for a path that it does not have.
pub fn subresource(name: &str) -> Result<Option<Subresource>, Failure> {
    if name.is_empty() {
        return Ok(None);
    }
    let known = [Subresource::Status, Subresource::Scale, Subresource::EphemeralContainers];
    known.into_iter().find(|s| s.as_str() == name).map(Some).ok_or_else(no_such_path)
}

/// What the server says to a path that it does not have.
pub fn no_such_path() -> Failure {
    crate::cluster::ApiError::new(404, "NotFound", "the server could not find the requested resource").into()
}

/// Refuses a call without a flag that it needs.
///
/// # Errors
/// Cobra's text with the flags that are missing.
pub fn require(call: &Call<'_, '_>, flags: &[&str]) -> Result<(), Failure> {
    let missing: Vec<String> = flags.iter().filter(|flag| !call.flags.changed(flag)).map(|flag| quote(flag)).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("required flag(s) {} not set", missing.join(", ")).into()) }
}

/// Refuses a call without `-f` and `-k`.
///
/// # Errors
/// kubectl's text.
pub fn require_files(call: &Call<'_, '_>) -> Result<(), Failure> {
    if has_files(&call.flags) { Ok(()) } else { Err("must specify one of -f and -k".into()) }
}
