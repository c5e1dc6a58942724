"""Every problem on a real cluster: doing nothing fails, the oracle passes, destroying fails; several environments at once.

Problems that differ from another only in where the fault is (``…-2`` and on) are played by nothing and the oracle; the first of each
kind by all.
"""

from __future__ import annotations

import json
import queue
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import aiopslab
from conftest import SUMMARY, kubectl, make

#: Suffixes of the environments that take part.
ENVIRONMENTS = "abcdef"
#: The application whose problems are played.
APP = "hotel-reservation"
#: What a kernel may lack; nothing else may be missing on a cluster that these tests start.
OPTIONAL = ("network_delay_hotel_res",)
#: What a submission without an answer says.
WRONG = {
    "detection": 'submit("perhaps")',
    "localization": 'submit(["frontend-that-is-not-there"])',
    "analysis": 'submit({"system_level": "Hardware", "fault_type": "Network/Storage Issue"})',
    "mitigation": "submit()",
}


class Policies:
    """Ways to play a problem; each returns the trajectory."""

    def __init__(self, suffix: str) -> None:
        self.namespace = f"test-hotel-reservation-{suffix}"

    def nothing(self, env: Any, task: str) -> aiopslab.Trajectory:
        env.reset(seed=0)
        env.step('exec_shell("kubectl get pods -A")')
        env.step(WRONG[task])
        return env.unwrapped.trajectory

    def oracle(self, env: Any, task: str) -> aiopslab.Trajectory:
        del task
        return aiopslab.rollout(env, aiopslab.agents.make("oracle", env), seed=1)

    def destroy(self, env: Any, task: str) -> aiopslab.Trajectory:
        env.reset(seed=2)
        env.step(f'exec_shell("kubectl delete deployments,services --all -n {self.namespace} --wait=false")')
        env.step(WRONG[task])
        return env.unwrapped.trajectory

    def runbook(self, env: Any, task: str) -> aiopslab.Trajectory:
        del task
        return aiopslab.rollout(env, aiopslab.agents.make("runbook", env), seed=3)


def policies_of(problem: aiopslab.Problem) -> list[str]:
    """Who plays a problem."""
    if re.search(r"-([2-9]|\d\d+)$", problem.id):
        return ["nothing", "oracle"]
    return ["nothing", "oracle", "runbook"] + (["destroy"] if problem.task == "mitigation" else [])


def play(problem: aiopslab.Problem, env: Any, suffix: str, into: list[dict[str, Any]]) -> None:
    policies = Policies(suffix)
    for name in policies_of(problem):
        begun = time.monotonic()
        trajectory = getattr(policies, name)(env, problem.task)
        closing = trajectory.closing or {}
        failed = [check for check in closing.get("grade", {}).get("checks", []) if not check["passed"]]
        into.append(
            {
                "problem": problem.id,
                "policy": name,
                "success": bool(trajectory.success),
                "seconds": round(time.monotonic() - begun, 1),
                "suffix": suffix,
                "failed": failed,
                "cluster": trajectory.header["cluster"],
                "live": trajectory.header.get("live"),
            }
        )


def worker(work: queue.Queue[aiopslab.Problem], suffix: str, into: list[dict[str, Any]], errors: list[str]) -> None:
    while True:
        try:
            problem = work.get_nowait()
        except queue.Empty:
            return
        try:
            with make(problem.id, suffix) as env:
                play(problem, env, suffix, into)
        except aiopslab.MissingRights as error:
            # A node may lack what a fault takes, the kernel's netem for one.
            into.append({"problem": problem.id, "policy": "skipped", "success": False, "why": str(error), "suffix": suffix})
        except Exception as error:
            errors.append(f"{problem.id} in {suffix}: {type(error).__name__}: {error}")


