"""A preview says what the data will be without decoding more than a few pictures, and writes nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mnascli.data import DataError, load, streamed
from mnascli.data import preview as previewing
from mnascli.data.dataset import PARTS
from mnascli.data.preview import FEW, preview
from mnascli.errors import UsageError


def make_folder(root: Path, counts: dict[str, int], size: tuple[int, int] = (40, 30)) -> Path:
    rng = np.random.default_rng(0)
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 255, (*size[::-1], 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with each picture that is decoded."""
    found: list[int] = []

    def counting(work: Any) -> Any:
        def counted(*arguments: Any, **named: Any) -> Any:
            found.append(1)
            return work(*arguments, **named)

        return counted

    monkeypatch.setattr(previewing, "decode", counting(previewing.decode))
    monkeypatch.setattr(streamed, "cut", counting(streamed.cut))
    return found


@pytest.mark.parametrize("parts", [(), ("test",), ("val",), ("val", "test")])
def test_parts_have_the_sizes_that_loading_gives(tmp_path: Path, own_home: Path, parts: tuple[str, ...]) -> None:
    folder = tmp_path / "pictures"
    for part in ("train", *parts) if parts else ("",):
        make_folder(folder / part, {"a": 60, "b": 41, "c": 20})
    shown = preview(str(folder), size=12)
    assert not shown.exact and not shown.dataset.hash
    assert not list(own_home.rglob("*.npy"))
    loaded = load(str(folder), size=12)
    for part in PARTS:
        told, true = getattr(shown.dataset, part), getattr(loaded, part)
        assert told.images.shape == true.images.shape
        if len(parts) == 0:  # copies are in the others: the same seed made each part
            assert np.array_equal(np.bincount(told.labels), np.bincount(true.labels))
    again = preview(str(folder), size=12)
    assert again.exact and again.prepare_s == 0
    assert again.dataset.hash == loaded.hash


def test_few_pictures_are_decoded_however_many_there_are(tmp_path: Path, decoded: list[int]) -> None:
    folder = make_folder(tmp_path / "pictures", {"a": 150, "b": 150})
    shown = preview(str(folder), size=12)
    assert shown.dataset.train.images[:500].shape == (182, 12, 12, 3)
    assert len(decoded) == FEW
    # Those of a training that needs whole pictures are decoded when they are taken, and no earlier.
    streaming = preview(str(folder), size=12, stream=True)
    assert len(decoded) == 2 * FEW
    assert streaming.dataset.train.images[:7].shape == (7, 12, 12, 3)
    assert len(decoded) == 2 * FEW + 7


def test_broken_pictures_are_left_out_of_a_preview_or_named(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "pictures", {"a": 20, "b": 20})
    for number in range(10):
        (folder / "a" / f"{number}.png").write_bytes(b"no picture")
    assert np.isfinite(preview(str(folder), size=12).dataset.mean).all()
    with pytest.raises(DataError, match=r"\.png: broken image"):
        preview(str(folder), size=12, on_broken="stop")
    for file in folder.rglob("*.png"):
        file.write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"\.png: broken image"):
        preview(str(folder), size=12)


def test_a_class_with_too_few_pictures_is_named(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "pictures", {"a": 20, "b": 3})
    with pytest.raises(DataError, match="class b has 3 different images"):
        preview(str(folder), size=12)


def test_the_bundled_set_at_another_size_is_not_resized_as_a_whole(own_home: Path) -> None:
    shown = preview("fashion-mnist-10k", size=1024)
    assert shown.dataset.train.images.shape == (6000, 1024, 1024, 1)
    assert shown.exact and shown.prepare_s > 0
    assert not list(own_home.rglob("*.u8"))


def test_parts_are_found_as_loading_finds_them(tmp_path: Path, own_home: Path) -> None:
    for part, count in (("Train", 20), ("Testing", 7)):
        make_folder(tmp_path / "pictures" / part, {"a": count, "b": count})
    shown, loaded = preview(str(tmp_path / "pictures"), size=12), load(str(tmp_path / "pictures"), size=12)
    assert [len(getattr(shown.dataset, part).labels) for part in PARTS] == [30, 6, 14, 4]
    assert (shown.dataset.classes, shown.dataset.source) == (loaded.classes, loaded.source)


@pytest.mark.parametrize("names", [("val/a", "val/b"), ("a", "b\nc"), ("a", "caf\udce9"), ("x/a", "x/b", "y/a", "y/b")])
def test_what_loading_refuses_is_refused_in_the_same_words(tmp_path: Path, names: tuple[str, ...]) -> None:
    make_folder(tmp_path / "pictures", dict.fromkeys(names, 12))
    with pytest.raises(DataError) as told:
        load(str(tmp_path / "pictures"), size=12)
    with pytest.raises(DataError) as before:
        preview(str(tmp_path / "pictures"), size=12)
    assert str(before.value) == str(told.value) and "\n" not in str(told.value)


def test_data_whose_own_name_no_line_can_carry(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "two\nlines", {"a": 12, "b": 12})
    for way in (load, preview):
        with pytest.raises(UsageError, match="control characters"):
            way(str(folder), size=12)
