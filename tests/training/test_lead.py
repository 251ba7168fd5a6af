"""The lead of one network over another, and how sure it is."""

import numpy as np
import pytest

from mnascli.training.lead import paired_lead, t_95


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
