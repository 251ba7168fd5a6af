"""Latency targets, and published networks brought to one."""

from __future__ import annotations

from collections.abc import Callable

from mnascli.devices.device import ModelError
from mnascli.devices.measuring import Latency
from mnascli.engine.bench import Bench
from mnascli.errors import MnasError, UsageError
from mnascli.space import Architecture, Space, load, lower

WIDTHS = [round(0.1 + 0.05 * step, 2) for step in range(39)]  # 0.1 to 2.0


def median_ms(result: Latency | ModelError, name: str) -> float:
    """The median of a latency. Raises MnasError naming the model that could not be measured."""
    if isinstance(result, ModelError):
        raise MnasError(f"{name} cannot be measured: {result}")
    return result.median_ms


def targets_by_device(target_ms: float | dict[str, float], devices: list[str]) -> dict[str, float]:
    """One target for each device. Raises UsageError where the names do not match."""
    if not isinstance(target_ms, dict):
        return dict.fromkeys(devices, target_ms)
    if set(target_ms) != set(devices):
        raise UsageError(
            f"target_ms is for {sorted(target_ms)}, the devices are {sorted(devices)}: name each device once"
        )
    return {device: target_ms[device] for device in devices}


def scale_to_latency(bench: Bench, space: Space, model: str, target_ms: float) -> tuple[float, Architecture]:
    """The depth multiplier at which a zoo model, on the space's skeleton, comes closest to a latency; and that network.

    Bisects over the multipliers of `WIDTHS` that give different networks: half a dozen measurements.
    """
    candidates = _different(lambda width: space.adapt(load(model).on(width=width)))
    measured: dict[int, float] = {}

    def latency_ms(index: int) -> float:
        if index not in measured:
            width, architecture = candidates[index]
            measured[index] = median_ms(bench.measure([architecture])[0], f"{model} x{width:g}")
        return measured[index]

    low, high = 0, len(candidates) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if latency_ms(middle) < target_ms else (low, middle)
    best = min((low, high), key=lambda index: abs(latency_ms(index) - target_ms))
    return candidates[best]


def _different(make: Callable[[float], Architecture]) -> list[tuple[float, Architecture]]:
    """One width for each different network: rounding the filters makes many widths the same."""
    networks = {lower(architecture): (width, architecture) for width in WIDTHS for architecture in [make(width)]}
    return list(networks.values())
