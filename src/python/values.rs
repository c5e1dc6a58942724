//! [`Json`] as Python objects.

use crate::object::Json;
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

/// A new Python object of the same value: `None`, `bool`, `int`, `float`, `str`, `list` or `dict`.
pub(super) fn to_python<'py>(py: Python<'py>, value: &Json) -> PyResult<Bound<'py, PyAny>> {
    match value {
        Json::Null => Ok(py.None().into_bound(py)),
        Json::Bool(value) => value.into_bound_py_any(py),
        Json::Int(value) => value.into_bound_py_any(py),
        Json::Float(value) => value.into_bound_py_any(py),
        Json::Str(value) => value.as_str().into_bound_py_any(py),
        Json::Arr(items) => {
            let list = PyList::empty(py);
            for item in items.iter() {
                list.append(to_python(py, item)?)?;
            }
            Ok(list.into_any())
        }
        Json::Obj(map) => {
            let dict = PyDict::new(py);
            for (key, value) in map.iter() {
                dict.set_item(key.as_str(), to_python(py, value)?)?;
            }
            Ok(dict.into_any())
        }
    }
}
