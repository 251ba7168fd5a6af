"""Names of classes: refused before anything is made, or carried by all that names them."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_folder import fill, make, read

from mnascli.data import DataError, load
from mnascli.data.naming import class_names, is_fit, shown
from mnascli.errors import MnasError, UsageError

ANY = st.text(st.characters(exclude_categories=[]), max_size=8)


@given(st.lists(ANY, min_size=1, max_size=3))
def test_a_name_is_refused_in_one_line_or_carried(names):
    try:
        usual = class_names("place", names)
    except DataError as error:
        assert len(str(error).splitlines()) == 1
        str(error).encode()
        return
    assert len(usual) == len(names) == len(set(usual))
    assert "\n".join(usual).encode().decode().splitlines() == list(usual)  # labels.txt of an export
    assert json.loads(json.dumps(usual)) == list(usual)
    assert class_names("place", usual) == usual


@given(ANY)
def test_any_name_can_be_shown(name):
    assert is_fit(shown(name))
    assert shown(name) == name or not is_fit(name)


@pytest.mark.parametrize(
    ("folder", "says"),
    [
        (b"caf\xe9", r"class caf\xe9: bytes that are not UTF-8 in its name"),
        (b"two\nlines", r"class two\nlines: a control character in its name"),
        (b"tab\there", r"class tab\there: a control"),
        (b"\x1b[31mred", r"class \x1b[31mred: a control"),
        ("line\u2028separator".encode(), r"class line\u2028separator: a control"),
        (b"  ", "class '  ': a name of spaces alone"),
        (b"cat ", "classes 'cat' and 'cat ' differ only by spaces"),
    ],
)
@pytest.mark.parametrize("where", ["", "train", "test"])
def test_folders_that_no_label_can_name(tmp_path, folder, says, where):
    for part in ("train", "test") if where else ("",):
        make(tmp_path / part)
    place = os.fsencode(tmp_path / where)
    os.rename(place + b"/dog", place + b"/" + folder)  # noqa: PTH104
    with pytest.raises(DataError) as caught:
        load(str(tmp_path), size=8, report=lambda line: None)
    assert says in str(caught.value) and str(tmp_path / where) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_forms_of_accents(tmp_path):
    """What macOS calls a folder and what Linux does are one name."""
    for part, name in (("train", "cafe\u0301"), ("test", "caf\u00e9")):
        make(tmp_path / part, classes=("bar", name))
    assert read(tmp_path).classes == ("bar", "caf\u00e9")
    fill(tmp_path / "train" / "caf\u00e9", 3, 5000)
    with pytest.raises(DataError, match="differ only by spaces at their ends or the form of their accents"):
        read(tmp_path)


def test_names_that_are_odd_and_good(tmp_path):
    names = ["[bold]", "50 %", "a, b", "L'été", 'say "x"', "x" * 255, "\U0001f600", "A", "a", "-rf"]
    dataset = read(make(tmp_path, classes=names, count=8))
    assert set(dataset.classes) == set(names)


@pytest.mark.parametrize("name", [b"caf\xe9", b"two\nlines"])
def test_data_whose_place_cannot_be_written_down(tmp_path, name):
    root = os.fsdecode(os.fsencode(tmp_path) + b"/" + name)
    os.mkdir(root)  # noqa: PTH102
    make(tmp_path / root)
    with pytest.raises(UsageError, match="in the name: rename it") as caught:
        load(root, size=8)
    assert len(str(caught.value).splitlines()) == 1
    str(caught.value).encode()


def test_names_in_a_file(tmp_path):
    make(tmp_path / "a", classes=("n0", "n1"))
    (tmp_path / "a" / "classes.txt").write_bytes(b"\xef\xbb\xbfn0\tred  fox\r\nn1 crane\r\n")
    assert read(tmp_path / "a").classes == ("red fox", "crane")
    (tmp_path / "a" / "classes.txt").write_bytes(b"n0 caf\xe9\nn1 bar\n")
    with pytest.raises(MnasError, match="cannot be read as text"):
        read(tmp_path / "a")
    (tmp_path / "a" / "classes.txt").write_bytes(b"n0 re\x07d\nn1 bar\n")
    with pytest.raises(DataError, match=r"class re\\x07d: a control character"):
        read(tmp_path / "a")
