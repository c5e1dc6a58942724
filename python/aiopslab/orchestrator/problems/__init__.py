"""The catalogue of problems as AIOpsLab offers it."""

from aiopslab.orchestrator.problems.registry import ProblemRegistry

__all__ = ["ProblemRegistry"]
