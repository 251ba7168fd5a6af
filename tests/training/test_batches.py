import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from training_helpers import bars, tiny_data

from mnascli.training.batches import Batches, ToInput, augment
from mnascli.training.recipe import Recipe

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 7, 7, 2), np.uint8)


def test_an_epoch_has_each_image_once_in_an_order_of_its_own():
    batches = Batches(bars(96, 0), Recipe(batch_size=32), seed=1)
    assert batches.per_epoch == 3
    orders = [batches.order(epoch).tolist() for epoch in range(2)]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(96))
    assert orders[0] != orders[1]
    assert orders[0] == Batches(bars(96, 0), Recipe(batch_size=32), seed=1).order(0).tolist()
    assert orders[0] != Batches(bars(96, 0), Recipe(batch_size=32), seed=2).order(0).tolist()


def test_a_batch_depends_on_seed_and_step_alone():
    batches = Batches(bars(96, 0), Recipe(batch_size=32, flip=True, shift=2), seed=1)
    order = batches.order(4)
    later = batches.get(order, 4, 2)
    batches.get(order, 4, 0)
    again = batches.get(order, 4, 2)
    assert (later[0] == again[0]).all()
    assert (later[1] == batches.split.labels[order[64:96]]).all()


def test_fewer_images_than_a_batch_are_one_batch():
    batches = Batches(bars(6, 0), Recipe(batch_size=32), seed=0)
    assert (batches.per_epoch, batches.batch_size) == (1, 6)


def test_no_augmentation_leaves_the_images():
    chosen = np.array([3, 1])
    assert (augment(IMAGES, chosen, Recipe(), np.random.default_rng(0)) == IMAGES[[3, 1]]).all()


def test_flip_mirrors_some_images_and_nothing_else():
    chosen = np.arange(6)
    flipped = augment(IMAGES, chosen, Recipe(flip=True), np.random.default_rng(1))
    mirrored = [(after == before[:, ::-1]).all() for after, before in zip(flipped, IMAGES, strict=True)]
    same = [(after == before).all() for after, before in zip(flipped, IMAGES, strict=True)]
    assert all(a != b for a, b in zip(mirrored, same, strict=True))
    assert any(mirrored)
    assert any(same)


@given(st.integers(0, 1000), st.integers(1, 3))
def test_shift_moves_by_at_most_so_many_pixels_and_repeats_the_edge(seed, shift):
    moved = augment(IMAGES, np.arange(6), Recipe(shift=shift), np.random.default_rng(seed))
    for after, before in zip(moved, IMAGES, strict=True):
        padded = np.pad(before, ((shift, shift), (shift, shift), (0, 0)), "edge")
        windows = [padded[y : y + 7, x : x + 7] for y in range(2 * shift + 1) for x in range(2 * shift + 1)]
        assert any((after == window).all() for window in windows)


def test_input_is_what_the_data_set_normalises():
    data = tiny_data()
    for channels_last in (False, True):
        tensor = ToInput(data, torch.device("cpu"), channels_last)(data.train.images[:5])
        assert tensor.shape == (5, 1, 12, 12)
        expected = data.normalise(data.train.images[:5]).transpose(0, 3, 1, 2)
        np.testing.assert_allclose(tensor.numpy(), expected, atol=1e-6)
