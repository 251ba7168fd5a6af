import gzip
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mnascli.data import DataError, load
from mnascli.data.bundled import BUNDLED
from mnascli.data.dataset import PARTS
from mnascli.data.fashion import DEBIAN_FOLDER, FILES
from mnascli.errors import UsageError

ROOT = Path(__file__).parents[2]


def write_original(folder):
    """The four files, with 600 and 60 random images."""
    rng = np.random.default_rng(0)
    for name, count in zip(FILES, (600, 600, 60, 60), strict=True):
        if "labels" in name:
            data = struct.pack(">HBBI", 0, 8, 1, count) + bytes(index % 10 for index in range(count))
        else:
            data = struct.pack(">HBBIII", 0, 8, 3, count, 28, 28) + rng.bytes(count * 784)
        (folder / name).write_bytes(gzip.compress(data, 1))


def test_the_bundled_set():
    dataset = load("fashion-mnist-10k", size=28, channels=None)
    assert len(dataset.classes) == 10
    for part, of_each in zip(PARTS, (600, 150, 150, 100), strict=True):
        split = getattr(dataset, part)
        assert split.images.shape == (10 * of_each, 28, 28, 1)
        assert split.images.dtype == np.uint8
        assert np.bincount(split.labels).tolist() == [of_each] * 10
    contents = [{image.tobytes() for image in getattr(dataset, part).images} for part in PARTS]
    assert sum(len(part) for part in contents) == len(set.union(*contents))  # no image stands in two parts
    assert dataset.hash == "309c6f4ff1a990ec3dc93cdd5c2ca852"
    normal = dataset.normalise(dataset.train.images)
    assert normal.dtype == np.float32
    assert abs(float(normal.mean())) < 1e-3
    assert abs(float(normal.std()) - 1) < 1e-3


def test_the_notice_travels_with_it():
    notice = BUNDLED.with_name("FASHION_MNIST_LICENSE.txt").read_text()
    assert "MIT License" in notice
    assert "Zalando" in notice


def test_the_bundled_set_at_another_size():
    native = load("fashion-mnist-10k", size=28, channels=1)
    lines = []
    for _ in range(2):
        larger = load("fashion-mnist-10k", size=32, channels=3, report=lines.append)
    assert len(lines) == 1
    assert larger.train.images.shape == (6000, 32, 32, 3)
    assert (larger.train.images[..., 0] == larger.train.images[..., 2]).all()
    assert (larger.test.labels == native.test.labels).all()
    assert larger.hash != native.hash


def test_the_full_set_by_path(tmp_path):
    write_original(tmp_path)
    dataset = load(f"fashion-mnist:{tmp_path}", size=28, channels=None)
    assert [len(getattr(dataset, part).labels) for part in PARTS] == [500, 50, 60, 50]
    assert np.bincount(dataset.validation.labels).tolist() == [5] * 10


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(UsageError, match=r"dataset-fashion-mnist"):
        load(f"fashion-mnist:{tmp_path}", size=28, channels=None)
    write_original(tmp_path)
    whole = (tmp_path / FILES[0]).read_bytes()
    for damaged in (whole[:1000], b"", gzip.compress(b"nonsense"), gzip.compress(b"")):
        (tmp_path / FILES[0]).write_bytes(damaged)
        with pytest.raises(DataError, match=FILES[0]) as caught:
            load(f"fashion-mnist:{tmp_path}", size=28, channels=None)
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(not DEBIAN_FOLDER.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_the_script_makes_the_bundled_file(tmp_path):
    made = tmp_path / "made.npz"
    subprocess.run(
        [sys.executable, ROOT / "scripts" / "make_fashion_subset.py", "--output", made],
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    with np.load(made) as new, np.load(BUNDLED) as bundled:
        assert set(new) == set(bundled)
        for name in bundled:
            assert (new[name] == bundled[name]).all()
