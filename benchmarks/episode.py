"""Speed and memory against the budgets of the design, through Python.

``make bench`` runs ``benchmarks/kernel.rs`` first and hands its output to this script, which prints one table: budget, fastest, median.
Machines are noisy, so the fastest of many repetitions is what compares; figures through Python include Gymnasium's and Python's own share.
"""

from __future__ import annotations

import gc
import re
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import aiopslab

PROBLEM = "misconfig_app_hotel_res-mitigation-1"
NAMESPACE = "test-hotel-reservation"
UNITS_US = {"ns": 1e-3, "µs": 1.0, "ms": 1e3, "s": 1e6}


def shell(command: str) -> str:
    """An action that runs a command."""
    return f'exec_shell("{command}")'


def times_us(act: Callable[[int], object], repetitions: int) -> tuple[float, float]:
    """Fastest and median time of ``act(i)`` in microseconds."""
    times = []
    for i in range(repetitions):
        start = time.perf_counter()
        act(i)
        times.append(1e6 * (time.perf_counter() - start))
    return min(times), statistics.median(times)


def resident_kib() -> int:
    """Resident memory of this process in KiB."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize() // 1024


def memory_kib(count: int = 300, hours: int = 3) -> tuple[float, float]:
    """Growth of resident memory per further episode in progress, and per restart of a container in them."""
    envs = [aiopslab.AIOpsEnv(PROBLEM, ready_episodes=0, step_seconds=3600.0) for _ in range(count)]
    envs[0].reset(seed=0)
    gc.collect()
    before = resident_kib()
    for seed, env in enumerate(envs[1:], 1):
        env.reset(seed=seed)
    fresh = (resident_kib() - before) / (count - 1)
    look = shell(f"kubectl get pods -n {NAMESPACE} -l io.kompose.service=geo --no-headers")

    def restarts(observation: str) -> int:
        return sum(int(line.split()[3]) for line in observation.splitlines() if len(line.split()) > 4)

    seen = [restarts(env.step(look)[0]) for env in envs]
    gc.collect()
    before = resident_kib()
    for _ in range(hours):
        last = [restarts(env.step(look)[0]) for env in envs]
    grown = resident_kib() - before
    return fresh, grown / max(1, sum(last) - sum(seen))


def kernel_us(output: str, entry: str, argument: str = "") -> tuple[float, float] | None:
    """Fastest and median of an entry in the output of ``kernel.rs``; per item where it counts items."""
    lines = output.splitlines()
    at = next((i for i, line in enumerate(lines) if re.search(rf"─ {entry}\b", line)), None)
    if at is not None and argument:
        at = next((i for i in range(at + 1, len(lines)) if re.search(rf"─ {re.escape(argument)}\s", lines[i])), None)
    if at is None:
        return None
    rate = [
        float(n) * {"": 1, "K": 1e3, "M": 1e6}[k]
        for n, k in re.findall(r"([\d.]+) ([KM]?)item/s", lines[at + 1] if at + 1 < len(lines) else "")
    ]
    if rate:
        return 1e6 / rate[0], 1e6 / rate[2]
    times = [float(n) * UNITS_US[unit] for n, unit in re.findall(r"([\d.]+) (ns|µs|ms|s)\b", lines[at])]
    return (times[0], times[2]) if len(times) > 2 else None


def main() -> None:
    """Measures and prints."""
    fresh = aiopslab.AIOpsEnv(PROBLEM, step_seconds=0.0, max_steps=10_000, ready_episodes=0)
    ready = aiopslab.AIOpsEnv(PROBLEM)
    start = time.perf_counter()
    fresh.reset(seed=0)
    first_ms = 1e3 * (time.perf_counter() - start)
    ready.reset(seed=0)
    playing = aiopslab.make(PROBLEM, ready_episodes=0)
    runbook = aiopslab.agents.make("runbook", playing)
    rows: list[tuple[str, float | None, str, tuple[float, float] | None]] = [
        ("fork an episode", 20, "µs", times_us(lambda _: ready.fork(), 500)),
        ("reset", 2000, "µs", times_us(lambda seed: fresh.reset(seed=seed), 200)),
        ("reset, ready", 50, "µs", times_us(lambda _: ready.reset(seed=0), 500)),
        ("step: get pods", 60, "µs", times_us(lambda _: fresh.step(shell(f"kubectl get pods -n {NAMESPACE}")), 1000)),
        (
            "step: describe pod",
            150,
            "µs",
            times_us(lambda _: fresh.step(shell(f"kubectl describe pod -n {NAMESPACE} -l io.kompose.service=geo")), 1000),
        ),
        ("whole runbook episode", None, "µs", times_us(lambda seed: aiopslab.rollout(playing, runbook, seed=seed), 30)),
    ]
    memory = memory_kib()
    rows += [("memory: fresh episode", 300, "KiB", (memory[0],) * 2), ("memory: restart", 30, "KiB", (memory[1],) * 2)]
    if len(sys.argv) > 1:
        output = Path(sys.argv[1]).read_text(encoding="utf-8")
        names = {"fork_session": ("kernel: fork", 20), "reset": ("kernel: reset", 2000), "reset_ready": ("kernel: reset, ready", 50)}
        rows += [(name, budget, "µs", kernel_us(output, entry)) for entry, (name, budget) in names.items()]
        for rate in ("10", "1000", "1000000"):
            for entry, budget in (("advance_10_s_settled", 2), ("log_line", 2), ("span", 1)):
                rows.append((f"kernel: {entry} at {rate}/s", budget, "µs", kernel_us(output, entry, rate)))
    print(f"first reset of the process, with the baseline: {first_ms:.0f} ms\n")
    print(f"{'what':34} {'budget':>10} {'fastest':>10} {'median':>10}")
    for name, budget, unit, measured in rows:
        asked = "" if budget is None else f"{budget:g} {unit}"
        figures = ("-", "-") if measured is None else tuple(f"{value:.3g}" if value < 100 else f"{value:.0f}" for value in measured)
        print(f"{name:34} {asked:>10} {figures[0]:>10} {figures[1]:>10}")


if __name__ == "__main__":
    main()
