"""Which sessions of a model count, and which of them give its latency.

A session counts when

- it began on a device that was cool enough and that did not begin to throttle during it,
- the runs in it agree ((p95 - p5) / median within `max_spread`), and
- the reference model on either side of it was within `max_drift` of its normal time.

The result is the fastest group of `keep` sessions that count and agree within `max_difference`. Why the fastest: other
work, throttling and a neighbour on the same machine make a run slower. Why a group: a virtual machine has moments when
it runs a third faster than it does for long, and one such session must not become the result.

A `shared` machine is never quiet: other work interrupts single runs, and a neighbour on the same physical core slows
all of them down by a third and more, for milliseconds or hours. There the fastest tenth of a session's runs counts,
those that nothing interrupted. Its median, which is the 5th percentile of all runs, is the session's time, scaled to
the reference's normal time: a neighbour slows both alike. This holds only if the neighbour was there for both, so a
session counts only if the two references beside it agree within `max_difference`. Here the fastest sessions are those
whose reference was wrong, so the result is the middle group of `keep` sessions, which have to agree as well.
benchmarks/devices/retest.py shows what that is worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mnascli.devices.device import Conditions, Session, percentile
from mnascli.devices.discipline import Cooling, Discipline

FASTEST = 0.1  # share of a session's runs that counts on a shared machine


@dataclass(frozen=True)
class Timed:
    """A session, and the times of the reference before and after it (empty without a reference)."""

    session: Session
    references_ms: tuple[float, ...] = ()


def time_ms(session: Session, discipline: Discipline) -> float:
    """A session's time for its model: the median of the runs that count."""
    return session.p5_ms if _only_fastest_count(session, discipline) else session.median_ms


def interval_ms(session: Session, discipline: Discipline) -> tuple[float, float]:
    """The 5th and 95th percentile of the runs that `time_ms` is the median of."""
    if not _only_fastest_count(session, discipline):
        return session.p5_ms, session.p95_ms
    low, high = (percentile(session.samples_ms, FASTEST * percent) for percent in (5, 95))
    return low, high


def _only_fastest_count(session: Session, discipline: Discipline) -> bool:
    """If a device does not report single runs, all of them count, even on a shared machine."""
    return discipline.shared and bool(session.samples_ms)


def scale(timed: Timed, discipline: Discipline, normal_ms: float | None) -> float:
    """The factor that scales a session's times to its device's normal speed; 1 except on a shared machine."""
    if not discipline.shared or not timed.references_ms or not normal_ms:
        return 1.0
    return normal_ms / min(timed.references_ms)


def choose(timed: Sequence[Timed], discipline: Discipline, normal_ms: float | None) -> tuple[list[int], str]:
    """The indices of the sessions to keep, and why they cannot be trusted ('' if they can)."""
    objections = [_objection(one, discipline, normal_ms) for one in timed]
    counting = [index for index, objection in enumerate(objections) if not objection]
    keep = discipline.keep
    enough = len(counting) >= keep
    times = [time_ms(one.session, discipline) * scale(one, discipline, normal_ms) for one in timed]
    ordered = sorted(counting if enough else range(len(timed)), key=times.__getitem__)
    groups = [ordered[first : first + keep] for first in range(len(ordered) - keep + 1)]
    if discipline.shared:
        groups = [groups[(len(groups) - 1) // 2]]
    if not enough:
        return sorted(groups[0]), next(objection for objection in reversed(objections) if objection)
    differences = [max(times[n] for n in group) / min(times[n] for n in group) - 1 for group in groups]
    for group, difference in zip(groups, differences, strict=True):
        if difference <= discipline.max_difference:
            return sorted(group), ""
    return sorted(groups[0]), f"sessions differ by {min(differences):.1%} (limit {discipline.max_difference:.1%})"


def drift(references_ms: Sequence[float], normal_ms: float | None) -> float:
    """How much slower than normal the slowest reference is, a fraction; below 0 if faster, 0 without a reference."""
    return max(references_ms) / normal_ms - 1 if references_ms and normal_ms else 0.0


def too_warm(conditions: Conditions, cooling: Cooling) -> bool:
    hot = cooling.max_temperature_c is not None and (conditions.temperature_c or 0.0) > cooling.max_temperature_c
    return hot or _throttles(conditions, cooling)


def _objection(timed: Timed, discipline: Discipline, normal_ms: float | None) -> str:
    """Why a session does not count, '' if it does."""
    slower = drift(timed.references_ms, normal_ms)
    before, after = timed.session.before, timed.session.after
    if too_warm(before, discipline.cooling):
        return f"the device stayed too warm ({_warmth(before)})"
    if _throttles(after, discipline.cooling):
        return f"the device began to throttle ({_warmth(after)})"
    if slower > discipline.max_drift:
        return f"the reference model was {slower:.1%} slower than before (limit {discipline.max_drift:.1%})"
    if discipline.shared and timed.references_ms:
        difference, limit = max(timed.references_ms) / min(timed.references_ms) - 1, discipline.max_difference
        if difference > limit:
            return f"the references beside a session differ by {difference:.1%} (limit {limit:.1%})"
    if timed.session.spread > discipline.max_spread:
        return f"the runs of a session spread by {timed.session.spread:.1%} (limit {discipline.max_spread:.1%})"
    return ""


def _throttles(conditions: Conditions, cooling: Cooling) -> bool:
    return (conditions.thermal_status or 0) > cooling.max_thermal_status


def _warmth(conditions: Conditions) -> str:
    parts = []
    if conditions.temperature_c is not None:
        parts.append(f"{conditions.temperature_c:.0f} °C")
    if conditions.thermal_status is not None:
        parts.append(f"thermal status {conditions.thermal_status}")
    return ", ".join(parts)
