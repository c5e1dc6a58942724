"""The Gymnasium environment: one episode after another of one problem."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium

from aiopslab import _core
from aiopslab.errors import InvalidConfig
from aiopslab.live import LiveCluster
from aiopslab.problems import Problem, show_problem
from aiopslab.rewards import RewardConfig
from aiopslab.spaces import TextSpace, ToolCallSpace
from aiopslab.trajectory import Trajectory

__all__ = ["AIOpsEnv"]

#: Longest text that the environment prints or reads, in characters.
MAX_TEXT_LENGTH = 1_000_000

#: What the action space's ``sample`` draws from: harmless looks at the cluster, and one malformed text.
SAMPLE_COMMANDS = (
    "kubectl get pods -A",
    "kubectl get deployments,services -n test-hotel-reservation",
    "kubectl get events -n test-hotel-reservation --sort-by=.lastTimestamp",
    "kubectl describe nodes",
    "ls -l",
)


class AIOpsEnv(gymnasium.Env[str, Any]):
    r"""An operator's shift: a Kubernetes application, a fault, and tools to look and act.

    An episode begins with a healthy application under load; a fault is injected and its symptom becomes observable; then the
    agent acts, one tool call a step, until it submits an answer or its steps are used up.

    **Action space.** ``action_mode="text"``: a text in AIOpsLab's grammar, ``exec_shell("kubectl get pods -A")``, alone or in a
    fenced block, or a JSON tool call. ``action_mode="tool"``: ``{"name": str, "arguments": dict}``.

    **Observation space.** A text: what the tool printed. The first observation of an episode is the task, the instructions and
    the tools.

    **Reward.** A float; the sum over an episode is its score in [0, 1]. With ``reward="sparse"`` it is 0 until the end.

    **End.** A submission terminates; the step limit truncates.

    Args:
        problem: Id of the problem.
        cluster: Where it runs: ``"sim"``, ``"live"`` (what kubectl would reach), or a :class:`aiopslab.LiveCluster`. On a live cluster an
            episode takes real time, ``fork``, ``snapshot`` and ``restore`` are not possible, and the environment has to be closed.
        obs_mode: ``"text"``.
        action_mode: ``"text"`` or ``"tool"``.
        max_steps: Steps until truncation, at least 1.
        step_seconds: Thinking time that passes before each step's tool runs, in virtual seconds, 0 to 3600.
        load_rps: Requests per second on the application, or a mapping with any of ``rate_per_s``, ``arrivals`` (``"poisson"`` or
            ``"constant"``), ``steps`` (a list of ``{"at_s", "rate_per_s"}``) and ``bursts`` (``{"every_s", "for_s", "rate_per_s"}`` or
            ``"factor"``, ``"first_s"``), counted in seconds from the reset; ``None`` for the problem's own load.
        log_trim: Repeats of blocks of up to so many lines are left out of logs, events and descriptions, 0 to 100; ``None`` for what the
            environment variable ``LOG_TRIM`` says, else 0.
        observation_limit: Characters that one observation shows at most, 1000 to 900000; of a longer one the middle is left out, and a
            notice says how much and where it stands.
        strict: AIOpsLab's own answer keys, grammar and names, quirks included.
        reward: ``"sparse"``, ``"shaped"`` for a potential-based progress term besides, or a :class:`aiopslab.RewardConfig`.
        render_mode: ``"ansi"`` or ``"human"``.
        envs: A folder of your own with ``apps/``, ``problems/`` and ``suites/``.
        allow_oracle: Whether :meth:`oracle_actions` tells the answer.
        agent: Name of the agent, for the trajectory's header.
        ready_episodes: Episodes at their first observation that this process may keep, over all environments, for another reset of the same
            problem, options and seed, 0 to 10000; 0 keeps and uses none. It changes nothing but the time that a reset takes.

    Raises:
        ProblemNotFound: There is no such problem; the message names the nearest ids.
        InvalidConfig: An argument is out of range or names a mode that is not built; the message names those that are.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi", "human"], "render_fps": 4}  # noqa: RUF012 - Gymnasium declares it per instance

    def __init__(
        self,
        problem: str,
        *,
        cluster: str | LiveCluster = "sim",
        obs_mode: str = "text",
        action_mode: str = "text",
        max_steps: int = 30,
        step_seconds: float = 10.0,
        load_rps: float | Mapping[str, Any] | None = None,
        log_trim: int | None = None,
        observation_limit: int = 49_152,
        strict: bool = False,
        reward: str | RewardConfig = "sparse",
        render_mode: str | None = None,
        envs: str | Path | None = None,
        allow_oracle: bool = False,
        agent: str | None = None,
        ready_episodes: int = 128,
    ) -> None:
        live = LiveCluster.parse(cluster)
        if log_trim is None:
            log_trim = _log_trim()
        _one_of("obs_mode", obs_mode, ("text",))
        _one_of("action_mode", action_mode, ("text", "tool"))
        if isinstance(reward, str):
            _one_of("reward", reward, ("sparse", "shaped"))
        _finite("step_seconds", step_seconds)
        if isinstance(load_rps, Mapping):
            load_rps = _plain("load_rps", load_rps)
        else:
            _finite("load_rps", load_rps)
        if render_mode is not None:
            _one_of("render_mode", render_mode, tuple(self.metadata["render_modes"]))
        self._arguments: dict[str, Any] = {
            "problem": problem,
            "cluster": cluster,
            "obs_mode": obs_mode,
            "action_mode": action_mode,
            "max_steps": max_steps,
            "step_seconds": step_seconds,
            "load_rps": load_rps,
            "log_trim": log_trim,
            "observation_limit": observation_limit,
            "strict": strict,
            "reward": reward,
            "render_mode": render_mode,
            "envs": None if envs is None else str(envs),
            "allow_oracle": allow_oracle,
            "agent": agent,
            "ready_episodes": ready_episodes,
        }
        self.render_mode = render_mode
        self.action_mode = action_mode
        options = {
            "max_steps": max_steps,
            "step_seconds": step_seconds,
            "load_rps": load_rps,
            "log_trim": log_trim,
            "observation_limit": observation_limit,
            "strict": strict,
            "reward": reward.to_options() if isinstance(reward, RewardConfig) else reward,
            "agent": agent,
            "ready_episodes": ready_episodes,
            "cluster": "sim" if live is None else {"live": live.to_options()},
        }
        self._core = _core.Session(problem, json.dumps(options), self._arguments["envs"])
        self.problem: Problem = show_problem(problem, envs)
        self.tools: list[dict[str, Any]] = json.loads(self._core.tools())
        self.observation_space = TextSpace(MAX_TEXT_LENGTH)
        if action_mode == "text":
            self.action_space = TextSpace(MAX_TEXT_LENGTH, samples=[f'exec_shell("{command}")' for command in SAMPLE_COMMANDS])
        else:
            calls = [{"name": "exec_shell", "arguments": {"command": command}} for command in SAMPLE_COMMANDS]
            self.action_space = ToolCallSpace(self.tools, samples=calls)
        self._last_frame = ""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Begins an episode.

        Args:
            seed: Seed of the episode and of those that follow it; ``None`` goes on with the stream.
            options: Nothing is known here yet; any key is refused.

        Returns:
            The first observation (the task, the instructions and the tools) and ``info``.

        Raises:
            ResetFailed: The baseline was not healthy, the fault did not take effect, or no symptom can be observed.
            ClusterUnavailable: The live cluster cannot be reached, or another process holds the environment.
            MissingRights: The live cluster does not grant what the environment or the fault needs; the message names it.
        """
        super().reset(seed=seed)
        if options:
            raise InvalidConfig(f"reset got unknown options {sorted(options)}; it takes none")
        observation, info = self._core.reset(int(self.np_random.integers(2**63)))
        self._frame(f"{self.problem.id}\n\n{observation}")
        return observation, info

    def step(self, action: Any) -> tuple[str, float, bool, bool, dict[str, Any]]:  # noqa: ANN401
        """Plays one step: thinking time passes, the tool runs, the observation is taken.

        Args:
            action: A text, or in tool mode ``{"name": str, "arguments": dict}``. A malformed action is answered by an
                observation that says what to do instead, and counts as a step.

        Returns:
            Observation, reward, whether a submission ended the episode, whether the step limit did, and ``info``.

        Raises:
            gymnasium.error.ResetNeeded: No episode is in progress.
        """
        if not self._core.in_progress():
            raise gymnasium.error.ResetNeeded("Cannot step: no episode is in progress; call env.reset() first")
        if self.action_mode == "tool" and isinstance(action, dict):
            result = self._core.step_tool(str(action.get("name", "")), json.dumps(action.get("arguments", {})))
            shown = json.dumps(action, default=str)
        else:
            result = self._core.step(str(action))
            shown = str(action)
        self._frame(f"> {shown}\n{result[0]}")
        return result

    def call_tool(self, name: str, arguments: dict[str, Any] | None = None) -> str:
        """Plays one step by a tool's name, and returns only what the tool printed."""
        if not self._core.in_progress():
            raise gymnasium.error.ResetNeeded("Cannot call a tool: no episode is in progress; call env.reset() first")
        result = self._core.step_tool(name, json.dumps(arguments or {}))
        self._frame(f"> {name}({arguments or {}})\n{result[0]}")
        return str(result[0])

    def close(self) -> None:
        """Ends the episode. On a live cluster the application is put back or deleted, as configured, and the lease is given back.

        Raises:
            AiopsError: What could not be put back; ``aiopslab doctor --repair`` tries again.
        """
        self._core.close()

    def fork(self) -> AIOpsEnv:
        """An independent copy of the environment in the middle of its episode; copies share what neither has changed."""
        twin = type(self)(**self._arguments)
        twin._core = self._core.fork()
        twin._last_frame = self._last_frame
        twin._np_random, twin._np_random_seed = _copy_random(self)
        return twin

    def snapshot(self) -> bytes:
        """The episode as a recipe: problem, options, seed, actions so far and the state's hash.

        Raises:
            SnapshotError: No episode was begun.
        """
        return bytes(self._core.snapshot())

    def restore(self, snapshot: bytes) -> None:
        """Puts the environment where ``snapshot`` was taken, by replaying its recipe.

        Raises:
            SnapshotError: It is no snapshot, is of another version, or its replay ends in another state.
        """
        self._core.restore(snapshot)

    def state_hash(self) -> str:
        """A digest of everything that can influence the future, 32 hexadecimal digits."""
        return str(self._core.state_hash())

    @property
    def trajectory(self) -> Trajectory:
        """The episode so far."""
        return Trajectory.parse(self._core.trajectory())

    def oracle_actions(self) -> list[str]:
        """Actions that solve the present episode.

        Raises:
            InvalidConfig: The environment was not made with ``allow_oracle=True``.
        """
        if not self._arguments["allow_oracle"]:
            raise InvalidConfig("oracle_actions tells the answer; make the environment with allow_oracle=True to use it")
        return list(self._core.oracle_actions())

    def render(self) -> str | None:
        """The last exchange: as a text in mode ``ansi``; printed by ``step`` in mode ``human``."""
        if self.render_mode == "ansi":
            return self._last_frame
        if self.render_mode == "human":
            return None
        gymnasium.logger.warn("render() was called, but the environment was made without a render_mode")
        return None

    def _frame(self, text: str) -> None:
        self._last_frame = text
        if self.render_mode == "human":
            print(text, flush=True)

    def __getstate__(self) -> dict[str, Any]:
        return {
            "arguments": self._arguments,
            "snapshot": self._core.snapshot() if self._core.has_begun() else None,
            "random": _copy_random(self),
            "spec": self.spec,
            "frame": self._last_frame,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state["arguments"])  # type: ignore[misc]
        if state["snapshot"] is not None:
            self._core.restore(state["snapshot"])
        self._np_random, self._np_random_seed = state["random"]
        self.spec = state["spec"]
        self._last_frame = state["frame"]


def _copy_random(env: AIOpsEnv) -> tuple[Any, Any]:
    import copy

    return copy.deepcopy(env._np_random), env._np_random_seed


def _log_trim() -> int:
    """What ``LOG_TRIM`` says; nothing that is no positive number is one."""
    try:
        return max(int(os.environ.get("LOG_TRIM", "0")), 0)
    except ValueError:
        return 0


def _plain(name: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping as JSON can hold it."""
    try:
        text = json.dumps(value, allow_nan=False, default=dict)
    except (TypeError, ValueError) as error:
        raise InvalidConfig(f"{name} is no mapping of numbers and texts: {error}") from None
    plain: dict[str, Any] = json.loads(text)
    return plain


def _finite(name: str, value: float | None) -> None:
    if value is not None and not math.isfinite(value):
        raise InvalidConfig(f"{name} is {value}; it must be a finite number")


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InvalidConfig(f"{name}={value!r} is not built; built are: {', '.join(map(repr, known))}")
