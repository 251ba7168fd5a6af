"""What a long training tells while it goes on."""

from pathlib import Path

import pytest

from mnascli.engine.models import train
from mnascli.engine.models.train import Options, train_model
from mnascli.training.recipe import Recipe


def test_it_tells_of_steps_within_an_epoch_and_of_a_busy_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train.os, "getloadavg", lambda: (99.0, 1.0, 1.0))
    said: list[str] = []
    steps: list[tuple[int, int, str]] = []
    train_model(
        "stem_s2_c4,ds_r1_k3_s2_c8,head_c16,net_i28",
        tmp_path,
        data="fashion-mnist-10k",
        recipe=Recipe(epochs=1, batch_size=128),
        options=Options(device="cpu"),
        folder=tmp_path / "net",
        say=said.append,
        step=lambda done, total, note: steps.append((done, total, note)),
    )
    assert said[0].startswith("the machine is busy (load 99.0 on ")
    assert steps[0][:2] == (0, 1) and steps[0][2].startswith("step 20, loss ")
    assert steps[-1][:2] == (1, 1)


def test_an_idle_machine_is_not_spoken_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train.os, "getloadavg", lambda: (0.0, 9.0, 9.0))
    assert train._if_busy() is None
