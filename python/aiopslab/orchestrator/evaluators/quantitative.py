"""Counts over a session, and comparisons of answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from aiopslab.session import SessionItem

__all__ = [
    "count_tokens",
    "in_tokens",
    "is_exact_match",
    "is_exact_match_lower",
    "is_in_range",
    "is_subset",
    "num_steps_taken",
    "out_tokens",
]

_PIECE = re.compile(r"[^\W\d_]+|\d+|\s+|[\W_]", re.UNICODE)
_LETTERS_A_TOKEN = 6
_DIGITS_A_TOKEN = 3


def count_tokens(text: str) -> int:
    """An estimate of the tokens of a text that needs no vocabulary.

    A word counts one token for each six letters, a number one for each three digits, any other character one, and white space one
    where it is more than a blank. Give the orchestrator ``token_counter`` for a model's own count.

    Example:
        >>> count_tokens("kubectl get pods -n test-hotel-reservation")
        12
    """
    total = 0
    for piece in _PIECE.findall(text):
        if piece.isspace():
            total += piece != " "
        elif piece.isdigit():
            total += -(-len(piece) // _DIGITS_A_TOKEN)
        else:
            total += -(-len(piece) // _LETTERS_A_TOKEN)
    return total


def num_steps_taken(trace: Sequence[SessionItem]) -> int:
    """Turns of the agent."""
    return sum(item.role == "assistant" for item in trace)


def out_tokens(trace: Sequence[SessionItem], count: Callable[[str], int] = count_tokens) -> int:
    """Tokens that the agent wrote."""
    return count("".join(item.content for item in trace if item.role == "assistant"))


def in_tokens(trace: Sequence[SessionItem], count: Callable[[str], int] = count_tokens) -> int:
    """Tokens that the environment answered with; neither prompts nor reading them again count."""
    return count("".join(item.content for item in trace if item.role != "assistant"))


def is_exact_match(pred: Any, target: Any) -> bool:  # noqa: ANN401
    """Whether two answers are equal; one value is the list of it.

    Example:
        >>> is_exact_match("geo", ["geo"]), is_exact_match(["geo", "rate"], ["geo"])
        (True, False)
    """
    return _listed(pred) == _listed(target)


def is_exact_match_lower(pred: object, target: str) -> bool:
    """Whether two words are equal, whatever their case and the blanks around them; what is no text is no word."""
    return isinstance(pred, str) and pred.strip().lower() == target.strip().lower()


def is_in_range(pred: float, target: float, tolerance: float) -> bool:
    """Whether a number is within a tolerance of another."""
    return abs(pred - target) <= tolerance


def is_subset(pred: Sequence[Any], target: Sequence[Any]) -> bool:
    """Whether everything in one list is in another."""
    return all(item in target for item in pred)


def _listed(value: Any) -> list[Any]:  # noqa: ANN401
    return list(value) if isinstance(value, list | tuple) else [value]
