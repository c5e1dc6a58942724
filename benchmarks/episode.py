"""Speed of whole episodes through Python, and what a further episode costs in memory.

Prints one JSON object; figures are medians over repetitions. Run it with ``make bench``.
"""

from __future__ import annotations

import gc
import json
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import aiopslab

PROBLEM = "misconfig_app_hotel_res-mitigation-1"
LOOK = 'exec_shell("kubectl get pods -n test-hotel-reservation")'


def median_ms(act: Callable[[int], object], repetitions: int) -> float:
    """Median time of ``act(i)`` in milliseconds."""
    times = []
    for i in range(repetitions):
        start = time.perf_counter()
        act(i)
        times.append(1e3 * (time.perf_counter() - start))
    return round(statistics.median(times), 4)


def resident_kib() -> int:
    """Resident memory of this process in KiB."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize() // 1024


def memory_per_episode_kib(count: int = 500) -> float:
    """Growth of resident memory per further episode in progress."""
    envs = [aiopslab.AIOpsEnv(PROBLEM) for _ in range(count)]
    envs[0].reset(seed=0)
    gc.collect()
    before = resident_kib()
    for seed, env in enumerate(envs[1:], 1):
        env.reset(seed=seed)
    return round((resident_kib() - before) / (count - 1), 1)


def main() -> None:
    """Measures and prints."""
    start = time.perf_counter()
    env = aiopslab.make(PROBLEM, step_seconds=0.0, max_steps=10_000)
    env.reset(seed=0)
    first_ms = 1e3 * (time.perf_counter() - start)
    playing = aiopslab.make(PROBLEM)
    runbook = aiopslab.agents.make("runbook", playing)
    figures = {
        "first_reset_ms": round(first_ms, 2),
        "reset_ms": median_ms(lambda seed: env.reset(seed=seed), 200),
        "step_get_pods_ms": median_ms(lambda _: env.step(LOOK), 2000),
        "fork_ms": median_ms(lambda _: env.unwrapped.fork(), 500),  # type: ignore[attr-defined]
        "runbook_episode_ms": median_ms(lambda seed: aiopslab.rollout(playing, runbook, seed=seed), 30),
        "memory_per_episode_kib": memory_per_episode_kib(),
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
