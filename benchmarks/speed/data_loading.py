"""Images a second: the loader alone, the training alone, and both together, which should be the slower of the two.

The pictures are JPEG files of 500 x 375 pixels and about 100 kB, as in ImageNet, made here from noise and shapes; the
loader reads, decodes, crops at random, flips, and resizes them (and does RandAugment in the second table). Beside it
the plain way: a Dataset that opens a picture with Pillow, decodes all of it, and does the same with Pillow, in a
DataLoader with as many workers.

    python benchmarks/speed/data_loading.py [--images 512] [--size 96] [--workers 1 2] [--rounds 3]
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from mnascli import nets
from mnascli.data import Dataset, load
from mnascli.data.streamed import StreamedImages
from mnascli.space import load as load_model
from mnascli.training import Recipe, train
from mnascli.training.augment import rand_augment, random_box
from mnascli.training.batches import Batches

WIDE, HIGH = 500, 375
BATCH = 32
MODEL = "mnasnet-small"


def write_pictures(root: Path, count: int) -> None:
    """Two classes of pictures that take as long to decode as photographs: smooth noise with shapes on it."""
    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (47, 63, 3), np.uint8)).resize((WIDE, HIGH), Image.BICUBIC)
        fine = Image.fromarray(rng.integers(0, 256, (HIGH, WIDE, 3), np.uint8))
        picture = Image.blend(coarse, fine, 0.15)
        ImageDraw.Draw(picture).ellipse(sorted(rng.integers(0, 375, 2).tolist()) * 2, fill=(number % 256, 80, 80))
        file = root / "ab"[number % 2] / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        data = io.BytesIO()
        picture.save(data, "JPEG", quality=90)
        file.write_bytes(data.getvalue())


@dataclass
class Plain(TorchDataset[tuple[Tensor, int]]):
    """Pictures as most training scripts feed them."""

    images: StreamedImages
    recipe: Recipe

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        rng = np.random.default_rng()
        picture = Image.open(self.images.pictures.name(number)).convert("RGB")
        box = random_box(self.recipe.random_crop, rng)(*picture.size)
        picture = picture.crop(tuple(map(round, box))).resize((self.images.size, self.images.size), Image.BILINEAR)
        if rng.random() < 0.5:
            picture = picture.transpose(Image.FLIP_LEFT_RIGHT)
        if self.recipe.rand_augment:
            picture = rand_augment(picture, self.recipe.rand_augment, self.recipe.rand_augment_magnitude, rng)
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float().div(255)
        return (pixels - 0.45) / 0.22, int(self.images.pictures.labels[number])


def of_loader(dataset: Dataset, recipe: Recipe, workers: int) -> None:
    for _ in Batches(dataset.train, recipe, 0, workers=workers).epoch(0):
        pass


def of_plain_loader(dataset: Dataset, recipe: Recipe, workers: int) -> None:
    for _ in DataLoader(Plain(dataset.train.images, recipe), BATCH, shuffle=True, drop_last=True, num_workers=workers):
        pass


def of_training(dataset: Dataset, recipe: Recipe, workers: int) -> None:
    network = nets.build(load_model(MODEL, size=dataset.size, classes=2), 0)
    train(network, dataset, recipe, workers=workers, device="cpu")


def images_per_s(work: Callable[[], None], images: int) -> float:
    began = time.perf_counter()
    work()
    return images / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_pictures(root / "train", arguments.images // BATCH * BATCH + 40)
        for part in ("val", "test"):
            write_pictures(root / part, 4)
        streamed = load(str(root), size=arguments.size, channels=3, stream=True)
        in_memory = load(str(root), size=arguments.size, channels=3, stream=False)
        for title, recipe in (
            ("random resized crop, flip", Recipe(batch_size=BATCH, random_crop=0.08, flip=True)),
            ("and RandAugment", Recipe(batch_size=BATCH, random_crop=0.08, flip=True, rand_augment=2)),
        ):
            print(f"\n{title}: images/s, {torch.get_num_threads()} threads train {MODEL} at {arguments.size}")
            print(
                f"{'workers':>7} {'plain':>8} {'loader':>8} {'ratio':>6} {'training':>9} {'both':>8} {'of slower':>10}"
            )
            for workers in arguments.workers:
                report(streamed, in_memory, recipe, workers, arguments.rounds)


def report(streamed: Dataset, in_memory: Dataset, recipe: Recipe, workers: int, rounds: int) -> None:
    """One line: medians over rounds, in each of which everything runs once, so that a busy machine slows all alike."""
    without = Recipe(batch_size=BATCH, flip=True)  # all pictures decoded before
    images = len(streamed.train.labels) // BATCH * BATCH
    works: dict[str, Callable[[], None]] = {
        "plain": lambda: of_plain_loader(streamed, recipe, workers),
        "loader": lambda: of_loader(streamed, recipe, workers),
        "training": lambda: of_training(in_memory, without, 0),
        "both": lambda: of_training(streamed, recipe, workers),
    }
    speeds = [{name: images_per_s(work, images) for name, work in works.items()} for _ in range(rounds)]
    speed = {name: statistics.median(one[name] for one in speeds) for name in works}
    ratio = statistics.median(one["loader"] / one["plain"] for one in speeds)
    share = statistics.median(one["both"] / min(one["loader"], one["training"]) for one in speeds)
    print(
        f"{workers:7} {speed['plain']:8.0f} {speed['loader']:8.0f} {ratio:6.2f} {speed['training']:9.0f} "
        f"{speed['both']:8.0f} {share:10.2f}"
    )


if __name__ == "__main__":
    main()
