"""Examples in docstrings and in the README run."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import aiopslab

MODULES = ["aiopslab", *(m.name for m in pkgutil.walk_packages(aiopslab.__path__, "aiopslab.") if not m.name.endswith("__main__"))]


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0
    assert module.__doc__


def test_enough_docstrings_have_examples():
    count = sum(doctest.testmod(importlib.import_module(name)).attempted for name in MODULES)
    assert count >= 15


def test_readme_example(capsys):
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    assert "1.0 True" in capsys.readouterr().out


def test_public_names_are_documented():
    for name in aiopslab.__all__:
        thing = getattr(aiopslab, name)
        assert name == "__version__" or thing.__doc__, name
