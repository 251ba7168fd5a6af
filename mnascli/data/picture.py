"""One picture file to pixels, whatever its format."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable

import numpy as np
from PIL import ExifTags, Image, ImageOps

from mnascli.data.dataset import DataError, Images

SUFFIXES = frozenset(
    [".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pnm"]
)
MODES = {1: "L", 3: "RGB"}
TURNED = (5, 6, 7, 8)  # EXIF orientations that swap width and height

Box = tuple[float, float, float, float]  # left, upper, right, lower, in pixels
Choose = Callable[[int, int], Box]


class BrokenPictureError(DataError):
    """A file that is no picture, or is damaged."""


def centre(share: float) -> Choose:
    """Chooses the square in the middle whose side is `share` of the shorter side (224 of 256: 0.875)."""

    def choose(width: int, height: int) -> Box:
        side = share * min(width, height)
        left, upper = (width - side) / 2, (height - side) / 2
        return left, upper, left + side, upper + side

    return choose


def steps(size: int, channels: int, crop: float) -> dict[str, str]:
    """What `decode` does to a picture, step by step and in words: whoever uses a network has to do the same."""
    share = "" if crop == 1 else f" of {crop:g} times the shorter side"
    return {
        "decoding": "the whole picture at its full resolution, turned upright as its EXIF orientation says, "
        "transparent parts white, 16 bits cut to the upper 8",
        "crop": f"the centre square{share}; not squashed",
        "channels": "RGB" if channels == 3 else "grey, 0.299 R + 0.587 G + 0.114 B",
        "resizing": f"to {size}x{size} pixels, bilinear with anti-aliasing (Pillow's BILINEAR)",
    }


def decode(data: bytes, size: int, channels: int, crop: float = 1.0, *, draft: bool = False) -> Images:
    """The picture in `data` upright, as (size, size, channels): the centre square of share `crop`, resized.

    Transparent parts become white, 16-bit pixels lose their lower 8 bits; `draft` as in `cut`. Raises
    BrokenPictureError.
    """
    return to_pixels(cut(data, centre(crop), size, channels, draft=draft))


def cut(data: bytes, choose: Choose, size: int, channels: int, *, draft: bool = False) -> Image.Image:
    """A part of the picture in `data`, as `size` x `size` pixels in the mode for `channels`.

    `choose` is given width and height of the upright picture. `draft` decodes a JPEG at 1/2, 1/4 or 1/8 where that is
    enough: many times faster, and not quite the pixels that an app sees. Raises BrokenPictureError.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                return cut_image(image, choose, size, channels, draft=draft)
    except Exception as error:  # Pillow's readers raise nearly anything on damaged files.
        raise BrokenPictureError(str(error) or type(error).__name__) from error


def cut_image(image: Image.Image, choose: Choose, size: int, channels: int, *, draft: bool = False) -> Image.Image:
    """As `cut`, of a picture that is open, whatever its mode; resized bilinearly with anti-aliasing."""
    width, height = image.size
    turned = image.getexif().get(ExifTags.Base.Orientation) in TURNED
    left, upper, right, lower = choose(*((height, width) if turned else (width, height)))
    # Twice the wanted size leaves the resizing its quality.
    enough = 2 * size / min(right - left, lower - upper)
    if draft and enough < 1:
        image.draft(None, (round(width * enough), round(height * enough)))
    scale = image.size[0] / width, image.size[1] / height
    across, down = scale[::-1] if turned else scale
    upright = _eight_bits(ImageOps.exif_transpose(image))
    if upright.has_transparency_data:
        layers = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers)
    box = (left * across, upper * down, min(right * across, upright.width), min(lower * down, upright.height))
    return upright.convert(MODES[channels]).resize((size, size), Image.Resampling.BILINEAR, box)


def to_pixels(image: Image.Image) -> Images:
    """An "L" or "RGB" picture as (height, width, channels)."""
    return np.asarray(image).reshape(image.height, image.width, -1)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Greyscale of more than 8 bits as "L"; other modes as they are."""
    if image.mode.startswith("I"):
        return Image.fromarray((np.clip(np.asarray(image), 0, 65535) // 256).astype(np.uint8))
    if image.mode == "F":
        pixels = np.nan_to_num(np.asarray(image))
        return Image.fromarray((np.clip(pixels, 0, 1) * 255).round().astype(np.uint8))
    return image
