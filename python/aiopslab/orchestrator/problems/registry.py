"""Problems by id."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable
from functools import partial

from aiopslab.errors import ProblemNotFound
from aiopslab.orchestrator.tasks import TASKS, EpisodeSettings, Task
from aiopslab.problems import list_problems

__all__ = ["ProblemRegistry", "UnknownProblem"]

#: Applications of AIOpsLab by words that the ids of their problems have in them.
_APPLICATIONS = {
    "social_net": "SocialNetwork",
    "k8s_target_port": "SocialNetwork",
    "auth_miss_mongodb": "SocialNetwork",
    "astronomy_shop": "the astronomy shop",
    "flower_": "Flower",
    "operator_": "TiDB",
}


class UnknownProblem(ProblemNotFound, ValueError):
    """No problem has this id; AIOpsLab raises ``ValueError``."""


class ProblemRegistry:
    """The problems that there are.

    Args:
        settings: How their instances are played; ``None`` for the defaults.

    Attributes:
        PROBLEM_REGISTRY: What makes a problem, by id; add your own.
        DOCKER_REGISTRY: Ids that run under Docker: none.

    Example:
        >>> registry = ProblemRegistry()
        >>> "misconfig_app_hotel_res-mitigation-1" in registry.get_problem_ids("mitigation")
        True
    """

    def __init__(self, settings: EpisodeSettings | None = None) -> None:
        self.settings = settings or EpisodeSettings()
        problems = list_problems(envs=self.settings.envs)
        self.PROBLEM_REGISTRY: dict[str, Callable[[], Task]] = {
            problem.id: partial(TASKS[problem.task], problem.id, self.settings) for problem in problems
        }
        self.DOCKER_REGISTRY: list[str] = []
        self._counts = Counter(problem.app for problem in problems)

    def get_problem_instance(self, problem_id: str) -> Task:
        """Makes a problem.

        Raises:
            UnknownProblem: There is none of this id; the message names those that are near.
        """
        made = self.get_problem(problem_id)
        if made is None:
            raise UnknownProblem(self._unknown(problem_id))
        return made()

    def get_problem(self, problem_id: str) -> Callable[[], Task] | None:
        """What makes a problem; ``None`` when there is none of this id."""
        return self.PROBLEM_REGISTRY.get(problem_id)

    def get_problem_ids(self, task_type: str | None = None) -> list[str]:
        """Ids in which a text occurs; all of them without one."""
        return [problem_id for problem_id in self.PROBLEM_REGISTRY if task_type is None or task_type in problem_id]

    def get_problem_count(self, task_type: str | None = None) -> int:
        """How many :meth:`get_problem_ids` finds."""
        return len(self.get_problem_ids(task_type))

    def get_problem_deployment(self, problem_id: str) -> str:
        """``k8s``, or ``docker`` for what ``DOCKER_REGISTRY`` holds."""
        return "docker" if problem_id in self.DOCKER_REGISTRY else "k8s"

    def _unknown(self, problem_id: str) -> str:
        text = f"Problem ID {problem_id} not found in registry."
        if self.settings.strict:
            return text
        near = difflib.get_close_matches(problem_id, self.PROBLEM_REGISTRY, n=3, cutoff=0.6)
        app = next((app for word, app in _APPLICATIONS.items() if word in problem_id), None)
        if app is not None:
            there = ", ".join(f"{name} ({count})" for name, count in sorted(self._counts.items()))
            text += f" It plays on {app}, which is not in the catalogue; there are problems on: {there}."
        elif near:
            text += f" Near it are: {', '.join(near)}."
        return f"{text} ProblemRegistry().get_problem_ids() lists all {len(self.PROBLEM_REGISTRY)}."
