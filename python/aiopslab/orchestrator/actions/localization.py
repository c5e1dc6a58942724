"""Actions of the localization task."""

from __future__ import annotations

from aiopslab.orchestrator.actions.base import TaskActions
from aiopslab.utils.actions import action
from aiopslab.utils.status import SubmissionStatus

__all__ = ["LocalizationActions"]


class LocalizationActions(TaskActions):
    """What an agent can call in the localization task."""

    @action
    def submit(self, faulty_components: list[str]) -> SubmissionStatus | str:
        """Submits the names of the components that are the root cause; an empty list when nothing is faulty."""
        response: SubmissionStatus | str = self._perform("submit", faulty_components)
        return response
