"""Actions of the analysis task."""

from __future__ import annotations

from aiopslab.orchestrator.actions.base import TaskActions
from aiopslab.utils.actions import action
from aiopslab.utils.status import SubmissionStatus

__all__ = ["AnalysisActions"]


class AnalysisActions(TaskActions):
    """What an agent can call in the analysis task."""

    @action
    def submit(self, analysis: dict[str, str] | None) -> SubmissionStatus | str:
        """Submits ``system_level`` and ``fault_type``; ``None`` when there is no fault."""
        response: SubmissionStatus | str = self._perform("submit", analysis)
        return response
