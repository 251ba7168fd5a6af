"""What a search will do, reported before it starts: the first lines of `mnas search` and of its `--dry-run`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from mnascli.data import Dataset
from mnascli.data.dataset import PARTS
from mnascli.engine.benches.bench import Bench
from mnascli.engine.children.factory import at_once
from mnascli.engine.config import Config, data_of
from mnascli.engine.rungs import places_of
from mnascli.engine.targets import targets_by_device
from mnascli.space import Space
from mnascli.words import duration, listed

NAMED = 5  # classes; the others are counted
TOO_LONG_S = 24 * 3600.0  # searches longer than this get a warning
SHORTER = (
    "fewer --trials, a smaller space: input: size in a --config file, `evaluator: supernet`, --template quick, "
    "or a machine with a GPU"
)


def facts(
    config: Config, dataset: Dataset, space: Space, benches: Sequence[Bench], *, exact: bool = True
) -> dict[str, Any]:
    """What is known before the first trial, JSON-ready; `lines` has it in words.

    `exact` is False if the pictures were not looked at. Raises UsageError for targets that fit no device.
    """
    final, supernet = config.final, config.supernet
    shared = config.evaluator == "supernet"
    return {
        "data": dataset.name,
        "source": data_of(config),
        "images": {part: len(getattr(dataset, part).labels) for part in PARTS},
        "exact": exact,
        "skipped": len(dataset.skipped),
        "classes": len(dataset.classes),
        "class_names": list(dataset.classes),
        "input": {"size": dataset.size, "channels": dataset.channels},
        "blocks": len(space.config.blocks),
        "networks": space.size,
        "devices": {bench.name: len(bench.pool.members) for bench in benches},
        "target_ms": None if config.target_ms is None else targets_by_device(config.target_ms, benches),
        "target_from": None if config.target_ms is not None else config.target_from.model_dump(),
        "searcher": config.searcher.name,
        "evaluator": config.evaluator,
        "trials": config.trials,
        "proxy_epochs": None if shared else config.proxy.epochs,
        "rungs": [{"epochs": one.epochs, "trials_a_batch": places_of(one, config.batch)} for one in config.rungs],
        "supernet_epochs": supernet.recipe.epochs if shared and supernet.weights is None else None,
        "trainings at once": at_once(config),
        "finalists": final.finalists,
        "final_epochs": final.recipe.epochs,
        "seeds": final.seeds,
        "compare": list(final.compare),
        "export": final.export,
        "validate_proxy": final.validate_proxy,
        "long trainings after it": final.finalists + final.seeds * (1 + len(final.compare)) - 1,
    }


def lines(known: Mapping[str, Any]) -> list[tuple[str, str]]:
    """`facts`, and the times of an estimate if they are there, as (what, in words)."""
    said = [
        ("data", _data(known)),
        ("pictures", _pictures(known)),
        ("input", _input(known["input"])),
        ("space", f"{known['blocks']} blocks, {_large(known['networks'])} networks"),
        ("device", ", ".join(_device(*one) for one in known["devices"].items())),
        ("target", _target(known)),
        ("budget", _budget(known)),
        ("at the end", _end(known)),
    ]
    if "total_minutes" in known:
        said.append(("time", _time(known)))
    return said


def too_long(total_s: float) -> str | None:
    """A warning if a search would take days, None if it would not."""
    if total_s <= TOO_LONG_S:
        return None
    return f"the search would take about {duration(total_s)}: too long for this machine; {SHORTER} would shorten it"


def _data(known: Mapping[str, Any]) -> str:
    names = known["class_names"]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    source = "" if known["source"] == known["data"] else f" ({known['source']})"
    return f"{known['data']}{source}, {known['classes']} classes: {', '.join(names[:NAMED])}{more}"


def _pictures(known: Mapping[str, Any]) -> str:
    counts = ", ".join(f"{count:,} {part}" for part, count in known["images"].items())
    skipped = f"; {known['skipped']:,} unreadable ones omitted" if known["skipped"] else ""
    return f"{'' if known['exact'] else 'about '}{counts}{skipped}"


def _input(given: Mapping[str, int]) -> str:
    colours = {1: "grey (1 channel)", 3: "colour (3 channels)"}.get(given["channels"], f"{given['channels']} channels")
    return f"{given['size']} x {given['size']} pixels, {colours}"


def _large(number: int) -> str:
    """A number of any size: '432', '4.3 x 10^17'."""
    if number < 1_000_000:
        return f"{number:,}"
    digits = len(_text(number)) - 1
    return f"{number // 10 ** (digits - 1) / 10:.1f} x 10^{digits}"


def _text(number: int) -> str:
    """The digits of a number; by default Python refuses to give those of very large ones."""
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        return str(number)
    finally:
        sys.set_int_max_str_digits(limit)


def _device(name: str, members: int) -> str:
    return f"{name} (this machine)" if name == "host" else name if members == 1 else f"{name} ({members} of them)"


def _target(known: Mapping[str, Any]) -> str:
    if known["target_ms"] is not None:
        return ", ".join(f"{ms:g} ms on {device}" for device, ms in known["target_ms"].items())
    reference = known["target_from"]
    return f"the latency of {reference['model']} x{reference['width']:g}, which is measured first"


def _budget(known: Mapping[str, Any]) -> str:
    trials = f"{_many(known['trials'], 'trial')} ({known['searcher']})"
    if known["evaluator"] == "training":
        each = f"each trained for {_many(known['proxy_epochs'], 'epoch')}"
        further = "".join(
            f", the best {rung['trials_a_batch']} of each batch for {_many(rung['epochs'], 'epoch')}"
            for rung in known["rungs"]
        )
        return f"{trials}, {each}{further}, {known['trainings at once']} at once"
    epochs = known["supernet_epochs"]
    before = f"one supernet trained for {_many(epochs, 'epoch')}" if epochs is not None else "an existing supernet"
    return f"{before}; {trials} evaluated by their share"


def _end(known: Mapping[str, Any]) -> str:
    final = f"the best {known['finalists']} trained for {_many(known['final_epochs'], 'epoch')}"
    if known["finalists"] == 1:
        final = f"the best one trained for {_many(known['final_epochs'], 'epoch')}"
    parts = [final]
    times = f", {known['seeds']} times each" if known["seeds"] > 1 else ""
    if known["compare"]:
        parts.append(f"the winner beside {listed(known['compare'])} at its latency{times}")
    elif times:
        parts.append(f"the winner {known['seeds']} times")
    if known["export"]:
        parts.append("its .tflite measured again")
    if known["validate_proxy"]:
        parts.append(f"{known['validate_proxy']} trials trained in full with two seeds to check the short training")
    return "; ".join(parts)


def _time(known: Mapping[str, Any]) -> str:
    search_s, total_s = 60 * known["search_minutes"], 60 * known["total_minutes"]
    before = known["seconds to prepare the pictures"]
    prepared = f"{duration(before)} for preparing the pictures, " if before >= 1 else ""
    parts = f"{prepared}{duration(search_s - before)} for the search, {duration(total_s - search_s)} after it"
    return f"about {duration(total_s)} on this machine: {parts}"


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
