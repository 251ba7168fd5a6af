"""Is the file that the writer makes faster than what the standard path makes of the same network?

The standard path is a torch network as torchvision or timm has it, converted by litert-torch. Neither is needed here:
the same weights are put into their form.

- torchvision's form: NCHW pictures, convolutions that pad by kernel // 2 on all sides, the mean over two axes.
- timm's form for TensorFlow's weights (`tf_...`): NCHW pictures, `F.pad` and then a convolution without padding
  (timm/layers/padding.py), adaptive pooling and flatten.

The first also with pictures channels last, through litert-torch's `to_channel_last_io` (NHWC), as its documentation
advises. Files are kept in --folder, so that making them and measuring them can be done at different times.

    python benchmarks/files/standard_path.py --folder FOLDER --make-only
    python benchmarks/files/standard_path.py --folder FOLDER
"""

from __future__ import annotations

import argparse
import contextlib
import os
from collections import Counter
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from mnascli import nets, tflite
from mnascli.devices.measuring import Latency
from mnascli.engine.benches.bench import open_bench
from mnascli.nets.modules import GlobalMeanModule, SameConv
from mnascli.space import load
from mnascli.tflite.convert import import_converter
from mnascli.tflite.reading import operators

# (form, how the pictures lie)
FORMS = (("torchvision", "NCHW"), ("torchvision", "NHWC"), ("timm tf", "NCHW"))
MODELS = ("mobilenet-v2", "mnasnet-a1")


class TimmConv(nn.Conv2d):
    """timm's Conv2dSame: `pad_same`, then a convolution without padding."""

    def forward(self, x: Tensor) -> Tensor:
        (high, wide), kernel, stride = x.shape[-2:], self.kernel_size[0], self.stride[0]
        down, right = (max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in (high, wide))
        x = F.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2))
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class MeanOfTwoAxes(nn.Module):
    """torchvision's mnasnet: `x.mean([2, 3])`."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean([2, 3])


def in_form_of(form: str, network: nn.Module) -> nn.Module:
    """The network with its convolutions and its last mean as `form` writes them; its weights are shared."""
    for name, module in list(network.named_modules()):
        new: nn.Module | None = None
        if isinstance(module, SameConv):
            like = (module.in_channels, module.out_channels, module.kernel_size, module.stride)
            # In timm a convolution that needs no dynamic padding is torch's own.
            static = form == "torchvision" or module.stride[0] == 1
            padding = module.kernel_size[0] // 2 if static else 0
            new = (nn.Conv2d if static else TimmConv)(*like, padding, groups=module.groups, bias=False)
            new.weight = module.weight
        elif isinstance(module, GlobalMeanModule):
            new = MeanOfTwoAxes() if form == "torchvision" else nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        if new is not None:
            parent, _, last = name.rpartition(".")
            setattr(network.get_submodule(parent), last, new)
    return network.eval()


def make(model: str, folder: Path) -> dict[str, Path]:
    """The files of a model by how they were made; those that are there are taken."""
    architecture = load(model)
    files = {"mnas' writer": folder / f"{model}-writer.tflite"}
    if not files["mnas' writer"].exists():
        tflite.write(architecture, files["mnas' writer"], nets.build(architecture, 0).eval().state_dict())
    for form, layout in FORMS:
        file = files[f"{form}, {layout}"] = folder / f"{model}-{form.replace(' ', '-')}-{layout}.tflite"
        if not file.exists():
            converter = import_converter()
            network = in_form_of(form, nets.build(architecture, 0))
            image = torch.zeros(1, 3, architecture.size, architecture.size)
            if layout == "NHWC":
                network, image = converter.to_channel_last_io(network, args=[0]), image.permute(0, 2, 3, 1)
            with Path(os.devnull).open("w") as sink, contextlib.redirect_stdout(sink):
                converter.convert(network.eval(), (image.contiguous(),)).export(str(file))
    return files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--make-only", action="store_true")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    made = {model: make(model, arguments.folder) for model in arguments.models}
    if arguments.make_only:
        return
    table = Table("model", "file", "ms", "writer = 1", "verdict", "operators", "PAD", "TRANSPOSE")
    bench = open_bench("host")
    latencies = bench.measure_files([file for files in made.values() for file in files.values()])
    bench.close()
    row = iter(latencies)
    for model, files in made.items():
        base_ms = None
        for name, file in files.items():
            latency = next(row)
            assert isinstance(latency, Latency), latency
            base_ms = base_ms or latency.median_ms
            of = Counter(operators(file))
            counts = [sum(of.values()), of["PAD"] + of["PADV2"], of["TRANSPOSE"]]
            relative = f"{latency.median_ms / base_ms:.2f}"
            table.add_row(model, name, f"{latency.median_ms:.2f}", relative, latency.verdict, *map(str, counts))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
