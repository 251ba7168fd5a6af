"""The configuration of a search: what a template or a config file may say, and how the layers of it are joined.

Flag > environment (MNAS_*) > config file > template > default. What results is written into the run, every value of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, field_validator

from mnascli.engine.children.factory import EXECUTORS
from mnascli.engine.models.find import find_model
from mnascli.errors import UsageError
from mnascli.resources import folder
from mnascli.schema import Location, Schema, YamlFile, load_text, parse, read_yaml
from mnascli.search.objective import ObjectiveKind, check_target
from mnascli.search.searcher import SEARCHERS, searcher_class
from mnascli.space.configuration import SpaceConfig
from mnascli.space.factorized import template_path
from mnascli.training.recipe import Recipe

DEFAULT_TEMPLATE = "quick"
MOST_CORES = 4096

TargetMs = Annotated[
    float | dict[str, float] | None, BeforeValidator(lambda value: None if value is None else check_target(value))
]


class ReferenceConfig(Schema):
    """A published network whose latency on the device becomes the target."""

    model: str = Field("mobilenet-v2", description="A name of the zoo.")
    width: float = Field(1.0, gt=0, le=100, description="Its depth multiplier.")


class ObjectiveConfig(Schema):
    kind: ObjectiveKind = Field("soft", description="soft or hard (the paper's), absolute (TuNAS's).")
    alpha: float | None = Field(None, ge=-10, le=0, description="Exponent within the target; null: the kind's own.")
    beta: float | None = Field(
        None, ge=-10, le=0, description="Exponent (absolute: weight) beyond it; null: the kind's own."
    )
    hopeless: float | None = Field(
        None,
        gt=1,
        le=1e6,
        description="A candidate slower than this multiple of a target is not trained; null: all are.",
    )


class SearcherConfig(Schema):
    name: str = Field("ppo", description="ppo, reinforce, evolution or random.")
    options: dict[str, Any] = Field({}, description="The searcher's own options.")

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in SEARCHERS:
            raise ValueError(f"no searcher called {name!r}: there are {', '.join(SEARCHERS)}")
        return name


class SupernetConfig(Schema):
    """One training for all candidates: what `evaluator: supernet` does."""

    recipe: Recipe = Field(
        Recipe(epochs=40, batch_size=32, learning_rate=0.56, clip_gradient_norm=5.0, ema=0.995, channels_last=False),
        description="Training of the supernet. Many steps count for more than many pictures a step.",
    )
    sampling: Literal["uniform", "reward"] = Field(
        "uniform",
        description="Whom a step trains: any candidate; or, after the warm-up, those of a policy that learns from the "
        "validation part and the latency model (TuNAS), and that the search goes on with.",
    )
    warmup: float = Field(
        0.6,
        ge=0,
        lt=1,
        description="Share of the steps in which decisions of candidates are by chance still those of one that is the "
        "largest of all; from all of them down to none. Without it the first epochs teach little.",
    )
    threads: int = Field(
        1,
        ge=1,
        le=MOST_CORES,
        description="Cores for its training. For small pictures one is best: with two on a busy machine of two cores a "
        "step took some thirty times the processor time.",
    )
    policy: dict[str, Any] = Field({}, description="Options of the policy, which are those of searcher reinforce.")
    latency: Literal["measured", "model"] = Field(
        "model", description="Measure every candidate, or predict and measure the best for real."
    )
    latency_models: dict[str, Path] = Field(
        {}, description="Files of `mnas devices fit` by device; for other devices the search makes its own."
    )
    candidates: int = Field(60, ge=20, le=100_000, description="Candidates to measure for a latency model.")
    measured: int = Field(
        10, ge=1, le=100_000, description="Of predicted candidates so many are measured, the best first."
    )
    weights: Path | None = Field(None, description="A supernet of another search, to be used again; null: train one.")
    inherit: bool = Field(
        True,
        description="Finalists begin their long training with their share of the supernet. Measured, it helps "
        "trainings of a few epochs, whose order the supernet then foretells roughly (benchmarks/search/one_shot.py).",
    )


class FinalConfig(Schema):
    """What comes after the search."""

    recipe: Recipe = Field(Recipe(), description="Training of the finalists and of what they are compared with.")
    finalists: int = Field(
        3, ge=1, le=1000, description="Trials that are trained in full; the best on the selection part wins."
    )
    validate_proxy: int = Field(
        0,
        ge=0,
        le=10_000,
        description="Candidates to train in full at the end, to tell whether the proxy ranks; 0: none.",
    )
    seeds: int = Field(1, ge=1, le=1000, description="Trainings of the winner and of each reference model.")
    compare: tuple[str, ...] = Field((), description="Zoo models, scaled to the winner's latency, to compare with.")
    export: bool = Field(True, description="Export the winner to TFLite and measure the file again.")
    tolerance: float = Field(
        0.1, ge=0, le=10, description="The exported file meets its target if it is at most this fraction above it."
    )


class Config(Schema):
    """A search, from the data to the exported file."""

    description: str = Field("", description="One line for `mnas templates list`.")
    data: str | None = Field(
        None, description="A data set's name or a folder of pictures; null: it has to be given with --data."
    )
    channels: int | None = Field(None, ge=1, le=64, description="Colours to read pictures with; null: the data's own.")
    on_broken_image: Literal["skip", "stop"] = Field("skip", description="What a picture that cannot be read does.")
    devices: tuple[str, ...] = Field(("host",), min_length=1, description="Devices or profiles to measure on.")
    target_ms: TargetMs = Field(None, description="Latency target in ms, or one for each device; null: target_from.")
    target_from: ReferenceConfig = Field(ReferenceConfig(), description="Gives the target where target_ms is null.")
    objective: ObjectiveConfig = Field(ObjectiveConfig(), description="Accuracy and milliseconds into one reward.")
    searcher: SearcherConfig = Field(SearcherConfig(), description="Who proposes the candidates.")
    trials: int = Field(100, ge=1, le=1_000_000, description="Candidates to try.")
    batch: int = Field(10, ge=1, le=10_000, description="Candidates asked for at a time.")
    seed: int = Field(0, ge=0, le=2**53, description="Seed of the search and of every training in it.")
    workers: int | None = Field(
        None,
        ge=1,
        le=MOST_CORES,
        description="Trainings at once; null: as many as the GPUs, or without any the cores, allow.",
    )
    threads: int = Field(
        1, ge=1, le=MOST_CORES, description="Cores for each training on the CPU; beside GPUs they are shared out."
    )
    executor: str = Field("local", description="Where children run: local, in processes of this machine.")
    gpus: int | None = Field(
        None, ge=0, le=1024, description="GPUs to train on; null: all that torch finds, 0: none, the cores alone."
    )
    per_gpu: int = Field(
        1, ge=1, le=64, description="Trainings at once on each GPU: small networks leave much of one idle."
    )
    trial_timeout_s: float = Field(
        3600.0,
        gt=0,
        le=1e7,
        description="A short training that takes longer is a failed trial; long trainings have no limit.",
    )
    failures_in_a_row: int = Field(
        5, ge=1, le=1_000_000, description="After so many failures alike in a row the search stops."
    )
    evaluator: Literal["training", "supernet"] = Field(
        "training", description="What tells a candidate's accuracy: a short training, or its share of a supernet."
    )
    supernet: SupernetConfig = Field(SupernetConfig(), description="For evaluator supernet.")
    proxy: Recipe = Field(Recipe(), description="The short training of each candidate.")
    final: FinalConfig = Field(FinalConfig(), description="What comes after the search.")
    space: SpaceConfig = Field(description="The architectures that may be built.")

    @field_validator("executor")
    @classmethod
    def _known_executor(cls, name: str) -> str:
        if name not in EXECUTORS:
            raise ValueError(f"no executor called {name!r}: there are {', '.join(EXECUTORS)}")
        return name

    @property
    def inherits(self) -> bool:
        """Whether long trainings of trials begin with their share of a supernet."""
        return self.evaluator == "supernet" and self.supernet.inherit


def resolve(template: str | None, config_file: Path | None, flags: Mapping[str, Any]) -> Config:
    """The configuration out of a template, a config file over it, and flags over both.

    A config file may name its template under the key `template`, and so may a template another one. `flags` are nested
    like the file; None is 'not given'.
    Raises UsageError that names the source, its line and the key.
    """
    from_file = read_yaml(config_file) if config_file else YamlFile({}, {})
    named = _named_template(from_file, str(config_file))
    name = template or named or (None if "space" in from_file else DEFAULT_TEMPLATE)
    values: dict[str, Any] = {}
    source = str(config_file) if config_file else "options"
    if name is not None:
        path = Path(name) if Path(name).suffix else template_path(name)
        values = _read_template(path)
        source = str(config_file) if config_file else str(path)
    given = {key for key, value in flags.items() if value is not None}
    lines = {location: line for location, line in from_file.lines.items() if location[:1] and location[0] not in given}
    return _checked(_over(_over(values, from_file), flags), source, lines)


def dump(config: Config) -> str:
    """The configuration as YAML with every value written out; `load` reads it back."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, width=110)


