"""The marks that make a method an action, and the actions of a task with their docs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from aiopslab import _core

__all__ = ["action", "get_actions", "read", "write"]

Method = TypeVar("Method", bound=Callable[..., Any])


def _mark(method: Method, kind: str) -> Method:
    method.is_action = True  # type: ignore[attr-defined]
    method.action_type = kind  # type: ignore[attr-defined]
    return method


def action(method: Method) -> Method:
    """Marks a method as an action that may look and change."""
    return _mark(method, "action")


def read(method: Method) -> Method:
    """Marks a method as an action that only looks."""
    return _mark(method, "read")


def write(method: Method) -> Method:
    """Marks a method as an action that changes."""
    return _mark(method, "write")


def get_actions(task: str, subtype: str | None = None) -> dict[str, str]:
    """The actions of a task and their docs, in order of their names.

    Args:
        task: ``detection``, ``localization``, ``analysis`` or ``mitigation``.
        subtype: Only actions with this mark: ``action``, ``read`` or ``write``.

    Raises:
        ValueError: There is no such task.

    Example:
        >>> list(get_actions("mitigation"))
        ['exec_shell', 'get_logs', 'get_metrics', 'get_traces', 'read_metrics', 'read_traces', 'submit']
        >>> list(get_actions("mitigation", "action"))
        ['exec_shell', 'submit']
    """
    from aiopslab.orchestrator.actions import ACTIONS

    docs = _core.tool_docs(task)
    if docs is None:
        raise ValueError(f"there is no task {task!r}; there are: {', '.join(ACTIONS)}")
    marks = {name: getattr(getattr(ACTIONS[task], name, None), "action_type", "action") for name, _ in docs}
    return {name: doc for name, doc in sorted(docs) if subtype is None or marks[name] == subtype}
