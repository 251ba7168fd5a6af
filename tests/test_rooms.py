"""Arrows between rooms run downwards only (docs/architecture.md)."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "mnascli"
FLOOR = {
    "errors", "interrupts", "intervals", "paths", "resources", "schema", "strict_yaml", "user_dirs", "words", "",
}  # fmt: skip
MAY_IMPORT = {
    "space": set(),
    "runs": set(),
    "devices": set(),
    "nets": {"space"},
    "data": set(),
    "tflite": {"space", "nets"},
    "search": {"space"},
    "training": {"space", "nets", "data"},
    "engine": {"space", "nets", "data", "tflite", "devices", "search", "training", "runs"},
    "report": {"space", "search", "runs"},
    "tui": {"space", "runs"},
    "cli": {"space", "devices", "engine", "runs", "report", "tui"},
}
FORBIDDEN = {"space": {"torch", "numpy"}, "devices": {"torch"}, "runs": {"torch", "numpy", "pydantic", "yaml"}}


def imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_arrows_run_downwards(room: str) -> None:
    for file in (PACKAGE / room).rglob("*.py"):
        for name in imported(file):
            parts = name.split(".")
            if parts[0] == "mnascli":
                target = parts[1] if (PACKAGE / parts[1]).is_dir() else ""
                assert target in MAY_IMPORT[room] | FLOOR | {room}, f"{file} imports {name}"
            assert parts[0] not in FORBIDDEN.get(room, set()), f"{file} imports {name}"


def test_every_room_is_listed() -> None:
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert rooms == set(MAY_IMPORT)
