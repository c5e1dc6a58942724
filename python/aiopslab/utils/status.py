"""What an action came to: the status of a submission, and the errors of the orchestrator."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from aiopslab.errors import AiopsError

__all__ = ["InvalidActionError", "ResponseParsingError", "SessionPrint", "SubmissionStatus"]


class SubmissionStatus(Enum):
    """What ``submit`` returns; a call that is no submission returns a text instead."""

    VALID_SUBMISSION = 1
    INVALID_SUBMISSION = 2


class InvalidActionError(AiopsError):
    """An action names nothing that the task has.

    Args:
        action_name: The name as the agent wrote it.

    Example:
        >>> str(InvalidActionError("fly"))
        'Invalid action: fly'
    """

    def __init__(self, action_name: str) -> None:
        super().__init__(f"Invalid action: {action_name}")
        self.action_name = action_name


class ResponseParsingError(AiopsError):
    """An agent's text is no call of an action.

    Args:
        message: What is wrong with it.

    Example:
        >>> str(ResponseParsingError("No API call found!"))
        'Error parsing response: No API call found!'
    """

    def __init__(self, message: str) -> None:
        super().__init__(f"Error parsing response: {message}")
        self.message = message


class SessionPrint:
    """Prints a session while it goes on.

    Args:
        enabled: Whether to print at all.
    """

    def __init__(self, enabled: bool = False) -> None:
        self.enable_printing = enabled

    def agent(self, action: str) -> None:
        """Prints what the agent wrote."""
        self._print("agent", action)

    def service(self, response: str | SubmissionStatus) -> None:
        """Prints what the environment answered."""
        self._print("env", response.name if isinstance(response, SubmissionStatus) else response)

    def result(self, results: Mapping[str, Any]) -> None:
        """Prints the results."""
        self._print("results", "\n".join(f"{key}: {value}" for key, value in results.items()))

    def _print(self, who: str, text: str) -> None:
        if self.enable_printing:
            print(f"[{who}]\n{text}\n", flush=True)
