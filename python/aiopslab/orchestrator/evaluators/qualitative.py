"""A model as the judge of an agent's reasoning."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from aiopslab.orchestrator.evaluators.prompts import SCORER_PROMPTS
from aiopslab.session import SessionItem

__all__ = ["LLMJudge", "Model"]

#: A model: messages, each with ``role`` and ``content``, to a text.
Model = Callable[[list[dict[str, str]]], str]

_SCORE = re.compile(r"\[\[(\d+(?:\.\d*)?)\]\]|\[(\d+(?:\.\d*)?)\]")


class LLMJudge:
    """Judges one session.

    Args:
        trace: The session's turns.
        model: The judging model; the library brings none.

    Example:
        >>> judge = LLMJudge([SessionItem("assistant", "submit()")], lambda messages: "It checked nothing. [[2]]")
        >>> judge.reasoning_score()
        (2, 'It checked nothing. [[2]]')
    """

    def __init__(self, trace: Sequence[SessionItem], model: Model) -> None:
        self.trace = "".join(f"### {item.role}\n{item.content}\n\n" for item in trace)
        self.model = model

    def reasoning_score(self) -> tuple[float, str]:
        """The score, 1 to 10 or -1 when the model gave none, and the judgement."""
        judgement = self.model(self._messages())
        found = list(_SCORE.finditer(judgement))
        if not found:
            return -1, judgement
        number = found[-1].group(1) or found[-1].group(2)
        return (float(number) if "." in number else int(number)), judgement

    def _messages(self) -> list[dict[str, str]]:
        return [{"role": role, "content": prompt.replace("{trace}", self.trace)} for role, prompt in SCORER_PROMPTS.items()]
