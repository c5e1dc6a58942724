"""Trajectories: what happened in an episode, as append-only JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiopslab import _core
from aiopslab.errors import TrajectoryError

__all__ = ["Trajectory", "load_trajectories", "replay"]


@dataclass(frozen=True)
class Trajectory:
    """One episode.

    Attributes:
        header: Schema version, library version, problem, seed, options, cluster, agent.
        steps: One record a step: action, observation, reward, ``info``.
        closing: How it ended and its grade; ``None`` while it goes on, or when the file was cut.
        text: The lines as recorded.
    """

    header: dict[str, Any]
    steps: list[dict[str, Any]]
    closing: dict[str, Any] | None
    text: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Trajectory:
        """Reads JSON lines; a last line that was cut is left out.

        Raises:
            TrajectoryError: The first line is no header, or a line other than the last is malformed.
        """
        lines = text.splitlines(keepends=True)
        records: list[dict[str, Any]] = []
        for number, line in enumerate(lines, 1):
            try:
                records.append(json.loads(line))
            except json.JSONDecodeError as error:
                if number == len(lines):
                    break
                raise TrajectoryError(f"line {number} of the trajectory is no JSON: {error}") from error
        if not records or records[0].get("type") != "header":
            raise TrajectoryError("the trajectory does not begin with a header line")
        closing = records[-1] if records[-1].get("type") == "closing" else None
        steps = [record for record in records[1:] if record.get("type") == "step"]
        return cls(header=records[0], steps=steps, closing=closing, text="".join(lines[: len(records)]))

    @property
    def score(self) -> float:
        """Sum of the rewards, in [0, 1] without shaping."""
        return float(sum(step["reward"] for step in self.steps))

    @property
    def success(self) -> bool | None:
        """Whether the problem was solved; ``None`` while the episode goes on."""
        return None if self.closing is None else bool(self.closing["success"])

    def save(self, path: str | Path) -> Path:
        """Writes the lines to a file, creating its folder, and returns the path."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.text, encoding="utf-8")
        return path


def load_trajectories(path: str | Path) -> Iterator[Trajectory]:
    """Loads the trajectories of a file, or of every ``*.jsonl`` file below a folder, in order of their paths.

    Raises:
        TrajectoryError: There is no such file, or it holds no trajectory.
    """
    path = Path(path)
    if not path.exists():
        raise TrajectoryError(f"there is no file or folder {str(path)!r}")
    for file in sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]:
        try:
            yield Trajectory.parse(file.read_text(encoding="utf-8"))
        except (TrajectoryError, UnicodeDecodeError) as error:
            raise TrajectoryError(f"cannot load {str(file)!r}: {error}") from error


def replay(trajectory: Trajectory, envs: str | Path | None = None) -> str:
    """Plays a simulated trajectory's actions again and returns the new recording, equal byte for byte to the old one.

    Raises:
        TrajectoryError: The recordings differ; the message names the first line that does.
    """
    again = str(_core.replay(trajectory.text, None if envs is None else str(envs)))
    for number, (old, new) in enumerate(zip(trajectory.text.splitlines(), again.splitlines(), strict=False), 1):
        if old != new:
            raise TrajectoryError(f"the replay differs from line {number} on:\nrecorded: {old[:400]}\nreplayed: {new[:400]}")
    if len(again) < len(trajectory.text):
        raise TrajectoryError("the replay ends before the recording does")
    return again
