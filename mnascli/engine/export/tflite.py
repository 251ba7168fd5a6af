"""The deployable file: written, quantized if wanted, described, checked against the trained network, measured."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mnascli import paths, tflite
from mnascli.cores import usable_cores
from mnascli.data import Dataset
from mnascli.data.arrays import Floats, Images
from mnascli.data.dataset import Split
from mnascli.data.loading import is_name
from mnascli.devices.device import ModelError
from mnascli.devices.measuring import Latency
from mnascli.engine.benches.bench import Bench, open_benches
from mnascli.engine.export import model_card
from mnascli.engine.models.find import find_model
from mnascli.engine.models.pictures import fitting_data
from mnascli.errors import MnasError, UsageError
from mnascli.intervals import wilson
from mnascli.runs import read_state
from mnascli.tflite.convert import convert
from mnascli.tflite.files import replacing
from mnascli.tflite.interpreter import predict_all
from mnascli.tflite.metadata import Metadata, add_metadata
from mnascli.tflite.quantize import Quantization as QuantizationKind
from mnascli.tflite.quantize import quantize
from mnascli.tflite.reading import typed_operators
from mnascli.training.checkpoint import About, load_checkpoint
from mnascli.training.scoring import predict_logits, scores

Writer = Literal["litert-torch", "own"]
Quantization = Literal["none", "int8", "dynamic", "fp16"]
PARITY_IMAGES = 2000  # at most; a difference of 1 % is 20 of them
PARITY_LIMIT = 1e-3  # largest difference of logits that float rounding explains
SMALLEST_CALIBRATION = 32  # images; fewer do not show which values the activations take


@dataclass(frozen=True)
class Options:
    """How a file is made. `max_loss`: the loss of top-1, a fraction, above which a quantized file is not kept.

    `quantize` None: as the profile of the first device says.
    """

    writer: Writer = "litert-torch"
    quantize: Quantization | None = None
    max_loss: float = 0.02
    calibration_images: int = 200
    licence: str = ""


def export_model(
    text: str, runs: Path, data: str | None, file: Path, devices: Sequence[str], options: Options
) -> dict[str, Any]:
    """A model's .tflite, checked and measured as `export` does; for a run also its target."""
    model = find_model(text, runs)
    checkpoint = model.weights()
    network, about = load_checkpoint(checkpoint)
    dataset = fitting_data(model, data, network.architecture, about)
    benches = open_benches(devices)
    try:
        exported = export(checkpoint, file, dataset, benches, options)
    finally:
        for bench in benches:
            bench.close()
    target_ms = read_state(model.run).targets_ms if model.run else {}
    return {**exported, "architecture": str(network.architecture), "target_ms": target_ms}


def export(
    checkpoint: Path, file: Path, dataset: Dataset, benches: Sequence[Bench], options: Options = Options()
) -> dict[str, Any]:
    """A checkpoint as `file`, with its model card beside it; returns size, agreement, accuracy, latency by device.

    Everything is made and measured elsewhere first: if anything is wrong, what was at `file` is still there.

    Raises MnasError if the file's outputs differ from the network's more than rounding or `max_loss` explains, or if it
    cannot be written or measured.
    """
    network, about = load_checkpoint(checkpoint)
    kind: Quantization = options.quantize or ("int8" if benches and benches[0].precision == "int8" else "none")
    paths.check_writable(file)
    with tempfile.TemporaryDirectory(prefix="mnas") as folder:
        made = Path(folder) / "float.tflite"
        if options.writer == "own":
            tflite.write(network.architecture, made, network.state_dict())
        else:
            convert(network, network.architecture, made)
        images, labels = spread(dataset.validation, PARITY_IMAGES)
        expected = predict_logits(network, images, dataset)
        _check_float(file, expected, _predict(made, images, dataset, file))
        if kind != "none":
            made = _quantized(made, Path(folder) / "quantized.tflite", dataset, kind, options)
        made = add_metadata(made, Path(folder) / file.name, _described(about, kind, options))
        logits = _predict(made, images, dataset, file)
        top1, network_top1 = scores(logits, labels).top1, scores(expected, labels).top1
        if network_top1 - top1 > options.max_loss:
            raise MnasError(
                f"{file}: {kind} loses {network_top1 - top1:.4f} of top-1 on {len(labels)} validation images "
                f"({network_top1:.4f} to {top1:.4f}, --max-loss {options.max_loss:g}); it was not kept: try more "
                "--calibration-images, --quantize dynamic, or allow a greater loss"
            )
        test = scores(_predict(made, dataset.test.images, dataset, file), dataset.test.labels)
        latencies = [_measured(bench, made, file) for bench in benches]
        result: dict[str, Any] = {
            "file": str(file),
            "writer": options.writer,
            "quantization": kind,
            "size_mb": made.stat().st_size / 1e6,
            "max_abs_difference": float(np.abs(expected - logits).max()),
            "differing_predictions": int((expected.argmax(1) != logits.argmax(1)).sum()),
            "data": dataset.name,
            "data_hash": dataset.hash,
            "parity_images": len(labels),
            "parity_top1": top1,
            "network_top1": network_top1,
            "test_top1": test.top1,
            "test_top1_interval": wilson(test.top1, test.images),
            "test_images": test.images,
            "latency_ms": {bench.name: one.median_ms for bench, one in zip(benches, latencies, strict=True)},
            "verdict": {bench.name: one.verdict for bench, one in zip(benches, latencies, strict=True)},
            **_arithmetic(made),
        }
        card = model_card.card_of(network.architecture, about, result, latencies, options.licence)
        with replacing(file) as temporary:
            temporary.write_bytes(made.read_bytes())
        result["model_card"] = [path.name for path in model_card.write(card, file)]
    return result


