"""From an agent's text to one call of an action."""

from __future__ import annotations

import re
from typing import Any

from aiopslab import _core
from aiopslab.utils.status import ResponseParsingError

__all__ = ["ResponseParser"]

_PREFIX = "Error parsing response: "
_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)


class ResponseParser:
    r"""Reads responses in AIOpsLab's grammar: one API call in a block of three ticks.

    Args:
        strict: Take only what AIOpsLab's own parser takes, and make of it what that makes. Else language tags, several blocks, none at
            all, any quotes, keywords and JSON tool calls are read as they are meant.

    Example:
        >>> parsed = ResponseParser().parse("I look first.\n```\nget_logs('ns', service='geo')\n```")
        >>> parsed["api_name"], parsed["args"], parsed["kwargs"], parsed["context"]
        ('get_logs', ['ns'], {'service': 'geo'}, ['I look first.'])
    """

    def __init__(self, strict: bool = False) -> None:
        self.strict = strict

    def parse(self, response: str) -> dict[str, Any]:
        """Reads a response.

        Returns:
            ``api_name``, ``args``, ``kwargs``, and ``context``: the texts around blocks.

        Raises:
            ResponseParsingError: It is no call; the message says what to write.
        """
        try:
            name, args, kwargs = _core.parse_action(response, self.strict)
        except ValueError as error:
            raise ResponseParsingError(str(error).removeprefix(_PREFIX)) from None
        return {"api_name": name, "args": args, "kwargs": kwargs, "context": self.extract_context(response)}

    def extract_context(self, response: str) -> list[str]:
        """The texts around the blocks of a response; none when it has no block."""
        if "```" not in response:
            return []
        return [text.strip() for text in _FENCED.split(response) if text.strip()]
