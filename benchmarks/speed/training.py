"""Training images a second: mnas's loop against a plain PyTorch loop, same network, data, batch size and one thread.

The plain loop is the usual kind: a Dataset that gives one image at a time, a DataLoader that collates them, contiguous
tensors, torch's default SGD. Both train in this process, in turns, so that a busy machine slows both; what mnas sets up
for the process (denormals, malloc) speeds up both from the second round on.

    python benchmarks/speed/training.py [--rounds 5] [--images 1280]
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from mnascli import nets
from mnascli.data import Dataset, Split, load
from mnascli.space import Architecture, count
from mnascli.training import Recipe, train

NETWORKS = {
    "small": "stem_s2_c8,ds_r1_k3_s1_c8,ir_r2_k3_s2_e3_c16,ir_r2_k5_s2_e3_c32_se0.25,head_c128,net_i28_ch1_o10",
    "medium": "stem_s1_c16,ds_r1_k3_s2_c16,ir_r2_k3_s2_e3_c24,ir_r1_k5_s1_e3_c32_se0.25,head_c128,net_i28_ch1_o10",
    "large": "stem_s2_c16,ds_r1_k3_s1_c16,ir_r2_k3_s2_e3_c24,ir_r2_k5_s2_e6_c32_se0.25,head_c256,net_i28_ch1_o10",
}
RECIPE = Recipe(epochs=1, batch_size=64)


class OneByOne(TorchDataset[tuple[Tensor, int]]):
    """Images as most training scripts feed them."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset.train.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self.dataset.normalise(self.dataset.train.images[index])
        return torch.from_numpy(image.transpose(2, 0, 1)), int(self.dataset.train.labels[index])


def plain(network: torch.nn.Module, dataset: Dataset) -> None:
    """One epoch."""
    loader = DataLoader(OneByOne(dataset), batch_size=RECIPE.batch_size, shuffle=True, drop_last=True)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-5)
    network.train()
    for images, labels in loader:
        optimizer.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        optimizer.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=1280)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    whole = load("fashion-mnist-10k", size=28, channels=1)
    some = Split(*(array[: arguments.images] for array in whole.train))
    # An evaluation of two images: what is compared is training.
    dataset = replace(whole, train=some, validation=Split(*(array[:2] for array in whole.validation)))
    print(f"{'network':8} {'multiply-adds':>14} {'plain':>9} {'mnas':>9}   images/s, one thread")
    for name, text in NETWORKS.items():
        architecture = Architecture.parse(text)
        seconds: dict[str, list[float]] = {"plain": [], "mnas": []}
        for _ in range(arguments.rounds):
            for loop, times in seconds.items():
                network = nets.build(architecture, 0)
                began = time.perf_counter()
                if loop == "plain":
                    plain(network, dataset)
                else:
                    train(network, dataset, RECIPE, threads=1, device="cpu")
                times.append(time.perf_counter() - began)
        speed = {loop: arguments.images / statistics.median(times) for loop, times in seconds.items()}
        ratios = np.array(seconds["plain"]) / np.array(seconds["mnas"])
        adds = count(architecture).multiply_adds
        print(
            f"{name:8} {adds:14,} {speed['plain']:9.0f} {speed['mnas']:9.0f}   "
            f"{np.median(ratios):.2f} times as fast ({ratios.min():.2f} to {ratios.max():.2f})"
        )


if __name__ == "__main__":
    main()
