"""Spaces for text and tool calls.

Gymnasium's ``Text`` needs an alphabet and a maximal length that real command output does not have, and its shared-memory
vectorisation returns stale strings; these spaces accept exactly what the environment prints and understands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
from numpy.random import Generator

__all__ = ["TextSpace", "ToolCallSpace"]


class TextSpace(gymnasium.Space[str]):
    r"""All texts of at most ``max_length`` characters.

    Args:
        max_length: Longest text that is contained, in characters.
        samples: What :meth:`sample` draws from, uniformly.
        seed: Seed or generator of :meth:`sample`.

    Example:
        >>> space = TextSpace(max_length=8, samples=["ls", "pwd"], seed=0)
        >>> "ls -l" in space, "ls -l /etc" in space, 3 in space
        (True, False, False)
        >>> space.sample() in space
        True
    """

    def __init__(self, max_length: int, samples: Sequence[str] = ("",), seed: int | Generator | None = None) -> None:
        self.max_length = max_length
        self.samples = tuple(samples)
        super().__init__(shape=None, dtype=None, seed=seed)

    @property
    def is_np_flattenable(self) -> bool:
        """Whether a sample can become a flat array: no."""
        return False

    def sample(self, mask: Any | None = None, probability: Any | None = None) -> str:  # noqa: ANN401
        """Draws one of ``samples``; masks are not supported."""
        if mask is not None or probability is not None:
            raise ValueError("TextSpace.sample takes neither a mask nor probabilities")
        return self.samples[int(self.np_random.integers(len(self.samples)))]

    def contains(self, x: Any) -> bool:  # noqa: ANN401
        """Whether ``x`` is a text of at most ``max_length`` characters."""
        return isinstance(x, str) and len(x) <= self.max_length

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TextSpace) and (self.max_length, self.samples) == (other.max_length, other.samples)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"TextSpace(max_length={self.max_length})"


class ToolCallSpace(gymnasium.Space[dict[str, Any]]):
    """Calls of tools: ``{"name": str, "arguments": dict}``.

    A call is contained when its name is one of the tools' and its arguments fit the tool's JSON schema: known names, required
    ones present, values of the declared type.

    Args:
        tools: Tools as ``{"name", "description", "parameters"}`` with flat JSON schemas.
        samples: What :meth:`sample` draws from, uniformly.
        seed: Seed or generator of :meth:`sample`.

    Example:
        >>> tool = {"name": "echo", "description": "", "parameters": {
        ...     "type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}}
        >>> space = ToolCallSpace([tool], samples=[{"name": "echo", "arguments": {"text": "hi"}}])
        >>> {"name": "echo", "arguments": {"text": "hi"}} in space, {"name": "echo", "arguments": {}} in space
        (True, False)
    """

    _TYPES: Mapping[str, tuple[type, ...]] = {
        "string": (str,),
        "integer": (int,),
        "number": (int, float),
        "boolean": (bool,),
        "array": (list, tuple),
        "object": (dict,),
    }

    def __init__(
        self, tools: Sequence[Mapping[str, Any]], samples: Sequence[Mapping[str, Any]] = (), seed: int | Generator | None = None
    ) -> None:
        self.tools = {tool["name"]: dict(tool["parameters"]) for tool in tools}
        self.samples = tuple(dict(sample) for sample in samples)
        super().__init__(shape=None, dtype=None, seed=seed)

    @property
    def is_np_flattenable(self) -> bool:
        """Whether a sample can become a flat array: no."""
        return False

    def sample(self, mask: Any | None = None, probability: Any | None = None) -> dict[str, Any]:  # noqa: ANN401
        """Draws one of ``samples``; masks are not supported."""
        if mask is not None or probability is not None:
            raise ValueError("ToolCallSpace.sample takes neither a mask nor probabilities")
        drawn = self.samples[int(self.np_random.integers(len(self.samples)))]
        return {"name": drawn["name"], "arguments": dict(drawn["arguments"])}

    def contains(self, x: Any) -> bool:  # noqa: ANN401
        """Whether ``x`` calls one of the tools with fitting arguments."""
        if not isinstance(x, dict) or set(x) != {"name", "arguments"} or not isinstance(x["arguments"], dict):
            return False
        schema = self.tools.get(x["name"]) if isinstance(x["name"], str) else None
        if schema is None or any(required not in x["arguments"] for required in schema.get("required", ())):
            return False
        return all(self._fits(schema["properties"].get(name), value) for name, value in x["arguments"].items())

    def _fits(self, schema: Mapping[str, Any] | None, value: object) -> bool:
        if schema is None:
            return False
        if isinstance(value, bool):
            return bool(schema["type"] == "boolean")
        return isinstance(value, self._TYPES[schema["type"]])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ToolCallSpace) and (self.tools, self.samples) == (other.tools, other.samples)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"ToolCallSpace({', '.join(self.tools)})"
