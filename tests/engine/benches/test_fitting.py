"""Fitting a latency model on a device: with a scripted bench, and through the command line on this machine."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mnascli.cli.main import app
from mnascli.devices.device import ModelError
from mnascli.devices.measuring import Latency
from mnascli.engine.benches import fitting
from mnascli.engine.benches.bench import Bench
from mnascli.search.latency_model import LatencyModelError, load_latency_model
from mnascli.space import Architecture, load_space
from stand_ins.scripted_bench import ScriptedBench, true_ms

SPACE = load_space("quick")


def fit_on(bench: ScriptedBench, candidates: int = 60) -> fitting.LatencyModel:
    return fitting.fit_on(bench, SPACE, candidates)  # type: ignore[arg-type]


@pytest.mark.parametrize("shared", [False, True])
def test_a_device_that_slows_down_between_batches_does_not_bend_the_model(shared: bool) -> None:
    model = fit_on(ScriptedBench(shared=shared))
    assert model.errors.median < 0.02
    assert model.reference_ms == 2.0
    architecture = SPACE.decode([0] * len(SPACE.decisions))
    assert model.predict(architecture) == pytest.approx(true_ms(architecture), rel=0.05)


def test_unstable_measurements_do_not_count_in_the_errors() -> None:
    model = fit_on(ScriptedBench(unstable_every=5))
    assert model.errors.candidates == 48
    assert model.errors.worst < 0.5
    with pytest.raises(
        LatencyModelError, match=r"only 0 of 60 candidates have a stable latency.*keep other work off phone"
    ):
        fit_on(ScriptedBench(unstable_every=1))


def test_the_same_candidates_for_the_same_space() -> None:
    first, second = ScriptedBench(), ScriptedBench()
    fit_on(first)
    fit_on(second, 40)
    assert first.seen[:40] == second.seen
    assert len(set(first.seen)) == 60


def test_near_a_target_a_few_unstable_measurements_cost_a_round_and_not_the_model() -> None:
    bench = ScriptedBench(unstable_every=15)  # one of the first round, which then has fewer than a model needs
    model = fitting.fit_near(bench, SPACE, 1.6, 40)  # type: ignore[arg-type]
    assert model.errors.are_small and len(bench.seen) == 40


def test_near_a_target_an_inaccurate_model_gets_as_many_candidates_again() -> None:
    class Rough(ScriptedBench):
        def measure(self, architectures: list[Architecture]) -> list[Latency | ModelError]:
            """Times that no model can predict."""
            rng = random.Random(len(self.seen))
            found = super().measure(architectures)
            return [replace(one, median_ms=rng.uniform(1, 9)) for one in found if isinstance(one, Latency)]

    bench = Rough()
    assert not fitting.fit_near(bench, SPACE, 1.6, 40).errors.are_small  # type: ignore[arg-type]
    assert len(bench.seen) == 80


def test_a_model_of_this_bench_passes_its_own_check(tmp_path: Path) -> None:
    bench = ScriptedBench()
    file = tmp_path / "made" / "phone.json"
    fitting.save(fit_on(bench), file)
    again = load_latency_model(file)
    again.check(SPACE, fitting.identify(bench), "model")  # type: ignore[arg-type]


def test_the_command_writes_the_model_and_says_how_good_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def open_scripted(name: str, store: object) -> Bench:
        assert name == "phone"
        bench = ScriptedBench()
        bench.close = lambda: None  # type: ignore[attr-defined]
        return bench  # type: ignore[return-value]

    monkeypatch.setattr(fitting, "open_bench", open_scripted)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["devices", "fit", "phone", "--space", "quick", "--json"])
    assert result.exit_code == 0, result.output
    values = json.loads(result.stdout)
    assert values["usable"] is True and values["errors"]["candidates"] == 60
    assert (tmp_path / values["file"]).name == "phone-quick.latency.json"
