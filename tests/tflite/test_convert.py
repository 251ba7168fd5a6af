"""litert-torch's export, and that the writer's file is the same, operator for operator.

The two files are compared with nothing left out: SAME padding stands in the convolutions and pools of both, and neither
has a PAD or a TRANSPOSE.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema

from mnascli.errors import MnasError
from mnascli.nets import build
from mnascli.space import zoo
from mnascli.space.architecture import Architecture
from mnascli.tflite import write
from mnascli.tflite.convert import convert
from mnascli.tflite.interpreter import predict
from mnascli.tflite.reading import operators

# Together: each operator at strides 1 and 2 with each skip, kernels 3, 5 and 7, with and without squeeze-excite.
ARCHITECTURES = {
    "even sizes": Architecture.parse(
        "stem_c8,cn_r2_k3_s2_c8_pool,ds_r2_k5_s2_c8_pool,ir_r2_k7_s2_e3_c8_se0.25_pool,cn_r2_k5_s1_c8_se0.25_skip,"
        "ir_r2_k3_s1_e6_c16,ds_r2_k3_s1_c16_se0.25_skip,cn_r1_k3_s2_c16,ir_r1_k5_s1_e1_c8_noskip,head_c32,net_i64_o7"
    ),
    # One channel, and squeezing to one, make depthwise convolutions of plain ones; the last maps are one pixel.
    "odd sizes, one channel": Architecture.parse(
        "stem_c8,ds_r2_k5_s2_c8_pool,cn_r2_k3_s2_c8_se0.1_pool,ir_r2_k3_s2_e3_c8_pool,cn_r1_k7_s2_c8_pool,"
        "ir_r2_k3_s1_e3_c8_se0.5,head_c16,net_i33_ch1_o3_relu6"
    ),
    "mnasnet-a1": zoo.load("mnasnet-a1", width=0.35, size=32, classes=10),
}


@pytest.fixture(scope="module", params=ARCHITECTURES)
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    """(architecture, network, converted file, written file)"""
    architecture = ARCHITECTURES[request.param]
    network = build(architecture, seed=0)
    generator = torch.Generator().manual_seed(0)
    for name, value in network.state_dict().items():
        if name.endswith((".bias", "running_mean")):  # the converter drops a bias of zeros
            value.normal_(0.0, 0.2, generator=generator)
    folder = tmp_path_factory.mktemp("files")
    converted = convert(network, architecture, folder / "converted.tflite")
    assert network.training, "the network was not left in the mode it was in"
    return architecture, network.eval(), converted, write(architecture, folder / "written.tflite", network.state_dict())


def described(path: Path) -> list[tuple[Any, ...]]:
    """Each operator with its version, the shapes and types of its tensors, activation and stride."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes()))
    graph = model.subgraphs[0]

    def tensors(indices: Any) -> list[tuple[Any, ...]]:
        return [(*map(int, graph.tensors[index].shape), graph.tensors[index].type) for index in indices]

    return [
        (
            name,
            model.operatorCodes[operator.opcodeIndex].version,
            tensors(operator.inputs),
            tensors(operator.outputs),
            getattr(operator.builtinOptions, "fusedActivationFunction", None),
            getattr(operator.builtinOptions, "strideH", None),
        )
        for name, operator in zip(operators(path), graph.operators, strict=True)
    ]


def test_the_written_file_is_the_converted_one_operator_for_operator(files: tuple[Any, ...]) -> None:
    _, _, converted, written = files
    assert described(written) == described(converted)


def test_no_pad_is_left(files: tuple[Any, ...]) -> None:
    assert not {"PAD", "PADV2", "TRANSPOSE", "RESHAPE"} & set(operators(files[2]))


def test_both_give_the_outputs_of_torch(files: tuple[Any, ...]) -> None:
    architecture, network, converted, written = files
    shape = (3, architecture.size, architecture.size, architecture.channels)
    images = np.random.default_rng(0).standard_normal(shape, np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
    for path in (converted, written):
        np.testing.assert_allclose(predict(path, images), expected, atol=1e-4)


def test_both_have_the_same_interface(files: tuple[Any, ...]) -> None:
    for path in files[2:]:
        (signature,) = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes())).signatureDefs
        assert signature.signatureKey == b"serving_default"
        assert [item.name for item in (*signature.inputs, *signature.outputs)] == [b"image", b"logits"]


class Unconvertible(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        print("chatter on stdout")
        print("chatter on stderr", file=sys.stderr)
        raise RuntimeError("this cannot be\nexported")


def test_a_network_that_cannot_be_converted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MnasError, match=r"litert-torch cannot convert .*: RuntimeError: this cannot be$"):
        convert(Unconvertible(), ARCHITECTURES["mnasnet-a1"], tmp_path / "model.tflite")
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []
    print("heard again")
    assert capfd.readouterr().out == "heard again\n"


def test_a_machine_without_the_converter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "litert_torch", None)
    with pytest.raises(MnasError, match="needs the package litert-torch"):
        convert(torch.nn.Identity(), ARCHITECTURES["mnasnet-a1"], tmp_path / "model.tflite")
