"""Actions of the detection task."""

from __future__ import annotations

from aiopslab.orchestrator.actions.base import TaskActions
from aiopslab.utils.actions import action
from aiopslab.utils.status import SubmissionStatus

__all__ = ["DetectionActions"]


class DetectionActions(TaskActions):
    """What an agent can call in the detection task."""

    @action
    def submit(self, has_anomaly: str) -> SubmissionStatus | str:
        """Submits whether anomalies are present: ``"Yes"`` or ``"No"``."""
        response: SubmissionStatus | str = self._perform("submit", has_anomaly)
        return response
