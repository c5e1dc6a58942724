"""``aiopslab cluster``: a real Kubernetes on this machine, run by the recipe of ``tests/cluster``.

The recipe (shell, Python and Go module files) is beside this module, in a checkout and in an installed wheel alike.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from aiopslab.errors import AiopsError, ClusterUnavailable

__all__ = ["DEFAULT_NODES", "RECIPE", "add_arguments", "down", "run", "status", "up"]

RECIPE = Path(__file__).parent / "recipe" / "cluster.sh"
"""The script that does the work; ``tests/cluster/README.md`` describes it."""

DEFAULT_NODES = 3

_USAGE_ERROR = 2
_NOT_UP = 1


def up(nodes: int = DEFAULT_NODES, *, observe: bool = True) -> dict[str, Any]:
    """Starts a cluster, or leaves the one that runs with as many nodes, and returns its status.

    The programs are compiled the first time, which takes minutes; progress goes to standard error. With ``observe``
    metrics-server, Prometheus and Jaeger run on it too.

    Raises:
        ClusterUnavailable: this machine cannot run it; the message says what is missing.
    """
    _call("up", str(nodes))
    if observe:
        _call("observe")
    return status()


def down() -> None:
    """Stops the cluster and removes all of it but the compiled programs; does nothing when there is none."""
    _call("down")


def status() -> dict[str, Any]:
    """What runs: ``state`` (``up``, ``degraded``, ``incomplete`` or ``down``), ``nodes``, ``kubeconfig`` and ``path``."""
    result: dict[str, Any] = json.loads(_call("status", "--json", accept=(0, _NOT_UP)))
    return result


def _call(*arguments: str, accept: tuple[int, ...] = (0,)) -> str:
    """Runs the recipe; what it says goes to our standard error as it comes, and its last line into the exception."""
    if not RECIPE.exists():
        raise ClusterUnavailable(f"the recipe is missing from this installation: {RECIPE}")
    try:
        process = subprocess.Popen(
            ["bash", RECIPE, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    except OSError as error:
        raise ClusterUnavailable(f"cannot run {RECIPE}: {error}") from error
    said = ""
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stderr:
            if said:
                print(said, file=sys.stderr, flush=True)
            said = line.rstrip("\n")
        output = process.stdout.read()
    if process.returncode in accept:
        if said:
            print(said, file=sys.stderr, flush=True)
        return output
    message = said.removeprefix("cluster.sh: ") or f"cluster.sh {arguments[0]} ended with exit code {process.returncode}"
    if process.returncode == _USAGE_ERROR:
        raise AiopsError(message)
    raise ClusterUnavailable(message)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the ``cluster`` command."""
    parser.add_argument("action", choices=("up", "down", "status"), help="what to do")
    parser.add_argument("--nodes", type=int, default=DEFAULT_NODES, metavar="N", help=f"nodes to start, 1 to 9 (default: {DEFAULT_NODES})")
    parser.add_argument("--bare", action="store_true", help="start it without metrics-server, Prometheus and Jaeger")


def run(arguments: argparse.Namespace) -> int:
    """The ``cluster`` command; returns the exit code: 0 when what was asked for is so, 3 when the cluster is not (fully) up."""
    if arguments.action == "down":
        down()
        print(json.dumps({"state": "down"}) if arguments.json else "down")
        return 0
    found = up(arguments.nodes, observe=not arguments.bare) if arguments.action == "up" else status()
    if arguments.json:
        print(json.dumps(found))
    elif arguments.action == "up":
        print(f"export KUBECONFIG={found['kubeconfig']} PATH={found['path']}:$PATH")
    else:
        print(found["text"])
    return 0 if found["state"] == "up" else 3
