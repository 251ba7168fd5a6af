from itertools import pairwise

import pytest

from mnascli.errors import UsageError
from mnascli.schema import parse
from mnascli.training.recipe import Recipe

STEPS = 100  # an epoch


def rates(**values):
    recipe = Recipe(batch_size=256, learning_rate=1.0, **values)
    return [recipe.learning_rate_at(step, STEPS, 256) for step in range(recipe.epochs * STEPS)]


def test_the_rate_is_for_256_images():
    recipe = Recipe(batch_size=64, learning_rate=1.0, schedule="constant")
    assert recipe.learning_rate_at(0, STEPS, 64) == 0.25


def test_the_images_of_a_step_decide_the_rate_and_not_those_that_were_asked_for():
    recipe = Recipe(batch_size=4096, learning_rate=0.016, schedule="constant")
    assert recipe.learning_rate_at(0, STEPS, 200) == pytest.approx(0.0125)


def test_cosine_falls_from_the_peak_to_nearly_zero():
    cosine = rates(epochs=2, schedule="cosine")
    assert cosine[0] == 1.0
    assert cosine[100] == pytest.approx(0.5)
    assert 0 < cosine[-1] < 1e-3
    assert cosine == sorted(cosine, reverse=True)


def test_exponential_is_the_papers_staircase_counted_from_the_first_step():
    stairs = rates(epochs=6, schedule="exponential", warmup_epochs=2.0)
    assert stairs[239] == 1.0
    assert stairs[240] == pytest.approx(0.97)
    assert stairs[480] == pytest.approx(0.97**2)


def test_the_warm_up_rises_in_a_line_and_meets_the_schedule():
    warm = rates(epochs=3, schedule="constant", warmup_epochs=1.5)
    assert warm[0] > 0
    steps = [after - before for before, after in pairwise(warm[:150])]
    assert max(steps) == pytest.approx(min(steps))
    assert warm[149] < warm[150] == 1.0


def test_defaults_and_bounds():
    assert parse(Recipe, Recipe().model_dump(), "test") == Recipe()
    bad = [
        {"epochs": 0},
        {"learning_rate": 0},
        {"optimizer": "lion"},
        {"epochs": 2, "warmup_epochs": 2},
        {"label_smoothing": 1},
        {"learning_rte": 1},
        {"batch_size": 1},
    ]
    for values in bad:
        with pytest.raises(UsageError, match=r"quick\.yaml"):
            parse(Recipe, values, "quick.yaml")


def test_every_field_says_what_it_is():
    assert all(field.description for field in Recipe.model_fields.values())
