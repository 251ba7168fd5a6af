"""The written .tflite: the torch network's outputs, deterministic bytes, taken by the quantizer, errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from mnascli.errors import MnasError, UsageError
from mnascli.nets import build
from mnascli.space import zoo
from mnascli.space.architecture import Architecture, Block
from mnascli.tflite import write
from mnascli.tflite.graph import BUFFER_ALIGNMENT
from mnascli.tflite.interpreter import predict
from mnascli.tflite.reading import input_shape, operators

SMALL = Architecture.parse("stem_c8,ds_r1_k3_s1_c8_noskip,ir_r2_k5_s2_e3_c16_se0.25,head_c32,net_i16_o5")


def trained(architecture: Architecture, seed: int = 0) -> torch.nn.Module:
    """A network in evaluation mode whose batch norms and biases are those of no fresh network."""
    network = build(architecture, seed)
    generator = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        if name.endswith((".bias", "running_mean")):
            value.normal_(0.0, 0.2, generator=generator)
        elif name.endswith(("bn.weight", "running_var")):
            value.uniform_(0.6, 1.4, generator=generator)
    return network.eval()


def pictures(architecture: Architecture, count: int = 2) -> np.ndarray[Any, np.dtype[np.float32]]:
    shape = (count, architecture.size, architecture.size, architecture.channels)
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def largest_difference(network: torch.nn.Module, path: Path, architecture: Architecture) -> float:
    """Between torch's logits and the file's, relative to the largest logit where that is above 1."""
    images = pictures(architecture)
    with torch.inference_mode():
        expected = network(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
    return float(np.abs(predict(path, images) - expected).max() / max(1.0, np.abs(expected).max()))


@pytest.mark.parametrize("operator", ["cn_r2_k{k}_s{s}_c8", "ds_r2_k{k}_s{s}_c8", "ir_r2_k{k}_s{s}_e3_c8"])
@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("rest", ["_noskip", "_skip", "_pool", "_se0.25_skip", "_se0.25_pool"])
def test_every_operator_gives_the_outputs_of_torch(
    tmp_path: Path, operator: str, kernel: int, stride: int, rest: str
) -> None:
    block = operator.format(k=kernel, s=stride) + rest
    for size in (16, 15):
        architecture = Architecture.parse(f"stem_s1_c8,{block},head_c16,net_i{size}_o4")
        network = trained(architecture)
        path = write(architecture, tmp_path / "model.tflite", network.state_dict())
        assert largest_difference(network, path, architecture) < 1e-4


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    operator = draw(st.sampled_from(["conv", "sep", "mbconv"]))
    stride = draw(st.sampled_from([1, 2]))
    return Block(
        operator=operator,
        kernel=draw(st.sampled_from([1, 3, 5, 7])),
        stride=stride,
        filters=draw(st.sampled_from([1, 4, 8, 11])),
        repeats=draw(st.integers(1 if stride == 2 else 0, 3)),
        expansion=draw(st.sampled_from([1, 3, 6])) if operator == "mbconv" else 1,
        se_ratio=draw(st.sampled_from([0.0, 0.05, 0.25, 1.0])),
        skip=draw(st.sampled_from(["none", "identity", "pool"])),
    )


architectures = st.builds(
    Architecture,
    blocks=st.lists(blocks(), min_size=1, max_size=3).map(tuple),
    stem_kernel=st.sampled_from([1, 3, 5]),
    stem_stride=st.sampled_from([1, 2]),
    stem_filters=st.sampled_from([1, 4, 8]),
    head_filters=st.sampled_from([1, 16]),
    activation=st.sampled_from(["relu", "relu6"]),
    size=st.integers(1, 20),
    channels=st.sampled_from([1, 3]),
    classes=st.integers(2, 6),
)


@settings(max_examples=40)
@given(architecture=architectures, seed=st.integers(0, 9))
def test_any_architecture_gives_the_outputs_of_torch(
    tmp_path_factory: pytest.TempPathFactory, architecture: Architecture, seed: int
) -> None:
    network = trained(architecture, seed)
    path = write(architecture, tmp_path_factory.mktemp("any") / "model.tflite", network.state_dict())
    assert largest_difference(network, path, architecture) < 1e-4


@pytest.mark.parametrize("name", sorted(zoo.ZOO))
def test_the_zoo(tmp_path: Path, name: str) -> None:
    architecture = zoo.load(name, width=0.35, size=64, classes=10)
    network = trained(architecture)
    path = write(architecture, tmp_path / "model.tflite", network.state_dict())
    assert largest_difference(network, path, architecture) < 1e-4


def test_random_weights_come_from_the_seed(tmp_path: Path) -> None:
    first, again, other = (
        write(SMALL, tmp_path / f"{number}.tflite", seed=seed).read_bytes() for number, seed in enumerate((1, 1, 2))
    )
    assert first == again
    assert first != other
    logits = predict(tmp_path / "0.tflite", pictures(SMALL))
    assert logits.shape == (2, 5)
    assert 1e-3 < np.abs(logits).max() < 1e3  # neither denormal nor huge: that would change the latency


def test_interface_and_metadata(tmp_path: Path) -> None:
    path = write(SMALL, tmp_path / "model.tflite")
    assert input_shape(path) == (1, 16, 16, 3)
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes()))
    graph, (signature,) = model.subgraphs[0], model.signatureDefs
    assert signature.signatureKey == b"serving_default"
    assert [(item.name, item.tensorIndex) for item in signature.inputs] == [(b"image", graph.inputs[0])]
    assert [(item.name, item.tensorIndex) for item in signature.outputs] == [(b"logits", graph.outputs[0])]
    assert [item.name for item in model.metadata] == [b"min_runtime_version"]


def test_constants_are_aligned_as_the_schema_demands(tmp_path: Path) -> None:
    content = write(SMALL, tmp_path / "model.tflite").read_bytes()
    model = schema.Model.GetRootAs(content)
    start = np.frombuffer(content, np.uint8).ctypes.data
    buffers = [model.Buffers(index) for index in range(1, model.BuffersLength())]
    assert len(buffers) > 10
    assert {(buffer.DataAsNumpy().ctypes.data - start) % BUFFER_ALIGNMENT for buffer in buffers} == {0}


def test_the_quantizer_takes_the_file(tmp_path: Path) -> None:
    from ai_edge_quantizer import quantizer, recipe

    network = trained(SMALL)
    path = write(SMALL, tmp_path / "float.tflite", network.state_dict())
    quantized = tmp_path / "int8.tflite"
    quantizer.Quantizer(str(path), recipe.dynamic_wi8_afp32()).quantize().export_model(str(quantized))
    images = pictures(SMALL, 4)
    logits = predict(path, images)
    assert operators(quantized) == operators(path)
    assert np.abs(predict(quantized, images) - logits).max() < 0.1 * np.abs(logits).max()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ("stem_c8,ds_r1_k3_s1_c8_noskip,head_c32,net_i16_o5", "blocks.1.0.expand.conv.weight is missing"),
        (f"{SMALL},ds_r1_k3_s1_c16", "it has no blocks.2.0.depthwise.conv.weight"),
        (str(SMALL).replace("k5", "k3"), "blocks.1.0.depthwise.conv.weight is (24, 1, 3, 3), not (24, 1, 5, 5)"),
    ],
)
def test_weights_of_another_architecture(tmp_path: Path, other: str, message: str) -> None:
    weights = build(Architecture.parse(other), seed=0).state_dict()
    with pytest.raises(UsageError, match="another architecture") as raised:
        write(SMALL, tmp_path / "model.tflite", weights)
    assert message in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(MnasError, match=r"model\.tflite: cannot be written: No such file"):
        write(SMALL, tmp_path / "nowhere" / "model.tflite")


def test_an_old_file_stays_whole_until_the_new_one_is_there(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"old")
    with pytest.raises(MnasError):
        write(SMALL, path, {})
    assert path.read_bytes() == b"old"
    write(SMALL, path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.tflite"]


def test_writing_needs_no_torch() -> None:
    script = (
        "import sys, mnascli.tflite.writer, mnascli.tflite.interpreter, mnascli.nets; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
