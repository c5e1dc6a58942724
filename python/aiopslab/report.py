"""What the command line prints, readable on a terminal."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from aiopslab.problems import Problem
from aiopslab.scores import Score, total
from aiopslab.trajectory import Trajectory

__all__ = ["Progress", "Transcript", "problem_page", "problem_table", "score_table"]

_LINES_SHOWN = 14


def problem_table(problems: Sequence[Problem]) -> str:
    """A table of problems, one line each."""
    rows = [("ID", "APP", "TASK", "DIFFICULTY")] + [(p.id, p.app, p.task, p.difficulty) for p in problems]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join("   ".join([row[0].ljust(widths[0]), row[1].ljust(widths[1]), row[2].ljust(widths[2]), row[3]]) for row in rows)


def problem_page(problem: Problem, observation: str) -> str:
    """A problem and the first observation of its episodes."""
    head = f"{problem.id}\napp: {problem.app}   task: {problem.task}   difficulty: {problem.difficulty}   tags: {', '.join(problem.tags)}"
    return f"{head}\n\n{problem.description}\n\n{'─' * 20} first observation {'─' * 20}\n{observation}"


def score_table(scores: Sequence[Score], agents: Sequence[str], *, by_problem: bool = False) -> str:
    """Shares of solved episodes with their 95 % confidence intervals: a line for each task and all of them, a column for each agent."""
    tasks = list(dict.fromkeys(made.task for made in scores))
    tasks.sort(key=("detection", "localization", "analysis", "mitigation").index)
    groups = [[made for made in scores if made.name == name] for name in dict.fromkeys(made.name for made in scores)] if by_problem else []
    groups += [[total(scores, agent, task, task) for agent in agents] for task in tasks]
    groups += [[total(scores, agent, "all") for agent in agents]] if len(tasks) != 1 else []
    rows = [["", "EPISODES", *(agent.upper() for agent in agents)]]
    rows += [[group[0].name, str(group[0].episodes), *map(_share, group)] for group in groups]
    rows.append(["steps an episode", "", *(f"{one.steps / max(one.episodes, 1):6.1f}" for one in (total(scores, a, "") for a in agents))])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def _share(made: Score) -> str:
    low, high = made.interval
    return f"{100 * made.share:6.1f} % ({100 * low:.1f} to {100 * high:.1f})"


class Progress:
    """Tells on a terminal how far a scoring is; elsewhere nothing.

    Args:
        out: Where to.
        count: Scores to come.
    """

    def __init__(self, out: TextIO, count: int) -> None:
        self._out = out
        self._count = count
        self._done = 0

    def score(self, made: Score) -> None:
        """Counts a score."""
        self._done += 1
        if self._out.isatty():
            print(f"\r\x1b[K{self._done}/{self._count}   {made.agent} on {made.name}", end="", file=self._out, flush=True)

    def end(self) -> None:
        """Clears the line."""
        if self._out.isatty():
            print("\r\x1b[K", end="", file=self._out, flush=True)


class Transcript:
    """Prints an episode while it is played.

    Args:
        out: Where to.
        full: Whether to print observations whole; otherwise their first lines.
    """

    def __init__(self, out: TextIO, *, full: bool = False) -> None:
        self._out = out
        self._full = full
        self._colour = out.isatty()
        self._width = shutil.get_terminal_size((120, 24)).columns
        self._steps = 0

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def _print(self, text: str) -> None:
        print(text, file=self._out, flush=True)

    def begin(self, problem: Problem, agent: str, seed: int) -> None:
        """Prints the problem."""
        self._print(self._paint("1", f"{problem.id}   (agent: {agent}, seed: {seed})"))
        for line in textwrap.wrap(problem.description, self._width - 2):
            self._print(f"  {line}")

    def step(self, action: Any, observation: str, reward: float, info: dict[str, Any]) -> None:  # noqa: ANN401
        """Prints a step."""
        self._steps += 1
        stamp = f"[{self._steps}] t={info['sim_time_s']:.1f}s"
        self._print(f"\n{self._paint('36', stamp)} {self._paint('1', str(action))}")
        lines = observation.rstrip("\n").split("\n")
        shown = lines if self._full or len(lines) <= _LINES_SHOWN else [*lines[: _LINES_SHOWN - 3], "…", *lines[-2:]]
        for line in shown:
            self._print(f"    {line if self._full else line[: self._width - 4]}")
        if len(shown) < len(lines):
            self._print(self._paint("2", f"    ({len(lines)} lines; --full prints them all)"))

    def end(self, trajectory: Trajectory, path: Path) -> None:
        """Prints the grade and where the trajectory is."""
        closing = trajectory.closing or {}
        solved = trajectory.success
        verdict = self._paint("32;1", "SOLVED") if solved else self._paint("31;1", "NOT SOLVED")
        self._print(
            f"\n{verdict}   score {trajectory.score:.2f}   steps {len(trajectory.steps)}   ended by {closing.get('terminated_reason')}"
        )
        for check in (closing.get("grade") or {}).get("checks", []):
            mark = self._paint("32", "pass") if check["passed"] else self._paint("31", "FAIL")
            self._print(f"  {mark}  {check['name']}: {check['saw']}")
        self._print(f"trajectory: {path}")
