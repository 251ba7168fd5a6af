"""The sections of a configuration: what each may say, with its bounds and defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from mnascli.schema import Schema
from mnascli.search.objective import ObjectiveKind
from mnascli.search.searcher import SEARCHERS
from mnascli.training.recipe import Recipe

MOST_CORES = 4096


class ReferenceConfig(Schema):
    """A published network whose latency on the device becomes the target."""

    model: str = Field("mobilenet-v2", description="A name of the zoo, or plain-sep and the like.")
    width: float = Field(1.0, gt=0, le=100, description="Its depth multiplier.")


class ObjectiveConfig(Schema):
    kind: ObjectiveKind = Field("soft", description="soft or hard (the paper's), absolute (TuNAS's).")
    alpha: float | None = Field(None, ge=-10, le=0, description="Exponent within the target; null: the kind's own.")
    beta: float | None = Field(
        None, ge=-10, le=0, description="Exponent (absolute: weight) above the target; null: the kind's own."
    )
    hopeless: float | None = Field(
        None,
        gt=1,
        le=1e6,
        description="A candidate slower than this multiple of a target is not trained; null: all are trained.",
    )
    band: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Only candidates predicted to take between this share of the target and all of it are tried, by "
        "latency models that are fitted first; null or 0: whatever the searcher proposes.",
    )
    candidates: int = Field(60, ge=40, le=100_000, description="Candidates to measure for these latency models.")


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
        Recipe(epochs=40, batch_size=32, learning_rate=0.56, clip_gradient_norm=5.0, ema=0.995),
        description="Training of the supernet. Many steps matter more than many pictures per step.",
    )
    sampling: Literal["uniform", "reward"] = Field(
        "uniform",
        description="What a step trains: any candidate; or, after the warm-up, those of a policy that learns from the "
        "validation part and the latency model (TuNAS), and that the search then continues with.",
    )
    warmup: float = Field(
        0.6,
        ge=0,
        lt=1,
        description="Share of the steps in which decisions of candidates are still randomly those of the largest "
        "candidate; from all of them down to none. Without it the first epochs teach little.",
    )
    threads: int = Field(
        1,
        ge=1,
        le=MOST_CORES,
        description="Cores for its training. For small pictures one is best: with two, on a busy machine with two "
        "cores, a step took about thirty times the processor time.",
    )
    policy: dict[str, Any] = Field({}, description="Options of the policy, the same as of the searcher reinforce.")
    latency: Literal["measured", "model"] = Field(
        "model", description="Measure every candidate, or predict latencies and measure only the best for real."
    )
    latency_models: dict[str, Path] = Field(
        {}, description="Files of `mnas devices fit` by device; for other devices the search makes its own."
    )
    candidates: int = Field(60, ge=20, le=100_000, description="Candidates to measure for a latency model.")
    measured: int = Field(
        10, ge=1, le=100_000, description="How many predicted candidates are measured, the best first."
    )
    weights: Path | None = Field(None, description="A supernet of another search to reuse; null: train one.")
    inherit: bool = Field(
        True,
        description="Finalists begin their long training with their share of the supernet. Measurements show that it "
        "helps trainings of a few epochs, whose order the supernet then roughly predicts "
        "(benchmarks/search/one_shot.py).",
    )


class RungConfig(Schema):
    """A longer training of the best candidates of each batch."""

    epochs: int = Field(ge=1, le=100_000, description="Passes over the training part; all else is the proxy's.")
    share: float = Field(gt=0, le=1, description="Share of a batch's candidates that are trained on it, one at least.")
    by: Literal["loss", "accuracy"] = Field(
        "accuracy",
        description="What of the rung below decides: `loss`, the mean training loss over its second half, or "
        "`accuracy` on the validation part.",
    )


class SweepConfig(Schema):
    """Learning rates and batch norm momentums that are tried on plain skeletons before the search."""

    learning_rates: tuple[Annotated[float, Field(gt=0, le=1000)], ...] = Field(
        (), description="Learning rates to try; none: no sweep. The best one is then that of all trainings."
    )
    batch_norm_momentums: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        (), description="Momentums to try with each of them; none: the proxy's."
    )
    skeletons: tuple[str, ...] = Field(
        ("plain-sep", "plain-mbconv3"), min_length=1, description="Plain skeletons of the space that are trained."
    )
    epochs: int = Field(3, ge=1, le=100_000, description="Passes over the training part for each.")


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
        description="Candidates to train in full at the end, to check whether the proxy ranks; 0: none.",
    )
    seeds: int = Field(1, ge=1, le=1000, description="Trainings of the winner and of each reference model.")
    compare: tuple[str, ...] = Field(
        (),
        description="Networks to compare with, scaled by width to the winner's latency: of the zoo, or plain-sep, "
        "plain-mbconv3, ...: the template's skeleton with that operator in all blocks.",
    )
    export: bool = Field(True, description="Export the winner to TFLite and measure the file again.")
    tolerance: float = Field(
        0.1, ge=0, le=10, description="The exported file meets its target if it is at most this fraction above it."
    )
