"""Found networks against families of others: leads at equal latency with intervals, speed at no less accuracy.

What by_hand.py and colour.py have in common. A family is a published network or a plain skeleton at several widths and
input sizes; its front are those of its members that no faster one is as accurate as.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mnascli import nets
from mnascli.data import Dataset
from mnascli.space import Architecture
from mnascli.training.lead import paired_lead
from mnascli.training.loop import train
from mnascli.training.recipe import Recipe
from mnascli.training.scoring import evaluate, predict_logits

SLACK = 1.03  # of a latency, for the measurement: as fast as


Right = npt.NDArray[np.bool_]  # which pictures


@dataclass(frozen=True)
class Network:
    """A trained and measured network; `right` (seeds, images) says which test pictures it gets right."""

    name: str
    latency_ms: float
    right: Right

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())

    def row(self) -> str:
        spread = f" ± {self.right.mean(1).std(ddof=1):.3f}" if len(self.right) > 1 else ""
        return f"{self.name} | {self.latency_ms:.4f} | {self.accuracy:.4f}{spread}"


Families = Mapping[str, Sequence[Network]]


def train_once(network: Architecture, data: Dataset, recipe: Recipe, seed: int) -> dict[str, str]:
    """Train a network in full; the selection and test accuracy, which test pictures are right, seconds of processor."""
    began = time.process_time()
    built = nets.build(network, seed)
    train(built, data, recipe, seed=seed, threads=1)
    right = predict_logits(built, data.test.images, data).argmax(1) == data.test.labels
    return {
        "selection": f"{evaluate(built, data.selection, data).top1:.5f}",
        "test": f"{right.mean():.5f}",
        "right": pack(right),
        "cpu_s": f"{time.process_time() - began:.1f}",
    }


def pack(right: Right) -> str:
    """Which pictures are right, as text."""
    return np.packbits(right).tobytes().hex()


def unpack(text: str, images: int) -> Right:
    return np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8))[:images].astype(bool)


def front(networks: Sequence[Network]) -> list[Network]:
    """Those that no faster one is as accurate as, the fastest first."""
    best: list[Network] = []
    for network in sorted(networks, key=lambda one: one.latency_ms):
        if not best or network.accuracy > best[-1].accuracy:
            best.append(network)
    return best


def show(found: Sequence[Network], families: Families) -> None:
    """Print all networks, then found against each family in both ways."""
    print("| network | latency ms | test accuracy |\n|---|---|---|")
    for family in (found, *families.values()):
        print("\n".join(f"| {one.row()} |" for one in sorted(family, key=lambda one: one.latency_ms)))
    show_leads(found, families)
    show_speeds(found, families)


def show_leads(found: Sequence[Network], families: Families) -> None:
    print("\nAt equal latency: against the most accurate of a family that is no slower (3 % for the measurement).\n")
    print("| found | ms | against | ms | lead in points, 95 % |\n|---|---|---|---|---|")
    for one in found:
        for name, family in families.items():
            as_fast = [other for other in family if other.latency_ms <= SLACK * one.latency_ms]
            if not as_fast:
                print(f"| {one.name} | {one.latency_ms:.4f} | {name}: none as fast | | |")
                continue
            other = max(as_fast, key=lambda network: network.accuracy)
            # Found by several searches, it has as many trainings of each seed; the others have one.
            lead = paired_lead(one.right, other.right[np.arange(len(one.right)) % len(other.right)])
            interval = f"{lead.points:+.1f} [{lead.interval[0]:+.1f}, {lead.interval[1]:+.1f}]"
            print(f"| {one.name} | {one.latency_ms:.4f} | {other.name} | {other.latency_ms:.4f} | {interval} |")


def show_speeds(found: Sequence[Network], families: Families) -> None:
    print("\nSpeed at no less accuracy: a family's own front, each against the fastest found no less accurate.\n")
    print("| of the front | ms | accuracy | found | ms | times as fast |\n|---|---|---|---|---|---|")
    fastest_first = sorted(found, key=lambda one: one.latency_ms)
    for family in families.values():
        for other in front(family):
            best = next((one for one in fastest_first if one.accuracy >= other.accuracy), None)
            against = (
                f"{best.name} | {best.latency_ms:.4f} | {other.latency_ms / best.latency_ms:.2f}" if best else "| |"
            )
            print(f"| {other.name} | {other.latency_ms:.4f} | {other.accuracy:.4f} | {against} |")
