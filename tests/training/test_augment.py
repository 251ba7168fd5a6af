import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from training_helpers import bars

from mnascli.data import DataError
from mnascli.data.dataset import Split
from mnascli.data.streamed import StreamedImages
from mnascli.training import Recipe
from mnascli.training.augment import OPERATIONS, augmented, jitter, rand_augment, random_box
from mnascli.training.batches import Batches
from mnascli.training.classification import CLASSIFICATION
from mnascli.training.mixing import mix

ALL = Recipe(
    batch_size=16, random_crop=0.3, color_jitter=0.4, rand_augment=2, rand_augment_magnitude=15, flip=True, shift=1
)


SATURATION = 5  # of OPERATIONS


class Encoded:
    """Pictures in memory, as a source would have them."""

    def __init__(self, count):
        rng = np.random.default_rng(0)
        self.labels = np.arange(count) % 3
        self.files = []
        for _ in range(count):
            file = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (24, 30, 3), np.uint8)).save(file, "PNG")
            self.files.append(file.getvalue())

    def read(self, number):
        return self.files[number]

    def name(self, number):
        return f"picture {number}"


def streamed(count=48):
    pictures = Encoded(count)
    return Split(StreamedImages(pictures, 12, 3), pictures.labels)


@given(st.integers(0, 10**6), st.floats(0.05, 1), st.integers(1, 2000), st.integers(1, 2000))
def test_a_random_box_lies_inside_and_has_the_share_that_was_asked_for(seed, smallest, width, height):
    left, upper, right, lower = random_box(smallest, np.random.default_rng(seed))(width, height)
    assert 0 <= left < right <= width + 1e-6
    assert 0 <= upper < lower <= height + 1e-6
    side = min(width, height)
    if (right - left, lower - upper) != (side, side):  # not the centre square, taken where nothing else fits
        assert (right - left) * (lower - upper) >= 0.999 * smallest * width * height
        assert 0.74 < (right - left) / (lower - upper) < 1.34


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("operation", range(len(OPERATIONS)))
def test_operations_keep_size_and_mode(mode, operation):
    pixels = np.random.default_rng(0).integers(20, 200, (40, 40, 3), np.uint8)
    picture = Image.fromarray(pixels).convert(mode)
    for share in (0.0, 0.5, 1.0):
        changed = OPERATIONS[operation](picture, share, -1.0)
        assert (changed.size, changed.mode) == (picture.size, mode)
    if operation and not (mode == "L" and operation == SATURATION):
        assert np.asarray(changed).tobytes() != np.asarray(picture).tobytes()


def test_chance_comes_from_the_generator_alone():
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8))
    for change in (lambda rng: jitter(picture, 0.5, rng), lambda rng: rand_augment(picture, 3, 20, rng)):
        first, again, other = (np.asarray(change(np.random.default_rng(seed))) for seed in (1, 1, 2))
        assert (first == again).all()
        assert (first != other).any()


def test_arrays_are_augmented_like_pictures():
    images = bars(6, 0).images
    picture = augmented(images, 2, Recipe(random_crop=0.5), np.random.default_rng(0))
    assert (picture.size, picture.mode) == ((12, 12), "L")
    plain = augmented(images, 2, Recipe(color_jitter=1e-9), np.random.default_rng(0))
    np.testing.assert_allclose(np.asarray(plain), images[2, ..., 0], atol=1)


@pytest.mark.parametrize("split", [streamed(), bars(48, 0)])
def test_workers_begin_and_share_change_nothing(split):
    whole = [images for images, _ in Batches(split, ALL, 1).epoch(2)]
    assert len(whole) == 3
    assert len({images.tobytes() for images in whole}) == 3
    batches = Batches(split, ALL, 1, workers=2)
    for _ in range(2):  # workers stay alive between epochs
        by_workers = list(batches.epoch(2))
        assert all((a == b).all() for a, (b, _) in zip(whole, by_workers, strict=True))
    assert all(
        (labels == split.labels[batches.order(2)[16 * n :][:16]]).all() for n, (_, labels) in enumerate(by_workers)
    )
    ((late, _),) = Batches(split, ALL, 1).epoch(2, begin=2)
    assert (late == whole[2]).all()
    shares = [next(iter(Batches(split, ALL, 1, rank=rank, ranks=2).epoch(2)))[0] for rank in range(2)]
    assert (np.concatenate(shares) == whole[0]).all()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_picture_that_is_gone_is_named_in_one_line(workers):
    split = streamed()
    split.images.pictures.files[5] = b"overwritten"
    with pytest.raises(DataError, match="picture 5: can no longer be read") as caught:
        list(Batches(split, ALL, 1, workers=workers).epoch(0))
    assert "\n" not in str(caught.value)


def test_nothing_is_mixed_unless_the_recipe_says_so():
    images, labels = torch.rand(4, 1, 6, 6), torch.tensor([0, 1, 2, 0])
    same, targets = mix(images, labels, Recipe(), np.random.default_rng(0))
    assert same is images
    assert targets.others is None


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([4, 5]), st.sampled_from([(0.4, 0.0), (0.0, 1.0), (1.0, 1.0)]))
def test_mixing_is_of_neighbours_in_the_share_that_the_targets_say(seed, count, alphas):
    images = torch.arange(count, dtype=torch.float32)[:, None, None, None].expand(count, 1, 8, 8)
    labels = torch.arange(count) % 3
    mixup, cutmix = alphas
    rng = np.random.default_rng(seed)
    mixed, targets = mix(images, labels, Recipe(mixup=mixup, cutmix=cutmix), rng)
    partner = [1, 0, 3, 2, 4][:count]
    expected = [targets.own * index + (1 - targets.own) * other for index, other in enumerate(partner)]
    torch.testing.assert_close(mixed.mean((1, 2, 3)), torch.tensor(expected), rtol=1e-4, atol=1e-4)
    logits, recipe = torch.randn(count, 3), Recipe(label_smoothing=0.1)
    soft = targets.own * torch.eye(3)[labels] + (1 - targets.own) * torch.eye(3)[labels[partner]]
    loss = torch.nn.functional.cross_entropy(logits, soft, label_smoothing=0.1)
    torch.testing.assert_close(CLASSIFICATION.loss(logits, targets, recipe), loss)
    parts = [
        CLASSIFICATION.loss(logits[cut], part, recipe)
        for part, cut in zip(targets.chunk(2), (slice(0, -(-count // 2)), slice(-(-count // 2), None)), strict=True)
    ]
    sizes = torch.tensor([-(-count // 2), count - -(-count // 2)]) / count
    torch.testing.assert_close((torch.stack(parts) * sizes).sum(), loss)
