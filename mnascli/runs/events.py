"""What a run's log may contain: every kind of event with its keys, as data.

`docs/events.md` is generated from it, the tests check every event that is written against it, and readers tell by it
which kinds are from a newer mnas. The meaning of a key never changes; one that older logs lack, or that not every event
has, is marked as optional. Times are seconds since 1970, accuracies fractions, latencies milliseconds by device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ALWAYS = ("v", "time", "event")  # the keys of every event: the version of the log, when the event was written, its kind


@dataclass(frozen=True)
class EventKind:
    """A kind of event: what it means, its keys, and the keys that it may have."""

    about: str
    keys: Mapping[str, str] = field(default_factory=dict)
    optional: Mapping[str, str] = field(default_factory=dict)
    of_trial: bool = False
    """Whether it changes one trial."""


_TRIAL = {"trial": "its number, from 0"}
_DEVICE = {"device": "the name of its latencies: that of one device, or of a pool of devices of one kind"}
_STORED = {"stored": "by device: when a latency taken from the store was measured"}
_BY_DEVICE = {"latency_ms": "by device", "verdict": "by device: stable, unstable"}
_LONG = {
    "model": "`trial-17`, or a baseline's name",
    "architecture": "as a string",
    "trial": "null for a baseline",
    "seed": "of the training",
}


def _of_trial(
    about: str, keys: Mapping[str, str] | None = None, optional: Mapping[str, str] | None = None
) -> EventKind:
    return EventKind(about, {**_TRIAL, **(keys or {})}, optional or {}, of_trial=True)


EVENTS: dict[str, EventKind] = {
    "run_started": EventKind("the run began; config.yaml and meta.json hold the rest"),
    "run_resumed": EventKind("the run was resumed", optional={"trials": "how many it should reach"}),
    "run_stopped": EventKind("the run gave up; it can be resumed", {"reason": "why, and what to do"}),
    "run_finished": EventKind("all phases are done"),
    "phase": EventKind(
        "a phase begins", {"phase": "target, sweep, supernet, search, finalists, compare, export or validate"}
    ),
    "warned": EventKind("something the user should know that does not stop the run", {"message": "in one line"}),
    "devices_opened": EventKind(
        "the devices to measure on",
        {"devices": "a list of device, profile, name, serial, asked (how the user named it)"},
    ),
    "device_lost": EventKind("it disappeared, and is waited for", {**_DEVICE, "serial": "which one", "reason": "why"}),
    "device_back": EventKind("it is back", {**_DEVICE, "serial": "which one"}),
    "device_set_aside": EventKind(
        "it is excluded and no longer used", {**_DEVICE, "serial": "which one", "reason": "why"}
    ),
    "measuring_paused": EventKind("none of its devices is left", {**_DEVICE, "reason": "why"}),
    "measuring_resumed": EventKind("one of its devices is back", _DEVICE),
    "reference_measured": EventKind(
        "the model that sets the target was measured",
        {"model": "its name and width", "architecture": "as a string", **_BY_DEVICE},
        _STORED,
    ),
    "target_set": EventKind(
        "the targets of the search",
        {"target_ms": "by device", "why": "where they come from"},
        {"objective": "soft, hard or absolute"},
    ),
    "sweep_tried": EventKind(
        "a plain skeleton was trained with a learning rate, to find the best one",
        {
            "number": "of the training, from 0",
            "skeleton": "plain-sep and the like",
            "learning_rate": "for 256 images a step",
            "batch_norm_momentum": "share that each step renews",
            "accuracy": "on the validation part, null if it failed",
            "reason": "why it failed, or empty",
        },
    ),
    "swept": EventKind(
        "the sweep chose what all trainings use",
        {"learning_rate": "for 256 images a step", "batch_norm_momentum": "share that each step renews"},
    ),
    "latency_modelled": EventKind(
        "a latency model was fitted",
        {
            **_DEVICE,
            "file": "relative to the run",
            "median": "error, a fraction",
            "worst": "error, a fraction",
            "tau": "Kendall's, of predicted and measured order",
            "candidates": "how many were measured for it",
        },
    ),
    "supernet_epoch": EventKind(
        "the supernet was trained for one more epoch",
        {"epoch": "from 1", "loss": "mean over the epoch", "seconds": "since this process began the training"},
    ),
    "supernet_trained": EventKind("the supernet is ready", {"file": "relative to the run", "epochs": "in total"}),
    "asked": EventKind(
        "the searcher proposed a batch, after its state was saved",
        {
            "step": "number of the batch, from 0",
            "searcher": "file of its state, relative to the run",
            "trials": "a list of trial, architecture, network (the same for the same layers; not in older logs)",
        },
    ),
    "learned": EventKind(
        "what the searcher would draw now", {"step": "number of the batch", "probabilities": "by decision and choice"}
    ),
    "started": _of_trial("a child trains it", {"worker": "number of the child's place"}),
    "measured": _of_trial(
        "it has a latency on a device",
        {
            **_DEVICE,
            "latency_ms": "median of the runs that count",
            "p5_ms": "of the same runs",
            "p95_ms": "of the same runs",
            "verdict": "stable or unstable",
        },
        {
            "serial": "of the device that ran it",
            "reference_ms": "of the reference model measured beside it, null without one",
            "source": "device, or store if it was measured earlier",
            "measured_at": "when a latency from the store was measured",
            "file": "of the measurement, relative to the run (logs before 2026-11-25)",
        },
    ),
    "predicted": _of_trial(
        "a latency model predicted its latency; no device has run it",
        {**_DEVICE, "latency_ms": "as predicted"},
    ),
    "trained": _of_trial(
        "its short training ended",
        {"accuracy": "on the validation part", "history": "accuracy by epoch", "seconds": "of the child"},
        {"loss": "mean over the second half of the training (not in older logs)"},
    ),
    "promoted": EventKind(
        "the best of the batch at one rung are trained on the next",
        {"step": "number of the batch", "rung": "that they go to, from 1", "trials": "their numbers"},
    ),
    "rung_trained": _of_trial(
        "its training on a rung ended",
        {
            "rung": "from 1",
            "accuracy": "on the validation part",
            "history": "accuracy by epoch",
            "loss": "mean over the second half of the training",
            "seconds": "of the child",
        },
    ),
    "rung_failed": _of_trial(
        "its training on a rung failed; what is known of it from the rungs below stands",
        {"rung": "from 1", "kind": "what failures alike have in common", "reason": "in one line"},
    ),
    "estimated": _of_trial(
        "what its accuracy on the highest rung would be, as the searcher is told",
        {"rung": "the highest that it was trained on", "accuracy": "the estimate", "reward": "for it"},
    ),
    "rungs_ranked": EventKind(
        "how well each rung ranked those that were trained on the next",
        {"rungs": "a list of rung (from 0), by (loss or accuracy), tau (Kendall's, null of less than 3), trials"},
    ),
    "done": _of_trial("it has all its results", {"reward": "that the searcher gets"}),
    "repeated": _of_trial(
        "its network was tried before, so it has the same results", {"of": "the earlier trial of this network"}
    ),
    "remeasured": _of_trial(
        "a done trial whose latency was only predicted was measured",
        {**_BY_DEVICE, "reward": "by the measured latency"},
        _STORED,
    ),
    "hopeless": _of_trial("its measured latency is too far above a target for it to be trained"),
    "failed": _of_trial(
        "it gave no result",
        {"stage": "measure or train", "kind": "the same for similar failures", "reason": "in one line"},
    ),
    "long_trained": EventKind(
        "a finalist, the winner or a baseline was trained in full",
        {
            **_LONG,
            "validation": "accuracy",
            "test": "accuracy",
            "seconds": "of the child",
            "checkpoint": "relative to the run",
        },
        {
            "selection": "accuracy on the part that chooses the winner",
            "test_top5": "accuracy",
            "test_images": "how many",
            "predictions": "file of the classes predicted on the test part, relative to the run",
        },
    ),
    "long_failed": EventKind(
        "such a training failed, and is not tried again",
        {**_LONG, "kind": "the same for similar failures", "reason": "in one line"},
    ),
    "winner_chosen": EventKind(
        "which trial won; what was compared or exported for another one no longer counts",
        {**_TRIAL, "finalists": "all trials that it was chosen from"},
    ),
    "compared": EventKind(
        "the winner or a baseline was measured, all of them side by side",
        {
            "model": "as in long_trained",
            "architecture": "as a string",
            "trial": "null for a baseline",
            "latency_ms": "by device",
            "parameters": "how many",
            "multiply_adds": "how many",
        },
        {"verdict": "by device: stable, unstable"},
    ),
    "lead_told": EventKind(
        "by how much the winner is ahead",
        {
            "baselines": "a list of model, points (accuracy of the winner minus its, in hundredths), interval ([low, "
            "high] of these, 95 %, paired over pictures and seeds), seeds, images"
        },
    ),
    "validated": EventKind(
        "whether the short training ranks as the full one does",
        {
            "candidates": "a list of trial, architecture, proxy, full (mean of the labels), labels (a list of seed, "
            "selection)",
            "tau": "Kendall's",
            "p_value": "of there being no relation at all",
            "trusted": "whether it may be relied on",
        },
        {"ceiling": "the tau between the labels", "seeds": "of the labels", "images": "of the selection part"},
    ),
    "exported": EventKind(
        "the winner's file was made, checked and measured",
        {
            **_TRIAL,
            "file": "relative to the run",
            "size_mb": "megabytes",
            "max_abs_difference": "of its outputs from the network's",
            "latency_ms": "by device",
        },
        {
            "model": "as in long_trained",
            "verdict": "by device: stable, unstable",
            "writer": "litert-torch or own",
            "quantization": "none, int8, dynamic or fp16",
            "differing_predictions": "how many of the images",
            "data": "its name",
            "data_hash": "of its content",
            "parity_images": "how many both predicted",
            "parity_top1": "accuracy of the file on them",
            "network_top1": "accuracy of the network on them",
            "test_top1": "accuracy of the file on the test part",
            "test_top1_interval": "[low, high], 95 %",
            "test_images": "how many",
            "model_card": "files beside it",
        },
    ),
}

TRIAL_EVENTS = frozenset(kind for kind, one in EVENTS.items() if one.of_trial)


def problem(event: Mapping[str, Any]) -> str | None:
    """How an event breaks the contract, in one line; None if it does not."""
    kind = EVENTS.get(event["event"])
    if kind is None:
        return f"{event['event']}: no such kind of event"
    given = event.keys() - set(ALWAYS)
    if missing := kind.keys.keys() - given:
        return f"{event['event']}: lacks {', '.join(sorted(missing))}"
    if unknown := given - kind.keys.keys() - kind.optional.keys():
        return f"{event['event']}: has the unknown {', '.join(sorted(unknown))}"
    return None
