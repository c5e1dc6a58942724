"""Actions of the mitigation task."""

from __future__ import annotations

from aiopslab.orchestrator.actions.base import TaskActions
from aiopslab.utils.actions import action
from aiopslab.utils.status import SubmissionStatus

__all__ = ["MitigationActions"]


class MitigationActions(TaskActions):
    """What an agent can call in the mitigation task."""

    @action
    def submit(self) -> SubmissionStatus | str:
        """Submits the repair: the service has been brought back to health."""
        response: SubmissionStatus | str = self._perform("submit")
        return response
