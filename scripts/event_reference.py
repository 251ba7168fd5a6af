"""Writes docs/events.md out of the log's contract. Usage: python scripts/event_reference.py [--check]"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pages import write_or_check

from mnascli.runs.events import EVENTS

FILE = Path(__file__).parents[1] / "docs" / "events.md"
HEAD = """# Every event of a run's log

Made by `make reference` out of `mnascli/runs/events.py`; tests hold this page to that, and every event that is written
to both. `events.jsonl` in a run's folder has one JSON object a line, each with `v` (the version of the log, 1), `time`
(seconds since 1970) and `event` (its kind). The last line may be cut off where a run was killed; nothing else may be.
Readers ignore kinds that they do not know. Keys in *italics* are not in every event, or not in older logs.

| event | says | keys |
|---|---|---|
"""


def reference() -> str:
    """The whole page."""
    return HEAD + "".join(
        f"| `{name}` | {kind.about} | {'; '.join([*_keys(kind.keys, '`'), *_keys(kind.optional, '*')])} |\n"
        for name, kind in EVENTS.items()
    )


def _keys(keys: Mapping[str, str], mark: str) -> list[str]:
    return [f"{mark}{key}{mark}: {about}" for key, about in keys.items()]


if __name__ == "__main__":
    write_or_check(FILE, reference())
