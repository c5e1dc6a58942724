"""An agent's session with the orchestrator: who said what, the solution, the results, and the file that holds them."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiopslab.orchestrator.tasks import Task

__all__ = ["Session", "SessionItem"]

#: Where sessions are saved when nothing else is said, below the working directory.
RESULTS_DIR = Path("data") / "results"


@dataclass
class SessionItem:
    """One turn.

    Attributes:
        role: ``assistant`` for the agent, ``env`` for the environment.
        content: What was said; a member of an enumeration counts as its value.

    Example:
        >>> from aiopslab.utils.status import SubmissionStatus
        >>> SessionItem.model_validate({"role": "env", "content": SubmissionStatus.VALID_SUBMISSION})
        SessionItem(role='env', content='1')
    """

    role: str
    content: str

    def __post_init__(self) -> None:
        content: object = self.content
        if not isinstance(content, str):
            self.content = str(content.value if isinstance(content, Enum) else content)

    def model_dump(self) -> dict[str, str]:
        """As a dictionary."""
        return {"role": self.role, "content": self.content}

    @classmethod
    def model_validate(cls, item: dict[str, Any]) -> SessionItem:
        """From a dictionary.

        Raises:
            ValueError: It lacks ``role`` or ``content``.
        """
        missing = [key for key in ("role", "content") if key not in item]
        if missing:
            raise ValueError(f"a session's item needs role and content; {', '.join(missing)} is missing")
        return cls(role=item["role"], content=item["content"])


class Session:
    """A session, saved as ``<results_dir>/<session_id>_<start_time>.json``.

    Args:
        results_dir: Folder of session files; ``None`` for ``data/results`` below the working directory.

    Attributes:
        session_id: A new UUID.
        pid: Id of the problem.
        problem: The problem.
        solution: What the agent submitted.
        results: What the problem's evaluation said.
        history: The turns.
        start_time: When it began, in seconds since the epoch.
        end_time: When it ended.
        agent_name: Who plays.
    """

    def __init__(self, results_dir: str | Path | None = None) -> None:
        self.session_id: uuid.UUID | str = uuid.uuid4()
        self.pid: str | None = None
        self.problem: Task | None = None
        self.solution: Any = None
        self.results: dict[str, Any] = {}
        self.history: list[SessionItem] = []
        self.start_time: float | None = None
        self.end_time: float | None = None
        self.agent_name: str | None = None
        self.results_dir = results_dir

    def set_problem(self, problem: Task, pid: str | None = None) -> None:
        """Says which problem is played."""
        self.problem = problem
        self.pid = pid

    def set_solution(self, solution: Any) -> None:  # noqa: ANN401
        """Keeps what the agent submitted."""
        self.solution = solution

    def set_results(self, results: dict[str, Any]) -> None:
        """Keeps the results."""
        self.results = results

    def set_agent(self, agent_name: str) -> None:
        """Says who plays."""
        self.agent_name = agent_name

    def add(self, item: SessionItem | dict[str, Any] | list[Any] | None) -> None:
        """Adds a turn, or several; nothing is added for ``None`` or an empty one.

        Raises:
            TypeError: It is neither an item, nor a dictionary, nor a list of them.
        """
        if not item:
            return
        if isinstance(item, SessionItem):
            self.history.append(item)
        elif isinstance(item, dict):
            self.history.append(SessionItem.model_validate(item))
        elif isinstance(item, list):
            for each in item:
                self.add(each)
        else:
            raise TypeError(f"a session takes items, dictionaries and lists of them, not {type(item).__name__}")

    def clear(self) -> None:
        """Forgets the turns."""
        self.history = []

    def start(self) -> None:
        """Marks the beginning."""
        self.start_time = time.time()
        self.end_time = None

    def end(self) -> None:
        """Marks the end."""
        self.end_time = time.time()

    def get_duration(self) -> float:
        """Seconds from beginning to end; to now while it goes on, 0 before it began."""
        if self.start_time is None:
            return 0.0
        return (time.time() if self.end_time is None else self.end_time) - self.start_time

    def to_dict(self) -> dict[str, Any]:
        """As it is saved: ``agent``, ``session_id``, ``problem_id``, ``start_time``, ``end_time``, ``trace``, ``results``."""
        return {
            "agent": self.agent_name,
            "session_id": str(self.session_id),
            "problem_id": self.pid,
            "start_time": self.start_time,
            "end_time": self.end_time,
            "trace": [item.model_dump() for item in self.history],
            "results": self.results,
        }

    def to_json(self) -> Path:
        """Saves the session and returns the file's path."""
        folder = self._folder()
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.session_id}_{self.start_time}.json"
        path.write_text(json.dumps(self.to_dict(), indent=4), encoding="utf-8")
        return path

    def to_wandb(self) -> None:
        """Logs the session to Weights & Biases, which has to be installed and initialised."""
        import wandb  # type: ignore[import-not-found,unused-ignore]

        wandb.log(self.to_dict())

    def from_json(self, filename: str | Path) -> None:
        """Reads a saved session into this one.

        Args:
            filename: A file's name in the folder of session files, or a path.
        """
        data = json.loads((self._folder() / filename).read_text(encoding="utf-8"))
        self.session_id = data["session_id"]
        self.pid = data["problem_id"]
        self.start_time = data["start_time"]
        self.end_time = data["end_time"]
        self.agent_name = data.get("agent")
        self.results = data["results"]
        self.history = [SessionItem.model_validate(item) for item in data["trace"]]

    def _folder(self) -> Path:
        return RESULTS_DIR if self.results_dir is None else Path(self.results_dir)
