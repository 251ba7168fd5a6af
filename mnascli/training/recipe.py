"""Everything that training depends on, apart from the network, the data and the seed. No torch here."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from mnascli.schema import Schema
from mnascli.space.heads import ClassifierInit

STAIRCASE_FACTOR = 0.97
STAIRCASE_EPOCHS = 2.4


class Recipe(Schema):
    """How a network is trained: the short proxy of the search and the long run after it differ only in values."""

    epochs: int = Field(1, ge=1, le=100_000, description="Passes over the training part.")
    batch_size: int = Field(
        64, ge=2, le=1_000_000, description="Images per step; an epoch does not use those left over at its end."
    )
    optimizer: Literal["rmsprop", "sgd", "adamw"] = Field(
        "sgd",
        description="`rmsprop` as in TensorFlow and the MnasNet paper (decay 0.9, momentum, epsilon 0.001 inside the "
        "root); `sgd` with Nesterov momentum; `adamw` (betas 0.9 and 0.999).",
    )
    learning_rate: float = Field(
        0.4,
        gt=0,
        le=1000,
        description="Highest learning rate for 256 images per step; scaled by the images of a step / 256. Those are "
        "batch_size, or the whole training part if it is smaller.",
    )
    schedule: Literal["cosine", "exponential", "constant"] = Field(
        "cosine",
        description="How the learning rate falls after the warm-up: `cosine` to 0 at the last step, `exponential` by "
        "0.97 every 2.4 epochs counted from the first step (MnasNet paper), or not at all.",
    )
    warmup_epochs: float = Field(
        0.0, ge=0, le=100_000, description="Epochs over which the learning rate rises linearly from 0."
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of rmsprop and sgd.")
    weight_decay: float = Field(
        1e-5, ge=0, le=10, description="Decay of the weights; batch norm and biases have none. Decoupled for adamw."
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="Share of the target spread over all classes.")
    batch_norm_momentum: float = Field(
        0.01,
        gt=0,
        le=1,
        description="Share of batch norm's running statistics that each step replaces. 0.01 is MnasNet's; trainings of "
        "a few hundred steps need more, or the statistics are still those of the start.",
    )
    ema: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Decay of the moving average over weights and batch norm statistics that is evaluated and kept; at "
        "step n no more than (1 + n) / (10 + n), as in TensorFlow. 0 means none.",
    )
    clip_gradient_norm: float = Field(
        0.0, ge=0, le=1e6, description="Largest norm of all gradients together. 0 means no limit."
    )
    classifier_init: ClassifierInit = Field(
        "inputs",
        description="New weights of the classifier are uniform within 1 / sqrt of this number: `inputs` suits any "
        "number of classes; `classes` is MnasNet's official code, made for 1,000.",
    )
    accumulate: int = Field(
        1, ge=1, le=1_000_000, description="Pieces in which a batch passes through the network, to save memory."
    )
    flip: bool = Field(False, description="Mirror each training image with probability 1/2.")
    shift: int = Field(0, ge=0, le=1024, description="Shift training images by up to so many pixels, edges repeated.")
    random_crop: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Random resized crop: smallest share of a training picture's area that is cut out (aspect 3/4 to "
        "4/3) and resized to the input size. 0 means the centre, as in evaluation; 0.08 is usual for ImageNet.",
    )
    color_jitter: float = Field(
        0.0, ge=0, le=1, description="Brightness, contrast and saturation, each times 1 - value to 1 + value at random."
    )
    rand_augment: int = Field(
        0,
        ge=0,
        le=100,
        description="RandAugment (Cubuk et al., 2019): how many of its 14 operations each training picture gets.",
    )
    rand_augment_magnitude: float = Field(9.0, ge=0, le=30, description="Strength of these operations, 0 to 30.")
    mixup: float = Field(
        0.0,
        ge=0,
        le=100,
        description="Alpha of mixup: pairs of pictures are blended by a share from Beta(alpha, alpha). 0: none.",
    )
    cutmix: float = Field(
        0.0,
        ge=0,
        le=100,
        description="Alpha of CutMix: a rectangle of the pair's other picture is pasted in. With mixup as well, each "
        "batch gets one of the two at random. 0: none.",
    )
    evaluation_crop: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Share of the centre square's side that evaluation uses; 0.875 is 224 out of 256.",
    )
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="bfloat16 and float16 are automatic mixed precision, float16 with scaled gradients."
    )
    channels_last: bool = Field(True, description="Keep channels innermost in memory: faster on most CPUs and GPUs.")
    sync_batch_norm: bool = Field(
        False, description="With several processes: batch norm over the whole batch, not over each process's share."
    )
    freeze: tuple[str, ...] = Field(
        (),
        description="Parts of the network that stay unchanged, including batch norm statistics: stem, blocks.0, "
        "head, ... or `features` for all but the classifier.",
    )

    @property
    def needs_pictures(self) -> bool:
        """Whether training works on whole pictures, which have to be decoded again each time."""
        return bool(self.random_crop or self.color_jitter or self.rand_augment)

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        if self.warmup_epochs >= self.epochs and self.warmup_epochs > 0:
            raise ValueError(f"warmup_epochs {self.warmup_epochs} leaves nothing of epochs {self.epochs}")
        return self

    def learning_rate_at(self, step: int, steps_per_epoch: int, images: int) -> float:
        """The learning rate of a step, counted from 0 over all epochs, of `images` in all processes together.

        A small data set allows fewer of them than `batch_size` (see `Batches`); the actual number counts.
        """
        peak = self.learning_rate * images / 256
        warmup = self.warmup_epochs * steps_per_epoch
        if step < warmup:
            return peak * (step + 1) / math.ceil(warmup + 1)
        if self.schedule == "exponential":
            return peak * STAIRCASE_FACTOR ** math.floor(step / steps_per_epoch / STAIRCASE_EPOCHS)
        if self.schedule == "cosine":
            return peak * (1 + math.cos(math.pi * (step - warmup) / (self.epochs * steps_per_epoch - warmup))) / 2
        return peak
