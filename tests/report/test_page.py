"""The page and the text of whole, young, and odd runs."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from made_runs import NASTY, make_run

from mnascli.report.content import gather
from mnascli.report.page import page, text
from mnascli.report.words import interval, share
from mnascli.runs import RunError, create_run


class Elements(HTMLParser):
    """What elements a page has; scripts' text is none of them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def data_of(html: str) -> dict[str, object]:
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert match
    return dict(json.loads(match[1]))


def test_a_whole_run(tmp_path: Path) -> None:
    html = page(gather(make_run(tmp_path / "whole")))
    assert "it meets the target on host" in html
    assert interval(0.841, 1500) in html
    assert "+3.0" in html  # points over mobilenet-v2
    assert "mnas search --data &#39;my pictures&#39;" in html
    assert "Kendall" in html
    data = data_of(html)
    assert set(data["figures"]) == {"plane-0", "rewards", "distributions", "drift", "proxy"}  # type: ignore[call-overload]
    assert len(data["trials"]) == 12  # type: ignore[arg-type]


@pytest.mark.parametrize(("right", "images"), [(15, 20), (10, 10), (1262, 1500), (0, 7)])
def test_intervals_are_those_of_scipy(right: int, images: int) -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy comes with the converter only")
    low, high = stats.binomtest(right, images).proportion_ci(0.95, method="wilson")
    assert interval(right / images, images) == f"{share(low)} to {share(high)}"


def test_an_interval_needs_a_number_of_pictures() -> None:
    assert interval(None, 10) == interval(0.5, None) == "-"


def test_nothing_in_a_run_becomes_markup(tmp_path: Path) -> None:
    run = make_run(tmp_path / "<b>run<", devices=(f"host{NASTY.replace('/', '')}",))
    html = page(gather(run))
    elements = Elements(html)
    assert not [attributes for tag, attributes in elements.tags if tag == "img"]
    assert len([tag for tag, _ in elements.tags if tag == "script"]) == 3
    assert "<b>run" not in html.replace("<b>trial", "")
    assert NASTY not in html
    assert NASTY not in text(gather(run))


def test_nothing_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    for _, attributes in Elements(page(gather(make_run(tmp_path / "run")))).tags:
        assert not {"src", "srcset", "action"} & attributes.keys()
        assert (attributes.get("href") or "#").startswith(("#", "data:"))


def test_a_run_that_has_only_begun(tmp_path: Path) -> None:
    create_run(tmp_path / "new", "", {}).close()
    (tmp_path / "new" / "events.jsonl").write_bytes(b"")
    for words in (page(gather(tmp_path / "new")), text(gather(tmp_path / "new"))):
        assert "No trial has given a result yet" in words


def test_a_log_that_grows(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", finish=False)
    with (run / "events.jsonl").open("ab") as log:
        log.write(b'{"v":1,"time":1.0,"event":"sta')
    words = text(gather(run))
    assert "is the best so far" in words


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"{damage\n", "line 51 is damaged"),
        (b'{"v":2,"time":1.0,"event":"done"}\n', "line 51 is of log version 2"),
        (b'{"v":1,"time":1.0,"event":"done","trial":99,"reward":1}\n', "line 51 does not fit"),
        (b'{"v":1,"time":1.0,"event":"measured","trial":2,"device":"host","latency_ms":"x"}\n', "line 51"),
    ],
)
def test_a_log_that_is_damaged_or_of_another_version(tmp_path: Path, line: bytes, says: str) -> None:
    run = make_run(tmp_path / "run", finish=False)
    lines = (run / "events.jsonl").read_bytes().splitlines(keepends=True)[:50]
    (run / "events.jsonl").write_bytes(b"".join([*lines, line]))
    with pytest.raises(RunError, match=says):
        gather(run)


def test_what_stands_beside_the_log_may_be_lost(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (run / "meta.json").unlink()
    (run / "config.yaml").write_text("{")
    for file in run.glob("trials/*/latency-host.json"):
        file.write_text("{")
    html = page(gather(run))
    assert "meta.json: cannot be read" in html
    assert "config.yaml: line 1: not valid YAML" in html
    assert "the raw samples cannot be read" in html


def test_several_devices(tmp_path: Path) -> None:
    data = data_of(page(gather(make_run(tmp_path / "run", devices=("host", "pixel")))))
    assert {"plane-0", "plane-1"} <= set(data["figures"])  # type: ignore[call-overload]
