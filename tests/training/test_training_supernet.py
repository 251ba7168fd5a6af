"""Training a supernet on data that is learnt in seconds: it learns, resumes under kill, and its children are usable."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from training_helpers import tiny_data

from mnascli.errors import UsageError
from mnascli.nets.supernet import Supernet
from mnascli.space import Architecture, Space, make_space
from mnascli.training import Recipe, TrainingError, evaluate
from mnascli.training.resume import FILE
from mnascli.training.supernet import Uniform, calibrated, load_supernet, save_supernet, train_supernet

ROOT = Path(__file__).parents[2]
RECIPE = Recipe(epochs=8, batch_size=16, learning_rate=0.8)
SHORT = RECIPE.model_copy(update={"epochs": 4})
LONG = RECIPE.model_copy(update={"epochs": 20})
SPACE = make_space(
    {
        "input": {"size": 12, "channels": 1},
        "classes": 3,
        "stem": {"filters": 8},
        "head": {"filters": 16},
        "blocks": [{"filters": 8, "layers": 1, "stride": 2}, {"filters": 12, "layers": 1}],
        "choices": {"layers": [0], "se": [0], "operator": ["sep", "mbconv2", "mbconv3"]},
    },
    "test",
)


class Learner(Uniform):
    """Remembers what it is told, and samples by how much that is: its state matters."""

    learns = True

    def __init__(self, space: Space, seed: int) -> None:
        super().__init__(space, seed)
        self.told: list[list[Any]] = []

    def sample(self, step: int) -> Architecture:
        return self.space.sample(random.Random(f"{self.seed}/{step}/{len(self.told)}"))

    def learn(self, architecture: Architecture, accuracy: float) -> None:
        self.told.append([str(architecture), accuracy])

    def state(self) -> Any:
        return self.told

    def restore(self, state: Any) -> None:
        self.told = state


def trained(recipe: Recipe = RECIPE, guide: Uniform | None = None, warmup: float = 0.0, **options: Any) -> Supernet:
    torch.manual_seed(0)
    supernet = Supernet(SPACE)
    guide = guide or Uniform(SPACE, 0)
    train_supernet(supernet, tiny_data(), recipe, guide, warmup=warmup, threads=1, device="cpu", **options)
    return supernet


def children(count: int = 6) -> list[Architecture]:
    rng = random.Random(1)
    return [SPACE.sample(rng) for _ in range(count)]


def test_children_learn_that_were_hardly_trained_themselves() -> None:
    data = tiny_data()
    supernet = trained(LONG.model_copy(update={"ema": 0.9}), warmup=0.25)
    accuracies = [evaluate(calibrated(supernet, child, data, 96), data.validation, data).top1 for child in children()]
    assert sum(accuracies) / len(accuracies) > 0.8, accuracies
    # With batch norm as it was at the start it is of no use.
    without = [evaluate(supernet.extract(child), data.validation, data).top1 for child in children()]
    assert sum(accuracies) > sum(without) + 1


def test_a_batch_larger_than_the_data_trains_as_the_largest_that_they_allow() -> None:
    asked, fitting = (trained(SHORT.model_copy(update={"batch_size": size})).state_dict() for size in (4096, 96))
    assert all(torch.equal(asked[name], fitting[name]) for name in fitting)


def test_calibrating_depends_on_the_child_alone() -> None:
    data, supernet, child = tiny_data(), trained(RECIPE.model_copy(update={"epochs": 1})), children()[0]
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    first, second = (calibrated(supernet, child, data, 96).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(torch.equal(before[name], tensor) for name, tensor in supernet.state_dict().items())


def test_the_guide_is_asked_after_the_warm_up_alone() -> None:
    guide = Learner(SPACE, 0)
    trained(RECIPE.model_copy(update={"epochs": 2}), guide, warmup=0.25)  # 12 steps
    assert len(guide.told) == 12 - 3
    assert all(0 <= accuracy <= 1 for _, accuracy in guide.told)


def test_the_warm_up_lets_go_of_the_anchor(monkeypatch: pytest.MonkeyPatch) -> None:
    trained_on: list[Architecture] = []
    forward = Supernet.forward

    def record(self: Supernet, x: torch.Tensor, architecture: Architecture) -> torch.Tensor:
        trained_on.append(architecture)
        return forward(self, x, architecture)

    monkeypatch.setattr(Supernet, "forward", record)
    supernet = trained(RECIPE.model_copy(update={"epochs": 4}), warmup=0.75)  # 24 steps
    anchor, guide = SPACE.encode(supernet.anchor()), Uniform(SPACE, 0)
    like = [sum(a == b for a, b in zip(anchor, SPACE.encode(child), strict=True)) for child in trained_on]
    assert like[0] == len(anchor)
    assert sum(like[:6]) > sum(like[12:18])
    assert trained_on[18:] == [guide.sample(step) for step in range(18, 24)]


class InterruptedTrainingError(Exception):
    pass


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adamw"])
def test_an_interrupted_training_ends_as_if_it_had_not_been(tmp_path: Path, optimizer: str) -> None:
    recipe = RECIPE.model_copy(update={"epochs": 2, "optimizer": optimizer, "learning_rate": 0.1, "ema": 0.9})
    whole = Learner(SPACE, 0)
    expected = trained(recipe, whole, warmup=0.2).state_dict()
    for stop_after in (4, 9):

        class Stopping(Learner):
            def sample(self, step: int) -> Architecture:
                if step >= stop_after:  # noqa: B023
                    raise InterruptedTrainingError
                return super().sample(step)

        with pytest.raises(InterruptedTrainingError):
            trained(recipe, Stopping(SPACE, 0), warmup=0.2, folder=tmp_path, save_every_s=0)
    guide = Learner(SPACE, 0)
    again = trained(recipe, guide, warmup=0.2, folder=tmp_path).state_dict()
    assert guide.told == whole.told
    assert all(torch.equal(again[name], expected[name]) for name in expected)


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_training_goes_on(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; sys.path[:0] = sys.argv[2:]; from pathlib import Path\n"
        "from test_training_supernet import SHORT, trained\n"
        "trained(SHORT, folder=Path(sys.argv[1]), save_every_s=0,\n"
        "        on_epoch=lambda epoch, loss: epoch == 2 and os.kill(os.getpid(), signal.SIGKILL))\n"
    )
    paths = [str(ROOT), str(Path(__file__).parent), str(ROOT / "tests" / "engine")]
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path), *paths], env={**os.environ}, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    epochs: list[int] = []
    again = trained(SHORT, folder=tmp_path, on_epoch=lambda epoch, loss: epochs.append(epoch)).state_dict()
    assert 1 < epochs[0] <= 3 and epochs[-1] == 4
    expected = trained(SHORT).state_dict()
    assert all(torch.equal(again[name], expected[name]) for name in expected)


def test_another_training_in_the_folder_is_told(tmp_path: Path) -> None:
    short = RECIPE.model_copy(update={"epochs": 1})
    trained(short, folder=tmp_path)
    with pytest.raises(UsageError, match=r"another recipe\.epochs \(1, not 2\)"):
        trained(RECIPE.model_copy(update={"epochs": 2}), folder=tmp_path)
    (tmp_path / FILE).write_bytes(b"damaged")
    with pytest.raises(UsageError, match="cut off"):
        trained(short, folder=tmp_path)


def test_a_kept_supernet_is_used_again_but_not_for_another_space_or_data(tmp_path: Path) -> None:
    data, supernet = tiny_data(), trained(RECIPE.model_copy(update={"epochs": 1}))
    file = tmp_path / "supernet.safetensors"
    save_supernet(file, supernet, data, RECIPE)
    again = load_supernet(file, SPACE, data.hash)
    assert all(torch.equal(again.state_dict()[name], tensor) for name, tensor in supernet.state_dict().items())
    with pytest.raises(UsageError, match="a supernet of another space"):
        load_supernet(file, SPACE.on(size=16), data.hash)
    with pytest.raises(UsageError, match=r"trained on other data \(bars\)"):
        load_supernet(file, SPACE, "other")
    with pytest.raises(UsageError, match="no such file"):
        load_supernet(tmp_path / "missing.safetensors", SPACE, data.hash)


def test_divergence_and_recipes_that_do_not_fit_are_told() -> None:
    with pytest.raises(TrainingError, match="no longer finite"):
        trained(RECIPE.model_copy(update={"learning_rate": 1e9, "epochs": 6}))
    with pytest.raises(UsageError, match="mixup"):
        trained(RECIPE.model_copy(update={"mixup": 0.2}))
