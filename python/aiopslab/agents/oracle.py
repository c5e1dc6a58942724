"""The oracle: plays the actions that are known to solve the episode."""

from __future__ import annotations

from typing import Any

import gymnasium

__all__ = ["OracleAgent"]


class OracleAgent:
    """Plays ``env.unwrapped.oracle_actions()`` in order; an upper bound, and a test of problems.

    Args:
        env: Environment made with ``allow_oracle=True``.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        self._env = env
        self._actions: list[str] = []

    def reset(self, observation: str, info: dict[str, Any]) -> None:
        """Begins an episode."""
        self._actions = list(self._env.unwrapped.oracle_actions())  # type: ignore[attr-defined]

    def act(self, observation: str, info: dict[str, Any]) -> str:
        """The next action; the last one submits."""
        return self._actions.pop(0)

    def __repr__(self) -> str:
        return "OracleAgent()"
