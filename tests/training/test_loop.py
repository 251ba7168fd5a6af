import json
import math
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from training_helpers import tiny_data, tiny_network

from mnascli import nets
from mnascli.data.dataset import Split, from_arrays
from mnascli.errors import MnasError, UsageError
from mnascli.interrupts import listening
from mnascli.space import ZOO, Architecture, load
from mnascli.training import Recipe, TrainingError, evaluate, load_checkpoint, seconds_per_epoch, train
from mnascli.training.batches import ToInput
from mnascli.training.loop import _diverged
from mnascli.training.resume import FILE, Progress
from mnascli.training.tensors import read_about

ROOT = Path(__file__).parents[2]
FULL = Recipe(
    epochs=3,
    batch_size=32,
    optimizer="rmsprop",
    learning_rate=0.08,
    warmup_epochs=0.5,
    ema=0.9,
    label_smoothing=0.1,
    clip_gradient_norm=5.0,
    shift=1,
    batch_norm_momentum=0.1,
)


def fit(recipe, folder=None, seed=0, **options):
    network = tiny_network()
    trained = train(network, tiny_data(), recipe, seed=seed, threads=1, device="cpu", folder=folder, **options)
    return network.state_dict(), trained


def assert_same_weights(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(epochs=6, batch_size=16, optimizer="sgd", learning_rate=1.0, batch_norm_momentum=0.1),
        Recipe(epochs=6, batch_size=16, optimizer="adamw", learning_rate=0.16, batch_norm_momentum=0.1),
        Recipe(epochs=6, batch_size=16, optimizer="rmsprop", learning_rate=0.5, batch_norm_momentum=0.1),
        Recipe(epochs=6, batch_size=16, learning_rate=1.0, batch_norm_momentum=0.1, precision="bfloat16"),
        Recipe(epochs=8, batch_size=16, learning_rate=1.0, batch_norm_momentum=0.1, ema=0.9, channels_last=False),
    ],
)
def test_it_learns(recipe):
    network, data, calls = tiny_network(), tiny_data(), []
    trained = train(
        network, data, recipe, threads=1, device="cpu", on_epoch=lambda epoch, accuracy: calls.append((epoch, accuracy))
    )
    assert trained.accuracy > 0.9
    assert calls == [(entry["epoch"], entry["accuracy"]) for entry in trained.history]
    assert [epoch for epoch, _ in calls] == list(range(1, recipe.epochs + 1))
    assert evaluate(network, data.validation, data).top1 == pytest.approx(trained.accuracy)
    assert trained.history[-1]["loss"] < trained.history[0]["loss"]
    json.dumps(trained.history)


def test_the_same_seed_gives_the_same_weights_and_another_does_not():
    first, _ = fit(FULL)
    torch.rand(7)  # whatever happened to torch's random state in between
    assert_same_weights(first, fit(FULL)[0])
    other, _ = fit(FULL, seed=1)
    assert not torch.equal(first["stem.conv.conv.weight"], other["stem.conv.conv.weight"])


