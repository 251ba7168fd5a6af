"""One picture file to pixels, whatever its format."""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image, ImageOps

from mnascli.data.dataset import DataError, Images

SUFFIXES = frozenset(
    [".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pnm"]
)
MODES = {1: "L", 3: "RGB"}


class BrokenPictureError(DataError):
    """A file that is no picture, or is damaged."""


def decode(data: bytes, size: int, channels: int) -> Images:
    """The picture in `data` upright, as (size, size, channels): its centre square, resized.

    Transparent parts become white, 16-bit pixels lose their lower 8 bits. Raises BrokenPictureError.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                # A JPEG can be decoded at 1/2, 1/4 or 1/8; twice the wanted size leaves the resizing its quality.
                image.draft(None, (2 * size, 2 * size))
                upright = ImageOps.exif_transpose(image)
                return to_pixels(upright, size, channels)
    except Exception as error:  # Pillow's readers raise nearly anything on damaged files.
        raise BrokenPictureError(str(error) or type(error).__name__) from error


def to_pixels(image: Image.Image, size: int, channels: int) -> Images:
    """A picture of any mode as (size, size, channels): its centre square, resized bilinearly with anti-aliasing."""
    image = _eight_bits(image)
    if image.has_transparency_data:
        layers = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers)
    image = image.convert(MODES[channels])
    square = ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)
    return np.asarray(square).reshape(size, size, channels)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Greyscale of more than 8 bits as "L"; other modes as they are."""
    if image.mode.startswith("I"):
        return Image.fromarray((np.clip(np.asarray(image), 0, 65535) // 256).astype(np.uint8))
    if image.mode == "F":
        pixels = np.nan_to_num(np.asarray(image))
        return Image.fromarray((np.clip(pixels, 0, 1) * 255).round().astype(np.uint8))
    return image
