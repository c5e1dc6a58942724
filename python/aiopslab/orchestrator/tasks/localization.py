"""The localization task: say where."""

from __future__ import annotations

from typing import Any, ClassVar

from aiopslab.orchestrator.actions.localization import LocalizationActions
from aiopslab.orchestrator.tasks.base import Task

__all__ = ["LocalizationTask"]


class LocalizationTask(Task):
    """A problem that asks an agent to say where."""

    name = "localization"
    time_key = "TTL"
    actions_type = LocalizationActions
    nothing: ClassVar[dict[str, Any]] = {"Localization Accuracy": 0.0, "success": False, "is_subset": False}
