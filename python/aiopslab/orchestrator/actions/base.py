"""The actions that every task has. Their docs, as agents read them, come from the library's one table of tools."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiopslab.utils.actions import action, read

__all__ = ["TaskActions"]


class TaskActions:
    """Actions of every task; each call is a step of the episode.

    Args:
        perform: Plays a call by its name and arguments, as :meth:`aiopslab.orchestrator.tasks.Task.perform_action` does.
    """

    def __init__(self, perform: Callable[..., Any]) -> None:
        self._perform = perform

    @read
    def get_logs(self, namespace: str, service: str) -> str:
        """Reads the log of a service's first pod."""
        return str(self._perform("get_logs", namespace, service))

    @read
    def get_metrics(self, namespace: str, duration: int = 5) -> str:
        """Writes a namespace's metrics of the last ``duration`` minutes to files, and names them."""
        return str(self._perform("get_metrics", namespace, duration))

    @read
    def read_metrics(self, file_path: str) -> str:
        """Reads a file that :meth:`get_metrics` wrote."""
        return str(self._perform("read_metrics", file_path))

    @read
    def get_traces(self, namespace: str, duration: int = 5) -> str:
        """Writes a namespace's traces of the last ``duration`` minutes to a file, and names it."""
        return str(self._perform("get_traces", namespace, duration))

    @read
    def read_traces(self, file_path: str) -> str:
        """Reads a file that :meth:`get_traces` wrote."""
        return str(self._perform("read_traces", file_path))

    @action
    def exec_shell(self, command: str, timeout: int = 30) -> str:
        """Runs a command in the agent's shell, for at most ``timeout`` seconds."""
        return str(self._perform("exec_shell", command, timeout))
