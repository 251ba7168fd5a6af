"""Files that are not looked at are counted, pictures that cannot be read are named, and nothing else is printed."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, features
from test_folder import make, noise, read

from mnascli.data import DataError
from mnascli.data import picture as picture_module
from mnascli.data.picture import HEIC, READS_HEIC, SUFFIXES, decode

HEIC_HEAD = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture
def without_heic(monkeypatch):
    for module in (picture_module, sys.modules["mnascli.data.folder"]):
        monkeypatch.setattr(module, "SUFFIXES", SUFFIXES - HEIC)


@pytest.mark.usefixtures("without_heic")
def test_what_is_not_looked_at_is_counted_by_kind_with_the_reason(tmp_path):
    root, lines = make(tmp_path / "pets"), []
    for number in range(3):
        (root / "cat" / f"{number}.HEIC").write_bytes(HEIC_HEAD)
    (root / "dog" / "deep").mkdir()
    (root / "dog" / "deep" / "film.mp4").write_bytes(b"x")
    (root / "dog" / "README").write_text("about dogs")
    (root / "dog" / ".hidden.png").write_bytes(b"x")
    for junk in (".DS_Store", "._000.png", "Thumbs.db"):
        (root / "dog" / junk).write_bytes(b"x")
    (root / "dog" / "up").symlink_to(root)
    (root / "dog" / "gone.png").symlink_to(root / "nowhere.png")
    noise(0).save(root / "stray.png")
    (root / "notes.txt").write_text("of the data as a whole")
    read(root, lines)
    (told,) = [line for line in lines if "not looked at" in line]
    assert told.startswith(f"{root}: 9 files were not looked at: ")
    assert "3 .heic (the package that reads them is missing: install it with `pip install 'mnas[heic]'`)" in told
    for part in (
        "1 .mp4 (not a supported kind of picture)", "1 without a suffix", "1 hidden", "1 links to folders",
        "1 broken links", "1 outside of the folders of classes",
    ):  # fmt: skip
        assert part in told
    before = len(lines)
    assert [line for line in lines if line != told]
    read(root, lines)
    assert lines[before:] == [told]  # of every command, prepared or not


@pytest.mark.usefixtures("without_heic")
def test_a_class_of_heic_alone_is_told_why_it_is_empty(tmp_path):
    root = make(tmp_path / "pets")
    (root / "bird").mkdir()
    (root / "bird" / "a.heic").write_bytes(HEIC_HEAD)
    with pytest.raises(
        DataError, match=r"bird: no images that can be read: 1 \.heic \(the package that reads them is missing"
    ):
        read(root)


def test_samples_of_shards_without_a_picture_that_is_read(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    with webdataset.TarWriter(str(tmp_path / "train.tar")) as writer:
        for number in range(44):
            kind = "psd" if number < 4 else "png"
            writer.write({"__key__": f"{number:04}", kind: encoded(noise(number), "PNG"), "cls": number % 2})
    lines = []
    read(f"wds:{tmp_path}", lines)
    assert any("4 files were not looked at: 4 .psd (not a supported kind of picture)" in line for line in lines)


@pytest.mark.parametrize(("kind", "feature"), [("avif", "avif"), ("webp", "webp"), ("jp2", "jpg_2000"), ("tif", "")])
def test_kinds_that_pillow_can_read_are_read(tmp_path, kind, feature):
    if feature and not features.check(feature):
        pytest.skip(f"this Pillow was built without {kind}")
    root, lines = make(tmp_path / "pets"), []
    for path in sorted((root / "cat").iterdir()):
        Image.open(path).resize((40, 40)).save(path.with_suffix(f".{kind}"))
        path.unlink()
    dataset = read(root, lines)
    assert not dataset.skipped and len(lines) == 1
    assert len(dataset.train.labels) == 24


@pytest.mark.skipif(not READS_HEIC, reason="needs pillow-heif")
def test_heic_is_read_where_its_library_is():
    image = Image.new("RGB", (64, 64), (200, 30, 60))
    assert abs(decode(encoded(image, "HEIF"), 4, 3).astype(int) - (200, 30, 60)).max() < 12


def damaged():
    """Pictures that make Pillow and the libraries below it speak."""
    pixels = noise(1, (64, 64, 3))
    exif = Image.Exif()
    exif[0x010F] = "x" * 50
    zipped = bytearray(encoded(pixels, "TIFF", compression="tiff_deflate"))
    zipped[200:260] = bytes(60)
    tags = encoded(pixels, "TIFF")
    palette = pixels.convert("P")
    return {
        "tags.tif": tags.replace(b"\x03\x01\x03\x00\x01\x00", b"\x03\x01\x03\x00\xff\xff"),
        "zipped.tif": bytes(zipped),
        "fax.tif": encoded(pixels.convert("1"), "TIFF", compression="group4")[:-40] + bytes(40),
        "exif.jpg": encoded(pixels, "JPEG", exif=exif.tobytes()[:-40]),
        "cut.jpg": encoded(pixels, "JPEG")[:900],
        "palette.png": encoded(palette, "PNG", transparency=bytes(range(256))),
        "large.png": encoded(Image.new("1", (10_000, 9_500)), "PNG"),
        "larger.png": encoded(Image.new("1", (20_000, 9_500)), "PNG"),
        "phone.jpg": HEIC_HEAD,
        "page.jpg": b"<!DOCTYPE html><html>no such picture</html>",
        "pointer.jpg": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
        "empty.jpg": b"",
        "noise.jpg": bytes(range(200)),
    }


def test_only_our_lines_reach_the_terminal(tmp_path):
    """Read in threads, as a command does: damaged pictures are named with what is wrong, in words of ours."""
    root = make(tmp_path / "pets")
    for name, data in damaged().items():
        (root / "cat" / name).write_bytes(data)
    program = f"from mnascli.data import load; [load({str(root)!r}, size=size) for size in (8, 9)]"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(Path(picture_module.__file__).parents[2])},
    )  # fmt: skip
    lines = done.stderr.splitlines()
    assert all(line.startswith(str(root)) for line in lines), done.stderr
    assert len(set(lines)) == len(lines)
    for name, says in (
        ("large.png", "more than 89 million pixels: make it smaller"),
        ("larger.png", "more than 89 million pixels: make it smaller"),
        ("page.jpg", "a web page"),
        ("pointer.jpg", "a Git LFS pointer instead of the file: `git lfs pull` fetches it"),
        ("empty.jpg", "empty"),
        ("noise.jpg", "not a picture, or of an unknown kind"),
        *([] if READS_HEIC else [("phone.jpg", "a HEIC picture: the package that reads it is missing")]),
    ):
        (line,) = [line for line in lines if f"/{name}: " in line]
        assert f"broken image: {says}" in line and line.endswith(": skipped")
    for readable in ("exif.jpg", "palette.png"):
        assert readable not in done.stderr
    assert "0x" not in done.stderr and "BytesIO" not in done.stderr
