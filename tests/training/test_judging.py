"""Accuracy with its interval, classes, confusions and calibration, on predictions worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnascli.training.judging import calibration_error, judge, paired_lead, t_95, wilson

# true class of each row, and the class it is called
LABELS = np.array([0, 0, 0, 1, 1, 2])
CALLED = np.array([0, 0, 1, 1, 2, 2])
LOGITS = np.eye(4, dtype=np.float32)[CALLED] * 5


def test_classes_and_confusions() -> None:
    judgement = judge(LOGITS, LABELS, ["a", "b", "c", "none"])
    assert judgement.top1 == pytest.approx(4 / 6)
    assert [(one.name, one.images) for one in judgement.classes] == [("a", 3), ("b", 2), ("c", 1), ("none", 0)]
    assert [one.recall for one in judgement.classes] == [pytest.approx(2 / 3), 0.5, 1.0, None]
    assert [one.precision for one in judgement.classes] == [1.0, 0.5, 0.5, None]
    assert judgement.confusions == (("a", "b", 1), ("b", "c", 1))


def test_the_interval_is_wilsons() -> None:
    # scipy.stats.binomtest(8, 10).proportion_ci(method="wilson")
    assert wilson(0.8, 10) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)
    assert (wilson(1.0, 10)[1], wilson(0.0, 10)[0]) == pytest.approx((1, 0), abs=1e-12)


@given(st.integers(1, 10**6), st.floats(0, 1))
def test_the_interval_holds_the_share(count: int, share: float) -> None:
    low, high = wilson(share, count)
    assert 0 <= low <= share + 1e-12 and share - 1e-12 <= high <= 1


def test_calibration() -> None:
    certain = np.array([[50.0, 0], [50, 0], [50, 0], [50, 0]], np.float32)
    assert calibration_error(certain, np.zeros(4, int)) == pytest.approx(0, abs=1e-6)
    # sure of all and right in half: as wrong as can be said of a half
    assert calibration_error(certain, np.array([0, 1, 0, 1])) == pytest.approx(0.5, abs=1e-6)
    # two equal logits, right in half
    assert calibration_error(np.zeros((4, 2), np.float32), np.array([0, 1, 0, 1])) == pytest.approx(0)
    # bins do not make up for each other: 0.5 too sure and, in another bin, exactly right
    mixed = np.concatenate([certain, np.zeros((4, 2), np.float32)])
    assert calibration_error(mixed, np.array([0, 1, 0, 1] * 2)) == pytest.approx(0.25, abs=1e-6)


def test_students_t() -> None:
    # scipy.stats.t.ppf(0.975, v)
    for freedom, t in ((1, 12.706205), (2, 4.302653), (3, 3.182446), (10, 2.228139), (1500, 1.961543)):
        assert t_95(freedom) == pytest.approx(t, rel=1e-4)


def test_a_lead_of_one_seed_is_the_paired_t_interval_over_pictures() -> None:
    right = np.array([[True, True, True, False, True, True, False, True]])
    other = np.array([[True, False, True, False, False, True, True, True]])
    lead = paired_lead(right, other)
    # scipy.stats.ttest_rel(right, other).confidence_interval(), times 100
    assert lead.points == pytest.approx(12.5)
    assert lead.interval == pytest.approx((-41.078068, 66.078068), abs=1e-5)


def test_a_lead_that_seeds_disagree_about_is_wide() -> None:
    rng = np.random.default_rng(0)
    base = rng.random((3, 1000)) < 0.5
    steady, luck = base.copy(), base.copy()
    steady[:, :50] = True
    luck[0, :150] = True
    base[:, :50] = base[:, :50] & False
    narrow = paired_lead(steady, base)
    wide = paired_lead(luck, base)
    assert narrow.interval[0] > 0
    assert wide.interval[1] - wide.interval[0] > 2 * (narrow.interval[1] - narrow.interval[0])
    same = paired_lead(base, base)
    assert (same.points, same.interval) == (0.0, (0.0, 0.0))


def test_intervals_hold_the_true_lead_as_often_as_they_say() -> None:
    """400 made comparisons: pictures are of unlike difficulty, and a seed shifts all of its training."""
    rng, held = np.random.default_rng(1), 0
    for _ in range(400):
        pictures = rng.normal(1.0, 1.0, 600)
        shifts = rng.normal(0.0, 0.1, (2, 3, 1))
        better, worse = (
            rng.random((3, 600)) < 1 / (1 + np.exp(-(pictures + lead + shift)))
            for lead, shift in zip((0.15, 0.0), shifts, strict=True)
        )
        everywhere = rng.normal(1.0, 1.0, 20_000)
        truth = 100 * np.mean(1 / (1 + np.exp(-(everywhere + 0.15))) - 1 / (1 + np.exp(-everywhere)))
        low, high = paired_lead(better, worse).interval
        held += low <= truth <= high
    assert 0.93 <= held / 400 <= 1.0
