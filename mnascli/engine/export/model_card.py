"""A model card beside each export: what it is, how it was made, how good and how fast it is. Markdown and JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mnascli import __version__
from mnascli.data.picture import steps
from mnascli.devices.measuring import Latency
from mnascli.space import Architecture, count
from mnascli.tflite.files import replacing
from mnascli.training.checkpoint import About

STEPS = ("decoding", "crop", "channels", "resizing", "normalisation")
NO_LICENCE = "not stated: that of the training pictures may apply to the weights too"


def card_of(
    architecture: Architecture,
    about: About,
    exported: Mapping[str, Any],
    latencies: Sequence[Latency],
    licence: str,
) -> dict[str, Any]:
    """Everything on the card, JSON-ready. Accuracies are fractions, latencies milliseconds."""
    cost = count(architecture)
    return {
        "schema": 1,
        "made_by": f"mnas {__version__}",
        "architecture": str(architecture),
        "parameters": cost.parameters,
        "multiply_adds": cost.multiply_adds,
        "input": {"shape": [1, architecture.size, architecture.size, architecture.channels], **pictures(about)},
        "classes": about.classes,
        "data": {"name": about.data, "hash": about.data_hash},
        "training": about.recipe.model_dump(mode="json"),
        "licence": licence or NO_LICENCE,
        "export": dict(exported),
        "latency": [_latency(one) for one in latencies],
    }


def pictures(about: About) -> dict[str, Any]:
    """How a picture becomes the input, in words and numbers: an app that does it differently loses accuracy."""
    architecture, recipe = Architecture.parse(about.architecture), about.recipe
    crops = (
        f"random crops of {recipe.random_crop:g} of the area or more, and JPEGs decoded at 1/2, 1/4 or 1/8 where "
        "that leaves twice the size or more"
    )
    return {
        **steps(architecture.size, architecture.channels, recipe.evaluation_crop),
        "normalisation": f"(pixel / 255 - {_numbers(about.mean)}) / {_numbers(about.std)}",
        "mean": about.mean,
        "std": about.std,
        "evaluation_crop": recipe.evaluation_crop,
        "in_training": crops if recipe.random_crop else "the same, before it is augmented",
    }


def in_words(picture: Mapping[str, Any]) -> str:
    """The steps of `pictures`, in the order in which they are done."""
    return "; ".join(picture[step] for step in STEPS)


def write(card: Mapping[str, Any], file: Path) -> tuple[Path, Path]:
    """The card beside `file`, as .card.md and .card.json; with the sha256 of the file. Raises MnasError."""
    card = {**card, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    paths = file.with_suffix(".card.md"), file.with_suffix(".card.json")
    for path, text in zip(paths, (to_markdown(card), json.dumps(card, indent=2) + "\n"), strict=True):
        with replacing(path) as temporary:
            # A file name that is not UTF-8 is shown as well as possible.
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
    return paths


def to_markdown(card: Mapping[str, Any]) -> str:
    """The card for humans."""
    export, low_high = card["export"], card["export"]["test_top1_interval"]
    kind = "float32" if export["quantization"] == "none" else export["quantization"]
    steps_taken = "\n".join(f"{number}. {step}: {card['input'][step]}" for number, step in enumerate(STEPS, 1))
    integers = f"; {kind}, by the scale and zero point in the file" if kind == "int8" else ""
    training = ", ".join(f"{key} {value}" for key, value in card["training"].items() if value not in (None, 0, (), []))
    latency = [
        f"| {one['device']} | {one['median_ms']:.3f} | {one['p5_ms']:.3f} - {one['p95_ms']:.3f} | {one['verdict']} | "
        f"{one['threads']} on {one['accelerator']} | {one['os_build']} | {one['runtime']} |"
        for one in card["latency"]
    ]
    return f"""# {Path(export["file"]).name}

An image classifier for {len(card["classes"])} classes, as TFLite; made by {card["made_by"]}.

| | |
|---|---|
| sha256 | `{card["sha256"]}` |
| size | {export["size_mb"]:.2f} MB |
| arithmetic | {kind}: {export["float_operators"]} of {export["operator_count"]} operators run in float |
| written by | {export["writer"]} |
| input | `image`, {card["input"]["shape"]}: batch, height, width, channels{integers} |
| output | `logits`, one for each of the labels in the file |
| licence | {card["licence"]} |

## From a picture to the input

{steps_taken}

Accuracies here are for pictures prepared this way. In training: {card["input"]["in_training"]}.

## Accuracy

Top-1 {export["test_top1"]:.4f} on {export["test_images"]} held-out test pictures of {export["data"]}
(95 % interval {low_high[0]:.4f} to {low_high[1]:.4f}).

On {export["parity_images"]} validation pictures of it: top-1 {export["parity_top1"]:.4f}, the trained network
{export["network_top1"]:.4f}; {export["differing_predictions"]} predictions differ, largest difference of a logit
{export["max_abs_difference"]:.2g}.

## Latency

| device | median ms | p5 - p95 | verdict | threads | OS build | runtime |
|---|---|---|---|---|---|---|
{chr(10).join(latency)}

## Network

    {card["architecture"]}

{card["parameters"]:,} parameters, {card["multiply_adds"]:,} multiply-adds.

## Training

Data: {card["data"]["name"]}, hash `{card["data"]["hash"]}`.

Recipe: {training}.

Classes: {", ".join(card["classes"])}.
"""


def _latency(latency: Latency) -> dict[str, Any]:
    conditions = latency.sessions[0].before
    return {
        "device": latency.device,
        "median_ms": latency.median_ms,
        "p5_ms": latency.p5_ms,
        "p95_ms": latency.p95_ms,
        "runs": latency.runs,
        "verdict": latency.verdict,
        "problem": latency.problem,
        "threads": latency.setup.threads,
        "cores": conditions.cores,
        "accelerator": latency.setup.accelerator,
        "os_build": conditions.os_build,
        "runtime": conditions.runtime,
        "model_sha256": latency.model_sha256,
    }


def _numbers(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:.4f}" for value in values) + ")"
