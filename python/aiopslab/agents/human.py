"""A person at the terminal."""

from __future__ import annotations

from typing import Any

import gymnasium

__all__ = ["HumanAgent"]


class HumanAgent:
    """Reads actions from standard input; a line that is no call of a tool is run in the shell.

    Args:
        env: Environment to play.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        self._tools = [tool["name"] for tool in env.unwrapped.tools]  # type: ignore[attr-defined]

    def reset(self, observation: str, info: dict[str, Any]) -> None:
        """Prints the task."""
        print(observation)

    def act(self, observation: str, info: dict[str, Any]) -> str:
        """Reads the next action; the end of input submits nothing and leaves."""
        try:
            line = input("aiopslab> ").strip()
        except EOFError:
            raise SystemExit(1) from None
        if any(line.startswith(f"{name}(") for name in self._tools):
            return line
        escaped = line.replace("\\", "\\\\").replace('"', '\\"')
        return f'exec_shell("{escaped}")'

    def __repr__(self) -> str:
        return "HumanAgent()"
