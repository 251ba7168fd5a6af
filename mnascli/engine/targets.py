"""Latency targets, and published networks scaled to a latency."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from mnascli.devices.device import ModelError
from mnascli.devices.measuring import Latency
from mnascli.engine.benches.bench import Bench
from mnascli.errors import MnasError, UsageError
from mnascli.space import Architecture, Space, lower
from mnascli.space.factorized import PLAIN

AT_ONCE = 3
WIDTHS = [round(0.1 + 0.05 * step, 2) for step in range(39)]  # 0.1 to 2.0
WIDER = [round(2.1 + 0.1 * step, 1) for step in range(20)]  # to 4.0, for plain skeletons: they begin small


def of_model(result: Latency | ModelError, name: str) -> Latency:
    """A latency. Raises MnasError naming the model that could not be measured."""
    if isinstance(result, ModelError):
        raise MnasError(f"{name} cannot be measured: {result}")
    return result


def median_ms(result: Latency | ModelError, name: str) -> float:
    """The median of a latency. Raises MnasError naming the model that could not be measured."""
    return of_model(result, name).median_ms


def targets_by_device(target_ms: float | dict[str, float], benches: Sequence[Bench]) -> dict[str, float]:
    """One target for each bench, by its name. Raises UsageError if the given names do not match.

    A bench can be named by its own name, its profile's, and any name of any device in it.
    """
    if not isinstance(target_ms, dict):
        return {bench.name: target_ms for bench in benches}
    targets: dict[str, float] = {}
    for name, value in target_ms.items():
        meant = [bench.name for bench in benches if name == bench.name] or [
            bench.name for bench in benches if name in _other_names(bench)
        ]
        if len(meant) != 1 or meant[0] in targets:
            break
        targets[meant[0]] = value
    if len(targets) != len(benches) or len(targets) != len(target_ms):
        there = ", ".join(bench.name for bench in benches)
        raise UsageError(
            f"targets were given for {', '.join(target_ms)}, but the devices are {there}: "
            "give one number for all, or one for each of these"
        )
    return {bench.name: targets[bench.name] for bench in benches}


def _other_names(bench: Bench) -> set[str]:
    of_members = [{one.asked, one.device.name, one.device.serial} for one in bench.pool.members]
    return {bench.pool.profile.name}.union(*of_members)


def scale_to_latency(bench: Bench, space: Space, model: str, target_ms: float) -> tuple[float, Architecture]:
    """The depth multiplier at which a zoo model, on the space's skeleton, comes closest to a latency; and that network.

    Some of the multipliers of `WIDTHS` that give different networks are measured together, then some between the two
    around the latency, until these are neighbours. If the narrowest is too slow, it is the closest.
    """
    widths = WIDTHS + WIDER if model.startswith(PLAIN) else WIDTHS
    candidates = _different(lambda width: space.baseline(model, width), widths)
    measured: dict[int, float] = {}
    low, high = 0, len(candidates) - 1
    while True:
        step = max(1, (high - low + AT_ONCE - 2) // (AT_ONCE - 1))
        wanted = [index for index in {*range(low, high, step), high} if index not in measured]
        if not wanted:
            break
        results = bench.measure([candidates[index][1] for index in wanted])
        for n, result in zip(wanted, results, strict=True):
            # One that the device cannot run, or not in time, counts as slower than any target; the narrowest must run.
            too_large = isinstance(result, ModelError) and n > 0
            measured[n] = math.inf if too_large else median_ms(result, f"{model} x{candidates[n][0]:g}")
        if measured[0] > target_ms:
            break
        low = max(n for n in measured if measured[n] <= target_ms)
        high = min((n for n in measured if n > low), default=low)
    return candidates[min(measured, key=lambda index: abs(measured[index] - target_ms))]


def _different(make: Callable[[float], Architecture], widths: Sequence[float]) -> list[tuple[float, Architecture]]:
    """One width for each different network: rounding the filters makes many widths the same."""
    networks = {lower(architecture): (width, architecture) for width in widths for architecture in [make(width)]}
    return list(networks.values())
