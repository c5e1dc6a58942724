#!/usr/bin/env python3
"""Compare two recordings of one scenario after masking; the reference for what masks.toml means.

    compare.py OLD.json NEW.json        prints a difference for each command that does not agree; exit 1 when there is one

Comparing two runs on real clusters shows which commands are reproducible at all, and whether a mask is missing.
"""

import difflib
import json
import pathlib
import re
import sys
import tomllib

RULES = tomllib.loads((pathlib.Path(__file__).resolve().parent / "masks.toml").read_text())
MASKS = [
    (re.compile(mask.get("command", "")), re.compile(mask["pattern"]), re.sub(r"\$\{(\d+)\}", r"\\g<\1>", mask["replace"]))
    for mask in RULES["mask"]
]


def masked(command: str, text: str) -> str:
    for where, pattern, replacement in MASKS:
        if where.search(command):
            text = pattern.sub(replacement, text)
    text = re.sub(r" {3,}", "   ", text)
    text = re.sub(r"-{3,}", "---", text)
    return re.sub(r" +$", "", text, flags=re.MULTILINE)


def comparable(command: str, text: str) -> str:
    """The text of one stream as it is compared."""
    lines = masked(command, text).split("\n")
    for rule in RULES.get("optional", []):
        if re.search(rule["command"], command):
            lines = [line for line in lines if not re.search(rule["lines"], line)]
    for rule in RULES.get("unordered", []):
        if re.search(rule["command"], command):
            loose = sorted({line for line in lines if re.search(rule["lines"], line)})
            lines = loose + [line for line in lines if not re.search(rule["lines"], line)]
    return "\n".join(lines)


def main() -> int:
    old, new = (json.loads(pathlib.Path(path).read_text()) for path in sys.argv[1:3])
    differing = 0
    if [entry["step"] for entry in old] != [entry["step"] for entry in new]:
        print("the recordings hold different steps")
        return 1
    for before, after in zip(old, new, strict=True):
        command = before.get("template", before["command"])
        difference = []
        for stream in ("stdout", "stderr"):
            left, right = (comparable(entry["command"], entry[stream]).splitlines() for entry in (before, after))
            difference += list(difflib.unified_diff(left, right, stream, stream, lineterm="", n=0))[2:]
        if before["exit_code"] != after["exit_code"]:
            difference.append(f"exit code {before['exit_code']} and {after['exit_code']}")
        if difference:
            differing += 1
            print(f"$ {command}\n  " + "\n  ".join(difference))
    print(f"{len(old) - differing} of {len(old)} commands agree")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
