"""A trainer that is killed at any instant leaves a cluster that the next reset puts back."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from conftest import environment, make

PROBLEM = "misconfig_app_hotel_res-mitigation-1"
SUFFIX = "kill"
NAMESPACE = f"test-hotel-reservation-{SUFFIX}"
POINTS = 20

#: A trainer: episodes with an agent that changes things, until it is killed.
TRAINER = """
import itertools, sys
sys.path.insert(0, sys.argv[1])
from conftest import make
ns = sys.argv[2]
commands = [
    f"kubectl get pods -n {ns}",
    f"kubectl scale deployment search --replicas=0 -n {ns}",
    f"kubectl delete service mongodb-geo -n {ns}",
    f"kubectl set env deployment/rate BROKEN=1 -n {ns}",
    f"kubectl create configmap note --from-literal=a=b -n {ns}",
    f"kubectl exec deploy/profile -n {ns} -- sh -c 'echo x > /tmp/x'",
    f"kubectl delete configmap mongo-geo-script -n {ns}",
    f"kubectl label deployment user touched=yes -n {ns}",
]
for problem in itertools.cycle(["misconfig_app_hotel_res-mitigation-1", "scale_pod_zero_hotel_res-mitigation-2"]):
    env = make(problem, "kill")
    env.reset(seed=0)
    print("reset", flush=True)
    for command in commands:
        env.step('exec_shell("' + command + '")')
        print(command, flush=True)
    env.close()
"""


@pytest.fixture(scope="module", autouse=True)
def deployed() -> None:
    with make(PROBLEM, SUFFIX) as env:
        env.reset(seed=0)


@pytest.mark.parametrize("point", range(POINTS))
def test_a_reset_follows_a_kill(point: int) -> None:
    after_s = random.Random(point).uniform(0.3, 14.0)
    trainer = subprocess.Popen(
        [sys.executable, "-c", TRAINER, os.path.dirname(__file__), NAMESPACE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    time.sleep(after_s)
    assert trainer.poll() is None, f"the trainer ended by itself: {trainer.communicate()[1]}"
    os.kill(trainer.pid, signal.SIGKILL)
    done = trainer.communicate()[0].splitlines()
    begun = time.monotonic()
    with make(PROBLEM, SUFFIX) as env:
        observation, _ = env.reset(seed=0)
        took = time.monotonic() - begun
        assert NAMESPACE in observation
    found = environment(SUFFIX)
    state = {key: found[key] for key in ("deployed", "journal_entries", "differences", "lease")}
    expect = {"deployed": True, "journal_entries": 0, "differences": [], "lease": None}
    assert state == expect, f"killed after {after_s:.1f} s, at {done[-1:]}: {json.dumps(found)}"
    print(f"killed after {after_s:.1f} s ({len(done)} lines); the next reset took {took:.1f} s")


def test_the_doctor_repairs_what_a_killed_trainer_left() -> None:
    command = [sys.executable, "-c", TRAINER, os.path.dirname(__file__), NAMESPACE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as trainer:
        assert trainer.stdout is not None
        for line in trainer.stdout:
            if "delete service" in line:
                break
        os.kill(trainer.pid, signal.SIGKILL)
    found = environment(SUFFIX)
    assert found["journal_entries"] > 0
    assert any("services/mongodb-geo" in difference for difference in found["differences"]), json.dumps(found)
    command = [sys.executable, "-m", "aiopslab", "doctor", "--repair", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    repaired = next(one for one in json.loads(done.stdout)["environments"] if one["namespace"] == NAMESPACE)
    assert repaired["repair"] == "put back as it was recorded", json.dumps(repaired)
    after = environment(SUFFIX)
    assert (after["journal_entries"], after["differences"], after["lease"]) == (0, [], None), json.dumps(after)


def test_two_trainers_cannot_share_an_environment() -> None:
    import aiopslab

    with make(PROBLEM, SUFFIX) as env:
        env.reset(seed=0)
        with make(PROBLEM, SUFFIX) as second, pytest.raises(aiopslab.ClusterUnavailable, match=f"namespace {NAMESPACE} is in use by"):
            second.reset(seed=0)
