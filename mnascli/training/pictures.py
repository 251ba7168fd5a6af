"""Which pictures a training needs; each process opens them itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mnascli.data import Dataset, load
from mnascli.data.preview import Preview, preview
from mnascli.training.recipe import Recipe


@dataclass(frozen=True)
class DataRequest:
    """Which pictures, at which size."""

    source: str
    size: int
    channels: int | None
    on_broken: Literal["skip", "stop"] = "skip"

    def load(self, recipe: Recipe, *, to_train: bool = True, test_only: bool = False) -> Dataset:
        """The pictures as `recipe` needs them; whole ones are kept available only if they are `to_train` on.

        With `test_only` the other parts may be missing.
        """
        return load(
            self.source,
            size=self.size,
            channels=self.channels,
            crop=recipe.evaluation_crop,
            stream=(to_train and recipe.needs_pictures) or None,
            on_broken=self.on_broken,
            test_only=test_only,
        )

    def preview(self, recipe: Recipe) -> Preview:
        """What `load` would give, without looking at all pictures."""
        return preview(
            self.source,
            size=self.size,
            channels=self.channels,
            crop=recipe.evaluation_crop,
            stream=recipe.needs_pictures or None,
            on_broken=self.on_broken,
        )
