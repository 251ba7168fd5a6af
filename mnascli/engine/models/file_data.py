"""The pictures that a .tflite sees, and what its outputs mean: for our own files, and for files made elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mnascli.data import Dataset
from mnascli.data.arrays import Floats
from mnascli.data.dataset import Split
from mnascli.data.loading import name_and_classes
from mnascli.engine.models.pictures import source_of_file
from mnascli.errors import UsageError
from mnascli.tflite.interpreter import Runner, predict_all
from mnascli.tflite.meaning import Normalisation, Numbers, fitting_normalisation, gives_probabilities
from mnascli.tflite.metadata import Metadata, known_size, read_metadata
from mnascli.tflite.shapes import leaves_size_open
from mnascli.training.judging import Predictions
from mnascli.training.pictures import DataRequest
from mnascli.training.pretrained import IMAGENET_MEAN, IMAGENET_STD
from mnascli.training.recipe import Recipe

# What lists of labels call the class for none of the others.
BACKGROUND = {"background", "__background__", "???", "dummy"}
GREATEST_MEAN = 16.0  # of pixels from 0 to 1; a greater one is of pixels from 0 to 255
LEAST_SPAN = 16.0  # from black to white; with fewer whole numbers there is no picture

Say = Callable[[str], None]


@dataclass(frozen=True)
class FileReading:
    """How to read a file, as far as it does not say so itself.

    `size` is for a file that leaves the size of its pictures open, `usual_size` for when neither is given.
    `normalisation` is (mean, std) of pixels from 0 to 1, each one for all channels or one per channel. `background`
    says that the first class is one that the data does not have.
    """

    size: int | None = None
    usual_size: int | None = None
    normalisation: tuple[Numbers, Numbers] | None = None
    background: bool = False


NOTHING_SAID = FileReading()


@dataclass(frozen=True)
class FileData:
    """Data as the file needs it; `columns` are the positions of the data's classes in the file's output."""

    path: Path
    dataset: Dataset
    columns: tuple[int, ...]

    def predict(self, split: Split, workers: int) -> Predictions:
        """The file's output for a part, with a column for each class of the data, in their order."""
        outputs: Floats = predict_all(self.path, split.images, self.dataset.normalise, workers)
        return Predictions(outputs[:, list(self.columns)], gives_probabilities(self.path, outputs))


def data_for_file(
    path: Path, data: str | None, reading: FileReading = NOTHING_SAID, say: Say = lambda line: None
) -> FileData:
    """Data at the file's input size, normalised as the file says; if it does not say, as given, or as fits its input.

    Without `data`, the data that the file names, or that of the run that it was exported from. `say` gets what is
    assumed. Whether the classes are the file's is checked before any picture is read.

    Raises UsageError if they are not, if nothing names the data, if the size is open and not given, if nothing says how
    pixels become the input, and for a normalisation given in addition to the file's own.
    """
    about = read_metadata(path)
    source = data or source_of_file(path, about)
    if source is None:
        raise UsageError(f"{path}: does not say which pictures it was trained on: give them with --data")
    size = known_size(path, reading.size)
    runner = Runner(path, size=reading.usual_size if size is None and leaves_size_open(path) else size)
    channels = runner.picture.channels
    own = _own(path, about, channels)
    if own is not None and reading.normalisation:
        raise UsageError(f"{path}: gives its own normalisation: omit --mean and --std")
    given = _checked("--mean, --std", *reading.normalisation, channels) if reading.normalisation else own
    if given is None and runner.takes_unscaled_int8:
        raise UsageError(
            f"{path}: takes int8 without a scale, so how pixels become such numbers is unknown: give --mean "
            "and --std (0.50196 and 0.0039216 for pixel - 128)"
        )
    name, classes = name_and_classes(source)
    columns = _columns(path, runner.classes, about.labels if about else (), name, classes, reading.background, say)
    recipe = Recipe(evaluation_crop=about.crop) if about else Recipe()
    dataset = DataRequest(source, runner.picture.size, channels).load(recipe, to_train=False, test_only=True)
    if given is None or (given is own and runner.takes_unscaled and given.span < LEAST_SPAN):
        given = _assumed(path, dataset, say)
    return FileData(path, replace(dataset, mean=given.mean, std=given.std), columns)


def _own(path: Path, about: Metadata | None, channels: int) -> Normalisation | None:
    if about is None or not (about.mean and about.std):
        return None
    return _checked(f"{path}: its metadata's mean and deviation", about.mean, about.std, channels)


def _checked(what: str, mean: Numbers, std: Numbers, channels: int, why: str = "") -> Normalisation:
    """With one number per channel. Raises UsageError that begins with `what`."""
    mean, std = (values * channels if len(values) == 1 else values for values in (mean, std))
    if (len(mean), len(std)) != (channels, channels) or not all(0 < value < math.inf for value in std):
        raise UsageError(f"{what}: expected one number or {channels}, and deviations above 0")
    if not all(abs(value) <= GREATEST_MEAN for value in mean):
        raise UsageError(f"{what}: must be of pixels from 0 to 1: divide both by 255")
    return Normalisation(mean, std, why)


def _assumed(path: Path, dataset: Dataset, say: Say) -> Normalisation:
    """What fits the file's input, else what fits the data; reported in one line."""
    others = [(dataset.mean, dataset.std)]
    if dataset.channels == len(IMAGENET_MEAN):
        others.append((IMAGENET_MEAN, IMAGENET_STD))
    found = fitting_normalisation(path, others)
    if found is None:
        why = f"the mean and deviation of {dataset.name}, since nothing in it says"
        found = Normalisation(dataset.mean, dataset.std, why)
    found = _checked(str(path), found.mean, found.std, dataset.channels, found.why)
    mean, std = (", ".join(f"{value:.3f}" for value in values) for values in (found.mean, found.std))
    formula = f"(pixel / 255 - [{mean}]) / [{std}]"
    if found.is_none:
        formula = "none, but pixels from 0 to 255 as they are,"
    say(
        f"{path}: does not say how its pictures are normalised: {formula} is assumed, {found.why}; "
        "--mean and --std change that"
    )
    return found


def _columns(
    path: Path,
    count: int,
    labels: Sequence[str],
    name: str,
    classes: tuple[str, ...],
    background: bool,
    say: Say,
) -> tuple[int, ...]:
    """The positions of the data's classes among the file's `count`. Raises UsageError if they are different ones."""
    if labels and len(labels) != count:
        raise UsageError(f"{path}: gives {count} numbers and has names for {len(labels)}: its labels do not fit")
    first = 1 if background or (len(labels) == len(classes) + 1 and labels[0].strip().lower() in BACKGROUND) else 0
    if count - first != len(classes):
        more = count == len(classes) + 1
        hint = ": if its first is a background class, as in Google's ImageNet models, add --background" if more else ""
        raise UsageError(f"{path}: has {count} classes, {name} has {len(classes)}{hint}")
    if first:
        say(f"{path}: its first class is omitted: it is the background, which {name} does not have")
    named = tuple(labels[first:])
    if not named or named == classes:
        return tuple(range(first, count))
    if len(set(named)) == count - first and set(named) == set(classes):
        say(f"{path}: has the classes of {name} in another order: they are matched by their names")
        return tuple(first + named.index(one) for one in classes)
    own, other = next(pair for pair in zip(named, classes, strict=True) if pair[0] != pair[1])
    raise UsageError(f"{path}: its class {own!r} is {other!r} in {name}: the data has other classes")
