"""Fixtures of the tests on a real cluster: ``$KUBECONFIG`` names it, ``make test-live`` starts one where there is none."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

import aiopslab
from aiopslab import doctor

#: CPU requests are scaled, since several environments share the machine's cores.
CPU_SCALE = 0.05
#: Lines that are printed after the tests.
SUMMARY: list[str] = []
#: A repaired application of these tests never sits in a long back-off.
GRADE_PATIENCE_S = 60


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without a cluster every test says so by name; where one is required, that is a failure."""
    del config
    why = _no_cluster()
    if why is None:
        return
    if os.environ.get("AIOPSLAB_LIVE") == "required":
        raise pytest.UsageError(f"the tests on a real cluster must run, and there is no cluster: {why}")
    for item in items:
        item.add_marker(pytest.mark.skip(reason="there is no cluster to run it on; the header of the report says why"))


def pytest_report_header() -> str | None:
    why = _no_cluster()
    return why and f"no cluster: {why}"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if SUMMARY:
        terminalreporter.section("problems on the live cluster")
        for line in SUMMARY:
            terminalreporter.write_line(line)


def _no_cluster() -> str | None:
    if not os.environ.get("KUBECONFIG"):
        return "KUBECONFIG is not set (make test-live starts one)"
    try:
        doctor.examine(aiopslab.LiveCluster(request_timeout_s=10))
    except aiopslab.ClusterUnavailable as error:
        return str(error)
    return None


def live(suffix: str, **changes: Any) -> aiopslab.LiveCluster:
    """A live cluster as these tests use it."""
    arguments: dict[str, Any] = {"cpu_scale": CPU_SCALE, "grade_patience_s": GRADE_PATIENCE_S, **changes}
    return aiopslab.LiveCluster(suffix=suffix, **arguments)


def make(problem: str, suffix: str, **arguments: Any) -> Any:
    """An environment on the live cluster under a suffix."""
    changes = arguments.pop("live", {})
    return aiopslab.make(problem, cluster=live(suffix, **changes), step_seconds=0.0, allow_oracle=True, **arguments)


def kubectl(*words: str, check: bool = True) -> str:
    """What the real kubectl prints, as the administrator."""
    done = subprocess.run(["kubectl", *words], capture_output=True, text=True, check=False, timeout=120)
    if check and done.returncode != 0:
        raise AssertionError(f"kubectl {' '.join(words)}: {done.stderr}")
    return done.stdout


def environment(suffix: str) -> dict[str, Any]:
    """What the doctor says of an environment."""
    found = doctor.examine(aiopslab.LiveCluster())
    namespace = f"test-hotel-reservation-{suffix}"
    for one in found["environments"]:
        if one["namespace"] == namespace:
            return dict(one)
    raise AssertionError(f"no environment {namespace} in {json.dumps(found)}")


@pytest.fixture
def kubeconfig() -> Path:
    """The kubeconfig of the cluster."""
    return Path(os.environ["KUBECONFIG"])
