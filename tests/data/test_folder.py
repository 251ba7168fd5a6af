import resource
import shutil
import signal

import numpy as np
import pytest
from PIL import Image

from mnascli.data import DataError, load
from mnascli.data.dataset import PARTS
from mnascli.errors import UsageError


def noise(seed, shape=(12, 10, 3)):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8))


def fill(folder, count, first_seed):
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        noise(first_seed + index).save(folder / f"{index:03}.png")


def make(root, classes=("cat", "dog"), count=20, seed=0):
    for number, name in enumerate(classes):
        fill(root / name, count, seed + 1000 * number)
    return root


def read(root, lines=None, **options):
    return load(str(root), size=8, channels=3, report=(lines if lines is not None else []).append, **options)


def contents(split):
    return {image.tobytes() for image in split.images}


def test_a_folder_is_split_by_content(tmp_path):
    dataset = read(make(tmp_path / "pets"))
    assert (dataset.name, dataset.classes) == ("pets", ("cat", "dog"))
    for part, of_each in ((dataset.train, 12), (dataset.validation, 3), (dataset.test, 3), (dataset.selection, 2)):
        assert part.images.shape == (2 * of_each, 8, 8, 3)
        assert np.bincount(part.labels).tolist() == [of_each, of_each]
    assert not contents(dataset.train) & contents(dataset.test)
    assert not contents(dataset.train) & contents(dataset.validation)
    assert not contents(dataset.validation) & contents(dataset.test)
    assert not contents(dataset.selection) & contents(dataset.train)
    assert not contents(dataset.selection) & contents(dataset.validation)


def test_renamed_files_stay_in_their_parts(tmp_path):
    before = read(make(tmp_path / "a"))
    make(tmp_path / "b")
    for path in sorted((tmp_path / "b").rglob("*.png")):
        path.rename(path.with_name("z" + path.name[::-1].removeprefix("gnp.") + ".png"))
    after = read(tmp_path / "b")
    assert contents(before.test) == contents(after.test)
    assert contents(before.validation) == contents(after.validation)


def test_it_is_decoded_once(tmp_path):
    root, lines = make(tmp_path / "pets"), []
    first = read(root, lines)
    assert len(lines) == 1
    second = read(root, lines)
    assert len(lines) == 1
    assert second.hash == first.hash
    assert isinstance(second.train.images, np.memmap)
    (root / "cat" / "000.png").unlink()
    assert read(root, lines).hash != first.hash
    assert len(lines) == 2


def test_a_damaged_cache_is_made_again(tmp_path, own_home):
    root, lines = make(tmp_path / "pets"), []
    first = read(root, lines)
    (file,) = own_home.rglob("train.u8")
    file.write_bytes(file.read_bytes()[:100])
    assert read(root, lines).hash == first.hash
    assert len(lines) == 2
    assert not list(own_home.rglob("building-*"))


def test_ready_made_parts(tmp_path):
    for seed, part in ((0, "train"), (100, "val"), (200, "test")):
        make(tmp_path / part, count=4, seed=seed)
    dataset = read(tmp_path)
    assert [len(getattr(dataset, part).labels) for part in PARTS] == [6, 8, 8, 2]


def test_val_alone_is_the_test_part(tmp_path):
    make(tmp_path / "train", count=10)
    make(tmp_path / "val", count=4, seed=500)
    lines = []
    dataset = read(tmp_path, lines)
    assert [len(getattr(dataset, part).labels) for part in PARTS] == [14, 4, 8, 2]
    assert any("validation is held out of train" in line for line in lines)


def test_a_broken_image_is_named_and_skipped(tmp_path):
    root, lines = make(tmp_path / "pets"), []
    broken = root / "dog" / "007.png"
    broken.write_bytes(broken.read_bytes()[:50])
    dataset = read(root, lines)
    assert sum(len(getattr(dataset, part).labels) for part in PARTS) == 39
    assert [line for line in lines if str(broken) in line]
    assert len(dataset.skipped) == 1
    with pytest.raises(DataError, match=r"007\.png") as caught:
        read(root, on_broken="stop")
    assert "\n" not in str(caught.value)


def test_stop_without_a_cache(tmp_path):
    root = make(tmp_path / "pets")
    (root / "cat" / "000.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"cat/000\.png: broken image"):
        read(root, on_broken="stop")


def test_other_files_are_no_images(tmp_path):
    root = make(tmp_path / "pets")
    (root / "cat" / "README.txt").write_text("about cats")
    (root / "cat" / ".hidden.png").write_bytes(b"")
    (root / ".git").mkdir()
    assert not read(root).skipped


def test_copies_stay_in_one_part(tmp_path):
    root = make(tmp_path / "pets", count=6)
    for path in sorted((root / "cat").glob("*.png")):
        for copy in range(4):
            shutil.copy(path, path.with_name(f"{path.stem}-{copy}.png"))
    dataset = read(root)
    assert not contents(dataset.train) & contents(dataset.test)
    assert not contents(dataset.train) & contents(dataset.validation)


def one_class(root):
    make(root, classes=("cat",))


def empty_class(root):
    make(root)
    (root / "bird").mkdir()


def too_few(root):
    make(root)
    fill(root / "bird", 2, 9000)


def different_classes(root):
    make(root / "train")
    make(root / "test", classes=("cat", "cow"))


def all_broken(root):
    make(root)
    (root / "bird").mkdir()
    (root / "bird" / "a.png").write_bytes(b"x")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda root: root.mkdir(), "no sub-folders"),
        (one_class, "one class only"),
        (empty_class, "bird: no images"),
        (too_few, "class bird has 2 different images"),
        (different_classes, "cow"),
        (all_broken, "class bird: none of its images can be read"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(tmp_path, spoil, words):
    root = tmp_path / "pets"
    spoil(root)
    with pytest.raises(DataError) as caught:
        read(root)
    assert words in str(caught.value)
    assert str(root) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bad_requests(tmp_path):
    file = tmp_path / "file"
    file.touch()
    for spec in (str(tmp_path / "none"), "fashion-mist", str(file)):
        with pytest.raises(UsageError):
            load(spec, size=8, channels=3)
    with pytest.raises(UsageError, match="2 channels"):
        load("fashion-mnist-10k", size=28, channels=2)
    with pytest.raises(UsageError):
        load("fashion-mnist-10k", size=0, channels=1)


def test_a_disk_that_takes_no_more_is_told_and_leaves_nothing(tmp_path, own_home):
    root = make(tmp_path / "pets")
    old_limit, old_handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, old_limit[1]))
    try:
        with pytest.raises(DataError, match="MNAS_CACHE_HOME"):
            read(root)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old_limit)
        signal.signal(signal.SIGXFSZ, old_handler)
    assert not list(own_home.rglob("*.u8"))
    read(root)