def load(path: Path) -> Config:
    """The configuration that `dump` wrote. Raises UsageError."""
    return parse(Config, read_yaml(path), str(path))


def _checked(values: Mapping[str, Any], source: str, lines: Mapping[Location, int]) -> Config:
    """The configuration, with the options of its searcher and of the supernet's policy, which they check themselves."""
    config = parse(Config, values, source, lines)
    for name, options, below in (
        (config.searcher.name, config.searcher.options, ("searcher", "options")),
        ("reinforce", config.supernet.policy, ("supernet", "policy")),
    ):
        parse(searcher_class(name).Options, options, source, lines, below)
    return config


def _named_template(values: YamlFile, source: str) -> str | None:
    """The template that a file names, taken out of it. Raises UsageError for what is no name."""
    named = values.pop("template", None)
    if named is not None and not isinstance(named, str):
        line = values.lines["template",]
        raise UsageError(f"{source}: line {line}: template: the name of one was expected (got {named!r})")
    return named


def templates() -> dict[str, Config]:
    """The shipped templates by name."""
    paths = sorted(folder("templates").glob("*.yaml"), key=lambda path: path.stem)
    return {path.stem: parse(Config, _read_template(path), str(path)) for path in paths}


def _read_template(path: Path) -> dict[str, Any]:
    own = read_yaml(path)
    below = _named_template(own, str(path))
    values = _over(_read_template(template_path(below)), own) if below is not None else dict(own)
    parse(Config, values, str(path), own.lines)  # so that an error names the file it stands in
    return values


