"""torchrun with two gloo processes against one process with the joined batch."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from torch import nn
from training_helpers import tiny_data, tiny_network

from mnascli.errors import UsageError
from mnascli.training import Recipe, evaluate, train
from mnascli.training.batches import Batches
from mnascli.training.processes import JoinedBatchNorm, joined_batch_norm
from mnascli.training.resume import FILE
from mnascli.training.tensors import read_about, read_tensors

ROOT = Path(__file__).parents[2]
JOINED = Recipe(
    epochs=2,
    batch_size=32,
    learning_rate=0.4,
    momentum=0.0,
    ema=0.9,
    flip=True,
    shift=1,
    mixup=0.4,
    cutmix=1.0,
    clip_gradient_norm=5.0,
    sync_batch_norm=True,
    batch_norm_momentum=0.1,
)
PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_processes
test_processes.work(Path(sys.argv[2]))
"""


def without_dropout():
    """Dropout differs from process to process, as it should."""
    network = tiny_network()
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return network


def work(folder: Path) -> None:
    """What each process runs: a training that is interrupted in its second epoch, and the rest of it."""
    from mnascli.training import loop
    from mnascli.training.processes import join_group, leave_group
    from mnascli.training.tensors import write_tensors

    def interrupt(step: int, loss: float, learning_rate: float) -> None:
        if step == 5:
            raise InterruptedError

    loop.CHECK_STEPS = 1
    data = tiny_data()
    options = {"device": "cpu", "threads": 1, "folder": folder, "save_every_s": 0}
    with suppress(InterruptedError):
        train(without_dropout(), data, JOINED, **options, on_steps=interrupt)
    assert read_about(folder / FILE)["step"] == 4
    network = without_dropout()
    trained = train(network, data, JOINED, **options)
    group = join_group()
    joint = evaluate(network, data.test, data, group)
    if group.leads:
        about = {"history": trained.history, "top1": joint.top1, "top5": joint.top5, "images": joint.images}
        write_tensors(folder / "result.safetensors", network.state_dict(), about)
    leave_group()


def torchrun(folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    program = folder / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(program)]
    done = subprocess.run(
        [*command, str(Path(__file__).parent), str(folder)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_two_processes_train_as_one_with_the_joined_batch(tmp_path):
    network = without_dropout()
    alone = train(network, tiny_data(), JOINED, device="cpu", threads=1)
    (tmp_path / "two").mkdir()
    torchrun(tmp_path / "two")
    weights, about = read_tensors(tmp_path / "two" / "result.safetensors")
    for one, two in zip(alone.history, about["history"], strict=True):
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-4)
        assert two["accuracy"] == pytest.approx(one["accuracy"], abs=0.03)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(weights[name], value, rtol=1e-3, atol=1e-4, msg=name)
    data = tiny_data()
    scores = evaluate(network, data.test, data)
    assert about["images"] == scores.images
    assert about["top1"] == pytest.approx(scores.top1, abs=0.03)
    json.dumps(about)


def test_a_batch_is_shared_out_as_it_would_be_whole():
    data = tiny_data()
    recipe = Recipe(batch_size=32, flip=True, shift=2)
    whole = Batches(data.train, recipe, 3)
    shares = [Batches(data.train, recipe, 3, rank=rank, ranks=4) for rank in range(4)]
    for step, (images, labels) in enumerate(whole.epoch(1)):
        parts = [share.get(share.order(1), 1, step) for share in shares]
        assert (torch.cat([torch.from_numpy(part[0]) for part in parts]).numpy() == images).all()
        assert [label for part in parts for label in part[1]] == labels.tolist()
    with pytest.raises(UsageError, match="3 processes"):
        Batches(data.train, recipe, 3, ranks=3)


def test_batch_norms_are_given_back_as_they_were():
    network = nn.Sequential(nn.BatchNorm2d(3))
    with joined_batch_norm(network, True):
        assert type(network[0]) is JoinedBatchNorm
    assert type(network[0]) is nn.BatchNorm2d
