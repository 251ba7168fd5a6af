"""The house as docs/architecture.md draws it: arrows run downwards, there is no circle, and what is added is tested."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

from mnascli.devices.backends import KINDS
from mnascli.engine.children.factory import EXECUTORS

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "mnascli"
MOST_LINES = 350
# fmt: off
FLOOR = {
    "", "cores", "errors", "interrupts", "intervals", "paths", "resources", "schema", "strict_yaml", "user_dirs",
    "words",
}
# fmt: on
BELOW_ENGINE = {"space", "nets", "data", "tflite", "devices", "search", "training", "runs"}
IN_ENGINE = {"engine.children", "engine.benches", "engine.models", "engine.export"}
# What each room may import, besides the floor and itself; a folder within a room is a room of its own.
MAY_IMPORT = {
    "space": set(),
    "runs": set(),
    "devices": {"devices.worker"},
    "devices.adb": {"devices"},
    "devices.ssh": {"devices", "devices.worker"},
    "devices.worker": {"devices"},
    "nets": {"space"},
    "data": set(),
    "tflite": {"space", "nets"},
    "search": {"space"},
    "training": {"space", "nets", "data"},
    "engine": {*BELOW_ENGINE, *IN_ENGINE, "devices.adb"},
    "engine.children": BELOW_ENGINE,
    "engine.models": {*BELOW_ENGINE, "engine.config", "engine.sections"},
    "engine.benches": {*BELOW_ENGINE, "engine.models"},
    "engine.export": {*BELOW_ENGINE, "engine.models", "engine.benches"},
    "report": {"space", "search", "runs"},
    "tui": {"space", "runs"},
    "cli": {"space", "devices", "engine", "runs", "report", "tui", *(IN_ENGINE - {"engine.children"})},
}
FORBIDDEN = {"space": {"torch", "numpy"}, "devices": {"torch"}, "runs": {"torch", "numpy", "pydantic", "yaml"}}
MODULES = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}


def imported(file: Path) -> Iterator[str]:
    """Everything a file imports, also within functions, but what only the type checker sees."""
    hidden: set[ast.AST] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            hidden.update(part for statement in node.body for part in ast.walk(statement))
        if node in hidden:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_of(name: str) -> str:
    """The module that `mnascli.space.Architecture` or `mnascli.devices.adb.shell` is in."""
    while name not in MODULES and f"{name}.__init__" not in MODULES:
        name = name.rpartition(".")[0]
    return name if name in MODULES else f"{name}.__init__"


def room_of(module: str) -> str:
    """'engine.export' for mnascli.engine.export.onnx, 'engine' for mnascli.engine.front, '' for the floor."""
    return ".".join(module.split(".")[1:-1])


def files_of(room: str) -> list[Path]:
    return sorted((PACKAGE / room.replace(".", "/")).glob("*.py"))


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_arrows_run_downwards(room: str) -> None:
    for file in files_of(room):
        for name in imported(file):
            if name.split(".")[0] == "mnascli":
                module = module_of(name)
                there = {room_of(module), module.removeprefix("mnascli.")}
                assert there & (MAY_IMPORT[room] | FLOOR | {room}), f"{file} imports {name}"
            assert name.split(".")[0] not in FORBIDDEN.get(room.split(".")[0], set()), f"{file} imports {name}"


def test_there_is_no_circle() -> None:
    below = {
        module: {module_of(name) for name in imported(path) if name.startswith("mnascli.")} - {module}
        for module, path in MODULES.items()
    }
    TopologicalSorter(below).prepare()  # raises CycleError with the modules of a circle


def test_every_room_is_listed() -> None:
    assert {room_of(module) for module in MODULES} - {""} == set(MAY_IMPORT)
    assert {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"} == FLOOR - {""}


def test_a_file_can_be_read_in_one_sitting() -> None:
    long = {str(path): lines for path in MODULES.values() if (lines := len(path.read_text().splitlines())) > MOST_LINES}
    assert not long


def subclasses(conformance: str) -> set[str]:
    """The test files that inherit a conformance class."""
    return {path.stem for path in TESTS.rglob("test_*.py") if f"({conformance})" in path.read_text()}


def test_every_kind_of_device_is_a_line_and_inherits_the_tests_of_devices() -> None:
    for kind, module in KINDS.items():
        assert import_module(module).BACKEND
        assert f"test_{kind}" in subclasses("DeviceConformance"), kind


def test_every_executor_is_a_line_and_inherits_the_tests_of_executors() -> None:
    for name, module in EXECUTORS.items():
        assert callable(import_module(module).places) and callable(import_module(module).open_executor)
        assert f"test_{name}" in subclasses("ExecutorConformance"), name


def test_every_task_inherits_the_tests_of_tasks() -> None:
    assert "test_classification" in subclasses("TaskConformance")
