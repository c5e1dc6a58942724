"""Gymnasium environments for agents that operate Kubernetes applications.

An episode puts a Kubernetes application under load, injects a fault, and lets an agent look and act through tools until it
submits an answer or repairs the system; a grader scores what it did.

Example:
    >>> import aiopslab
    >>> env = aiopslab.make("misconfig_app_hotel_res-mitigation-1")
    >>> observation, info = env.reset(seed=0)
    >>> observation, reward, terminated, truncated, info = env.step('exec_shell("kubectl get pods -n test-hotel-reservation")')
    >>> "geo" in observation
    True
"""

from aiopslab import agents
from aiopslab._core import __version__
from aiopslab.env import AIOpsEnv
from aiopslab.errors import (
    AiopsError,
    ClusterUnavailable,
    InvalidConfig,
    MissingRights,
    ProblemNotFound,
    ResetFailed,
    SnapshotError,
    TrajectoryError,
)
from aiopslab.live import LiveCluster
from aiopslab.orchestrator import Orchestrator
from aiopslab.problems import Problem, list_problems, list_suites, show_problem
from aiopslab.registration import make, register_all
from aiopslab.rewards import RewardConfig
from aiopslab.rollout import Agent, rollout
from aiopslab.scores import Score, score
from aiopslab.spaces import TextSpace, ToolCallSpace
from aiopslab.trajectory import Trajectory, load_trajectories, replay

__all__ = [
    "AIOpsEnv",
    "Agent",
    "AiopsError",
    "ClusterUnavailable",
    "InvalidConfig",
    "LiveCluster",
    "MissingRights",
    "Orchestrator",
    "Problem",
    "ProblemNotFound",
    "ResetFailed",
    "RewardConfig",
    "Score",
    "SnapshotError",
    "TextSpace",
    "ToolCallSpace",
    "Trajectory",
    "TrajectoryError",
    "__version__",
    "agents",
    "list_problems",
    "list_suites",
    "load_trajectories",
    "make",
    "register_all",
    "replay",
    "rollout",
    "score",
    "show_problem",
]

register_all()
