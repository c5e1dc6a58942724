"""Speed of a live environment: the first deploy, resets after it, steps.

Needs a cluster (``$KUBECONFIG``); prints one JSON object. Run it with ``make bench-live``.
"""

from __future__ import annotations

import json
import statistics
import sys
import time

import aiopslab

PROBLEMS = ("misconfig_app_hotel_res-mitigation-1", "scale_pod_zero_hotel_res-mitigation-1", "noop_detection_hotel_reservation-1")
ROUNDS = 4
LOOK = 'exec_shell("kubectl get pods -n test-hotel-reservation-bench")'


def main() -> None:
    """Measures and prints."""
    cluster = aiopslab.LiveCluster(suffix="bench", cpu_scale=0.05, on_close="delete")
    begun = time.monotonic()
    resets: dict[str, list[float]] = {problem: [] for problem in PROBLEMS}
    steps: list[float] = []
    first = None
    keeping = aiopslab.LiveCluster(suffix="bench", cpu_scale=0.05)
    for round_ in range(ROUNDS):
        for problem in PROBLEMS:
            last = round_ == ROUNDS - 1 and problem == PROBLEMS[-1]
            env = aiopslab.make(problem, cluster=cluster if last else keeping, step_seconds=0.0)
            start = time.monotonic()
            env.reset(seed=round_)
            took = time.monotonic() - start
            if first is None:
                first = took
            else:
                resets[problem].append(took)
            for _ in range(10):
                start = time.monotonic()
                env.step(LOOK)
                steps.append(time.monotonic() - start)
            env.close()
            print(f"{problem}: reset {took:.1f} s", file=sys.stderr)
    everything = [took for times in resets.values() for took in times]
    figures = {
        "first_deploy_s": round(first or 0.0, 1),
        "reset_median_s": round(statistics.median(everything), 1),
        "reset_max_s": round(max(everything), 1),
        "reset_median_s_by_problem": {problem: round(statistics.median(times), 1) for problem, times in resets.items()},
        "step_get_pods_median_ms": round(1e3 * statistics.median(steps), 1),
        "total_s": round(time.monotonic() - begun, 1),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