@pytest.mark.parametrize("optimizer", ["rmsprop", "sgd", "adamw"])
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7])
def test_an_interrupted_training_ends_as_if_it_had_not_been(tmp_path, optimizer, steps):
    recipe = FULL.model_copy(update={"optimizer": optimizer})
    whole, trained = fit(recipe)
    undo = stop_after(steps, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            fit(recipe, tmp_path, save_every_s=0)
    finally:
        undo()
    resumed, trained_again = fit(recipe, tmp_path, save_every_s=0)
    assert_same_weights(whole, resumed)
    assert trained_again == trained


def test_so_does_one_whose_pictures_workers_decode(tmp_path):
    recipe = FULL.model_copy(update={"random_crop": 0.5, "color_jitter": 0.2, "rand_augment": 1, "mixup": 0.3})
    whole, trained = fit(recipe, workers=0)
    undo = stop_after(4, interrupt)  # in the middle of the second epoch
    try:
        with pytest.raises(KeyboardInterrupt):
            fit(recipe, tmp_path, save_every_s=0, workers=1)
    finally:
        undo()
    resumed, trained_again = fit(recipe, tmp_path, workers=1)
    assert_same_weights(whole, resumed)
    assert trained_again == trained


@pytest.mark.parametrize("where", ["in a step", "while an epoch is judged", "at its end"])
def test_ctrl_c_saves_the_last_whole_step(tmp_path, monkeypatch, where):
    whole, trained = fit(FULL)
    press = partial(os.kill, os.getpid(), signal.SIGINT)
    undo = stop_after(4, press) if where == "in a step" else lambda: None
    judged = iter(range(1000))

    def judge(*arguments):
        if where == "while an epoch is judged" and next(judged) == 1:
            press()
        return evaluate(*arguments)

    monkeypatch.setattr("mnascli.training.classification.evaluate", judge)
    at_end = {"on_epoch": lambda epoch, accuracy: press() if epoch == 2 else None} if where == "at its end" else {}
    try:
        with listening(), pytest.raises(KeyboardInterrupt):
            fit(FULL, tmp_path, save_every_s=1e9, **at_end)
    finally:
        undo()
    monkeypatch.undo()
    assert read_about(tmp_path / FILE)["step"] == {"in a step": 5}.get(where, 6)
    resumed, trained_again = fit(FULL, tmp_path)
    assert_same_weights(whole, resumed)
    assert trained_again == trained


def test_an_interrupt_that_breaks_a_step_saves_nothing(tmp_path):
    """Python's own comes anywhere, so that weights may be of the step and their moments not yet."""
    undo = stop_after(4, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            fit(FULL, tmp_path, save_every_s=1e9)
    finally:
        undo()
    assert not (tmp_path / FILE).exists()


def interrupt():
    raise KeyboardInterrupt


def stop_after(steps, stop):
    """Call `stop` at the begin of the forward pass of that step, counted from 0; returns what undoes it."""
    original, calls = ToInput.__call__, iter(range(1000))

    def call(self, images):
        if len(images) == FULL.batch_size and next(calls) == steps:
            stop()
        return original(self, images)

    ToInput.__call__ = call
    return lambda: setattr(ToInput, "__call__", original)


CHILD = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_loop import FULL, fit, stop_after
stop_after(7, lambda: os.kill(os.getpid(), signal.SIGKILL))
fit(FULL, Path(sys.argv[2]), save_every_s=0)
"""


def test_a_killed_training_ends_as_if_it_had_not_been(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    arguments = [sys.executable, "-c", CHILD, str(Path(__file__).parent), str(tmp_path)]
    assert subprocess.run(arguments, env=environment).returncode == -signal.SIGKILL
    saved = (tmp_path / FILE).read_bytes()
    with pytest.raises(UsageError, match=r"recipe\.epochs"):
        fit(FULL.model_copy(update={"epochs": 4}), tmp_path)
    assert (tmp_path / FILE).read_bytes() == saved
    epochs = []
    resumed, trained = fit(FULL, tmp_path, on_epoch=lambda epoch, accuracy: epochs.append(epoch))
    assert epochs == [3]  # steps 0 to 6 were two epochs and a bit
    whole, trained_whole = fit(FULL)
    assert_same_weights(whole, resumed)
    assert trained == trained_whole


def test_a_finished_training_is_not_done_again(tmp_path):
    first, trained = fit(FULL, tmp_path)
    epochs = []
    again, trained_again = fit(FULL, tmp_path, on_epoch=lambda epoch, accuracy: epochs.append(epoch))
    assert not epochs
    assert_same_weights(first, again)
    assert trained_again == trained


def test_a_damaged_or_other_state_is_told_and_kept(tmp_path):
    fit(FULL, tmp_path)
    with pytest.raises(UsageError, match="seed"):
        fit(FULL, tmp_path, seed=5)
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UsageError, match=FILE) as caught:
        fit(FULL, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_training_state_is_no_checkpoint(tmp_path):
    fit(FULL, tmp_path / "made" / "here")
    with pytest.raises(UsageError, match="not a checkpoint"):
        load_checkpoint(tmp_path / "made" / "here" / FILE)


def test_pieces_of_a_batch_add_up():
    # Frozen batch norm: where it works on each piece by itself, pieces are not the whole.
    still = {"freeze": ("features",), "shift": 1, "mixup": 0.3, "ema": 0.0}
    whole, in_pieces = (
        train(
            dropout_off(tiny_network()),
            tiny_data(),
            FULL.model_copy(update={**still, "accumulate": pieces}),
            threads=1,
            device="cpu",
        )
        for pieces in (1, 3)
    )
    assert whole.history[-1]["loss"] == pytest.approx(in_pieces.history[-1]["loss"], rel=1e-5)


def dropout_off(network):
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return network


def test_frozen_parts_stay_as_they_are(tmp_path):
    before = tiny_network().state_dict()
    recipe = FULL.model_copy(update={"freeze": ("stem", "blocks.0"), "weight_decay": 0.1})
    after, _ = fit(recipe, tmp_path)
    frozen = [name for name in after if name.startswith(("stem.", "blocks.0."))]
    assert frozen
    for name in after:
        assert torch.equal(before[name], after[name]) == (name in frozen) or name.endswith("num_batches_tracked"), name
    resumed, _ = fit(recipe, tmp_path)
    assert_same_weights(after, resumed)


def test_what_cannot_be_frozen_is_told():
    with pytest.raises(UsageError, match="no such part: it has features, stem"):
        fit(FULL.model_copy(update={"freeze": ("layer1",)}))
    with pytest.raises(UsageError, match="nothing is left"):
        fit(FULL.model_copy(update={"freeze": ("features", "classifier")}))


def test_steps_are_told(monkeypatch):
    monkeypatch.setattr("mnascli.training.loop.CHECK_STEPS", 2)
    told = []
    fit(FULL, on_steps=lambda *values: told.append(values))
    assert [step for step, _, _ in told] == [2, 4, 6, 8]
    assert told[3][1] < told[0][1]
    assert told[0][2] == FULL.learning_rate_at(1, 3, 32)


def test_a_batch_larger_than_the_data_trains_as_the_largest_that_they_allow(monkeypatch):
    """The learning rate is that of the 96 pictures of a step, not of the 4,096 that were asked for."""
    monkeypatch.setattr("mnascli.training.loop.CHECK_STEPS", 1)
    told = []
    constant = FULL.model_copy(update={"schedule": "constant"})
    asked, _ = fit(constant.model_copy(update={"batch_size": 4096}), on_steps=lambda *values: told.append(values[2]))
    assert told[1] == 0.08 * 96 / 256
    fitting, _ = fit(constant.model_copy(update={"batch_size": 96}))
    assert_same_weights(asked, fitting)


def test_half_precision_learns_and_resumes(tmp_path):
    recipe = FULL.model_copy(update={"precision": "float16", "epochs": 6})
    whole, trained = fit(recipe)
    assert trained.history[-1]["loss"] < trained.history[0]["loss"]
    undo = stop_after(4, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            fit(recipe, tmp_path, save_every_s=0)
    finally:
        undo()
    assert_same_weights(whole, fit(recipe, tmp_path)[0])


def test_a_loss_far_above_a_guess_is_told(monkeypatch):
    monkeypatch.setattr("mnascli.training.loop.DIVERGED", 0.01)
    monkeypatch.setattr("mnascli.training.loop.GROWN", 0.01)
    monkeypatch.setattr("mnascli.training.loop.GROWS", 0.01)
    with pytest.raises(TrainingError, match=r"diverged: loss .* in epoch 2: lower learning_rate"):
        fit(FULL)


HIGH = "stem_s1_c8,ds_r1_k3_s2_c8,head_c2048_d0,net_i12_ch1_o3"  # with the official init, of a loss far above a guess


def fit_high(folder=None, **changes):
    recipe = Recipe(epochs=3, batch_size=32, learning_rate=1e-4, batch_norm_momentum=0.1, **changes)
    network = nets.build(Architecture.parse(HIGH), 0, "classes")
    return train(network, tiny_data(), recipe, threads=1, device="cpu", folder=folder, save_every_s=0)


def test_a_start_that_is_too_high_is_no_divergence(tmp_path):
    losses = [epoch["loss"] for epoch in fit_high().history]
    assert min(losses) > 3 * math.log(3)
    undo = stop_after(4, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            fit_high(tmp_path)
    finally:
        undo()
    assert [epoch["loss"] for epoch in fit_high(tmp_path).history] == losses  # the start is remembered


@pytest.mark.parametrize(
    ("start", "history", "loss", "diverged"),
    [
        (1.1, [2.87], 3.41, False),  # of MobileNetV2 on 270 pictures of 3 classes: the next epochs have 2.6, 1.95, 1.25
        (1.1, [4.2], 3.8, False),
        (1.1, [1.0], 3.4, True),
        (1.1, [40.0], 38.0, True),  # jumped in the first epoch, and stays there
        (1.1, [1.0, 2.2], 3.4, True),
        (1.1, [0.3], 3.2, False),
        (9.0, [9.2], 9.3, False),
        (9.0, [13.0], 9.0, False),
        (9.0, [9.0, 5.0], 4.0, False),
        (9.0, [9.0, 2.0], 4.1, True),
        (9.0, [13.0], 26.0, True),
        (None, [1.0], 3.4, True),  # of a training that an earlier version began
    ],
)
def test_divergence_is_a_loss_that_grows(start, history, loss, diverged):
    progress = Progress(10, start, [{"loss": one} for one in history])
    assert _diverged(loss, progress, math.log(3)) == diverged


def test_a_loss_that_jumped_and_does_not_fall_is_waited_for_so_many_steps():
    progress = [Progress(step, 1.1, [{"loss": 5.6}]) for step in (199, 200)]
    assert [_diverged(5.5, one, math.log(3)) for one in progress] == [False, True]
    assert not _diverged(4.5, progress[1], math.log(3))  # it falls


def test_a_loss_that_grows_ends_the_training():
    network = nets.build(Architecture.parse(HIGH), 0, "classes")
    recipe = Recipe(epochs=4, batch_size=32, learning_rate=300, batch_norm_momentum=0.1)
    with pytest.raises(TrainingError, match="diverged: loss"):
        train(network, tiny_data(), recipe, threads=1, device="cpu")


@pytest.mark.parametrize("classes", [2, 3, 10, 100])
@pytest.mark.parametrize("name", sorted(ZOO))
def test_every_published_network_trains_with_any_number_of_classes(name, classes):
    rng = np.random.default_rng(0)
    labels = np.arange(32) % classes
    pixels = rng.integers(0, 64, (32, 32, 32, 3)) + (190 * (labels + 1) // classes)[:, None, None, None]
    part = Split(pixels.astype(np.uint8), labels.astype(np.int64))
    data = from_arrays("grey", [f"c{number}" for number in range(classes)], [part] * 4)
    recipe = Recipe(epochs=3, batch_size=16, learning_rate=0.1, batch_norm_momentum=0.1)
    network = nets.build(load(name, width=0.35, size=32, classes=classes), 0, recipe.classifier_init)
    losses = [epoch["loss"] for epoch in train(network, data, recipe, threads=1, device="cpu").history]
    assert max(losses) < 1.6 * math.log(classes)


def test_a_compiled_training_gives_the_same_loss(monkeypatch):
    # Traced and differentiated as always, but not compiled by C++, which takes a minute.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    recipe = FULL.model_copy(update={"epochs": 1})
    _, plain = fit(recipe)
    _, compiled = fit(recipe, compiled=True)
    assert compiled.history[0]["loss"] == pytest.approx(plain.history[0]["loss"], rel=0.02)


def test_divergence_is_told():
    recipe = Recipe(epochs=3, batch_size=16).model_copy(update={"learning_rate": 1e30})  # more than a file may say
    with pytest.raises(MnasError) as caught:
        fit(recipe)
    assert isinstance(caught.value, TrainingError)
    assert "lower learning_rate" in str(caught.value)


def test_network_and_data_must_fit():
    for net, what in (("net_i12_ch1_o4", "classes"), ("net_i12_ch3_o3", "channels"), ("net_i16_ch1_o3", "pixels")):
        network = nets.build(Architecture.parse("ds_r1_k3_s1_c8," + net))
        with pytest.raises(UsageError, match=what):
            train(network, tiny_data(), FULL)


def test_an_epoch_is_timed():
    assert seconds_per_epoch(tiny_network(), tiny_data(), FULL, threads=1) > 0
