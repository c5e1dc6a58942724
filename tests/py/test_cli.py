"""The command line, as a user runs it."""

import json
import subprocess
import sys

import pytest


def run(*arguments, cwd=None):
    return subprocess.run([sys.executable, "-m", "aiopslab", *arguments], capture_output=True, text=True, cwd=cwd, check=False)


def test_list_and_its_filters():
    listed = run("list")
    assert listed.returncode == 0
    assert "misconfig_app_hotel_res-mitigation-1" in listed.stdout
    problems = json.loads(run("list", "--task", "mitigation", "--json").stdout)
    assert problems
    assert all(problem["task"] == "mitigation" for problem in problems)
    suite = json.loads(run("list", "--suite", "hotel-38", "--json").stdout)
    assert len(suite) == 38
    assert {"container_kill-detection", "redeploy_without_PV-mitigation-1"} <= {problem["id"] for problem in suite}


def test_show():
    shown = run("show", "noop_detection_hotel_reservation-1")
    assert shown.returncode == 0
    assert "exec_shell" in shown.stdout
    assert run("show", "noop_detection_hotel-1").returncode == 2


def test_run_prints_steps_checks_and_the_path(tmp_path):
    played = run("run", "misconfig_app_hotel_res-mitigation-1", "--agent", "runbook", "--check", cwd=tmp_path)
    assert played.returncode == 0, played.stdout + played.stderr
    assert "SOLVED" in played.stdout
    assert "pass" in played.stdout
    path = played.stdout.rsplit("trajectory: ", 1)[1].strip()
    assert run("replay", path, cwd=tmp_path).stdout == "1 trajectory replayed, identical byte for byte\n"


def test_run_as_json(tmp_path):
    result = json.loads(run("run", "scale_pod_zero_hotel_res-mitigation-1", "--agent", "oracle", "--json", cwd=tmp_path).stdout)
    assert result["score"] == 1.0
    assert (tmp_path / result["trajectory"]).exists()


def test_score_as_a_table_and_as_json():
    chosen = ["score", "--suite", "smoke", "--task", "detection", "--seeds", "2"]
    table = run(*chosen, "--agents", "runbook,oracle", "--by-problem").stdout.splitlines()
    assert table[0].split() == ["EPISODES", "RUNBOOK", "ORACLE"]
    assert [line.split()[0] for line in table[1:-1]] == [
        "misconfig_app_hotel_res-detection-1",
        "noop_detection_hotel_reservation-1",
        "scale_pod_zero_hotel_res-detection-1",
        "detection",
    ]
    assert "100.0 % (61.0 to 100.0)" in table[4]
    scores = json.loads(run(*chosen, "--agents", "oracle", "--jobs", "2", "--json").stdout)
    assert [(one["episodes"], one["share"]) for one in scores] == [(2, 1.0)] * 3


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["fly"], 2),
        (["run", "nothing"], 2),
        (["run", "misconfig_app_hotel_res-mitigation-1", "--cluster", "moon"], 2),
        (["replay", "no"], 2),
        (["score", "--agents", "wizard"], 2),
        (["score", "--suite", "nothing"], 2),
    ],
)
def test_exit_codes(arguments, code, tmp_path):
    failed = run(*arguments, cwd=tmp_path)
    assert failed.returncode == code
    assert "Traceback" not in failed.stderr
