//! The tree of Python exceptions, and which of them each error of the core becomes.

use crate::fault::FaultError;
use crate::problem::RegistryError;
use crate::session::{OptionsError, ResetError, SessionError, SnapshotError as CoreSnapshotError};
use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

create_exception!(aiopslab, AiopsError, PyException, "The root of everything that this library raises.");
create_exception!(aiopslab, ClusterUnavailable, AiopsError, "The cluster cannot be reached.");
create_exception!(aiopslab, InvalidConfig, AiopsError, "An argument or a data file is wrong.");
create_exception!(aiopslab, MissingRights, AiopsError, "The cluster does not grant a right that is needed.");
create_exception!(aiopslab, ProblemNotFound, AiopsError, "There is no problem of that id.");
create_exception!(aiopslab, ResetFailed, AiopsError, "An episode could not be begun.");
create_exception!(aiopslab, SnapshotError, AiopsError, "A snapshot cannot be taken or restored.");
create_exception!(aiopslab, TrajectoryError, AiopsError, "A trajectory cannot be read or differs from its replay.");

/// Adds the exceptions to the module.
pub(super) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("AiopsError", py.get_type::<AiopsError>())?;
    module.add("ClusterUnavailable", py.get_type::<ClusterUnavailable>())?;
    module.add("InvalidConfig", py.get_type::<InvalidConfig>())?;
    module.add("MissingRights", py.get_type::<MissingRights>())?;
    module.add("ProblemNotFound", py.get_type::<ProblemNotFound>())?;
    module.add("ResetFailed", py.get_type::<ResetFailed>())?;
    module.add("SnapshotError", py.get_type::<SnapshotError>())?;
    module.add("TrajectoryError", py.get_type::<TrajectoryError>())
}

/// An error of the core on its way to Python.
pub(super) struct Failure(PyErr);

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> PyErr {
        failure.0
    }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        let text = error.to_string();
        Failure(match error {
            RegistryError::NotFound { .. } => ProblemNotFound::new_err(text),
            RegistryError::NoSuch { .. } | RegistryError::Data(_) => InvalidConfig::new_err(text),
        })
    }
}

impl From<OptionsError> for Failure {
    fn from(error: OptionsError) -> Self {
        Failure(InvalidConfig::new_err(error.to_string()))
    }
}

impl From<ResetError> for Failure {
    fn from(error: ResetError) -> Self {
        let text = error.to_string();
        Failure(match error {
            ResetError::Unavailable(_) => ClusterUnavailable::new_err(text),
            ResetError::MissingRights(_) | ResetError::Fault { source: FaultError::MissingRights { .. }, .. } => {
                MissingRights::new_err(text)
            }
            ResetError::LoadChoice(_) => InvalidConfig::new_err(text),
            _ => ResetFailed::new_err(text),
        })
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        let text = error.to_string();
        Failure(match error {
            SessionError::Environment(_) => ClusterUnavailable::new_err(text),
            _ => AiopsError::new_err(text),
        })
    }
}

impl From<CoreSnapshotError> for Failure {
    fn from(error: CoreSnapshotError) -> Self {
        Failure(SnapshotError::new_err(error.to_string()))
    }
}
