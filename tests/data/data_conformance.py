"""What every kind of data set has to keep to: inherit the class, give it a `spec` fixture of `make_pictures`'s."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from mnascli.data import load
from mnascli.data.dataset import PARTS
from mnascli.data.loading import find

CLASSES = ("cat", "dog")
READY_MADE = {"train": 30, "validation": 3, "test": 3}
OF_EACH = {"train": 27, "validation": 3, "test": 3, "selection": 3}  # the selection part is held out of train


def make_pictures() -> dict[str, list[tuple[bytes, int]]]:
    """Encoded pictures with their labels, part by part: unequal sizes and modes, the second class brighter."""
    rng = np.random.default_rng(0)
    parts = {}
    for part, count in READY_MADE.items():
        parts[part] = []
        for label in range(len(CLASSES)):
            for index in range(count):
                shape = (int(rng.integers(20, 60)), int(rng.integers(20, 60)), 3)
                picture = Image.fromarray(rng.integers(0, 100, shape, np.uint8) + np.uint8(100 * label))
                file = io.BytesIO()
                picture.convert("L" if index == 1 else "RGB").save(file, "JPEG" if index % 2 else "PNG")
                parts[part].append((file.getvalue(), label))
    return parts


class DataConformance:
    """`spec`: what load() takes for the pictures of `make_pictures`, with all three parts ready-made."""

    def read(self, spec, **options):
        return load(spec, **{"size": 16, "channels": 3, "report": lambda line: None, **options})

    def test_parts_and_classes(self, spec):
        dataset = self.read(spec)
        assert dataset.classes == CLASSES
        for part in PARTS:
            images, labels = getattr(dataset, part)
            assert images.shape == (2 * OF_EACH[part], 16, 16, 3)
            assert np.bincount(labels).tolist() == [OF_EACH[part]] * 2
            assert labels.dtype == np.int64
            brightness = images[:].mean((1, 2, 3))
            assert (brightness[labels == 1].min() > brightness[labels == 0].max()).all()

    def test_streamed_pictures_are_those_of_the_cache(self, spec):
        cached, streamed = self.read(spec, stream=False), self.read(spec, stream=True)
        assert (cached.hash, cached.classes) == (streamed.hash, streamed.classes)
        for part in PARTS:
            a, b = getattr(cached, part), getattr(streamed, part)
            assert (a.labels == b.labels).all()
            assert len(a.images) == len(b.images)
            for key in (slice(None), slice(1, 5), slice(5, 1, -2), np.array([4, 0, 0]), 2, -1, a.labels == 1):
                assert (a.images[key] == b.images[key]).all(), key
        np.testing.assert_allclose(streamed.mean, cached.mean, atol=0.02)
        np.testing.assert_allclose(streamed.std, cached.std, atol=0.2)

    def test_it_is_the_same_each_time_and_looked_at_once(self, spec):
        before, after = [], []
        first = self.read(spec, report=before.append)
        second = self.read(spec, report=after.append)
        assert len(before) == 1
        assert not after
        assert first.hash == second.hash
        assert (first.train.images[:] == second.train.images[:]).all()

    def test_greyscale_and_crop(self, spec):
        grey = self.read(spec, channels=1, crop=0.5)
        assert grey.train.images.shape[1:] == (16, 16, 1)
        assert (grey.train.images[:] != self.read(spec, channels=1).train.images[:]).any()

    def test_pictures_have_names(self, spec):
        source = find(spec, lambda line: None)
        assert len({source.parts["train"].name(n) for n in range(3)}) == 3
        with pytest.raises(IndexError):
            source.parts["train"].read(10**6)
