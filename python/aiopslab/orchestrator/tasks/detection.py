"""The detection task: say whether something is wrong."""

from __future__ import annotations

from typing import Any, ClassVar

from aiopslab.orchestrator.actions.detection import DetectionActions
from aiopslab.orchestrator.tasks.base import Task

__all__ = ["DetectionTask"]


class DetectionTask(Task):
    """A problem that asks an agent to say whether something is wrong."""

    name = "detection"
    time_key = "TTD"
    actions_type = DetectionActions
    nothing: ClassVar[dict[str, Any]] = {"Detection Accuracy": "Invalid Format"}
