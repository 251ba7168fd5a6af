"""Random changes to training pictures. All randomness is from a generator that depends only on seed and step."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from mnascli.data.arrays import Images
from mnascli.data.picture import Box, Choose, centre, cut_image
from mnascli.data.streamed import StreamedImages
from mnascli.training.recipe import Recipe

LOG_ASPECT = math.log(4 / 3)
CROP_TRIES = 10
FULL_MAGNITUDE = 30  # RandAugment's scale
GREY = 128


def augmented(images: Images | StreamedImages, number: int, recipe: Recipe, rng: np.random.Generator) -> Image.Image:
    """One training picture, cropped and changed in colour and shape as the recipe says, at the size of `images`."""
    choose = random_box(recipe.random_crop, rng) if recipe.random_crop else centre(1.0)
    if isinstance(images, StreamedImages):
        # A random crop may be decoded in draft mode; without one, the picture is what an evaluation sees.
        random = recipe.random_crop > 0
        picture = images.cut(number, choose if random else centre(images.crop), draft=random)
    else:
        _, size, _, channels = images.shape
        picture = cut_image(Image.fromarray(images[number].squeeze()), choose, size, channels)
    if recipe.color_jitter:
        picture = jitter(picture, recipe.color_jitter, rng)
    if recipe.rand_augment:
        picture = rand_augment(picture, recipe.rand_augment, recipe.rand_augment_magnitude, rng)
    return picture


def random_box(smallest: float, rng: np.random.Generator) -> Choose:
    """Random resized crop as in Inception's training: `smallest` to all of the area, aspect from 3/4 to 4/3."""

    def choose(width: int, height: int) -> Box:
        for _ in range(CROP_TRIES):
            area = rng.uniform(smallest, 1.0) * width * height
            aspect = math.exp(rng.uniform(-LOG_ASPECT, LOG_ASPECT))
            across, down = math.sqrt(area * aspect), math.sqrt(area / aspect)
            if across <= width and down <= height:
                left, upper = rng.uniform(0, width - across), rng.uniform(0, height - down)
                return left, upper, left + across, upper + down
        return centre(1.0)(width, height)

    return choose


def jitter(picture: Image.Image, strength: float, rng: np.random.Generator) -> Image.Image:
    """Brightness, contrast and saturation, each times 1 - strength to 1 + strength, in random order."""
    enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    for index in rng.permutation(len(enhancers)):
        picture = enhancers[index](picture).enhance(rng.uniform(1 - strength, 1 + strength))
    return picture


def rand_augment(picture: Image.Image, count: int, magnitude: float, rng: np.random.Generator) -> Image.Image:
    """`count` random operations, each at `magnitude` of 30 (Cubuk et al., 2019, section 3), with random signs."""
    for index in rng.integers(len(OPERATIONS), size=count):
        picture = OPERATIONS[index](picture, magnitude / FULL_MAGNITUDE, rng.choice((-1.0, 1.0)))
    return picture


def _enhance(enhancer: Callable[[Image.Image], ImageEnhance._Enhance]) -> Callable[..., Image.Image]:
    return lambda picture, share, sign: enhancer(picture).enhance(1 + sign * 0.9 * share)


def _affine(picture: Image.Image, a: float, b: float, c: float, d: float, e: float, f: float) -> Image.Image:
    fill = GREY if picture.mode == "L" else (GREY,) * 3
    return picture.transform(
        picture.size, Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BILINEAR, fillcolor=fill
    )


def _rotate(picture: Image.Image, share: float, sign: float) -> Image.Image:
    fill = GREY if picture.mode == "L" else (GREY,) * 3
    return picture.rotate(sign * 30 * share, Image.Resampling.BILINEAR, fillcolor=fill)


# The operations of the paper and their ranges (as in AutoAugment, table 6): a share from 0 to 1, a sign of 1 or -1.
OPERATIONS: tuple[Callable[[Image.Image, float, float], Image.Image], ...] = (
    lambda picture, share, sign: picture,
    lambda picture, share, sign: ImageOps.autocontrast(picture),
    lambda picture, share, sign: ImageOps.equalize(picture),
    lambda picture, share, sign: ImageOps.solarize(picture, round(256 * (1 - share))),
    lambda picture, share, sign: ImageOps.posterize(picture, 8 - round(4 * share)),
    _enhance(ImageEnhance.Color),
    _enhance(ImageEnhance.Contrast),
    _enhance(ImageEnhance.Brightness),
    _enhance(ImageEnhance.Sharpness),
    _rotate,
    lambda picture, share, sign: _affine(picture, 1, sign * 0.3 * share, 0, 0, 1, 0),
    lambda picture, share, sign: _affine(picture, 1, 0, 0, sign * 0.3 * share, 1, 0),
    lambda picture, share, sign: _affine(picture, 1, 0, sign * 0.45 * share * picture.width, 0, 1, 0),
    lambda picture, share, sign: _affine(picture, 1, 0, 0, 0, 1, sign * 0.45 * share * picture.height),
)
