"""Layers of configuration: template, config file, flags."""

from pathlib import Path

import pytest

from mnascli.engine.config import resolve, templates
from mnascli.search import create_searcher
from mnascli.space import Space


@pytest.mark.parametrize("name", ["ppo", "reinforce", "evolution", "random"])
def test_a_searcher_is_chosen_in_one_line(name: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"template: quick\nsearcher: {{name: {name}}}\n")
    config = resolve(None, file, {})
    create_searcher(config.searcher.name, Space(config.space), 0, **config.searcher.options)
    assert config.searcher.name == name


def test_options_go_over_those_of_the_same_searcher() -> None:
    below = resolve("quick", None, {}).searcher
    changed = next(iter(below.options))
    above = resolve("quick", None, {"searcher": {"name": below.name, "options": {changed: 7}}}).searcher
    assert above.options == {**below.options, changed: 7}


@pytest.mark.parametrize("name", sorted(templates()))
def test_the_searcher_of_every_template_knows_its_options(name: str) -> None:
    config = templates()[name]
    create_searcher(config.searcher.name, Space(config.space), 0, **config.searcher.options)
