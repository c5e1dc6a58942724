"""``aiopslab doctor``: what is wrong with the environments on a live cluster, and putting them right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aiopslab import _core
from aiopslab.live import LiveCluster

__all__ = ["examine", "is_well", "page"]


def examine(cluster: LiveCluster | None = None, *, repair: bool = False, envs: str | Path | None = None) -> dict[str, Any]:
    """Looks at every environment on a cluster.

    Args:
        cluster: Which cluster; ``None`` for the one that kubectl would reach.
        repair: Put environments that nobody holds back as they were recorded; remove those whose deploy was never finished.
        envs: A folder of your own with applications.

    Returns:
        ``server``, ``version``, ``missing_rights`` and ``environments``, each with its ``namespace``, ``lease``, ``agent``,
        ``agent_acts``, ``deployed``, ``journal_entries``, ``differences`` and, after a repair, ``repair``;
        ``error`` where it could not be looked at.

    Raises:
        ClusterUnavailable: The cluster cannot be reached or is of a version that was never tried.
    """
    config = json.dumps((cluster or LiveCluster()).to_options())
    report: dict[str, Any] = json.loads(_core.doctor(config, repair, None if envs is None else str(envs)))
    return report


def is_well(report: dict[str, Any]) -> bool:
    """Whether nothing is left to be done: rights are complete, and every environment is in use, as recorded, or was repaired."""
    if report.get("error") or report["missing_rights"]:
        return False
    return all(_is_well(environment) for environment in report.get("environments", []))


def _is_well(environment: dict[str, Any]) -> bool:
    if environment.get("error") or str(environment.get("repair", "")).startswith("not repaired"):
        return False
    if (environment.get("lease") or {}).get("alive") or "repair" in environment:
        return True
    return bool(environment["deployed"] and not environment["journal_entries"] and not environment["differences"])


def page(report: dict[str, Any]) -> str:
    """The report for people."""
    lines = [f"{report['server']}  Kubernetes {report['version']}"]
    missing = report["missing_rights"]
    lines.append("rights: complete" if not missing else "rights missing: " + "; ".join(missing))
    if report.get("error"):
        lines.append(f"error: {report['error']}")
    for environment in report.get("environments", []):
        lines.append(f"{environment['namespace']}: {_state(environment)}")
        lines.extend(f"  {difference}" for difference in environment.get("differences", []))
    if not report.get("environments") and not report.get("error"):
        lines.append("no environments")
    return "\n".join(lines)


def _state(environment: dict[str, Any]) -> str:
    if environment.get("error"):
        return str(environment["error"])
    lease = environment.get("lease")
    parts = []
    if lease is None:
        parts.append("free")
    else:
        state = "held by" if lease["alive"] else "left behind by"
        parts.append(f"{state} {lease['holder']} ({lease['age_s']} s ago)")
    parts.append("deployed" if environment["deployed"] else "deploy not finished")
    parts.append(f"{environment['journal_entries']} journal entries")
    parts.append(f"agent acts as {environment['agent']} {environment['agent_acts']}")
    if "repair" in environment:
        parts.append(str(environment["repair"]))
    return ", ".join(parts)
