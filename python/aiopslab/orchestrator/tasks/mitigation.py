"""The mitigation task: repair it."""

from __future__ import annotations

from typing import Any, ClassVar

from aiopslab.orchestrator.actions.mitigation import MitigationActions
from aiopslab.orchestrator.tasks.base import Task

__all__ = ["MitigationTask"]


class MitigationTask(Task):
    """A problem that asks an agent to repair it."""

    name = "mitigation"
    time_key = "TTM"
    actions_type = MitigationActions
    nothing: ClassVar[dict[str, Any]] = {"success": False}
