"""The pictures and the space that the benchmarks of the search work on: CIFAR-10 at 32 pixels, template `photos`.

CIFAR-10 is not part of the project: `--data FOLDER` has train/ and test/ with a folder a class.
"""

from __future__ import annotations

import shutil
from functools import lru_cache
from pathlib import Path

from mnascli.data import Dataset
from mnascli.engine.config import Config, resolve
from mnascli.space import Space, make_space
from mnascli.training.pictures import DataRequest

SIZE = 32
A_CLASS = 1300  # training pictures, of which 975 train; the rest is held out


@lru_cache
def config() -> Config:
    return resolve(None, Path(__file__).with_name("cifar.yaml"), {}, SIZE)


@lru_cache
def space() -> Space:
    return make_space(config().space.model_dump(), "photos")


def pictures(source: Path, folder: Path, size: int = SIZE) -> Dataset:
    """The first `A_CLASS` training pictures a class and all test pictures of CIFAR-10, copied to `folder` once."""
    for part, most in (("train", A_CLASS), ("test", None)):
        for name in sorted(path.name for path in (source / part).iterdir()):
            (folder / part / name).mkdir(parents=True, exist_ok=True)
            for file in sorted((source / part / name).iterdir())[:most]:
                if not (folder / part / name / file.name).exists():
                    shutil.copy(file, folder / part / name / file.name)
    return DataRequest(str(folder), size, 3).load(config().final.recipe)
