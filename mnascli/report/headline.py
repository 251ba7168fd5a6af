"""What a run found, on which device, against what: the few numbers that a report begins with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mnascli.report.content import Content
from mnascli.report.words import amount, ms, number, points, share
from mnascli.runs import mark


@dataclass(frozen=True)
class Card:
    """One number with its name and what it means; `good` says whether it is good or bad news, None: neither."""

    name: str
    value: str
    note: str
    good: bool | None = None


def headline(content: Content) -> tuple[str, list[Card]]:
    """One sentence, and the numbers behind it."""
    state, winner = content.state, content.winner()
    if winner is None:
        failed = f", {len(state.failed())} failed" if state.failed() else ""
        return f"No trial has given a result yet ({len(state.trials)} asked for{failed}).", []
    rows = content.compared()
    own = next((row for row in rows if row["trial"] == winner.trial), None)
    cards = [_accuracy(winner.accuracy, own)]
    cards += [_latency(content, device, winner.latency_ms.get(device)) for device in content.devices]
    if own is not None:
        cards.append(Card("parameters", amount(own["parameters"]), f"{amount(own['multiply_adds'])} multiply-adds"))
        leads, others = state.lead or {}, [row for row in rows if row is not own and row["test_mean"] is not None]
        cards += [_against(own, row, leads.get(row["model"])) for row in others]
    if state.export is not None:
        difference = state.export["max_abs_difference"]
        note = f"{state.export['file']}; differs from the network by at most {difference:.1g}"
        cards.append(Card("exported file", f"{number(state.export['size_mb'])} MB", note))
    sofar = "" if content.condition == "finished" else " so far"
    return (
        f"Trial {winner.trial} of {len(state.trials)} is the best{sofar}: {_meets(content, winner.latency_ms)}.",
        cards,
    )


def measured_ms(content: Content, device: str, searched_ms: float | None) -> tuple[float | None, str, str | None]:
    """The winner's latest latency on a device, when it was measured (as a file, beside others), and its verdict."""
    state, winner = content.state, content.winner()
    if state.export is not None and device in state.export["latency_ms"]:
        verdict = state.export.get("verdict", {}).get(device)
        return state.export["latency_ms"][device], "the exported file, measured again", verdict
    for row in state.compared.values():
        if winner is not None and row["trial"] == winner.trial and device in row["latency_ms"]:
            verdict = row.get("verdict", {}).get(device)
            return row["latency_ms"][device], "measured beside the networks compared", verdict
    is_stored = winner is not None and device in winner.stored
    when = "measured before the search, from the store" if is_stored else "measured in the search"
    return searched_ms, when, winner.verdict.get(device) if winner is not None else None


def tolerance(content: Content) -> float:
    """The fraction above the target that the run allows its exported file."""
    final = content.config.get("final")
    value = final.get("tolerance") if isinstance(final, dict) else None
    return float(value) if isinstance(value, int | float) else 0.0


def _meets(content: Content, searched_ms: dict[str, float]) -> str:
    targets = content.state.targets_ms
    measured = {device: measured_ms(content, device, searched_ms.get(device))[0] for device in targets}
    missed = [
        device
        for device, target in targets.items()
        if (value := measured[device]) is None or value > target * (1 + tolerance(content))
    ]
    if not targets:
        return "no target was set"
    return f"it misses the target on {', '.join(missed)}" if missed else f"it meets the target on {', '.join(targets)}"


def _accuracy(searched: float | None, own: dict[str, Any] | None) -> Card:
    if own is not None and own["test_mean"] is not None:
        spread = f" ± {points(own['test_spread'])}" if own["test_spread"] is not None else ""
        return Card("test accuracy", f"{share(own['test_mean'])}{spread}", f"trained in full, {own['seeds']} seed(s)")
    return Card("accuracy", share(searched), "validation, after the short training of the search")


def _latency(content: Content, device: str, searched_ms: float | None) -> Card:
    value, when, verdict = measured_ms(content, device, searched_ms)
    when += f"; {verdict}" if mark(verdict) else ""
    target = content.state.targets_ms.get(device)
    if target is None or value is None:
        return Card(f"latency on {device}", mark(verdict) + ms(value), when)
    good = value <= target * (1 + tolerance(content))
    return Card(
        f"latency on {device}",
        mark(verdict) + ms(value),
        f"target {ms(target)} ({value / target:.0%} of it); {when}",
        good,
    )


def _against(own: dict[str, Any], row: dict[str, Any], lead: dict[str, Any] | None) -> Card:
    difference = own["test_mean"] - row["test_mean"]
    latency = ", ".join(f"{ms(value)} on {device}" for device, value in row["latency_ms"].items())
    note = f"points of test accuracy ({share(row['test_mean'])} at {latency})"
    if lead is None:
        return Card(f"against {row['model']}", f"{100 * difference:+.1f}", note, difference > 0)
    low, high = lead["interval"]
    note += f"; 95 % interval, paired over pictures and seeds: {low:+.1f} to {high:+.1f}"
    # Neither good nor bad where the interval holds 0.
    return Card(f"against {row['model']}", f"{lead['points']:+.1f}", note, None if low <= 0 <= high else low > 0)
