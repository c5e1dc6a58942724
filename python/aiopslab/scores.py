"""Scoring agents: every problem over many seeds, shares with confidence intervals."""

from __future__ import annotations

import itertools
import math
import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import aiopslab
from aiopslab.errors import InvalidConfig

__all__ = ["Score", "score", "total", "wilson"]


@dataclass(frozen=True)
class Score:
    """How an agent fared.

    Attributes:
        agent: The agent.
        name: What it played: a problem's id, a task, or a group of either.
        task: The problem's task; empty for a group over several.
        solved: Episodes that it solved.
        episodes: Episodes that it played.
        steps: Steps in all of them.
    """

    agent: str
    name: str
    task: str
    solved: int
    episodes: int
    steps: int

    @property
    def share(self) -> float:
        """The share of episodes that were solved."""
        return self.solved / self.episodes if self.episodes else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % confidence interval."""
        return wilson(self.solved, self.episodes)


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % confidence interval of a share.

    Example:
        >>> [round(bound, 3) for bound in wilson(95, 100)]
        [0.888, 0.978]
    """
    if count == 0:
        return (0.0, 1.0)
    z = 1.959963984540054
    share, scale = hits / count, 1 + z * z / count
    middle = (share + z * z / (2 * count)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return (max(0.0, middle - half), min(1.0, middle + half))


def score(
    problems: Iterable[str],
    agents: Sequence[str],
    seeds: Iterable[int],
    *,
    max_steps: int = 30,
    jobs: int = 1,
    envs: str | Path | None = None,
    on_score: Callable[[Score], None] | None = None,
) -> list[Score]:
    """Lets agents play problems on the simulated cluster, each over the same seeds.

    Args:
        problems: Ids.
        agents: Names of agents, of ``aiopslab.agents.AGENTS``.
        seeds: Seeds.
        max_steps: Steps until an episode is cut off, which counts as not solved.
        jobs: Processes to play in.
        envs: A folder of your own with problems.
        on_score: Called with each score as it comes.

    Returns:
        A score for each problem and agent.

    Raises:
        InvalidConfig: An agent is not known, or a person.
        ProblemNotFound: A problem is not known.

    Example:
        >>> [made] = score(["noop_detection_hotel_reservation-1"], ["oracle"], range(2))
        >>> (made.solved, made.episodes)
        (2, 2)
    """
    for agent in agents:
        if agent not in aiopslab.agents.AGENTS or agent == "human":
            known = ", ".join(name for name in aiopslab.agents.AGENTS if name != "human")
            raise InvalidConfig(f"no agent {agent!r} can be scored; there are: {known}")
    tried = list(seeds)
    tasks = [(problem, agent, tried, max_steps, envs) for problem, agent in itertools.product(problems, agents)]
    scores = []
    for made in _played(tasks, jobs):
        scores.append(made)
        if on_score is not None:
            on_score(made)
    return scores


_Task = tuple[str, str, list[int], int, str | Path | None]


def _played(tasks: list[_Task], jobs: int) -> Iterable[Score]:
    if jobs <= 1:
        yield from map(_play, tasks)
        return
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_play, tasks)


def _play(task: _Task) -> Score:
    problem, name, seeds, max_steps, envs = task
    # A seed is played once, so nothing is gained by keeping its first observation ready.
    env = aiopslab.make(problem, max_steps=max_steps, envs=envs, allow_oracle=name == "oracle", agent=name, ready_episodes=0)
    agent = aiopslab.agents.make(name, env)
    played = [aiopslab.rollout(env, agent, seed=seed) for seed in seeds]
    solved, steps = sum(bool(one.success) for one in played), sum(len(one.steps) for one in played)
    return Score(name, problem, aiopslab.show_problem(problem, envs).task, solved, len(played), steps)


def total(scores: Iterable[Score], agent: str, name: str, task: str = "") -> Score:
    """An agent's scores, of one task or of all, as one."""
    own = [made for made in scores if made.agent == agent and task in ("", made.task)]
    solved, episodes, steps = (sum(getattr(made, field) for made in own) for field in ("solved", "episodes", "steps"))
    return Score(agent, name, task, solved, episodes, steps)
