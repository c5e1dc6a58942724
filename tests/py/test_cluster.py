"""`aiopslab cluster` as far as it goes without a cluster."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from aiopslab import cluster
from aiopslab.errors import AiopsError, ClusterUnavailable

REAL_PROGRAMS = ("bash", "cat", "dirname", "flock", "id", "mkdir")


def run(*arguments, **environment):
    command = [sys.executable, "-m", "aiopslab", "cluster", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


@pytest.fixture
def root(tmp_path):
    return str(tmp_path / "root")


@pytest.fixture
def bare_path(tmp_path):
    """A PATH with what every machine has and none of the programs that a cluster needs."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in REAL_PROGRAMS:
        (directory / name).symlink_to(shutil.which(name))
    return directory


def test_the_recipe_is_there_whole():
    assert os.access(cluster.RECIPE, os.X_OK)
    for name in ("lib/node.sh", "manifests/coredns.yaml", "tools/kubernetes/go.mod", "registry.py", "pause.c"):
        assert (cluster.RECIPE.parent / name).is_file(), name


def test_without_a_cluster(root):
    status = run("status", AIOPSLAB_CLUSTER_ROOT=root)
    assert (status.returncode, status.stdout, status.stderr) == (3, "down\n", "")
    status = run("status", "--json", AIOPSLAB_CLUSTER_ROOT=root)
    assert status.returncode == 3
    assert json.loads(status.stdout)["state"] == "down"
    down = run("down", "--json", AIOPSLAB_CLUSTER_ROOT=root)
    assert (down.returncode, json.loads(down.stdout), down.stderr) == (0, {"state": "down"}, "")


@pytest.mark.parametrize("arguments", [["up", "--nodes", "0"], ["up", "--nodes", "10"], ["up", "--nodes", "many"], ["sideways"], []])
def test_bad_usage(arguments, root):
    answer = run(*arguments, AIOPSLAB_CLUSTER_ROOT=root)
    assert answer.returncode == 2
    assert "Traceback" not in answer.stderr


def test_up_names_the_programs_that_are_missing(root, bare_path):
    (bare_path / "id").unlink()
    (bare_path / "id").write_text("#!/bin/sh\necho 0\n")
    (bare_path / "id").chmod(0o755)
    up = run("up", AIOPSLAB_CLUSTER_ROOT=root, PATH=str(bare_path))
    assert up.returncode == 3
    assert up.stderr.startswith("aiopslab: missing programs: containerd ")
    assert "apt-get install" in up.stderr
    assert not os.path.exists(f"{root}/run")  # noqa: PTH110


def test_up_says_that_it_needs_root(root, bare_path):
    (bare_path / "id").unlink()
    (bare_path / "id").write_text("#!/bin/sh\necho 1000\n")
    (bare_path / "id").chmod(0o755)
    up = run("up", AIOPSLAB_CLUSTER_ROOT=root, PATH=str(bare_path))
    assert (up.returncode, up.stderr) == (3, "aiopslab: up needs root: it makes network and mount namespaces\n")


def test_what_the_recipe_answers(monkeypatch, tmp_path, capsys):
    recipe = tmp_path / "cluster.sh"
    monkeypatch.setattr(cluster, "RECIPE", recipe)
    with pytest.raises(ClusterUnavailable, match="missing from this installation"):
        cluster.status()

    recipe.write_text("echo 'cluster.sh: first' >&2; echo 'cluster.sh: nodes are not Ready' >&2; exit 3\n")
    with pytest.raises(ClusterUnavailable, match=r"^nodes are not Ready$"):
        cluster.up()
    assert capsys.readouterr().err == "cluster.sh: first\n"

    recipe.write_text("echo 'cluster.sh: no' >&2; exit 2\n")
    with pytest.raises(AiopsError, match=r"^no$"):
        cluster.up()

    calls = tmp_path / "calls"
    recipe.write_text(f"""echo "$@" >>{calls}; [ $1 != status ] || echo '{{"state": "up"}}'""")
    assert cluster.up(2) == {"state": "up"}
    assert cluster.up(1, observe=False) == {"state": "up"}
    assert calls.read_text().splitlines() == ["up 2", "observe", "status --json", "up 1", "status --json"]
