"""Published weights, by networks built here as timm and torchvision build theirs, with the same names and padding.

For an input of 33 pixels every strided layer sees an odd size (33, 17, 9, 5, 3), where both ways of padding agree: the
logits must be the same.
"""

import argparse
import datetime
import functools
import gzip
import sys
import types
import zipfile
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn
from training_helpers import tiny_data, tiny_network

from mnascli import nets
from mnascli.errors import UsageError
from mnascli.space import Architecture, load
from mnascli.training import Recipe, load_checkpoint, save_checkpoint
from mnascli.training.pretrained import IMAGENET_MEAN, load_pretrained, read_pretrained, timm_names


def conv(inputs, outputs, kernel=1, stride=1, groups=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


class Skip(nn.Module):
    """A residual block by any names; `order` calls its children in turn, each followed by its activation if it has."""

    def run(self, x, *steps):
        for step in steps:
            x = step(x)
        return x


class TorchvisionMnasBlock(Skip):
    def __init__(self, inputs, outputs, kernel, stride, expansion):
        super().__init__()
        wide = inputs * expansion
        self.skips = inputs == outputs and stride == 1
        self.layers = nn.Sequential(
            conv(inputs, wide), nn.BatchNorm2d(wide), nn.ReLU(),
            conv(wide, wide, kernel, stride, wide), nn.BatchNorm2d(wide), nn.ReLU(),
            conv(wide, outputs), nn.BatchNorm2d(outputs),
        )  # fmt: skip

    def forward(self, x):
        return x + self.layers(x) if self.skips else self.layers(x)


class TorchvisionMnasnet(nn.Module):
    """torchvision.models.mnasnet1_0"""

    def __init__(self):
        super().__init__()
        layers = [
            conv(3, 32, 3, 2), nn.BatchNorm2d(32), nn.ReLU(),
            conv(32, 32, 3, 1, 32), nn.BatchNorm2d(32), nn.ReLU(),
            conv(32, 16), nn.BatchNorm2d(16),
        ]  # fmt: skip
        inputs = 16
        for outputs, kernel, stride, expansion, repeats in (
            (24, 3, 2, 3, 3), (40, 5, 2, 3, 3), (80, 5, 2, 6, 3), (96, 3, 1, 6, 2), (192, 5, 2, 6, 4), (320, 3, 1, 6, 1)
        ):  # fmt: skip
            stack = [TorchvisionMnasBlock(inputs, outputs, kernel, stride, expansion)]
            stack += [TorchvisionMnasBlock(outputs, outputs, kernel, 1, expansion) for _ in range(repeats - 1)]
            layers.append(nn.Sequential(*stack))
            inputs = outputs
        layers += [conv(320, 1280), nn.BatchNorm2d(1280), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, 1000))

    def forward(self, x):
        return self.classifier(self.layers(x).mean((2, 3)))


def conv_bn_relu6(inputs, outputs, kernel=1, stride=1, groups=1):
    return nn.Sequential(conv(inputs, outputs, kernel, stride, groups), nn.BatchNorm2d(outputs), nn.ReLU6())


class TorchvisionInverted(nn.Module):
    def __init__(self, inputs, outputs, stride, expansion):
        super().__init__()
        wide = inputs * expansion
        self.skips = stride == 1 and inputs == outputs
        layers = [conv_bn_relu6(inputs, wide)] if expansion > 1 else []
        layers += [conv_bn_relu6(wide, wide, 3, stride, wide), conv(wide, outputs), nn.BatchNorm2d(outputs)]
        self.conv = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.conv(x) if self.skips else self.conv(x)


class TorchvisionMobilenet(nn.Module):
    """torchvision.models.mobilenet_v2"""

    def __init__(self):
        super().__init__()
        features, inputs = [conv_bn_relu6(3, 32, 3, 2)], 32
        for expansion, outputs, repeats, stride in (
            (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)
        ):  # fmt: skip
            for repeat in range(repeats):
                features.append(TorchvisionInverted(inputs, outputs, stride if repeat == 0 else 1, expansion))
                inputs = outputs
        self.features = nn.Sequential(*features, conv_bn_relu6(320, 1280))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, 1000))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


