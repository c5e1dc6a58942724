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


def test_readme_examples(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```python\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    for code, expected in zip(examples, ["1.0 True", "'Detection Accuracy': 'Correct'"], strict=True):
        exec(compile(code, "README.md", "exec"), {})
        assert expected in capsys.readouterr().out


def test_public_names_are_documented():
    for name in aiopslab.__all__:
        thing = getattr(aiopslab, name)
        assert name == "__version__" or thing.__doc__, name
