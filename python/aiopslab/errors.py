"""What goes wrong, as one tree of exceptions under :class:`AiopsError`."""

from aiopslab._core import (
    AiopsError,
    ClusterUnavailable,
    InvalidConfig,
    MissingRights,
    ProblemNotFound,
    ResetFailed,
    SnapshotError,
    TrajectoryError,
)

__all__ = [
    "AiopsError",
    "ClusterUnavailable",
    "InvalidConfig",
    "MissingRights",
    "ProblemNotFound",
    "ResetFailed",
    "SnapshotError",
    "TrajectoryError",
]