class TimmSqueezeExcite(nn.Module):
    def __init__(self, channels, reduced):
        super().__init__()
        self.conv_reduce = nn.Conv2d(channels, reduced, 1)
        self.conv_expand = nn.Conv2d(reduced, channels, 1)

    def forward(self, x):
        gate = self.conv_expand(torch.relu(self.conv_reduce(x.mean((2, 3), keepdim=True))))
        return x * gate.sigmoid()


class TimmSeparable(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv_dw, self.bn1 = conv(inputs, inputs, 3, 1, inputs), nn.BatchNorm2d(inputs)
        self.conv_pw, self.bn2 = conv(inputs, outputs), nn.BatchNorm2d(outputs)

    def forward(self, x):
        return self.bn2(self.conv_pw(torch.relu(self.bn1(self.conv_dw(x)))))


class TimmInverted(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride, expansion, se):
        super().__init__()
        wide = inputs * expansion
        self.skips = stride == 1 and inputs == outputs
        self.conv_pw, self.bn1 = conv(inputs, wide), nn.BatchNorm2d(wide)
        self.conv_dw, self.bn2 = conv(wide, wide, kernel, stride, wide), nn.BatchNorm2d(wide)
        self.se = TimmSqueezeExcite(wide, round(inputs * se)) if se else nn.Identity()
        self.conv_pwl, self.bn3 = conv(wide, outputs), nn.BatchNorm2d(outputs)

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv_pw(x)))
        y = self.se(torch.relu(self.bn2(self.conv_dw(y))))
        y = self.bn3(self.conv_pwl(y))
        return x + y if self.skips else y


class TimmSemnasnet(nn.Module):
    """timm's semnasnet_100, which is MnasNet-A1."""

    def __init__(self):
        super().__init__()
        self.conv_stem, self.bn1 = conv(3, 32, 3, 2), nn.BatchNorm2d(32)
        stages, inputs = [nn.Sequential(TimmSeparable(32, 16))], 16
        for outputs, kernel, stride, expansion, repeats, se in (
            (24, 3, 2, 6, 2, 0), (40, 5, 2, 3, 3, 0.25), (80, 3, 2, 6, 4, 0),
            (112, 3, 1, 6, 2, 0.25), (160, 5, 2, 6, 3, 0.25), (320, 3, 1, 6, 1, 0),
        ):  # fmt: skip
            stage = []
            for repeat in range(repeats):
                stage.append(TimmInverted(inputs, outputs, kernel, stride if repeat == 0 else 1, expansion, se))
                inputs = outputs
            stages.append(nn.Sequential(*stage))
        self.blocks = nn.Sequential(*stages)
        self.conv_head, self.bn2 = conv(320, 1280), nn.BatchNorm2d(1280)
        self.classifier = nn.Linear(1280, 1000)

    def forward(self, x):
        x = self.blocks(torch.relu(self.bn1(self.conv_stem(x))))
        return self.classifier(torch.relu(self.bn2(self.conv_head(x))).mean((2, 3)))


@functools.cache
def published(make):
    """With statistics as after a training; nobody changes it."""
    torch.manual_seed(0)
    network = make()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
    return network.eval()


NETWORKS = {
    "mnasnet-b1": TorchvisionMnasnet,
    "mobilenet-v2": TorchvisionMobilenet,
    "mnasnet-a1": TimmSemnasnet,
}


def ours(name, **changes):
    return nets.build(replace(load(name, size=33), **{"bn_epsilon": 1e-5, **changes}), 0)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_weights_give_the_same_logits(name, tmp_path):
    theirs = published(NETWORKS[name])
    file = tmp_path / "weights.pth"
    torch.save(theirs.state_dict(), file)
    start = read_pretrained(file)
    network = ours(name)
    assert not load_pretrained(network, start)
    images = torch.randn(2, 3, 33, 33)
    with torch.inference_mode():
        expected, logits = theirs(images), network.eval()(images)
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
    # And back again: each of their tensors has exactly one place here.
    used = set()
    for here, there in start.names(network.architecture):
        for key, value in network.state_dict().items():
            if key.startswith(f"{here}."):
                used.add(there + key.removeprefix(here))
                assert torch.equal(value, start.tensors[there + key.removeprefix(here)])
    assert used == set(theirs.state_dict())
    assert start.mean == IMAGENET_MEAN


