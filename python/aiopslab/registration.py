"""``aiopslab.make`` and the ids under which Gymnasium finds the problems."""

from __future__ import annotations

from typing import Any

import gymnasium

from aiopslab.problems import list_problems, show_problem

__all__ = ["make", "register_all"]


def register_all() -> None:
    """Registers every built-in problem as ``aiopslab/<id>-v0``."""
    for problem in list_problems():
        name = f"aiopslab/{problem.id}-v0"
        if name not in gymnasium.registry:
            gymnasium.register(id=name, entry_point="aiopslab.env:AIOpsEnv", kwargs={"problem": problem.id})


def make(problem_id: str, **kwargs: Any) -> gymnasium.Env[Any, Any]:  # noqa: ANN401
    """Makes an environment by its bare problem id.

    Args:
        problem_id: Id as AIOpsLab writes it, ``misconfig_app_hotel_res-mitigation-1``.
        kwargs: Arguments of :class:`aiopslab.AIOpsEnv`.

    Returns:
        The environment, wrapped as ``gymnasium.make`` wraps it; ``env.unwrapped`` is the :class:`aiopslab.AIOpsEnv`.

    Raises:
        ProblemNotFound: There is no such problem; the message names the nearest ids.
        InvalidConfig: An argument is out of range or names a mode that is not built.

    Example:
        >>> env = make("misconfig_app_hotel_res-mitigation-1", max_steps=5)
        >>> observation, info = env.reset(seed=0)
        >>> info["task"], info["step"], info["success"]
        ('mitigation', 0, None)
    """
    envs = kwargs.get("envs")
    show_problem(problem_id, envs)
    name = f"aiopslab/{problem_id}-v0"
    if envs is not None or name not in gymnasium.registry:
        spec = gymnasium.envs.registration.EnvSpec(id=name, entry_point="aiopslab.env:AIOpsEnv", kwargs={"problem": problem_id})
        return gymnasium.make(spec, **kwargs)
    return gymnasium.make(name, **kwargs)
