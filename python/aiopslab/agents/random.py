"""The random agent: a floor for scores, and a source of varied episodes."""

from __future__ import annotations

import hashlib
from typing import Any

import gymnasium
import numpy as np

from aiopslab.agents.prompt import namespace_of

__all__ = ["RandomAgent"]

_LOOKS = (
    "kubectl get pods -n {ns}",
    "kubectl get deployments -n {ns}",
    "kubectl get services,endpoints -n {ns}",
    "kubectl get events -n {ns}",
    "kubectl describe deployment {name} -n {ns}",
    "kubectl logs deployment/{name} -n {ns} --tail=20",
    "kubectl rollout history deployment/{name} -n {ns}",
)
_CHANGES = (
    "kubectl rollout restart deployment/{name} -n {ns}",
    "kubectl rollout undo deployment/{name} -n {ns}",
    "kubectl scale deployment/{name} -n {ns} --replicas={count}",
    "kubectl delete pod -n {ns} -l io.kompose.service={name}",
    "kubectl set env deployment/{name} -n {ns} LEVEL={count}",
)
_LEVELS = ("Hardware", "Operating System", "Virtualization", "Application")
_TYPES = ("Misconfiguration", "Code Defect", "Authentication Issue", "Network/Storage Issue", "Operation Error", "Dependency Problem")


class RandomAgent:
    """Draws looks, changes and finally an answer, uniformly.

    Its stream is seeded by the task and by the pods that it sees, whose names differ from episode to episode. It knows no more than
    names it has read on deployments' lines.

    Args:
        env: Environment to play; only its class of actions matters.
        length: Mean number of actions before it submits, its first two looks apart.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], length: int = 8) -> None:
        self._length = length
        self._random: np.random.Generator | None = None
        self._begun = b""
        self._names: list[str] = []
        self._looked = False
        self._namespace = "default"
        self._task = ""

    def reset(self, observation: str, info: dict[str, Any]) -> None:
        """Begins an episode."""
        self._random = None
        self._begun = f"{info['problem_id']} {observation}".encode()
        self._looked = False
        self._namespace = namespace_of(observation)
        self._task = info["task"]
        self._names = []

    def act(self, observation: str, info: dict[str, Any]) -> str:
        """The next action."""
        self._learn(observation)
        if not self._names:
            return f'exec_shell("kubectl get deployments -n {self._namespace}")'
        if not self._looked:
            self._looked = True
            return f'exec_shell("kubectl get pods -n {self._namespace}")'
        if self._random is None:
            digest = hashlib.sha256(self._begun + observation.encode()).digest()
            self._random = np.random.default_rng(int.from_bytes(digest[:8], "little"))
        draw = self._random
        if draw.random() < 1 / self._length:
            return self._answer(draw)
        pool = _LOOKS if draw.random() < 0.6 else _CHANGES
        template = str(draw.choice(pool))
        command = template.format(ns=self._namespace, name=draw.choice(self._names), count=int(draw.integers(0, 3)))
        return f'exec_shell("{command}")'

    def _learn(self, observation: str) -> None:
        lines = observation.splitlines()
        if lines and lines[0].split()[:2] == ["NAME", "READY"] and "UP-TO-DATE" in lines[0]:
            self._names = [line.split()[0].removeprefix("deployment.apps/") for line in lines[1:] if line.strip()]

    def _answer(self, draw: np.random.Generator) -> str:
        if self._task == "detection":
            return f'submit("{draw.choice(["Yes", "No"])}")'
        if self._task == "localization":
            return f'submit(["{draw.choice(self._names)}"])'
        if self._task == "analysis":
            level, kind = draw.choice(_LEVELS), draw.choice(_TYPES)
            return f'submit({{"system_level": "{level}", "fault_type": "{kind}"}})'
        return "submit()"

    def __repr__(self) -> str:
        return f"RandomAgent(length={self._length})"