def test_other_classes_and_grey_pictures(tmp_path):
    theirs = published(TorchvisionMnasnet)
    file = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(theirs.state_dict(), file)
    network = ours("mnasnet-b1", classes=7, channels=1)
    fresh = network.state_dict()["classifier.dense.weight"].clone()
    assert load_pretrained(network, read_pretrained(file)) == ["the classifier is new: 1000 classes became 7"]
    state = network.state_dict()
    assert torch.equal(state["classifier.dense.weight"], fresh)
    assert torch.equal(state["stem.conv.conv.weight"], theirs.layers[0].weight.sum(1, keepdim=True))


def test_wrappings_of_training_scripts(tmp_path):
    weights = published(TorchvisionMnasnet).state_dict()
    file = tmp_path / "checkpoint.pth.tar"
    wrapped = OrderedDict((f"module.{name}", value) for name, value in weights.items() if "num_batches" not in name)
    torch.save({"epoch": 3, "state_dict": wrapped}, file)
    network = ours("mnasnet-b1")
    load_pretrained(network, read_pretrained(file))
    assert torch.equal(network.state_dict()["classifier.dense.bias"], weights["classifier.1.bias"])


def test_a_checkpoint_of_ours_is_a_start(tmp_path):
    old, data = tiny_network(seed=3), tiny_data()
    file = save_checkpoint(tmp_path / "model.safetensors", old, data, Recipe(), accuracy=0.5)
    network = nets.build(Architecture.parse(str(old.architecture)).on(classes=5), 0)
    start = read_pretrained(file)
    assert load_pretrained(network, start) == ["the classifier is new: 3 classes became 5"]
    assert (start.mean, start.std) == (data.mean, data.std)
    for name, value in old.state_dict().items():
        assert name.startswith("classifier") or torch.equal(network.state_dict()[name], value)


class Other(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 2)


def write_pickle(file):
    torch.save(Other(), file)


