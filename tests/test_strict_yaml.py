"""YAML that other readers silently take for something else is refused, in one line with its number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mnascli.devices.profiles import load_profile
from mnascli.engine.config import load, resolve
from mnascli.engine.models.recipe import final_recipe
from mnascli.errors import UsageError
from mnascli.strict_yaml import StrictYamlError
from mnascli.strict_yaml import load as read

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("trials: 4\nseed: 1\ntrials: 400\n", 3, "'trials' appears twice, first in line 1"),
        ("space:\n  head: {filters: 8, dropout: 0, filters: 9}\n", 2, "'filters' appears twice, first in line 2"),
        ("blocks:\n- {a: 1}\n- a: 1\n  'a': 2\n", 4, "'a' appears twice, first in line 3"),
        ("? a\n: 1\n? a\n: 2\n", 3, "'a' appears twice"),
        ("trials: 010\n", 1, "010 begins with a 0"),
        ("a:\n- -08.5\n", 2, "-08.5 begins with a 0"),
        ("a: !!int '3'\n", 1, "tags are not supported here"),
        ("a: !!python/object/apply:os.system [ls]\n", 1, "tags are not supported here"),
        ("a: 1\n---\na: 2\n", 2, "a second document"),
        ("\n" + "[" * 5000, 2, "nested more than 50 deep"),
        ("- " * 5000, 1, "nested more than 50 deep"),
        ("{a: " * 5000, 1, "nested more than 50 deep"),
        ("\n".join(" " * n + "a:" for n in range(5000)), 51, "nested more than 50 deep"),
        ("a: &x [*x]\n", 1, "x is undefined"),
        ("a: 1\nb: \0\n", 2, "a character that is not allowed"),
        ("a: 1\nb: '\\0\n", 3, "not valid YAML"),
        ('a: "\\UFFFFFFFF"\n', 1, "not valid YAML"),
        ('a: "\\uD800"\n', 1, "half a character"),
        ("? [1]\n: 2\n", 1, "a key must be plain text"),
        ("a: {<<: 3}\n", 1, "<< takes a mapping"),
    ],
)
def test_what_is_refused(text: str, line: int, says: str) -> None:
    with pytest.raises(StrictYamlError) as caught:
        read(text)
    assert str(caught.value).startswith(f"line {line}: ") and says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_aliases_cannot_mean_billions() -> None:
    levels = ["a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    with pytest.raises(StrictYamlError, match="line 6: more than 100,000 values"):
        read("\n".join(levels))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1:30", "1:30"),
        ("no", "no"),
        ("on", "on"),
        ("2026-11-28", "2026-11-28"),
        ("2026-99-99", "2026-99-99"),
        ("0x10", "0x10"),
        ("'010'", "010"),
        ("'true'", "true"),
        ("1_000", 1000),
        ("1e-5", 1e-5),
        ("-.5", -0.5),
        ("0", 0),
        ("0.5", 0.5),
        ("~", None),
        ("true", True),
    ],
)
def test_plain_values_are_what_they_look_like(text: str, value: Any) -> None:
    read_value = read(f"a: {text}\n")[0]["a"]
    assert read_value == value and type(read_value) is type(value)


def test_keys_are_text_and_merged_mappings_give_way() -> None:
    values, lines = read("base: &b {k: 1, on: 2}\n1: {<<: *b, k: 3}\nyes: [{<<: [*b, {z: 0, k: 9}]}]\n")
    assert values == {"base": {"k": 1, "on": 2}, "1": {"k": 3, "on": 2}, "yes": [{"k": 1, "on": 2, "z": 0}]}
    assert lines["1",] == 2 and lines["yes", 0] == 3


@given(VALUES)
def test_what_pyyaml_writes_comes_back(value: Any) -> None:
    assert read(yaml.safe_dump(value))[0] == value


@given(st.text(st.sampled_from("ab01:-[]{}&*!<'\"|>#%? ,\n\t~.e")) | st.text())
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        read(text)
    except StrictYamlError as error:
        assert "\n" not in str(error) and str(error).startswith("line ")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("trials: true", "line 2: trials: true or false is not allowed here"),
        ("trials: 1:30", "line 2: trials: Input should be a valid integer"),
        ("trials: 1e26", "line 2: trials: far too large a number (got 1e+26)"),
        ("trials: 99999999999999999999999999", "line 2: trials: "),
        ("trials: 1000001", "line 2: trials: Input should be less than or equal to 1000000"),
        (f"trials: {'9' * 5000}", "line 2: trials: "),
        ("trials: yes", "line 2: trials: Input should be a valid integer"),
        ("seed: 0b11", "line 2: seed: "),
        ("trial_timeout_s: 1e26", "line 2: trial_timeout_s: "),
        ("trial_timeout_s: .inf", "line 2: trial_timeout_s: "),
        ("target_ms: .nan", "line 2: target_ms: "),
        ("target_ms: {host: 1e26}", "line 2: target_ms: the target of host must be at most 1,000,000 ms"),
        ("target_ms: true", "line 2: target_ms: "),
        ("objective:\n  alpha: -1e26", "line 3: objective.alpha: "),
        ("final:\n  seeds: 1e9\n  finalists: 1", "line 3: final.seeds: "),
        ("proxy:\n  epochs: 1e12", "line 3: proxy.epochs: "),
        ("proxy:\n  batch_size: true", "line 3: proxy.batch_size: true or false"),
        ("proxy:\n  epochs: 2\n  warmup_epochs: 9", "line 2: proxy: warmup_epochs 9.0 leaves nothing"),
        ("space:\n  choices:\n    se:\n    - 0\n    - true", "line 6: space.choices.se.1: true or false"),
        ("searcher:\n  name: evolution\n  options:\n    sample: true", "line 5: searcher.options.sample: true or"),
        (
            "searcher:\n  name: evolution\n  options:\n    smaple: 3",
            "line 5: searcher.options.smaple: unknown key (did",
        ),
        ("searcher: {name: evolutoin}", "line 2: searcher.name: no searcher called 'evolutoin'"),
        ("supernet: {policy: {baseline: true}}", "line 2: supernet.policy.baseline: true or false"),
        ("devices: [host, 3]", "line 2: devices.1: "),
    ],
)
def test_a_config_file_that_does_not_fit_names_its_line(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"template: quick\n{text}\n")
    with pytest.raises(UsageError) as caught:
        resolve(None, file, {})
    assert str(caught.value).startswith(f"{file}: ") and says in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_flag_is_not_blamed_on_a_line_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("template: quick\ntrials: 4\n")
    with pytest.raises(UsageError, match=r"trials: Input should be less") as caught:
        resolve(None, file, {"trials": 10**9})
    assert "line" not in str(caught.value)


def test_a_template_is_a_name(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("trials: 4\ntemplate: [quick]\n")
    with pytest.raises(UsageError, match=r"mine\.yaml: line 2: template: expected the name of a template"):
        resolve(None, file, {})


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["epochs=010"], "--set epochs=010: line 1: 010 begins with a 0"),
        (["epochs=true"], "options: epochs: true or false is not allowed here"),
        (["epochs=1:30"], "options: epochs: Input should be a valid integer"),
        (["epochs=1e26"], "options: epochs: far too large a number"),
        (["epochs=" + "[" * 5000], "nested more than 50 deep"),
        (["epochs=2", "epochs=3"], "--set epochs=3: epochs is set twice"),
        (["epochs"], "expected KEY=VALUE"),
    ],
)
def test_settings_of_a_training_are_read_alike(tmp_path: Path, settings: list[str], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        final_recipe("mnasnet-a1", tmp_path, "quick", settings, {})
    assert says in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("threads: true", "line 3: threads: true or false"),
        ("cores: [0, true]", "line 3: cores.1: true or false"),
        ("measuring: {runs: 1e26}", "line 3: measuring.runs: "),
        ("measuring: {timeout_s: 1e26}", "line 3: measuring.timeout_s: "),
        ("name: mine", "line 3: the key 'name' appears twice"),
    ],
)
def test_device_profiles_are_read_alike(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"name: mine\nmatch: {{kind: host}}\n{text}\n")
    with pytest.raises(UsageError) as caught:
        load_profile(file)
    assert str(caught.value).startswith(f"{file}: {says}")


def test_a_run_s_own_configuration_comes_back(tmp_path: Path) -> None:
    from mnascli.engine.config import dump

    config = resolve("mnasnet", None, {"data": "010", "target_ms": {"1:30": 75.0}, "devices": ["no"]})
    file = tmp_path / "config.yaml"
    file.write_text(dump(config))
    assert load(file) == config
