"""What can be played: problems and suites, without their answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiopslab import _core

__all__ = ["Problem", "list_problems", "list_suites", "show_problem"]


@dataclass(frozen=True)
class Problem:
    """A problem as its solver may know it.

    Attributes:
        id: Name under which :func:`aiopslab.make` finds it.
        app: Application it plays on.
        task: ``detection``, ``localization``, ``analysis`` or ``mitigation``.
        description: What an episode of it is about, without the answer.
        difficulty: ``easy``, ``medium`` or ``hard``.
        tags: Words to select it by.
    """

    id: str
    app: str
    task: str
    description: str
    difficulty: str
    tags: tuple[str, ...]


def _problem(record: dict[str, Any]) -> Problem:
    return Problem(
        id=record["id"],
        app=record["app"],
        task=record["task"],
        description=record["description"],
        difficulty=record["difficulty"],
        tags=tuple(record["tags"]),
    )


def list_problems(
    task: str | None = None, app: str | None = None, suite: str | None = None, envs: str | Path | None = None
) -> list[Problem]:
    """Lists problems, in order of their ids.

    Args:
        task: Only problems of this task.
        app: Only problems on this application.
        suite: Only problems of this suite.
        envs: A folder of your own with ``apps/``, ``problems/`` and ``suites/``, besides the built-in ones.

    Raises:
        InvalidConfig: A filter names something that does not exist, or a file in ``envs`` is malformed.

    Example:
        >>> [p.id for p in list_problems(task="detection", suite="smoke")]  # doctest: +ELLIPSIS
        ['misconfig_app_hotel_res-detection-1', ...]
    """
    return [_problem(record) for record in json.loads(_core.list_problems(task, app, suite, _folder(envs)))]


def show_problem(problem_id: str, envs: str | Path | None = None) -> Problem:
    """The problem called ``problem_id``.

    Raises:
        ProblemNotFound: There is none; the message names the nearest ids.
    """
    return _problem(json.loads(_core.show_problem(problem_id, _folder(envs))))


def list_suites(envs: str | Path | None = None) -> list[str]:
    """Names of the suites, sorted.

    Example:
        >>> "smoke" in list_suites()
        True
    """
    return list(_core.list_suites(_folder(envs)))


def _folder(envs: str | Path | None) -> str | None:
    return None if envs is None else str(envs)
