"""Playing an episode: an agent against an environment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import gymnasium

from aiopslab.trajectory import Trajectory

__all__ = ["Agent", "rollout"]


class Agent(Protocol):
    """What :func:`rollout` needs of an agent."""

    def reset(self, observation: str, info: dict[str, Any]) -> None:
        """Begins an episode: the first observation holds the task, the instructions and the tools."""

    def act(self, observation: str, info: dict[str, Any]) -> Any:  # noqa: ANN401
        """Chooses the next action after an observation."""


def rollout(
    env: gymnasium.Env[Any, Any],
    agent: Agent,
    seed: int | None = 0,
    on_step: Callable[[Any, str, float, dict[str, Any]], None] | None = None,
) -> Trajectory:
    """Plays one episode to its end.

    Args:
        env: Environment made by :func:`aiopslab.make`.
        agent: The agent.
        seed: Seed of the episode.
        on_step: Called after each step with action, observation, reward and ``info``.

    Returns:
        The trajectory.

    Example:
        >>> import aiopslab
        >>> env = aiopslab.make("misconfig_app_hotel_res-mitigation-1", allow_oracle=True)
        >>> aiopslab.rollout(env, aiopslab.agents.make("oracle", env), seed=0).success
        True
    """
    observation, info = env.reset(seed=seed)
    agent.reset(observation, info)
    done = False
    while not done:
        action = agent.act(observation, info)
        observation, reward, terminated, truncated, info = env.step(action)
        done = terminated or truncated
        if on_step is not None:
            on_step(action, observation, float(reward), info)
    return env.unwrapped.trajectory  # type: ignore[attr-defined,no-any-return]
