"""The orchestrator: asks an agent for actions, plays them, evaluates."""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aiopslab.errors import AiopsError, InvalidConfig
from aiopslab.live import LiveCluster
from aiopslab.orchestrator.evaluators.qualitative import Model
from aiopslab.orchestrator.evaluators.quantitative import count_tokens
from aiopslab.orchestrator.parser import ResponseParser
from aiopslab.orchestrator.problems.registry import ProblemRegistry
from aiopslab.orchestrator.tasks.base import MAX_STEPS, EpisodeSettings, Task
from aiopslab.session import Session
from aiopslab.trajectory import Trajectory
from aiopslab.utils.status import InvalidActionError, ResponseParsingError, SessionPrint, SubmissionStatus

__all__ = ["Orchestrator"]

_NEXT = "Please take the next action"


class Orchestrator:
    r"""Plays problems with an agent, as AIOpsLab's orchestrator does; any number of them side by side.

    An agent has ``async get_action(state: str) -> str``; it may be registered before or after :meth:`init_problem`.

    Args:
        results_dir: Folder of session files; ``None`` for ``data/results`` below the working directory.
        strict: AIOpsLab's own grammar, answer keys and way of counting, quirks included.
        seed: Seed of every episode; ``None`` draws a new one for each.
        cluster: Where problems run: ``"sim"``, ``"live"`` (the context ``kind-<AIOPSLAB_CLUSTER>`` where that variable is set) or a
            :class:`aiopslab.LiveCluster`.
        step_seconds: Thinking time before each action, in virtual seconds.
        load_rps: Requests per second on the application, or a load as :class:`aiopslab.AIOpsEnv` takes it; ``None`` for the problem's own.
        envs: A folder of your own with ``apps/``, ``problems/`` and ``suites/``.
        judge: A model that judges the agent's reasoning: messages in, text out.
        token_counter: Counts the tokens of a text.
        print_session: Print turns and results.

    Attributes:
        agent: The agent.
        agent_name: Its name.
        session: The session in progress, or the last one.
        parser: Reads the agent's texts; another parser in its place is asked instead.
        probs: The problems.

    Example:
        >>> import asyncio, tempfile
        >>> class Agent:
        ...     async def get_action(self, state: str) -> str:
        ...         return '```\nsubmit("No")\n```'
        >>> orchestrator = Orchestrator(results_dir=tempfile.mkdtemp())
        >>> orchestrator.register_agent(Agent(), name="optimist")
        >>> task, instructions, actions = orchestrator.init_problem("noop_detection_hotel_reservation-1")
        >>> outcome = asyncio.run(orchestrator.start_problem(max_steps=5))
        >>> outcome["results"]["Detection Accuracy"], outcome["results"]["steps"]
        ('Correct', 1)
    """

    def __init__(
        self,
        results_dir: str | Path | None = None,
        *,
        strict: bool = False,
        seed: int | None = 0,
        cluster: str | LiveCluster = "sim",
        step_seconds: float = 10.0,
        load_rps: float | Mapping[str, Any] | None = None,
        envs: str | Path | None = None,
        judge: Model | None = None,
        token_counter: Callable[[str], int] = count_tokens,
        print_session: bool = False,
    ) -> None:
        context = os.environ.get("AIOPSLAB_CLUSTER")
        if cluster == "live" and context:
            cluster = LiveCluster(context=f"kind-{context}")
        self.settings = EpisodeSettings(strict, seed, cluster, step_seconds, load_rps, envs, judge, token_counter)
        self.agent: Any = None
        self.agent_name: str | None = None
        self.session: Session | None = None
        self.parser = ResponseParser(strict)
        self.probs = ProblemRegistry(self.settings)
        self.sprint = SessionPrint(print_session)
        self.execution_start_time: float | None = None
        self.execution_end_time: float | None = None
        self.use_wandb = os.environ.get("USE_WANDB", "false").lower() == "true"
        self.results_dir = results_dir

    def register_agent(self, agent: Any, name: str = "agent") -> None:  # noqa: ANN401
        """Says who plays.

        Args:
            agent: It has ``async get_action(state: str) -> str``.
            name: Its name in session files.
        """
        self.agent = agent
        self.agent_name = name
        if self.session is not None and self.session.end_time is None:
            self.session.set_agent(name)

    def init_problem(self, problem_id: str) -> tuple[str, str, dict[str, str]]:
        """Makes a problem ready: the application under load, the fault, its symptom.

        Returns:
            The task's description, the instructions, and the docs of the actions by name.

        Raises:
            UnknownProblem: There is no such problem. It is a ``ValueError``.
            AiopsError: The episode could not be begun.
        """
        self.execution_start_time = time.time()
        self._leave()
        problem = self.probs.get_problem_instance(problem_id)
        session = Session(self.results_dir)
        session.set_problem(problem, pid=problem_id)
        if self.agent_name is not None:
            session.set_agent(self.agent_name)
        problem.inject_fault()
        self.session = session
        problem.start_workload()
        return problem.get_task_description(), problem.get_instructions(), problem.get_available_actions()

    async def ask_agent(self, input: str) -> str:
        """Asks the agent for its next action; what is no text counts as one."""
        session, _ = self._playing()
        if self.agent is None:
            raise AiopsError("no agent is registered; call register_agent first")
        answer = self.agent.get_action(input)
        if inspect.isawaitable(answer):
            answer = await answer
        text = "" if answer is None else str(answer).encode("utf-8", "replace").decode("utf-8")
        session.add({"role": "assistant", "content": text})
        return text

    async def ask_env(self, input: str) -> str | SubmissionStatus:
        """Plays an agent's text, and returns what the action printed or the status of a submission."""
        import asyncio

        session, problem = self._playing()
        response = await asyncio.to_thread(self._play, session, problem, input)
        mended = isinstance(response, SubmissionStatus) and not self.settings.strict
        session.add({"role": "env", "content": problem.observation if mended else response})
        return response

    async def start_problem(self, max_steps: int) -> dict[str, Any]:
        """Lets the agent play until it submits or its steps are used up, evaluates, and saves the session.

        Args:
            max_steps: Most actions, up to 10000.

        Returns:
            ``history`` (the turns), ``final_state`` (the last answer of the environment), ``results``, and ``framework_overhead``
            (seconds since :meth:`init_problem` that were not the session's).

        Raises:
            AiopsError: No problem is ready, or no agent is registered.
            Exception: Whatever the agent raises, after the fault was undone and the session saved.
        """
        import asyncio

        session, problem = self._playing()
        if max_steps > MAX_STEPS:
            raise InvalidConfig(f"max_steps is {max_steps}; it must be at most {MAX_STEPS}")
        session.start()
        try:
            final_state = await self._loop(max_steps)
            session.end()
            results = await asyncio.to_thread(problem.eval, session.solution, session.history, session.get_duration())
            session.set_results(results)
            self.sprint.result(results)
        finally:
            session.end_time = session.end_time or time.time()
            try:
                session.to_json()
            finally:
                problem.recover_fault()
        if self.use_wandb:
            session.to_wandb()
        self.execution_end_time = time.time()
        total = self.execution_end_time - (self.execution_start_time or self.execution_end_time)
        return {
            "history": session.history,
            "final_state": final_state,
            "results": results,
            "framework_overhead": total - session.get_duration(),
        }

    @property
    def trajectory(self) -> Trajectory:
        """The episode as the library records it, which ``aiopslab replay`` plays again.

        Raises:
            AiopsError: No problem was made ready yet.
        """
        if self.session is None or self.session.problem is None:
            raise AiopsError("no problem is ready; call init_problem first")
        return self.session.problem.env.trajectory

    async def _loop(self, max_steps: int) -> str | SubmissionStatus:
        state: str = _NEXT
        response: str | SubmissionStatus = ""
        for _ in range(max_steps):
            text = await self.ask_agent(state)
            self.sprint.agent(text)
            response = await self.ask_env(text)
            self.sprint.service(response)
            if response == SubmissionStatus.VALID_SUBMISSION:
                break
            if isinstance(response, SubmissionStatus):
                raise ValueError("Invalid submission!")
            state = f"{response}\n{_NEXT}"
        return response

    def _play(self, session: Session, problem: Task, text: str) -> str | SubmissionStatus:
        try:
            call = self.parser.parse(text)
        except ResponseParsingError as error:
            # The environment reads the text itself, so that an error costs a step there too and is recorded.
            return problem.respond(text) if self._reads_alike() else str(error)
        name, args, kwargs = call["api_name"], call["args"], call["kwargs"]
        if self.settings.strict and name == "submit":
            session.set_solution(args[0] if len(args) == 1 else args)
        try:
            response = problem.respond(text) if self._reads_alike() else problem.perform_action(name, *args, **kwargs)
        except InvalidActionError as error:
            return str(error)
        if not self.settings.strict and response == SubmissionStatus.VALID_SUBMISSION:
            given = [*args, *kwargs.values()]
            session.set_solution(given[0] if len(given) == 1 else given)
        return response

    def _reads_alike(self) -> bool:
        """Whether the environment would read a text as the parser does."""
        return type(self.parser) is ResponseParser and self.parser.strict == self.settings.strict

    def _playing(self) -> tuple[Session, Task]:
        if self.session is None or self.session.problem is None:
            raise AiopsError("no problem is ready; call init_problem first")
        if self.session.end_time is not None:
            raise AiopsError("the session is over; call init_problem for another one")
        return self.session, self.session.problem

    def _leave(self) -> None:
        """Leaves an episode that was begun and never played."""
        session, self.session = self.session, None
        if session is not None and session.problem is not None and session.end_time is None:
            session.problem.recover_fault()
