//! The line that says what became of an object, or the object itself with `-o`.

use super::command::Call;
use super::failure::Failure;
use super::mutation::DryRun;
use super::output;
use crate::object::Object;
use crate::time::SimTime;

pub use super::output::OUTPUT as PRINT;

/// Prints objects as `-o` says; without it, a line with the object's name and what became of it.
#[derive(Debug, Clone)]
pub struct Printer {
    format: output::Printer,
    by_line: bool,
    dry_run: DryRun,
}

impl Printer {
    /// The printer that the flags of this call ask for.
    ///
    /// # Errors
    /// When there is no such format.
    pub fn of(call: &mut Call<'_, '_>, dry_run: DryRun) -> Result<Printer, Failure> {
        let format = output::Printer::of_flags(call, "")?;
        let by_line = call.flags.text("output").is_empty() && matches!(format, output::Printer::Name { .. });
        Ok(Printer { format, by_line, dry_run })
    }

    /// Whether the object itself is printed, rather than a line about it.
    pub fn prints_objects(&self) -> bool {
        !matches!(self.format, output::Printer::Name { .. })
    }

    /// Prints `object`, which was OPERATION (`created`, `scaled` …).
    ///
    /// # Errors
    /// When a template does not fit the object.
    pub fn print(&mut self, call: &mut Call<'_, '_>, object: &Object, operation: &str) -> Result<(), Failure> {
        if let output::Printer::Name { operation: slot } = &mut self.format
            && self.by_line
        {
            *slot = format!("{operation}{}", self.dry_run.suffix());
        }
        self.format.print(&object.0, &mut call.out.stdout)
    }
}

/// `deployment.apps/web`, by the object's own kind.
pub fn qualified_name(object: &Object) -> String {
    let kind = object.kind().to_lowercase();
    match object.api_version().split_once('/') {
        Some((group, _)) => format!("{kind}.{group}/{}", object.name()),
        None => format!("{kind}/{}", object.name()),
    }
}

/// The head of a line of kubectl's own log: severity, time, process and source file.
pub fn log_head(now: SimTime, file: &str) -> String {
    format!("W{}       1 {file}:", now.timestamp().strftime("%m%d %H:%M:%S.%6f"))
}
