//! The extension module `aiopslab._core`: the only place that knows Python.
//!
//! Sessions are frozen classes around a lock; the interpreter lock is released while the core works. Structured values cross as
//! Python objects made from [`Json`], options and arguments come in as JSON text.

mod errors;
mod values;

use crate::object::Json;
use crate::problem::{Problem, Registry};
use crate::session::{self, Info, Options, Step};
use crate::task::Task;
use crate::tool::grammar::{self, Dialect};
use crate::trajectory::Action;
use errors::{Failure, TrajectoryError};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// What `step` returns to Python: observation, reward, terminated, truncated, info.
type Stepped<'py> = (String, f64, bool, bool, Bound<'py, PyDict>);

/// A problem being played, one episode after another.
#[pyclass(frozen, module = "aiopslab._core")]
struct Session(Mutex<session::Session>);

impl Session {
    /// Works on the session without the interpreter lock.
    fn with<T: Send>(&self, py: Python<'_>, act: impl FnOnce(&mut session::Session) -> T + Send) -> T {
        py.detach(|| act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn stepped(py: Python<'_>, step: Step) -> PyResult<Stepped<'_>> {
    Ok((step.observation, step.reward, step.terminated, step.truncated, info(py, &step.info)?))
}

fn info<'py>(py: Python<'py>, info: &Info) -> PyResult<Bound<'py, PyDict>> {
    Ok(values::to_python(py, &info.to_json())?.cast_into::<PyDict>()?)
}

#[pymethods]
impl Session {
    #[new]
    fn new(problem: &str, options: &str, envs: Option<&str>) -> Result<Self, Failure> {
        let registry = registry(envs)?;
        let problem = registry.problem(problem)?;
        Ok(Session(Mutex::new(session::Session::new(registry, problem, Options::parse(options)?))))
    }

    fn reset<'py>(&self, py: Python<'py>, seed: u64) -> PyResult<(String, Bound<'py, PyDict>)> {
        let (observation, first) = self.with(py, |session| session.reset(seed)).map_err(Failure::from)?;
        Ok((observation, info(py, &first)?))
    }

    fn step<'py>(&self, py: Python<'py>, action: String) -> PyResult<Stepped<'py>> {
        let step = self.with(py, |session| session.step(Action::Text(action))).map_err(Failure::from)?;
        stepped(py, step)
    }

    fn step_tool<'py>(&self, py: Python<'py>, name: String, arguments: &str) -> PyResult<Stepped<'py>> {
        let arguments = Json::parse(arguments).unwrap_or(Json::Null);
        let step = self.with(py, |session| session.step(Action::Tool { name, arguments })).map_err(Failure::from)?;
        stepped(py, step)
    }

    fn close(&self, py: Python<'_>) -> Result<(), Failure> {
        Ok(self.with(py, session::Session::close)?)
    }

    fn in_progress(&self, py: Python<'_>) -> bool {
        self.with(py, |session| session.in_progress())
    }

    fn has_begun(&self, py: Python<'_>) -> bool {
        self.with(py, |session| session.has_begun())
    }

    fn tools(&self, py: Python<'_>) -> String {
        self.with(py, |session| session.tools().iter().map(|tool| tool.schema()).collect::<Json>()).to_compact()
    }

    fn fork(&self, py: Python<'_>) -> Result<Session, Failure> {
        Ok(Session(Mutex::new(self.with(py, |session| session.fork())?)))
    }

    fn snapshot<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyBytes>, Failure> {
        Ok(PyBytes::new(py, &self.with(py, |session| session.snapshot())?))
    }

    fn restore(&self, py: Python<'_>, snapshot: &[u8]) -> Result<(), Failure> {
        Ok(self.with(py, |session| session.restore(snapshot))?)
    }

    fn state_hash(&self, py: Python<'_>) -> String {
        format!("{:032x}", self.with(py, |session| session.state_hash()))
    }

    fn trajectory(&self, py: Python<'_>) -> Result<String, Failure> {
        Ok(self.with(py, |session| session.trajectory())?)
    }

    /// The task and the instructions of the first observation, each for itself.
    fn prompts(&self, py: Python<'_>) -> (String, String) {
        self.with(py, |session| session.prompts())
    }

    fn oracle_actions(&self, py: Python<'_>) -> Result<Vec<String>, Failure> {
        Ok(self.with(py, |session| session.oracle_actions())?)
    }
}

