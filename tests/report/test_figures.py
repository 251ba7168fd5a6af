"""What the figures show: full trainings by their test accuracy, axes that count in whole numbers, labels apart."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_runs import make_run

from mnascli.intervals import wilson
from mnascli.report.content import gather
from mnascli.report.figures import apart, drift, plane, proxy, rewards, whole_step
from mnascli.report.headline import headline
from mnascli.report.page import page, text
from mnascli.report.words import amount, ms, number
from mnascli.runs import open_run


def test_full_trainings_stand_on_the_measure_of_the_headline(tmp_path: Path) -> None:
    """Validation says the opposite: the found network is behind there."""
    with open_run(make_run(tmp_path / "run")) as run:
        for (model, seed), known in list(run.state.long_runs.items()):
            values = {key: value for key, value in known.items() if key not in ("model", "seed")}
            if model.startswith("mobilenet"):
                run.append("long_trained", model=model, seed=seed, **{**values, "validation": 0.99})
    content = gather(tmp_path / "run")
    _, cards = headline(content)
    assert next(card.value for card in cards if card.name.startswith("against")) == "+3.0"
    figure = plane(content, "host")
    assert figure is not None
    full = {trace["name"]: trace for trace in figure["data"] if trace["name"].endswith("trained in full")}
    found, other = full["trial-0 (found), trained in full"], full["mobilenet-v2 x0.5, trained in full"]
    assert found["y"] == [0.841] and other["y"] == [0.811]  # means over the seeds
    assert next(card.value for card in cards if card.name == "test accuracy").startswith("84.1 %")
    low, high = wilson(0.811, 1500)
    bars = other["error_y"]
    assert other["y"][0] + bars["array"][0] == pytest.approx(high, abs=1e-4)
    assert other["y"][0] - bars["arrayminus"][0] == pytest.approx(low, abs=1e-4)
    assert found["marker"]["symbol"] != other["marker"]["symbol"]
    assert figure["layout"]["yaxis"]["title"]["text"] == "accuracy (validation; in full: test)"
    # Names stand in the legend, where they cover nothing.
    assert not any("text" in trace.get("mode", "") for trace in figure["data"])
    assert "annotations" not in figure["layout"]


def test_before_any_full_training_all_is_validation(tmp_path: Path) -> None:
    figure = plane(gather(make_run(tmp_path / "run", finish=False)), "host")
    assert figure is not None and figure["layout"]["yaxis"]["title"]["text"] == "accuracy (validation)"


def test_the_headline_gives_a_lead_with_its_paired_interval(tmp_path: Path) -> None:
    with open_run(make_run(tmp_path / "run")) as run:
        model = next(name for name, row in run.state.compared.items() if row["trial"] is None)
        lead = {"model": model, "points": 3.0, "seeds": 3, "images": 1500}
        run.append("lead_told", baselines=[{**lead, "interval": [-0.4, 6.4]}])
        card = next(one for one in headline(gather(run.path))[1] if one.name.startswith("against"))
        assert card.value == "+3.0" and card.note.endswith("-0.4 to +6.4") and card.good is None
        run.append("lead_told", baselines=[{**lead, "interval": [1.2, 4.8]}])
        card = next(one for one in headline(gather(run.path))[1] if one.name.startswith("against"))
        assert card.note.endswith("+1.2 to +4.8") and card.good is True


@pytest.mark.parametrize("trials", [1, 3, 12, 60])
def test_axes_that_count_have_whole_numbers(tmp_path: Path, trials: int) -> None:
    content = gather(make_run(tmp_path / "run", trials, finish=False))
    for figure in (rewards(content), drift(content)):
        assert figure is not None
        axis = figure["layout"]["xaxis"]
        assert isinstance(axis["dtick"], int) and axis["dtick"] >= 1 and axis["tick0"] == 0


@given(st.integers(0, 10**7))
def test_there_are_ten_ticks_at_most(most: int) -> None:
    step = whole_step(most)
    assert most / step <= 10 and (step == 1 or most / step > 3)
    assert int(str(step)[0]) in (1, 2, 5) and set(str(step)[1:]) <= {"0"}


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=40))
def test_labels_lie_apart(points: list[tuple[float, float]]) -> None:
    free = apart(points)
    assert free[0]
    named = [point for point, one in zip(points, free, strict=True) if one]
    spans = [(max(values) - min(values)) or 1.0 for values in zip(*points, strict=True)]
    for index, one in enumerate(named):
        for other in named[:index]:
            assert abs(one[0] - other[0]) >= 0.05 * spans[0] or abs(one[1] - other[1]) >= 0.06 * spans[1]


def test_trials_that_came_out_alike_have_one_label(tmp_path: Path) -> None:
    with open_run(make_run(tmp_path / "run")) as run:
        candidates = [{"trial": n, "architecture": "-", "proxy": 0.5, "full": 0.6 + n // 3 / 10} for n in range(6)]
        run.append("validated", candidates=candidates, tau=0.5, p_value=0.1, images=1000, trusted=False)
    figure = proxy(gather(tmp_path / "run"))
    assert figure is not None and figure["data"][0]["text"] == ["0", "", "", "3", "", ""]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.32804, "0.328"), (12.3456, "12.3"), (5.0, "5"), (1234.5, "1,230"), (0.000123456, "0.000123"), (0.0, "0"),
        (9.9999, "10"), (999.9, "1,000"), (-0.40123, "-0.401"), (None, "-"), (0.1, "0.1"),
    ],
)  # fmt: skip
def test_numbers_have_three_digits(value: float | None, said: str) -> None:
    assert number(value) == said
    assert ms(value) == (said if value is None else f"{said} ms")


@given(st.floats(1e-9, 1e9))
def test_numbers_say_what_they_are(value: float) -> None:
    said = number(value)
    assert float(said.replace(",", "")) == pytest.approx(value, rel=5.1e-3)
    assert len(said.replace(",", "").replace(".", "").strip("0")) <= 3


@pytest.mark.parametrize(
    ("count", "said"),
    [(88, "88"), (999, "999"), (123_456, "123 k"), (999_900, "1 M"), (4_321_736, "4.32 M"), (1.2e9, "1.2 G")],
)
def test_large_counts_have_a_unit(count: float, said: str) -> None:
    assert amount(count) == said


def test_no_number_of_the_report_has_five_digits(tmp_path: Path) -> None:
    content = gather(make_run(tmp_path / "run"))
    html = re.sub(r"(?s)<(style|script|details|code).*?</\1>", "", page(content))
    shown = re.sub(r"(?s)<section id=\"reproduce\".*?</section>|<[^>]*>", " ", html)
    for words in (shown, re.sub(r"(?s)## How to reproduce it.*|    stem_.*|stem_\S+", "", text(content))):
        decimals = re.findall(r"(?<![\w.-])\d[\d,]*\.\d+", words)
        assert decimals
        assert not [one for one in decimals if len(re.sub(r"[.,]", "", one).lstrip("0")) > 4]
