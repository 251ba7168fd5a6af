"""Measuring models side by side: all in one batch, so that a slow minute affects all of them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mnascli.devices.backends import backend
from mnascli.devices.device import Device, ModelError, read_model
from mnascli.devices.measuring import Latency
from mnascli.devices.pool import News
from mnascli.engine.benches.bench import open_benches
from mnascli.engine.models.find import find_model
from mnascli.errors import MnasError, NoDeviceError, UsageError
from mnascli.tflite.metadata import known_size
from mnascli.tflite.shapes import input_shapes, with_fixed_shapes


def benchmark(
    models: Sequence[str],
    devices: Sequence[str],
    runs: Path,
    *,
    width: float | None = None,
    size: int | None = None,
    classes: int | None = None,
    on_news: Callable[[News], None] = lambda news: None,
    doing: Callable[[str], None] = lambda text: None,
    say: Callable[[str], None] = lambda line: None,
) -> list[dict[str, Any]]:
    """Latencies of models (or .tflite files) on each device, measured now. Raises NoDeviceError, UsageError, MnasError.

    Width and classes apply to models; size also to files that leave the size of their pictures open, and is refused for
    other files. Models are measured in the precision of the device's profile, files as they are. `on_news` hears of
    devices that disappear, are waited for and come back, `doing` what is being done, `say` of files that take several
    pictures.
    """
    results = []
    given = [model for model in models if model.endswith(".tflite")]
    if len(given) == len(models) and (width is not None or classes is not None):
        raise UsageError(f"{given[0]}: --width and --classes are for models: a .tflite file has its own")
    with tempfile.TemporaryDirectory(prefix="mnas") as folder:
        architectures = {
            model: find_model(model, runs).architecture.on(width=width, size=size, classes=classes)
            for model in models
            if not model.endswith(".tflite")
        }
        fixed = {}
        for index, model in enumerate(given):
            path = Path(model)
            place = Path(folder) / f"given-{index}.tflite"
            fixed[model] = with_fixed_shapes(path, place, known_size(path, size))
            if (pictures := _pictures(fixed[model])) > 1:
                say(f"{model}: takes {pictures} pictures at once: its latency is for all of them")
        for bench in open_benches(devices):
            bench.on_news, bench.pool.tell = on_news, doing
            try:
                files = [
                    bench.write(architectures[model], Path(folder) / f"{index}.tflite")
                    if model in architectures
                    else fixed[model]
                    for index, model in enumerate(models)
                ]
                for member in bench.pool.members:
                    _require_room(member.device, files)
                measured = bench.measure_files(files)
            finally:
                bench.close()
            for model, latency in zip(models, measured, strict=True):
                if isinstance(latency, ModelError):
                    raise MnasError(f"{model} cannot be measured on {bench.name}: {latency}")
                results.append({"model": model, "device": bench.name, **_values(latency)})
    return results


def _pictures(file: Path) -> int:
    """How many pictures a file takes at once; 1 for one that takes none."""
    shapes = list(input_shapes(file).values())
    return (shapes[0][0] or 1) if len(shapes) == 1 and len(shapes[0]) == 4 else 1


def _require_room(device: Device, files: Sequence[Path]) -> None:
    """Raises NoDeviceError for a model too large for a phone; a search would wait until there is room."""
    if not backend(device.kind).limited_room:
        return
    needed_mb = max(len(read_model(file)[0]) for file in files) / 2**20
    free_mb = device.probe().free_mb
    if free_mb is not None and needed_mb > free_mb:
        raise NoDeviceError(f"{device.name}: {needed_mb:.1f} MB do not fit, {free_mb:.1f} MB are free: free some")


def _values(latency: Latency) -> dict[str, Any]:
    """What is reported of a latency; `before` and `after` are the conditions around all the sessions that count."""
    keys = ("median_ms", "p5_ms", "p95_ms", "runs", "verdict", "problem", "model_sha256", "fingerprint")
    return {
        **{key: getattr(latency, key) for key in keys},
        "sessions": len(latency.sessions),
        "note": latency.sessions[0].note,
        "setup": latency.setup.to_json(),
        "before": latency.sessions[0].before.to_json(),
        "after": latency.sessions[-1].after.to_json(),
    }
