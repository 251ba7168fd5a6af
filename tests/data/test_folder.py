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


NAMES = [
    ("Train", "Valid", "Test"),
    ("TRAIN", "VAL", "TEST"),
    ("training", "validation", "testing"),
    ("Training_Set", "dev-set", "test_set"),
    ("trainImages", "ValImages", "TestImages"),
    ("train2017", "val2017", "test2017"),
    ("train", "eval", "test"),
    ("train", "val", "eval"),
    ("train/train", "val/val", "test/test"),
]


@pytest.mark.parametrize("names", NAMES, ids=lambda names: names[0] + names[1])
def test_parts_as_people_call_them(tmp_path, names):
    for seed, part in zip((0, 100, 200), names, strict=True):
        make(tmp_path / part, count=4 + seed // 100, seed=seed)
    (tmp_path / "__MACOSX" / "train").mkdir(parents=True)
    lines = []
    dataset = read(tmp_path, lines)
    assert dataset.classes == ("cat", "dog")
    assert [len(getattr(dataset, part).labels) for part in PARTS] == [6, 10, 12, 2]
    assert len(lines) == 1


def test_classes_that_are_called_as_parts_are(tmp_path):
    root = make(tmp_path, classes=("bus", "test", "train"))
    assert read(root).classes == ("bus", "test", "train")


@pytest.mark.parametrize(
    "names", [("fold1", "fold2"), ("Uebung", "Probe"), ("seg_train/x", "seg_test/x"), ("val", "B")]
)
def test_sub_folders_with_the_same_folders_are_no_classes_without_a_word(tmp_path, names):
    for seed, part in enumerate(names):
        make(tmp_path / part, classes=("cat", "dog", f"own{seed}"), count=4, seed=100 * seed)
    with pytest.raises(
        DataError, match=r"both have the folders cat and dog: if they are parts, call them train"
    ) as error:
        read(tmp_path)
    assert "\n" not in str(error.value)
    shutil.rmtree(tmp_path / names[1].partition("/")[0])
    for outer in ("one", "two"):  # as tiny ImageNet has it: what lies below is no class
        make(tmp_path / "classes" / outer, classes=("images",), count=10, seed=ord(outer[0]))
    assert read(tmp_path / "classes").classes == ("one", "two")


def test_what_is_no_part_beside_the_parts_is_told(tmp_path):
    make(tmp_path / "train", count=10)
    fill(tmp_path / "test", 3, 700)  # without classes, as competitions have it
    make(tmp_path / "previews", count=1)
    lines = []
    assert len(read(tmp_path, lines).test.labels) == 4
    assert any("previews, test: not looked at" in line for line in lines)


@pytest.mark.parametrize("names", [("Train", "train"), ("val", "valid"), ("test", "testing")])
def test_two_folders_for_one_part_are_refused(tmp_path, names):
    for part in {"train", *names}:
        make(tmp_path / part, count=4)
    with pytest.raises(DataError, match=rf"both {names[0]} and {names[1]} could be its \w+ part: rename"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["val", "Test"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_part_alone_can_be_tested_on_and_nothing_else(tmp_path, name, stream):
    make(tmp_path / name, count=4)
    with pytest.raises(DataError, match="no train part, only test: `mnas evaluate` takes that"):
        read(tmp_path)
    dataset = read(tmp_path, test_only=True, stream=stream)
    assert [len(getattr(dataset, part).labels) for part in PARTS] == [0, 0, 8, 0]
    assert dataset.test.images[:].shape == (8, 8, 8, 3)
    assert 0.4 < dataset.mean[0] < 0.6 and 0.1 < dataset.std[0] < 0.4


def test_a_folder_around_the_folder_is_told(tmp_path):
    make(tmp_path / "unpacked")
    with pytest.raises(DataError, match=f"one class only.*give {tmp_path / 'unpacked'} if the classes are in that"):
        read(tmp_path)


def test_a_broken_image_is_named_and_skipped(tmp_path):
    root, lines = make(tmp_path / "pets"), []
    broken = root / "dog" / "007.png"
    broken.write_bytes(broken.read_bytes()[:50])
    dataset = read(root, lines)
    assert sum(len(getattr(dataset, part).labels) for part in PARTS) == 39
    assert [line for line in lines if str(broken) in line]
    assert len(dataset.skipped) == 1
    before = len(lines)
    read(root, lines)
    assert lines[before:] == [f"{root}: 1 broken images left out, such as {dataset.skipped[0]}"]
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