/// Reads a text as a session of that dialect does: the tool's name, its arguments by position, and those by name.
#[pyfunction]
fn parse_action<'py>(py: Python<'py>, text: &str, strict: bool) -> PyResult<(String, Bound<'py, PyAny>, Bound<'py, PyDict>)> {
    let dialect = if strict { Dialect::Strict } else { Dialect::Forgiving };
    let call = grammar::parse(text, dialect).map_err(|error| PyValueError::new_err(error.to_string()))?;
    let by_name = PyDict::new(py);
    for (name, value) in &call.kwargs {
        by_name.set_item(name, values::to_python(py, value)?)?;
    }
    Ok((call.name, values::to_python(py, &Json::from(call.args))?, by_name))
}

/// The docs of a task's tools, by name, in the order in which prompts list them; `None` for an unknown task.
#[pyfunction]
fn tool_docs(task: &str) -> Option<Vec<(&'static str, String)>> {
    let tools = session::tools_of(Task::named(task)?);
    Some(tools.iter().map(|tool| (tool.name, tool.docstring())).collect())
}

fn registry(envs: Option<&str>) -> Result<Arc<Registry>, Failure> {
    match envs {
        Some(folder) => Ok(Registry::with_folder(Path::new(folder))?),
        None => Ok(Registry::embedded()),
    }
}

fn problem_json(problem: &Problem) -> Json {
    crate::object! {
        "id" => &problem.id,
        "app" => &problem.app.name,
        "task" => problem.task.as_str(),
        "description" => &problem.description,
        "difficulty" => &problem.difficulty,
        "tags" => problem.tags.iter().map(Json::from).collect::<Json>(),
    }
}

#[pyfunction]
#[pyo3(signature = (task, app, suite, envs))]
fn list_problems(task: Option<&str>, app: Option<&str>, suite: Option<&str>, envs: Option<&str>) -> Result<String, Failure> {
    let problems = registry(envs)?.list(task, app, suite)?;
    Ok(problems.iter().map(|problem| problem_json(problem)).collect::<Json>().to_compact())
}

#[pyfunction]
#[pyo3(signature = (problem, envs))]
fn show_problem(problem: &str, envs: Option<&str>) -> Result<String, Failure> {
    Ok(problem_json(&*registry(envs)?.problem(problem)?).to_compact())
}

#[pyfunction]
#[pyo3(signature = (envs))]
fn list_suites(envs: Option<&str>) -> Result<Vec<String>, Failure> {
    Ok(registry(envs)?.suites())
}

#[pyfunction]
#[pyo3(signature = (trajectory, envs))]
fn replay(py: Python<'_>, trajectory: &str, envs: Option<&str>) -> PyResult<String> {
    let registry = registry(envs)?;
    py.detach(|| session::replay(&registry, trajectory)).map_err(|error| TrajectoryError::new_err(error.to_string()))
}

#[pyfunction]
#[pyo3(signature = (config, repair, envs))]
fn doctor(py: Python<'_>, config: &str, repair: bool, envs: Option<&str>) -> Result<String, Failure> {
    let registry = registry(envs)?;
    let options = Options::parse(&format!(r#"{{"cluster": {{"live": {config}}}}}"#))?;
    let session::ClusterChoice::Live(config) = options.cluster else { return Ok(String::new()) };
    let report = py.detach(|| crate::cluster::live::doctor::examine(&config, registry.catalog(), repair));
    Ok(report.map_err(session::ResetError::from)?.to_compact())
}

/// The module's contents.
#[pymodule(gil_used = false)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<Session>()?;
    module.add_function(wrap_pyfunction!(list_problems, module)?)?;
    module.add_function(wrap_pyfunction!(show_problem, module)?)?;
    module.add_function(wrap_pyfunction!(list_suites, module)?)?;
    module.add_function(wrap_pyfunction!(replay, module)?)?;
    module.add_function(wrap_pyfunction!(parse_action, module)?)?;
    module.add_function(wrap_pyfunction!(tool_docs, module)?)?;
    module.add_function(wrap_pyfunction!(doctor, module)?)?;
    errors::add_to(module)
}
