"""What will happen is said before it happens, by the start of a search and by its dry run alike."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import yaml
from PIL import Image

from mnascli.cli import search as search_command
from mnascli.data.preview import preview
from mnascli.engine import estimate as estimating
from mnascli.engine.benches.bench import Bench
from mnascli.engine.config import resolve
from mnascli.engine.estimate import estimate
from mnascli.engine.opening import begin, space_of
from mnascli.engine.outlook import facts, lines, too_long
from mnascli.words import duration

BENCH = cast(Bench, SimpleNamespace(name="host", pool=SimpleNamespace(members=[None])))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for label in ("cat", "dog", "hen"):
        (folder / label).mkdir()
        for number in range(20):
            Image.fromarray(rng.integers(0, 255, (20, 30, 3)).astype(np.uint8)).save(folder / label / f"{number}.png")
    return folder


def said(data: str, template: str = "quick", **changes: Any) -> dict[str, str]:
    config = resolve(template, None, {"data": data, **changes})
    dataset = preview(data, size=config.space.input.size, channels=config.channels).dataset
    return dict(lines(facts(config, dataset, space_of(config, dataset, "config"), [BENCH])))


def test_the_lines_name_what_the_pictures_will_be(photos: Path) -> None:
    own = said(str(photos))
    assert own["data"] == f"{photos.name} ({photos}), 3 classes: cat, dog, hen"
    assert own["pictures"] == "36 train, 9 validation, 9 test, 6 selection"
    assert own["input"] == "28 x 28 pixels, colour (3 channels)"
    assert said(str(photos), channels=1)["input"] == "28 x 28 pixels, grey (1 channel)"
    assert said(str(photos), space={"input": {"size": 64}})["input"] == "64 x 64 pixels, colour (3 channels)"
    bundled = said("fashion-mnist-10k")
    assert bundled["input"] == "28 x 28 pixels, grey (1 channel)"
    assert bundled["data"].endswith("dress, coat and 5 more")
    assert said("fashion-mnist-10k", channels=3)["input"] == "28 x 28 pixels, colour (3 channels)"


def test_the_lines_name_target_budget_and_end() -> None:
    words = said("fashion-mnist-10k")
    assert words["space"] == "7 blocks, 5.8 x 10^18 networks"
    assert words["device"] == "host (this machine)"
    assert words["target"] == "the latency of mobilenet-v2 x0.25, which is measured first"
    assert words["budget"].startswith(
        "20 trials (evolution), each trained for 1 epoch, the best 2 of each batch for 3 epochs, "
    )
    assert words["at the end"] == (
        "the best 3 trained for 5 epochs; the winner beside mobilenet-v2 and plain-conv at its latency, 3 times each; "
        "its .tflite measured again"
    )
    other = {"target_ms": 5.0, "trials": 1, "final": {"finalists": 1, "seeds": 1, "compare": (), "export": False}}
    changed = said("fashion-mnist-10k", **other)
    assert changed["target"] == "5 ms on host"
    assert changed["budget"].startswith("1 trial (evolution)")
    assert changed["at the end"] == "the best one trained for 5 epochs"
    shared = said("fashion-mnist-10k", "quick-supernet")
    assert shared["budget"] == "one supernet trained for 40 epochs; 400 trials (reinforce) evaluated by their share"


def test_a_space_of_any_size_is_counted() -> None:
    blocks = [{"filters": 8, "layers": 2}] * 1000  # more networks than a float can count
    assert said("fashion-mnist-10k", space={"blocks": blocks})["space"].startswith("1000 blocks, ")
    one = {"operator": ["sep"], "kernel": [3], "se": [0], "skip": ["none"], "filters": [1.0], "layers": [0]}
    assert said("fashion-mnist-10k", space={"choices": one})["space"] == "7 blocks, 1 networks"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (3, "3 s"), (600, "10 min"), (3 * 3600 + 300, "3 h 05 min"), (2 * 86400 + 4 * 3600, "2 d 4 h"),
        (86400 * 52.2, "52 days"), (75172.9 * 60, "52 days"), (86400 * 365.25 * 140, "140 years"), (None, "-"),
        (86400 * 3 - 1, "3 d 0 h"),
    ],
)  # fmt: skip
def test_durations_are_said_in_words(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


def test_a_search_of_days_is_warned_of() -> None:
    assert too_long(3600) is None
    warning = too_long(75172.9 * 60)
    assert warning is not None and "52 days: too long for this machine" in warning and "\n" not in warning


def test_a_dry_run_says_it_with_times_and_warnings(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is timed here: an epoch is said to take an hour."""
    monkeypatch.setattr(estimating, "seconds_per_epoch", lambda *_, **__: 3600.0)
    monkeypatch.setattr(estimating, "open_benches", lambda _: [Measured()])
    alone = {"rungs": (), "objective": {"band": 0}}
    plan = estimate(resolve("quick", None, {"data": str(photos), "workers": 1, "trials": 1000, **alone}))
    assert plan["seconds to train a candidate"] == 3600
    assert plan["search_minutes"] == pytest.approx(60_000, rel=0.01)
    # 3 finalists of 5 epochs, and 3 seeds of 3 networks of which one is there already
    assert plan["total_minutes"] - plan["search_minutes"] == pytest.approx(11 * 5 * 60, abs=0.2)
    assert any("44 days: too long for this machine" in warning for warning in plan["warnings"])
    assert any("validation part has 9 images" in warning for warning in plan["warnings"])
    assert plan["input"] == {"size": 28, "channels": 3} and plan["exact"] is False
    monkeypatch.setattr(estimating, "estimate", lambda _: plan)
    search_command._dry_run("quick", None, {"data": str(photos)}, None, as_json=False)
    printed = capsys.readouterr()
    assert "pictures   about 36 train" in printed.out
    assert "time       about 44 days on this machine: 42 days for the search, 2 d 7 h after it" in printed.out
    assert "warning: the search would take about 44 days: too long" in printed.err


class Measured:
    """A bench that measures at once."""

    name = "host"
    pool = SimpleNamespace(members=[None])

    def measure(self, architectures: object) -> None: ...

    def close(self) -> None: ...


def test_the_runs_configuration_is_what_was_done(tmp_path: Path, photos: Path) -> None:
    opened = begin(resolve("quick", None, {"data": str(photos)}), tmp_path / "run")
    try:
        search_command._print_plan(opened)
        written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
        assert written["channels"] == written["space"]["input"]["channels"] == 3
        assert written["space"]["classes"] == 3
        assert written["space"]["input"]["size"] == opened.dataset.size == 28
    finally:
        opened.close()


def test_a_search_begins_with_the_same_lines(tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = {"data": str(photos), "devices": None, "target_ms": None, "trials": None, "seed": None}
    opened = search_command._begin("quick", None, flags, None, tmp_path / "mine")
    try:
        search_command._print_plan(opened)
        told = capsys.readouterr()
    finally:
        opened.close()
    assert told.out == ""
    for what, words in said(str(photos)).items():
        assert f"{what:<10} {words}\n" in told.err
    assert f"run        {tmp_path / 'mine'}\n" in told.err
