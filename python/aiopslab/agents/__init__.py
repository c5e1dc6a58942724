"""Agents that ship with the library: oracle, random, runbook, human.

Each is made by :func:`make` and played by :func:`aiopslab.rollout`.
"""

from __future__ import annotations

from typing import Any

import gymnasium

from aiopslab.agents.human import HumanAgent
from aiopslab.agents.oracle import OracleAgent
from aiopslab.agents.random import RandomAgent
from aiopslab.agents.runbook import RunbookAgent
from aiopslab.errors import InvalidConfig

__all__ = ["AGENTS", "HumanAgent", "OracleAgent", "RandomAgent", "RunbookAgent", "make"]

#: Agents by name.
AGENTS: dict[str, type[OracleAgent | RandomAgent | RunbookAgent | HumanAgent]] = {
    "oracle": OracleAgent,
    "random": RandomAgent,
    "runbook": RunbookAgent,
    "human": HumanAgent,
}


def make(name: str, env: gymnasium.Env[Any, Any]) -> OracleAgent | RandomAgent | RunbookAgent | HumanAgent:
    """Makes an agent by name for an environment.

    Args:
        name: One of ``AGENTS``.
        env: The environment it will play; the oracle needs one made with ``allow_oracle=True``.

    Raises:
        InvalidConfig: There is no such agent.

    Example:
        >>> import aiopslab
        >>> make("runbook", aiopslab.make("noop_detection_hotel_reservation-1"))
        RunbookAgent()
    """
    if name not in AGENTS:
        raise InvalidConfig(f"there is no agent {name!r}; there are: {', '.join(AGENTS)}")
    return AGENTS[name](env)
