"""What an agent reads out of the first observation."""

from __future__ import annotations

import re

__all__ = ["namespace_of"]


def namespace_of(observation: str) -> str:
    r"""The namespace that the task names on its ``Namespace:`` line, or ``default``.

    Example:
        >>> namespace_of("Service Name: hotel\nNamespace: test-hotel-reservation\n")
        'test-hotel-reservation'
    """
    found = re.search(r"^\s*[-*]?\s*Namespace:\s*(\S+)", observation, re.MULTILINE | re.IGNORECASE)
    return found.group(1) if found else "default"
