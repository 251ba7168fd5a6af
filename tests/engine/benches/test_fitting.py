"""Fitting a latency model on a device: with a scripted bench, and through the command line on this machine."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from mnascli.cli.main import app
from mnascli.devices.device import Conditions, ModelError, Session, Setup
from mnascli.devices.measuring import Latency
from mnascli.engine.benches import fitting
from mnascli.engine.benches.bench import Bench
from mnascli.search.latency_model import LatencyModelError, load_latency_model, terms
from mnascli.space import Architecture, load_space

SPACE = load_space("quick")
PINNED = Setup(cores=(3,))
QUIET = Conditions(cores=(1,), runtime="fake", os_build="1")


def true_ms(architecture: Architecture) -> float:
    return 1 + sum(value for name, value in terms(architecture).items() if name.endswith("adds")) / 1e6


@dataclass
class ScriptedBench:
    """Takes `true_ms`, times a slowness that changes from batch to batch and that the reference model sees too.

    Of a `shared` one the times come at one speed already, as the discipline gives them.
    """

    unstable_every: int = 1000
    precision: str = "float32"
    slowness: tuple[float, ...] = (1.0, 1.4, 0.9)
    batches: int = 0
    seen: list[str] = field(default_factory=list)
    shared: bool = False
    device = SimpleNamespace(name="phone", fingerprint="pixel 1/build 7", setup=PINNED)

    @property
    def pool(self) -> SimpleNamespace:
        return SimpleNamespace(profile=SimpleNamespace(measuring=SimpleNamespace(shared=self.shared)))

    def measure(self, architectures: list[Architecture]) -> list[Latency | ModelError]:
        slow = self.slowness[self.batches % len(self.slowness)]
        self.batches += 1
        results: list[Latency | ModelError] = []
        for architecture in architectures:
            self.seen.append(str(architecture))
            unstable = len(self.seen) % self.unstable_every == 0
            ms = true_ms(architecture) * (1 if self.shared else slow) * (3 if unstable else 1)
            session = Session(ms, ms, ms, 10, QUIET, QUIET)
            verdict = "unstable" if unstable else "stable"
            results.append(Latency("", "phone", "", PINNED, ms, ms, ms, 10, verdict, "", 2 * slow, 0.0, (session,)))
        return results


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
