"""The configuration of a search: what a template or a config file may contain, and how its layers are merged.

Flag > environment (MNAS_*) > config file > template > default. Every value of the result is written into the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BeforeValidator, Field, field_validator, model_validator

from mnascli.engine.children.factory import EXECUTORS
from mnascli.engine.sections import (
    MOST_CORES,
    FinalConfig,
    ObjectiveConfig,
    ReferenceConfig,
    RungConfig,
    SearcherConfig,
    SupernetConfig,
    SweepConfig,
)
from mnascli.errors import UsageError
from mnascli.resources import folder
from mnascli.schema import Location, PlacedError, Schema, YamlFile, parse, read_yaml
from mnascli.search.objective import check_target
from mnascli.search.searcher import searcher_class
from mnascli.space.configuration import SpaceConfig, at_size
from mnascli.space.factorized import template_path
from mnascli.training.recipe import Recipe

DEFAULT_TEMPLATE = "quick"

TargetMs = Annotated[
    float | dict[str, float] | None, BeforeValidator(lambda value: None if value is None else check_target(value))
]


class Config(Schema):
    """A search, from the data to the exported file."""

    description: str = Field("", description="One line for `mnas templates list`.")
    data: str | None = Field(
        None, description="A data set's name or a folder of pictures; null: must be given with --data."
    )
    channels: int | None = Field(None, ge=1, le=64, description="Channels to read pictures with; null: the data's own.")
    on_broken_image: Literal["skip", "stop"] = Field("skip", description="What to do with an unreadable picture.")
    devices: tuple[str, ...] = Field(("host",), min_length=1, description="Devices or profiles to measure on.")
    target_ms: TargetMs = Field(None, description="Latency target in ms, or one per device; null: target_from.")
    target_from: ReferenceConfig = Field(ReferenceConfig(), description="Sets the target if target_ms is null.")
    objective: ObjectiveConfig = Field(ObjectiveConfig(), description="How accuracy and latency become one reward.")
    searcher: SearcherConfig = Field(SearcherConfig(), description="What proposes the candidates.")
    trials: int = Field(100, ge=1, le=1_000_000, description="How many candidates to try.")
    batch: int = Field(10, ge=1, le=10_000, description="Candidates asked for at a time.")
    seed: int = Field(0, ge=0, le=2**53, description="Seed of the search and of every training in it.")
    workers: int | None = Field(
        None,
        ge=1,
        le=MOST_CORES,
        description="Trainings at once; null: as many as the GPUs, or without GPUs the cores, allow.",
    )
    threads: int = Field(
        1, ge=1, le=MOST_CORES, description="Cores for each training on the CPU; with GPUs, trainings share them."
    )
    cluster: str | None = Field(
        None, description="For executor ray: a cluster's address, or auto; null: this machine alone."
    )
    executor: str = Field("local", description="Where children run: local, in processes on this machine.")
    gpus: int | None = Field(
        None, ge=0, le=1024, description="GPUs to train on; null: all that torch finds, 0: none, only the cores."
    )
    per_gpu: int = Field(
        1, ge=1, le=64, description="Trainings at once on each GPU: small networks leave much of a GPU idle."
    )
    trial_timeout_s: float = Field(
        3600.0,
        gt=0,
        le=1e7,
        description="A short training that takes longer is a failed trial; long trainings are not limited.",
    )
    failures_in_a_row: int = Field(
        5, ge=1, le=1_000_000, description="The search stops after so many similar failures in a row."
    )
    evaluator: Literal["training", "supernet"] = Field(
        "training", description="What a candidate's accuracy comes from: a short training, or its share of a supernet."
    )
    supernet: SupernetConfig = Field(SupernetConfig(), description="For evaluator supernet.")
    proxy: Recipe = Field(Recipe(), description="The short training of each candidate.")
    sweep: SweepConfig = Field(SweepConfig(), description="Finds the learning rate before the search, if wanted.")
    rungs: tuple[RungConfig, ...] = Field(
        (), description="Longer trainings of the best of each batch; none: the proxy alone decides."
    )
    final: FinalConfig = Field(FinalConfig(), description="What comes after the search.")
    space: SpaceConfig = Field(description="The architectures that the search may try.")

    def after_sweep(self, swept: Mapping[str, Any] | None) -> Config:
        """With what a sweep found (the event `swept`), for the short and the full trainings."""
        if swept is None:
            return self
        found = {key: swept[key] for key in ("learning_rate", "batch_norm_momentum")}
        final = self.final.model_copy(update={"recipe": self.final.recipe.model_copy(update=found)})
        return self.model_copy(update={"proxy": self.proxy.model_copy(update=found), "final": final})

    @model_validator(mode="after")
    def _rungs_rise(self) -> Self:
        epochs = [self.proxy.epochs, *(rung.epochs for rung in self.rungs)]
        shares = [1.0, *(rung.share for rung in self.rungs)]
        for index in range(len(self.rungs)):
            if epochs[index + 1] <= epochs[index]:
                said = f"{epochs[index + 1]} epochs after {epochs[index]}: each rung trains longer than the one before"
                raise PlacedError(("rungs", index, "epochs"), said)
            if shares[index + 1] > shares[index]:
                said = f"{shares[index + 1]:g} after {shares[index]:g}: no rung takes more than the one before"
                raise PlacedError(("rungs", index, "share"), said)
        if self.rungs and self.evaluator == "supernet":
            raise PlacedError(("rungs",), "the candidates of a supernet are not trained: set rungs to []")
        return self

    @field_validator("executor")
    @classmethod
    def _known_executor(cls, name: str) -> str:
        if name not in EXECUTORS:
            raise ValueError(f"no executor called {name!r}: the executors are {', '.join(EXECUTORS)}")
        return name

    @property
    def inherits(self) -> bool:
        """Whether long trainings of trials begin with their share of a supernet."""
        return self.evaluator == "supernet" and self.supernet.inherit


def resolve(
    template: str | None, config_file: Path | None, flags: Mapping[str, Any], size: int | None = None
) -> Config:
    """The configuration from a template, a config file over it, and flags over both.

    A config file may name its template under the key `template`; so may a template name another. `flags` are nested
    like the file; None means 'not given'. With a `size` in pixels the space is for pictures of it, see `at_size`.
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
    config = _checked(_over(_over(values, from_file), flags), source, lines)
    return config if size is None else config.model_copy(update={"space": at_size(config.space, size)})