class Payload:
    """What a file could do if it were unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (exec, (f"open({str(self.mark)!r}, 'w')",))


def write_code(file):
    torch.save({"state_dict": published(TorchvisionMnasnet).state_dict(), "x": Payload(file.parent / "RAN")}, file)


def write_script(file):
    torch.jit.script(nn.Linear(2, 2)).save(file)


def write_zip(file):
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("weights/readme.txt", "no weights")


PAGE = b"<!DOCTYPE html>\n<html><title>404</title></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 17\n"


def write_half(file):
    torch.save(published(TorchvisionMnasnet).state_dict(), file)
    file.write_bytes(file.read_bytes()[:100_000])


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda file: torch.save(Other().state_dict(), file), "weights of another network (it has fc.weight, fc.bias)"),
        (
            lambda file: torch.save(published(TorchvisionMobilenet).state_dict(), file),
            "weights of another network than",
        ),
        (lambda file: torch.save([1, 2], file), "not a state dict"),
        (write_pickle, "a whole pickled network, which only its own program can read: save only its weights"),
        (write_half, "not a file of weights, or cut off"),
        (lambda file: file.write_bytes(b"hello"), "not a file of weights"),
        (write_code, "or that would run code: save only the weights there, with torch.save(model.state_dict(), FILE)"),
        (write_script, "a TorchScript program: save only its weights"),
        (write_zip, "a zip archive of something other than weights: unpack it first"),
        (lambda file: file.write_bytes(b""), "empty"),
        (lambda file: file.write_bytes(PAGE), "a web page: the download returned a page"),
        (lambda file: file.write_bytes(b"\xef\xbb\xbf\n <HTML>"), "a web page"),
        (lambda file: file.write_bytes(POINTER), "a Git LFS pointer instead of the file: `git lfs pull` fetches it"),
        (lambda file: file.write_bytes(b'<?xml version="1.0"?><Error/>'), "an XML text, as a server returns"),
        (lambda file: file.write_bytes(b'{"message": "Not Found"}'), "a JSON text, as a server returns"),
        (lambda file: file.write_bytes(gzip.compress(b"x" * 999)), "compressed with gzip: unpack it first"),
        (lambda file: file.mkdir(), "a folder without a model.safetensors"),
        (lambda file: None, "no such file"),
    ],
)
def test_what_is_no_start_is_told_in_one_line(write, words, tmp_path):
    file = tmp_path / "weights.pth"
    write(file)
    network = ours("mnasnet-b1")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(UsageError) as caught:
        load_pretrained(network, read_pretrained(file))
    assert words in str(caught.value)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value) and "weights_only" not in str(caught.value)
    assert not (tmp_path / "RAN").exists()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def wrapped(weights, prefix):
    return {prefix + name: value for name, value in weights.items()}


WRAPPINGS = {
    "compiled": lambda weights: wrapped(weights, "_orig_mod."),
    "both": lambda weights: {"state_dict": wrapped(weights, "module._orig_mod.")},
    "both the other way": lambda weights: {"model": wrapped(weights, "_orig_mod.module.")},
    "lightning": lambda weights: {
        "state_dict": {**wrapped(weights, "model."), "loss.weight": torch.ones(3)},
        "hyper_parameters": argparse.Namespace(lr=0.1),
    },
    "deep": lambda weights: {"checkpoint": {"net": {"model_state_dict": wrapped(weights, "backbone.module.")}}},
    "timm": lambda weights: {
        "epoch": 3,
        "arch": "mnasnet",
        "state_dict": {name: torch.zeros_like(value) for name, value in weights.items()},
        "optimizer": {"state": {0: {"momentum": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]},
        "args": argparse.Namespace(lr=0.1, output=Path("x"), limits=np.float64(3), when=datetime.date(2020, 1, 1)),
        "state_dict_ema": weights,
        "metric": np.float64(0.75),
    },
    "torchvision": lambda weights: {
        "model": {name: torch.zeros_like(value) for name, value in weights.items()},
        "model_ema": {**wrapped(weights, "module."), "n_averaged": torch.tensor(5)},
        "args": argparse.Namespace(lr=0.1),
    },
}


@pytest.mark.parametrize(("wrapping", "legacy"), [("timm", True), *((name, False) for name in WRAPPINGS)])
def test_wrappings_in_any_nesting(wrapping, legacy, tmp_path):
    weights = published(TorchvisionMnasnet).state_dict()
    file = tmp_path / "checkpoint.pth.tar"
    torch.save(WRAPPINGS[wrapping](weights), file, _use_new_zipfile_serialization=not legacy)
    network = ours("mnasnet-b1")
    assert not load_pretrained(network, read_pretrained(file))
    assert torch.equal(network.state_dict()["classifier.dense.bias"], weights["classifier.1.bias"])
    assert torch.equal(network.state_dict()["stem.conv.conv.weight"], weights["layers.0.weight"])


def test_a_compiled_part_and_parts_of_another_class(tmp_path):
    """torch.compile of a part, and a config of a class that is not installed here: the weights alone are read."""
    weights = published(TimmSemnasnet).state_dict()
    inner = {name.replace("blocks.", "blocks._orig_mod.", 1): value for name, value in weights.items()}
    module = types.ModuleType("gone_config")
    module.Config = type("Config", (), {"__module__": "gone_config"})
    module.Dict = type("Dict", (dict,), {"__module__": "gone_config"})
    sys.modules["gone_config"] = module
    try:
        config = module.Config()
        config.lr = 0.1
        torch.save({"state_dict": inner, "config": config}, tmp_path / "x.pth")
        torch.save({"state_dict": inner, "config": module.Dict(lr=0.1)}, tmp_path / "y.pth")
    finally:
        del sys.modules["gone_config"]
    network = ours("mnasnet-a1")
    load_pretrained(network, read_pretrained(tmp_path / "x.pth"))
    assert torch.equal(network.state_dict()["classifier.dense.bias"], weights["classifier.bias"])
    with pytest.raises(UsageError, match="it holds objects that only its own program can read"):
        read_pretrained(tmp_path / "y.pth")


def test_what_a_safetensors_file_is_in_truth(tmp_path):
    """The suffix does not count: what the first bytes say does."""
    weights = published(TorchvisionMnasnet).state_dict()
    safetensors.torch.save_file(weights, tmp_path / "weights.pth")
    assert read_pretrained(tmp_path / "weights.pth").tensors.keys() == weights.keys()
    for content, says in ((PAGE, "a web page"), (POINTER, "a Git LFS pointer"), (b"", "empty")):
        file = tmp_path / "model.safetensors"
        file.write_bytes(content)
        for read in (read_pretrained, load_checkpoint):
            with pytest.raises(UsageError, match=rf"model\.safetensors: {says}"):
                read(file)


def test_the_folder_of_a_checkpoint_is_a_start(tmp_path):
    save_checkpoint(tmp_path / "net" / "model.safetensors", tiny_network(), tiny_data(), Recipe(), accuracy=0.5)
    assert read_pretrained(tmp_path / "net").names


def test_where_weights_are_to_be_had_is_told(tmp_path):
    torch.save(Other().state_dict(), tmp_path / "other.pth")
    for file in ("none.pth", "other.pth"):
        with pytest.raises(UsageError, match=r"weights are available from timm \(https://huggingface\.co/timm/"):
            read_pretrained(tmp_path / file)


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("mnasnet-b1", {"width": 0.5}, "they fit it with --width 1"),
        ("mnasnet-a1", {}, "they fit mnasnet-b1"),
        ("mobilenet-v2", {"width": 1.4}, "they fit mnasnet-b1"),
    ],
)
def test_which_width_or_network_fits_is_told(name, changes, says, tmp_path):
    file = tmp_path / "weights.pth"
    torch.save(published(TorchvisionMnasnet).state_dict(), file)
    with pytest.raises(UsageError) as caught:
        load_pretrained(ours(name, **changes), read_pretrained(file))
    assert str(caught.value).endswith(says)


@pytest.mark.parametrize("width", [0.5, 0.75, 1.4])
def test_the_width_of_a_file_is_found(width, tmp_path):
    theirs = {there: here for here, there in timm_names(load("mnasnet-a1", width=width))}
    state = nets.build(load("mnasnet-a1", width=width)).state_dict()
    weights = {
        there + name.removeprefix(here): value
        for there, here in theirs.items()
        for name, value in state.items()
        if name.startswith(f"{here}.")
    }
    torch.save({"args": argparse.Namespace(), "state_dict": weights}, tmp_path / "x.pth")
    with pytest.raises(UsageError, match=rf"they fit it with --width {width:g}$"):
        load_pretrained(ours("mnasnet-a1"), read_pretrained(tmp_path / "x.pth"))


def test_weights_of_a_deeper_network_are_not_taken_in_part(tmp_path):
    torch.save(published(TimmSemnasnet).state_dict(), tmp_path / "weights.pth")
    shallow = Architecture.parse(str(load("mnasnet-a1")).replace("ir_r4_k3_s2_e6_c80", "ir_r3_k3_s2_e6_c80"))
    network = nets.build(replace(shallow, bn_epsilon=1e-5))
    with pytest.raises(UsageError, match=r"it has no place for blocks\.3\.3\.\S+; they fit mnasnet-a1$"):
        load_pretrained(network, read_pretrained(tmp_path / "weights.pth"))


def test_weights_of_another_width_are_told(tmp_path):
    file = tmp_path / "weights.pth"
    torch.save(published(TorchvisionMnasnet).state_dict(), file)
    with pytest.raises(UsageError, match=r"layers\.0\.weight has the shape \(32, 3, 3, 3\), not \(16, 3, 3, 3\)"):
        load_pretrained(ours("mnasnet-b1", width=0.5), read_pretrained(file))
