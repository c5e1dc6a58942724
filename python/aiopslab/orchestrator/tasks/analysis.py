"""The analysis task: say what kind of fault it is."""

from __future__ import annotations

from typing import Any, ClassVar

from aiopslab.orchestrator.actions.analysis import AnalysisActions
from aiopslab.orchestrator.tasks.base import Task

__all__ = ["AnalysisTask"]


class AnalysisTask(Task):
    """A problem that asks an agent to say what kind of fault it is."""

    name = "analysis"
    time_key = "TTA"
    actions_type = AnalysisActions
    nothing: ClassVar[dict[str, Any]] = {"system_level_correct": False, "fault_type_correct": False, "success": False}
