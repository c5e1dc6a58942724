"""What an agent can call, by task."""

from aiopslab.orchestrator.actions.analysis import AnalysisActions
from aiopslab.orchestrator.actions.base import TaskActions
from aiopslab.orchestrator.actions.detection import DetectionActions
from aiopslab.orchestrator.actions.localization import LocalizationActions
from aiopslab.orchestrator.actions.mitigation import MitigationActions

__all__ = ["ACTIONS", "AnalysisActions", "DetectionActions", "LocalizationActions", "MitigationActions", "TaskActions"]

#: Actions by task.
ACTIONS: dict[str, type[TaskActions]] = {
    "detection": DetectionActions,
    "localization": LocalizationActions,
    "analysis": AnalysisActions,
    "mitigation": MitigationActions,
}
