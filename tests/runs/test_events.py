"""The log's contract: every kind that mnas appends is in it, and every kind in it is appended somewhere."""

import ast
from pathlib import Path

from mnascli.runs.events import EVENTS, TRIAL_EVENTS, problem

PACKAGE = Path(__file__).parents[2] / "mnascli"


def appended() -> set[str]:
    """The kinds that stand in the source as the first argument of `append`, `Outcome` or `News`."""
    found: set[str] = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                owner = getattr(node.func, "value", None)
                of_a_run = name == "append" and getattr(owner, "attr", getattr(owner, "id", "")) in ("run", "self")
                if (of_a_run or name in ("Outcome", "News")) and isinstance(node.args[0].value, str):
                    found.add(node.args[0].value)
    return found


def test_what_is_appended_is_what_the_contract_has() -> None:
    assert appended() == set(EVENTS)


def test_trial_events_have_a_trial() -> None:
    assert {"started", "measured", "trained", "done", "failed"} < TRIAL_EVENTS
    assert all("trial" in EVENTS[kind].keys for kind in TRIAL_EVENTS)


def test_an_event_is_held_to_its_keys() -> None:
    good = {"v": 1, "time": 1.0, "event": "done", "trial": 3, "reward": 0.5}
    assert problem(good) is None
    assert problem({**good, "colour": "red"}) == "done: has the unknown colour"
    assert problem({"event": "done", "trial": 3}) == "done: lacks reward"
    assert problem({"event": "undone"}) == "undone: no such kind of event"
