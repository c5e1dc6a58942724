"""Reading the tables that kubectl prints."""

from __future__ import annotations

import re

__all__ = ["parse_table"]


def parse_table(text: str) -> list[dict[str, str]]:
    r"""The rows of the first table in ``text`` by column name; cells end where the next header begins.

    Example:
        >>> parse_table("NAME   READY   RESTARTS\ngeo    0/1     3 (4s ago)\n")
        [{'NAME': 'geo', 'READY': '0/1', 'RESTARTS': '3 (4s ago)'}]
        >>> parse_table("No resources found in x namespace.")
        []
    """
    lines = text.splitlines()
    for start, header in enumerate(lines):
        columns = [(match.group(), match.start()) for match in re.finditer(r"\S+(?: \S+)*", header)]
        if len(columns) > 1 and all(name == name.upper() for name, _ in columns):
            return [_row(columns, line) for line in _body(lines[start + 1 :])]
    return []


def _body(lines: list[str]) -> list[str]:
    body = []
    for line in lines:
        if not line.strip():
            break
        body.append(line)
    return body


def _row(columns: list[tuple[str, int]], line: str) -> dict[str, str]:
    ends = [begin for _, begin in columns[1:]] + [len(line)]
    return {name: line[begin:end].strip() for (name, begin), end in zip(columns, ends, strict=True)}
