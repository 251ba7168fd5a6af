import resource
import signal

import pytest
import safetensors.torch
import torch
from training_helpers import TINY, tiny_data, tiny_network

from mnascli.errors import MnasError, UsageError
from mnascli.space import Architecture
from mnascli.training import Recipe, load_checkpoint, predict_logits, read_architecture, save_checkpoint
from mnascli.training.checkpoint import load_weights


def save(tmp_path):
    return save_checkpoint(tmp_path / "model.safetensors", tiny_network(), tiny_data(), Recipe(epochs=7), accuracy=0.75)


def test_round_trip(tmp_path):
    data, path = tiny_data(), save(tmp_path)
    network, about = load_checkpoint(path)
    assert not network.training
    original = tiny_network()
    assert (predict_logits(network, data.test.images, data) == predict_logits(original, data.test.images, data)).all()
    assert read_architecture(path) == Architecture.parse(TINY) == Architecture.parse(about.architecture)
    assert (about.classes, about.mean, about.std) == (data.classes, data.mean, data.std)
    assert (about.data, about.data_hash, about.accuracy) == ("bars", data.hash, 0.75)
    assert about.recipe == Recipe(epochs=7)
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_truncated_files(tmp_path, keep):
    path = save(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    for read in (load_checkpoint, read_architecture):
        with pytest.raises(UsageError, match=r"model\.safetensors") as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_what_is_no_checkpoint(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        load_checkpoint(tmp_path / "none.safetensors")
    foreign = tmp_path / "foreign.safetensors"
    safetensors.torch.save_file({"weight": torch.zeros(3)}, foreign)
    with pytest.raises(UsageError, match="not one that mnas wrote"):
        load_checkpoint(foreign)
    text = tmp_path / "text.safetensors"
    text.write_text("hello, this is no safetensors file")
    with pytest.raises(UsageError, match="not a safetensors file"):
        load_checkpoint(text)
    with pytest.raises(UsageError, match="not a safetensors file"):
        load_checkpoint(tmp_path)


def test_weights_of_another_architecture():
    weights = tiny_network().state_dict()
    reshaped = {**weights, "classifier.dense.bias": torch.zeros(9)}
    missing = {name: value for name, value in weights.items() if name != "stem.conv.bn.bias"}
    for wrong, words in (
        (reshaped, r"classifier.dense.bias has the shape \(9,\), not \(3,\)"),
        (missing, "stem.conv.bn.bias is missing"),
        ({**weights, "extra": torch.zeros(1)}, "extra is not in this network"),
    ):
        with pytest.raises(UsageError, match=words) as caught:
            load_weights(tiny_network(), wrong, "x.safetensors")
        assert str(caught.value).startswith("x.safetensors: weights of another architecture")


def test_a_full_disk_keeps_the_file_before(tmp_path):
    path = save(tmp_path)
    before = path.read_bytes()
    old_limit, old_handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, old_limit[1]))
    try:
        with pytest.raises(MnasError, match="cannot be written"):
            save_checkpoint(path, tiny_network(seed=1), tiny_data(), Recipe(), accuracy=0.5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old_limit)
        signal.signal(signal.SIGXFSZ, old_handler)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1