def _check_float(file: Path, expected: Floats, logits: Floats) -> None:
    difference = float(np.abs(expected - logits).max())
    if not difference <= PARITY_LIMIT * max(1.0, float(np.abs(expected).max())):
        raise MnasError(
            f"{file}: the converted model differs from the trained network by up to {difference:.2g} on "
            f"{len(expected)} images (limit {PARITY_LIMIT:g}); it was not kept"
        )


def _quantized(model: Path, path: Path, dataset: Dataset, kind: QuantizationKind, options: Options) -> Path:
    if kind != "int8":
        return quantize(model, path, kind=kind)
    if min(len(dataset.train.labels), options.calibration_images) < SMALLEST_CALIBRATION:
        raise MnasError(
            f"{dataset.name}: {len(dataset.train.labels)} training images, {options.calibration_images} wanted: int8 "
            f"needs {SMALLEST_CALIBRATION} or more to see which values occur; use more, or --quantize dynamic"
        )
    images, _ = spread(dataset.train, options.calibration_images)
    return quantize(model, path, dataset.normalise(images))


def spread(split: Split, count: int) -> tuple[Images, Any]:
    """Images and labels spread over a whole part: folders are in the order of their classes."""
    chosen = np.unique(np.linspace(0, len(split.labels) - 1, min(count, len(split.labels))).astype(int))
    return split.images[chosen], split.labels[chosen]


def _predict(model: Path, images: Any, dataset: Dataset, file: Path) -> Floats:
    try:
        return predict_all(model, images, dataset.normalise, len(usable_cores()))
    except UsageError as error:  # the file is ours: the user's input is not at fault
        raise MnasError(f"{str(error).replace(str(model), str(file))}; it was not kept") from error


def _measured(bench: Bench, model: Path, file: Path) -> Latency:
    (latency,) = bench.measure_files([model])
    if isinstance(latency, ModelError):
        raise MnasError(f"{file.name} cannot be measured on {bench.name}: {latency}; it was not kept")
    return latency


def _described(about: About, kind: Quantization, options: Options) -> Metadata:
    return Metadata(
        name=f"mnas {about.data}, {'float32' if kind == 'none' else kind}",
        description=f"Trained on {about.data} ({about.data_hash}): {about.architecture}",
        labels=about.classes,
        mean=about.mean,
        std=about.std,
        licence=options.licence,
        crop=about.recipe.evaluation_crop,
        picture=f"A picture, batch, height, width, channels. {model_card.in_words(model_card.pictures(about))}",
        data=source if is_name(source := about.source or about.data) else "",
    )


def _arithmetic(model: Path) -> dict[str, Any]:
    """The operators by their types: an int8 file that partly runs in float is not what it seems."""
    counted = Counter(typed_operators(model))
    rows = [{**operator._asdict(), "count": count} for operator, count in sorted(counted.items())]
    return {
        "operators": rows,
        "operator_count": sum(counted.values()),
        "float_operators": sum(count for one, count in counted.items() if "FLOAT32" in (one.activations, one.output)),
    }
