"""A search with everything it needs: started, resumed, or opened without its devices."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mnascli.data import Dataset
from mnascli.devices.grouping import Known
from mnascli.devices.pool import News
from mnascli.devices.store import LatencyStore
from mnascli.engine import config as configuration
from mnascli.engine import shared_weights
from mnascli.engine.benches.bench import Bench, open_benches
from mnascli.engine.children.executor import Executor
from mnascli.engine.children.factory import open_executor
from mnascli.engine.config import Config
from mnascli.engine.targets import targets_by_device
from mnascli.errors import MnasError
from mnascli.runs import Run, create_run, open_run, read_meta
from mnascli.search import create_searcher
from mnascli.space import Space, make_space
from mnascli.training.pictures import DataRequest


@dataclass
class Search:
    """A search with everything it needs."""

    run: Run
    config: Config
    dataset: Dataset
    space: Space
    benches: list[Bench]
    executor: Executor

    @property
    def data(self) -> DataRequest:
        return data_request(self.config)

    def close(self) -> None:
        _close(self.benches)
        self.run.close()


def data_request(config: Config) -> DataRequest:
    """The configured data at the space's input size. Raises UsageError if there is none."""
    source = configuration.data_of(config)
    return DataRequest(source, config.space.input.size, config.channels, config.on_broken_image)


def space_of(config: Config, dataset: Dataset, source: str) -> Space:
    """The configured space, for the pictures and classes of the data."""
    space = make_space(config.space.model_dump(), source)
    return space.on(channels=dataset.channels, classes=len(dataset.classes))


def load_data(config: Config) -> Dataset:
    """The configured data, opened. Raises MnasError or UsageError naming the folder or file."""
    return data_request(config).load(config.final.recipe)


def begin(config: Config, path: Path) -> Search:
    """Start a run at `path`. Nothing is written before data, space and devices are found to exist."""
    dataset = load_data(config)
    # The run may be resumed, and its networks evaluated, from another working directory.
    config = config.model_copy(update={"data": dataset.source})
    space = space_of(config, dataset, "config")
    # What is written into the run is what was done: the pictures' own channels and classes.
    config = config.model_copy(update={"channels": dataset.channels, "space": space.config})
    benches = open_benches(config.devices, LatencyStore())
    try:
        if config.target_ms is not None:
            targets_by_device(config.target_ms, benches)
        check_names(config, space)
        shared_weights.check(config, space, dataset, benches)
        run = create_run(path, configuration.dump(config), _meta(config, space, dataset))
    except BaseException:
        _close(benches)
        raise
    return _open(run, config, dataset, space, benches)


def resume(path: Path, trials: int | None = None) -> Search:
    """Resume a run, with more trials if given. Raises as `reopen`, and NoDeviceError."""
    search = reopen(path, trials)
    try:
        known = [Known(one.device, one.name, one.serial, one.asked) for one in search.run.state.devices.values()]
        benches = open_benches(search.config.devices, LatencyStore(), known)
        search.run.append("run_resumed", trials=search.config.trials)
        return _open(search.run, search.config, search.dataset, search.space, benches)
    except BaseException:
        search.close()
        raise


def reopen(path: Path, trials: int | None = None) -> Search:
    """A run to continue, without its devices. Raises RunError if it is not a run, MnasError if its data changed."""
    run = open_run(path)
    try:
        config = configuration.load(path / "config.yaml")
        wanted = trials or run.state.trials_wanted  # of an earlier resume, which may have been interrupted
        if wanted is not None:
            config = config.model_copy(update={"trials": wanted})
        dataset = load_data(config)
        meta = read_meta(path)
        if meta["data_hash"] != dataset.hash:
            raise MnasError(f"{config.data}: the data changed since {path} was started: results would not compare")
        space = space_of(config, dataset, str(path / "config.yaml"))
        return _open(run, config, dataset, space, [])
    except BaseException:
        run.close()
        raise


def _close(benches: Sequence[Bench]) -> None:
    for bench in benches:
        bench.close()


def _open(run: Run, config: Config, dataset: Dataset, space: Space, benches: list[Bench]) -> Search:
    for bench in benches:
        bench.on_news = _teller(run, bench.name)
    if benches:
        run.append("devices_opened", devices=opened_devices(benches))
    for bench in benches:
        for member in bench.pool.members:
            if member.away:
                bench.on_news(
                    News("device_lost", member.device.serial, "not there when the search resumed: waited for")
                )
    config = config.after_sweep(run.state.swept)
    executor = open_executor(config)
    return Search(run, config, dataset, space, benches, executor)


def opened_devices(benches: Sequence[Bench]) -> list[dict[str, str]]:
    """Every device of the benches, as the event `devices_opened` has them."""
    return [
        {
            "device": bench.name,
            "profile": bench.pool.profile.name,
            "name": member.device.name,
            "serial": member.device.serial,
            "asked": member.asked,
        }
        for bench in benches
        for member in bench.pool.members
    ]


def _teller(run: Run, device: str) -> Callable[[News], None]:
    return lambda news: run.append(news.kind, **news.values(device))


def check_names(config: Config, space: Space) -> None:
    """Find out now, not hours later, that a searcher or a model is unknown or does not fit the space."""
    create_searcher(config.searcher.name, space, config.seed, **config.searcher.options)
    names = list(config.final.compare)
    if config.sweep.learning_rates:
        names += config.sweep.skeletons
    if config.target_ms is None:
        names.append(config.target_from.model)
    for name in names:
        space.baseline(name)


def _meta(config: Config, space: Space, dataset: Dataset) -> dict[str, Any]:
    packages = ("mnas", "torch", "ai-edge-litert", "numpy")
    return {
        "command": sys.argv,
        "seed": config.seed,
        "space_hash": space.hash,
        "data_hash": dataset.hash,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: version(name) for name in packages},
    }
