"""Accuracy with its interval, classes, confusions and calibration, on predictions worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnascli.intervals import wilson
from mnascli.training.judging import Predictions, calibration_error, judge

# true class of each row, and the class it is called
LABELS = np.array([0, 0, 0, 1, 1, 2])
CALLED = np.array([0, 0, 1, 1, 2, 2])
LOGITS = np.eye(4, dtype=np.float32)[CALLED] * 5


def test_classes_and_confusions() -> None:
    judgement = judge(Predictions(LOGITS), LABELS, ["a", "b", "c", "none"])
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
    assert calibration_error(Predictions(certain), np.zeros(4, int)) == pytest.approx(0, abs=1e-6)
    # sure of all and right in half: as wrong as can be said of a half
    assert calibration_error(Predictions(certain), np.array([0, 1, 0, 1])) == pytest.approx(0.5, abs=1e-6)
    # two equal logits, right in half
    assert calibration_error(Predictions(np.zeros((4, 2), np.float32)), np.array([0, 1, 0, 1])) == pytest.approx(0)
    # bins do not make up for each other: 0.5 too sure and, in another bin, exactly right
    mixed = np.concatenate([certain, np.zeros((4, 2), np.float32)])
    assert calibration_error(Predictions(mixed), np.array([0, 1, 0, 1] * 2)) == pytest.approx(0.25, abs=1e-6)


def test_probabilities_are_not_made_again() -> None:
    """A second softmax would call 0.9 of two classes 0.69, and 0.9 of a hundred less than 0.03."""
    sure = Predictions(np.array([[0.9, 0.1]] * 10, np.float32), probabilities=True)
    nine_of_ten = np.array([0] * 9 + [1])
    assert calibration_error(sure, nine_of_ten) == pytest.approx(0, abs=1e-6)
    assert judge(sure, nine_of_ten, ["a", "b"]).calibration_error == pytest.approx(0, abs=1e-6)
    assert calibration_error(Predictions(sure.numbers), nine_of_ten) == pytest.approx(0.9 - 1 / (1 + np.exp(-0.8)))
