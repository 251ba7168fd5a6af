"""The event log: what was appended is there, a cut last line is taken off, damage named, a full disk costs nothing."""

import json
import resource
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnascli.runs.log import EventReader, EventWriter, RunError, write_atomically

VALUES = st.dictionaries(
    st.text(min_size=1).filter(lambda key: key not in ("v", "time", "event")),
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    max_size=3,
)


def read(path: Path) -> list[dict[str, object]]:
    return list(EventReader(path).read())


@settings(max_examples=100)
@given(events=st.lists(VALUES, max_size=5), cut=st.integers(0, 400))
def test_what_is_written_is_read_and_a_cut_line_is_taken_off(
    tmp_path_factory: pytest.TempPathFactory, events: list[dict[str, object]], cut: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "events.jsonl"
    writer = EventWriter(path)
    written = [writer.append("thing", **{"values": values}) for values in events]
    writer.close()
    assert read(path) == written
    content = path.read_bytes()[: -cut or None]
    path.write_bytes(content)
    whole = written[: content.count(b"\n")]
    assert read(path) == whole  # a reader beside a writer leaves the last line for later
    writer = EventWriter(path)
    last = writer.append("after")
    writer.close()
    assert read(path) == [*whole, last]


def test_a_reader_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    writer, reader = EventWriter(path), EventReader(path)
    writer.append("first")
    assert [event["event"] for event in reader.read()] == ["first"]
    assert list(reader.read()) == []
    writer.append("second")
    assert [event["event"] for event in reader.read()] == ["second"]
    assert reader.line == 2


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"{damage\n", "line 2 is damaged"),
        (b"[]\n", "line 2 is damaged"),
        (b'"text"\n', "line 2 is damaged"),
        (b"\xff\xfe\n", "line 2 is damaged"),
        (b'{"v": 1, "time": 0}\n', "line 2 is damaged"),
        (b'{"v": 7, "time": 0, "event": "phase"}\n', "line 2 is of log version 7"),
    ],
)
def test_damage_names_the_line(tmp_path: Path, line: bytes, says: str) -> None:
    path = tmp_path / "events.jsonl"
    writer = EventWriter(path)
    writer.append("first")
    writer.close()
    path.write_bytes(path.read_bytes() + line)
    with pytest.raises(RunError, match=says):
        read(path)


def test_no_log_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no event log"):
        read(tmp_path / "events.jsonl")


def test_a_full_disk_leaves_the_log_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel refuses the second half of a line; once there is space again, nothing of that line turns up."""
    path = tmp_path / "events.jsonl"
    writer = EventWriter(path)
    first = writer.append("first")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 50, hard))
    try:
        for _ in range(2):
            with pytest.raises(RunError, match="the run is intact and can be resumed"):
                writer.append("second", text="x" * 200)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert read(path) == [first]
    third = writer.append("third")
    writer.close()
    assert read(path) == [first, third]


def test_numbers_that_json_has_not_are_refused(tmp_path: Path) -> None:
    writer = EventWriter(tmp_path / "events.jsonl")
    with pytest.raises(ValueError, match="JSON"):
        writer.append("measured", latency_ms=float("nan"))
    last = writer.append("after")
    writer.close()
    assert read(tmp_path / "events.jsonl") == [last]


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "file.json"
    write_atomically(file, b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(RunError, match=r"file\.json"):
            write_atomically(file, json.dumps(list(range(100))).encode())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert file.read_bytes() == b"old"
    assert list(file.parent.iterdir()) == [file]