def data_of(config: Config) -> str:
    """The configured data. Raises UsageError where there are none."""
    if config.data is None:
        raise UsageError(
            "no data: give a folder of pictures or a data set's name with --data (fashion-mnist-10k comes with mnas)"
        )
    return config.data


def final_recipe(
    model: str, runs: Path, template: str | None, settings: Sequence[str], flags: Mapping[str, Any]
) -> Recipe:
    """The long training's recipe: the template's, or that of the run that `model` names, or the default template's.

    `settings` (KEY=VALUE) and `flags` (None is 'not given') change single values. Raises UsageError for bad ones.
    """
    run = find_model(model, runs).run if template is None else None
    config = load(run / "config.yaml") if run is not None else resolve(template, None, {})
    changes: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = (part.strip() for part in setting.partition("="))
        if not equals:
            raise UsageError(f"--set {setting}: KEY=VALUE was expected, as in mixup=0.2")
        if key in changes:
            raise UsageError(f"--set {setting}: {key} stands twice")
        changes[key], _ = load_text(value, f"--set {setting}")
    return parse(Recipe, _merge(_merge(config.final.recipe.model_dump(), changes), flags), "options")


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """As `_merge`, but options of one searcher do not become those of another."""
    result, mine = _merge(below, above), above.get("searcher")
    if isinstance(mine, Mapping) and mine.get("name") not in (None, (below.get("searcher") or {}).get("name")):
        result["searcher"]["options"] = mine.get("options") or {}
    return result


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` over `below`, mappings joined key by key; None in `above` gives way."""
    result = dict(below)
    for key, value in above.items():
        if isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = _merge(result[key], value)
        elif value is not None:
            result[key] = value
    return result
