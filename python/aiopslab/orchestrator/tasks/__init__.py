"""The four tasks."""

from aiopslab.orchestrator.tasks.analysis import AnalysisTask
from aiopslab.orchestrator.tasks.base import EpisodeSettings, Task
from aiopslab.orchestrator.tasks.detection import DetectionTask
from aiopslab.orchestrator.tasks.localization import LocalizationTask
from aiopslab.orchestrator.tasks.mitigation import MitigationTask

__all__ = ["TASKS", "AnalysisTask", "DetectionTask", "EpisodeSettings", "LocalizationTask", "MitigationTask", "Task"]

#: Tasks by name.
TASKS: dict[str, type[Task]] = {task.name: task for task in (DetectionTask, LocalizationTask, AnalysisTask, MitigationTask)}