@pytest.fixture(scope="module")
def played() -> list[dict[str, Any]]:
    work: queue.Queue[aiopslab.Problem] = queue.Queue()
    # The long ones first, so that no environment is left with one at the end.
    for problem in sorted(aiopslab.list_problems(app=APP), key=lambda p: (p.task != "mitigation", p.id)):
        work.put(problem)
    results: list[dict[str, Any]] = []
    errors: list[str] = []
    begun = time.monotonic()
    threads = [threading.Thread(target=worker, args=(work, suffix, results, errors)) for suffix in ENVIRONMENTS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = Path("runs") / "live-problems.json"
    report.parent.mkdir(exist_ok=True)
    report.write_text(json.dumps(results, indent=1), encoding="utf-8")
    SUMMARY.extend(summary(results, errors, time.monotonic() - begun))
    assert not errors, "\n".join(errors)
    return results


def summary(results: list[dict[str, Any]], errors: list[str], seconds: float) -> list[str]:
    """What is printed after the tests: what came of every policy, who was not solved by the runbook, what was not played and why."""
    lines = [f"{len(aiopslab.list_problems(app=APP))} problems in {len(ENVIRONMENTS)} environments, {seconds:.0f} s"]
    for policy in ("nothing", "oracle", "runbook", "destroy"):
        mine = [one for one in results if one["policy"] == policy]
        solved = [one for one in mine if one["success"]]
        slowest = max((one["seconds"] for one in mine), default=0.0)
        lines.append(
            f"{policy}: {len(solved)} of {len(mine)} solved; {sum(one['seconds'] for one in mine):.0f} s, the longest {slowest:.0f} s"
        )
    failed = [one["problem"] for one in results if one["policy"] == "runbook" and not one["success"]]
    lines.append(f"not solved by the runbook: {', '.join(sorted(failed)) or 'none'}")
    variants = [problem.id for problem in aiopslab.list_problems(app=APP) if "runbook" not in policies_of(problem)]
    lines.append(f"played by nothing and the oracle only: {', '.join(sorted(variants))}")
    others = [problem.id for problem in aiopslab.list_problems() if problem.app != APP]
    lines.append(f"not played, of other applications: {', '.join(sorted(others))}")
    lines.extend(f"skipped {one['problem']}: {one['why']}" for one in results if one["policy"] == "skipped")
    lines.extend(f"error: {error}" for error in errors)
    return lines


def outcomes(played: list[dict[str, Any]], policy: str) -> dict[str, bool]:
    return {one["problem"]: one["success"] for one in played if one["policy"] == policy}


def test_every_problem_was_played_on_the_live_cluster(played: list[dict[str, Any]]) -> None:
    assert {one["problem"] for one in played} == {problem.id for problem in aiopslab.list_problems(app=APP)}
    finished = [one for one in played if one["policy"] != "skipped"]
    assert {one["cluster"] for one in finished} == {"live"}
    assert {one["suffix"] for one in played} == set(ENVIRONMENTS), "all environments took part"
    assert all(one["live"]["images"] in ("testbed", "upstream") for one in finished)


def test_the_oracle_solves_every_problem(played: list[dict[str, Any]]) -> None:
    failed = [one for one in played if one["policy"] == "oracle" and not one["success"]]
    assert not failed, json.dumps(failed, indent=1)


def test_nothing_and_destruction_solve_no_problem(played: list[dict[str, Any]]) -> None:
    for policy in ("nothing", "destroy"):
        solved = [problem for problem, success in outcomes(played, policy).items() if success]
        assert not solved, f"{policy} solved {solved}"


def test_the_runbook_agents_result_is_reported(played: list[dict[str, Any]], record_property: Any) -> None:
    results = outcomes(played, "runbook")
    solved = sorted(problem for problem, success in results.items() if success)
    record_property("runbook_solved", f"{len(solved)} of {len(results)}")
    skipped = {one["problem"] for one in played if one["policy"] == "skipped"}
    assert set(results) == {problem.id for problem in aiopslab.list_problems(app=APP) if "runbook" in policies_of(problem)} - skipped


def test_only_what_a_kernel_may_lack_is_skipped(played: list[dict[str, Any]]) -> None:
    skipped = {one["problem"]: one["why"] for one in played if one["policy"] == "skipped"}
    assert all(problem.startswith(OPTIONAL) for problem in skipped), skipped
    if skipped:
        pytest.skip("; ".join(f"{problem}: {why}" for problem, why in skipped.items()))


def test_environments_do_not_disturb_each_other(played: list[dict[str, Any]]) -> None:
    del played
    for suffix in ENVIRONMENTS:
        namespace = f"test-hotel-reservation-{suffix}"
        pods = json.loads(kubectl("get", "pods", "-n", namespace, "-o", "json"))["items"]
        ready = [pod for pod in pods if any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))]
        assert len(ready) == 19, f"{namespace}: {len(ready)} of 19 pods are ready"
    volumes = json.loads(kubectl("get", "pv", "-o", "json"))["items"]
    paths = [volume["spec"]["hostPath"]["path"] for volume in volumes if volume["spec"].get("hostPath")]
    assert len(paths) == len(set(paths)), "no two volumes are the same folder"
