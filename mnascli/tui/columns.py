"""The columns of the table of trials: what is in them, how they are sorted, and the filter over them.

A filter is words separated by spaces, all of which must match: `acc>0.8`, `host<=0.05`, `state=failed`, `trial!=3`, or
a bare word, which must occur somewhere in the row (`se0.25`, `k5`). A column's name may be abbreviated.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from mnascli.errors import UsageError
from mnascli.runs import Trial, mark
from mnascli.tui import words

Value = float | str | None


@dataclass(frozen=True)
class Column:
    """`value` sorts and is filtered, `text` is shown, `width` in cells (0: the rest)."""

    name: str
    width: int
    value: Callable[[Trial], Value]
    text: Callable[[Trial], str]


def columns(devices: Sequence[str]) -> list[Column]:
    """The columns for a run on these devices."""

    def latency(device: str) -> Column:
        def value(trial: Trial) -> Value:
            return trial.latency_ms.get(device)

        def text(trial: Trial) -> str:
            return mark(trial.verdict.get(device)) + words.milliseconds(trial.latency_ms.get(device)).removesuffix(
                " ms"
            )

        return Column(device if len(devices) > 1 else "ms", max(8, min(14, len(device))), value, text)

    return [
        Column("trial", 6, lambda trial: trial.trial, lambda trial: str(trial.trial)),
        Column(
            "state", 9, lambda trial: trial.state, lambda trial: f"{words.SIGNS.get(trial.state, '?')} {trial.state}"
        ),
        Column("accuracy", 9, lambda trial: trial.accuracy, lambda trial: words.number(trial.accuracy)),
        *map(latency, devices),
        Column("reward", 8, lambda trial: trial.reward, lambda trial: words.number(trial.reward)),
        Column("seconds", 8, _seconds, lambda trial: words.number(_seconds(trial), 1)),
        Column("architecture", 0, _last, _last),
    ]


def _seconds(trial: Trial) -> float | None:
    return trial.ended - trial.began if trial.ended is not None and trial.began is not None else None


def _last(trial: Trial) -> str:
    """The architecture; for a failed trial, the reason before it."""
    return (
        f"[{trial.failure['stage']}: {trial.failure['reason']}] {trial.architecture}"
        if trial.failure
        else (trial.architecture)
    )


def sort(trials: Iterable[Trial], column: Column, descending: bool) -> list[Trial]:
    """The trials by a column; those without a value are last either way, equal ones in their original order."""
    pairs = [(column.value(trial), trial) for trial in trials]
    known = [(value, trial) for value, trial in pairs if value is not None]
    known.sort(key=operator.itemgetter(0), reverse=descending)
    return [trial for _, trial in known] + [trial for value, trial in pairs if value is None]


_OPERATORS: dict[str, Callable[..., bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}


def make_filter(text: str, among: Sequence[Column]) -> Callable[[Trial], bool]:
    """The filter that a text describes. Raises UsageError saying which word is wrong."""
    tests = [_test(word, among) for word in text.split()]
    return lambda trial: all(test(trial) for test in tests)


def _test(word: str, among: Sequence[Column]) -> Callable[[Trial], bool]:
    match = re.fullmatch(r"([A-Za-z0-9_.:-]+?)(<=|>=|!=|<|>|=)(.*)", word)
    if match is None:
        needle = word.lower()
        return lambda trial: any(needle in column.text(trial).lower() for column in among)
    name, sign, wanted = match.groups()
    column = next((one for one in among if one.name.startswith(name)), None)
    if column is None:
        raise UsageError(f"no column {name!r}: available: {', '.join(one.name for one in among)}")
    compare, equal = _OPERATORS[sign], sign in ("=", "!=")
    try:
        limit = float(wanted)
    except ValueError:
        if not equal:
            raise UsageError(f"{word!r}: a number was expected after {sign}") from None
        found = wanted.lower()
        return lambda trial: (found in column.text(trial).lower()) == (sign == "=")

    def holds(trial: Trial) -> bool:
        value = column.value(trial)
        return isinstance(value, int | float) and compare(value, limit)

    return holds