def dump(config: Config) -> str:
    """The configuration as YAML with every value written out; `load` reads it back."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, width=110)


def load(path: Path) -> Config:
    """The configuration that `dump` wrote. Raises UsageError."""
    return parse(Config, read_yaml(path), str(path))


def _checked(values: Mapping[str, Any], source: str, lines: Mapping[Location, int]) -> Config:
    """The configuration; the options of its searcher and of the supernet's policy are checked by these themselves."""
    config = parse(Config, values, source, lines)
    for name, options, below in (
        (config.searcher.name, config.searcher.options, ("searcher", "options")),
        ("reinforce", config.supernet.policy, ("supernet", "policy")),
    ):
        parse(searcher_class(name).Options, options, source, lines, below)
    return config


def _named_template(values: YamlFile, source: str) -> str | None:
    """The template that a file names, removed from it. Raises UsageError for what is not a name."""
    named = values.pop("template", None)
    if named is not None and not isinstance(named, str):
        line = values.lines["template",]
        raise UsageError(f"{source}: line {line}: template: expected the name of a template (got {named!r})")
    return named


def templates() -> dict[str, Config]:
    """The shipped templates by name."""
    paths = sorted(folder("templates").glob("*.yaml"), key=lambda path: path.stem)
    return {path.stem: parse(Config, _read_template(path), str(path)) for path in paths}


def _read_template(path: Path) -> dict[str, Any]:
    own = read_yaml(path)
    below = _named_template(own, str(path))
    values = _over(_read_template(template_path(below)), own) if below is not None else dict(own)
    parse(Config, values, str(path), own.lines)  # so that an error names the file it is in
    return values


def data_of(config: Config) -> str:
    """The configured data. Raises UsageError if there is none."""
    if config.data is None:
        raise UsageError(
            "no data: give a folder of pictures or a data set's name with --data (fashion-mnist-10k comes with mnas)"
        )
    return config.data


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """As `merged`, but one searcher does not inherit the options of another."""
    result, mine = merged(below, above), above.get("searcher")
    if isinstance(mine, Mapping) and mine.get("name") not in (None, (below.get("searcher") or {}).get("name")):
        result["searcher"]["options"] = mine.get("options") or {}
    return result


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` over `below`, mappings merged key by key; None in `above` changes nothing."""
    result = dict(below)
    for key, value in above.items():
        if isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = merged(result[key], value)
        elif value is not None:
            result[key] = value
    return result
