"""What all tasks share: a problem played on an environment of this library, one call a step, evaluated by AIOpsLab's keys."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from aiopslab import _core
from aiopslab.agents.prompt import namespace_of
from aiopslab.env import AIOpsEnv
from aiopslab.live import LiveCluster
from aiopslab.orchestrator.actions.base import TaskActions
from aiopslab.orchestrator.evaluators.qualitative import LLMJudge, Model
from aiopslab.orchestrator.evaluators.quantitative import count_tokens, in_tokens, num_steps_taken, out_tokens
from aiopslab.session import SessionItem
from aiopslab.utils.status import InvalidActionError, SubmissionStatus

__all__ = ["EpisodeSettings", "Task"]

#: The orchestrator bounds an episode's steps, so the environment's own limit is the highest that there is.
MAX_STEPS = 10_000


@dataclass(frozen=True)
class EpisodeSettings:
    """How problems are played.

    Attributes:
        strict: AIOpsLab's own grammar, answer keys and way of counting, quirks included.
        seed: Seed of the episode; ``None`` draws one.
        cluster: Where it runs: ``"sim"``, ``"live"`` or a :class:`aiopslab.LiveCluster`.
        step_seconds: Thinking time before each action, in virtual seconds.
        load_rps: Requests per second on the application, or a load as :class:`aiopslab.AIOpsEnv` takes it; ``None`` for the problem's own.
        envs: A folder of your own with ``apps/``, ``problems/`` and ``suites/``.
        judge: A model that judges the agent's reasoning: messages in, text out; ``None`` for no judgement.
        token_counter: Counts the tokens of a text.
    """

    strict: bool = False
    seed: int | None = 0
    cluster: str | LiveCluster = "sim"
    step_seconds: float = 10.0
    load_rps: float | Mapping[str, Any] | None = None
    envs: str | Path | None = None
    judge: Model | None = None
    token_counter: Callable[[str], int] = count_tokens


class Task:
    """A problem of one task. The subclasses say what is asked; a subclass of yours may override any method.

    Args:
        problem_id: Id of the problem.
        settings: How it is played; ``None`` for the defaults.

    Attributes:
        env: The environment that it is played on.
        actions: What an agent can call.
        observation: The last text that the environment answered with.
        results: Results so far.
    """

    #: Name of the task.
    name: ClassVar[str]
    #: Key of the result that tells how long the agent took.
    time_key: ClassVar[str]
    #: Class of the actions.
    actions_type: ClassVar[type[TaskActions]]
    #: Results when nothing was submitted.
    nothing: ClassVar[dict[str, Any]]

    def __init__(self, problem_id: str, settings: EpisodeSettings | None = None) -> None:
        self.problem_id = problem_id
        self.settings = settings or EpisodeSettings()
        self.results: dict[str, Any] = {}
        self.observation = ""
        self.actions = self.actions_type(self.perform_action)
        self.env = AIOpsEnv(
            problem_id,
            cluster=self.settings.cluster,
            max_steps=MAX_STEPS,
            step_seconds=self.settings.step_seconds,
            load_rps=self.settings.load_rps,
            strict=self.settings.strict,
            envs=self.settings.envs,
        )
        self._info: dict[str, Any] = {}

    @property
    def namespace(self) -> str:
        """The application's namespace."""
        return namespace_of(self.get_task_description())

    def inject_fault(self) -> None:
        """Begins the episode: a healthy application under load, then the fault, until a symptom can be observed.

        Raises:
            AiopsError: It could not be begun; :class:`aiopslab.ResetFailed` and its siblings say why.
        """
        self.observation, self._info = self.env.reset(seed=self.settings.seed)
        self.results = {}

    def start_workload(self) -> None:
        """Does nothing: users were there from the start, and they stay."""

    def recover_fault(self) -> None:
        """Leaves the environment; on a live cluster the application is put back or deleted, as configured."""
        self.env.close()

    def get_task_description(self) -> str:
        """The role, the service, and what to submit."""
        return self.env._core.prompts()[0]

    def get_instructions(self) -> str:
        """The form of a turn, with examples."""
        return self.env._core.prompts()[1]

    def get_available_actions(self) -> dict[str, str]:
        """Docs of the actions, in order of their names."""
        return dict(sorted(_core.tool_docs(self.name) or []))

    def respond(self, text: str) -> str | SubmissionStatus:
        """Plays an agent's text as one step.

        Returns:
            What the action printed, or what is wrong with the text; a status when the text submitted.
        """
        return self._played(self.env.step(text))

    def perform_action(self, action_name: str, *args: Any, **kwargs: Any) -> str | SubmissionStatus:  # noqa: ANN401
        """Plays a call as one step.

        Raises:
            InvalidActionError: There is no such action.
        """
        tool = next((tool for tool in self.env.tools if tool["name"] == action_name), None)
        if tool is None:
            self.respond(f"```\n{action_name}()\n```")
            raise InvalidActionError(action_name)
        names = list(tool["parameters"]["properties"])
        # By name where that says the same, since a command's quotes are the parser's to change.
        if action_name != "submit" and len(args) <= len(names) and not set(names[: len(args)]) & set(kwargs):
            arguments = dict(zip(names, args, strict=False)) | kwargs
            return self._played(self.env._core.step_tool(action_name, json.dumps(arguments, default=str)))
        return self.respond(_call(action_name, args, kwargs))

    def eval(self, soln: Any, trace: Sequence[SessionItem], duration: float) -> dict[str, Any]:  # noqa: ANN401
        """Evaluates the episode, and never fails on what the agent did.

        Args:
            soln: What was submitted.
            trace: The session's turns.
            duration: Wall-clock seconds that the session took.

        Returns:
            The task's results, the time that the agent took (virtual seconds since the first observation; with ``strict=True`` the
            session's wall-clock seconds, as in AIOpsLab), and what :meth:`common_eval` adds.
        """
        for key, value in self._grade(soln).items():
            self.add_result(key, value)
        self.add_result(self.time_key, duration if self.settings.strict else self._info.get("sim_time_s", 0.0))
        self.common_eval(trace)
        return self.results

    def add_result(self, key: str, value: Any) -> None:  # noqa: ANN401
        """Adds a result."""
        self.results[key] = value

    def common_eval(self, trace: Sequence[SessionItem]) -> None:
        """Adds what every task counts: ``steps``, ``in_tokens``, ``out_tokens``, and a judgement where a judge was given."""
        self.add_result("steps", num_steps_taken(trace))
        self.add_result("in_tokens", in_tokens(trace, self.settings.token_counter))
        self.add_result("out_tokens", out_tokens(trace, self.settings.token_counter))
        if self.settings.judge is not None:
            score, judgement = LLMJudge(trace, self.settings.judge).reasoning_score()
            self.add_result("reasoning_judgement", judgement)
            self.add_result("reasoning_score", score)

    def _played(self, step: tuple[str, float, bool, bool, dict[str, Any]]) -> str | SubmissionStatus:
        self.observation, _, submitted, _, self._info = step
        return SubmissionStatus.VALID_SUBMISSION if submitted else self.observation

    def _grade(self, soln: Any) -> dict[str, Any]:  # noqa: ANN401
        if self._info.get("terminated_reason") == "submitted":
            return dict(self._info["grade"]["results"])
        if not self.settings.strict or not self.env._core.in_progress():
            return dict(self.nothing)
        # AIOpsLab evaluates whether or not there was a submission, a mitigation by the state that the steps left behind.
        env = self.env.fork() if self.settings.cluster == "sim" else self.env
        *_, info = env.step(_call("submit", () if self.name == "mitigation" else (soln,), {}))
        return dict((info["grade"] or {}).get("results") or self.nothing)


def _call(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """A call as an agent writes it."""
    written = [repr(value) for value in args] + [f"{key}={value!r}" for key, value in kwargs.items()]
    return f"```\n{name}({', '.join(written)})\n```"
