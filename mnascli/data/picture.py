"""One picture file to pixels, whatever its format."""

from __future__ import annotations

import ctypes
import io
import logging
import re
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError, features

from mnascli.data.arrays import DataError, Images
from mnascli.data.extras import how_to_install
from mnascli.data.naming import shown
from mnascli.data.sniffing import what_it_is

try:
    from pillow_heif import register_heif_opener

    register_heif_opener()
    READS_HEIC = True
except ImportError:
    READS_HEIC = False

# Kinds that depend on how Pillow was built, with the feature to ask it for.
BUILT_IN = {".webp": "webp", ".avif": "avif", ".jp2": "jpg_2000", ".j2k": "jpg_2000", ".jpx": "jpg_2000"}
HEIC = frozenset([".heic", ".heif", ".hif"])
ORDINARY = frozenset(
    [".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".bmp", ".gif", ".tif", ".tiff", ".tga"]
) | frozenset([".ppm", ".pgm", ".pbm", ".pnm"])
PICTURES = ORDINARY | BUILT_IN.keys() | HEIC
UNREAD = {suffix for suffix, name in BUILT_IN.items() if not features.check(name)} | (set() if READS_HEIC else HEIC)
SUFFIXES = PICTURES - UNREAD
MODES = {1: "L", 3: "RGB"}
LARGEST = 89_478_485  # pixels of a picture, Pillow's own limit: a small file can unpack to fill all memory
MOST_TOLD = 8  # kinds of files that are not looked at
TURNED = (5, 6, 7, 8)  # EXIF orientations that swap width and height

Box = tuple[float, float, float, float]  # left, upper, right, lower, in pixels
Choose = Callable[[int, int], Box]


def why_not_read(suffix: str) -> str:
    """For files whose suffix is not in `SUFFIXES`: the reason in words, and what to do; empty for no suffix."""
    if suffix in HEIC:
        return f"the package that reads them is missing: {how_to_install('heic')}"
    if suffix in BUILT_IN:
        return "this Pillow cannot read them: install a newer one, or convert them"
    return "not a supported kind of picture" if suffix.startswith(".") else ""


def left_out_in_words(left_out: Counter[str]) -> str:
    """Which files were not looked at, and why, from counts by suffix or by what was wrong with them."""
    reasons = [(count, kind, why_not_read(kind)) for kind, count in left_out.most_common(MOST_TOLD)]
    words = [f"{count} {shown(kind)}" + (f" ({why})" if why else "") for count, kind, why in reasons]
    rest = left_out.total() - sum(count for count, *_ in reasons)
    return ", ".join([*words, f"{rest} of other kinds"] if rest else words)


class BrokenPictureError(DataError):
    """A file that is not a picture, or is damaged."""


def centre(share: float) -> Choose:
    """Chooses the square in the middle whose side is `share` of the shorter side (224 of 256: 0.875)."""

    def choose(width: int, height: int) -> Box:
        side = share * min(width, height)
        left, upper = (width - side) / 2, (height - side) / 2
        return left, upper, left + side, upper + side

    return choose


def steps(size: int, channels: int, crop: float) -> dict[str, str]:
    """What `decode` does to a picture, step by step in words: every user of a network has to do the same."""
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

    `choose` is given width and height of the upright picture. `draft` decodes a JPEG at 1/2, 1/4 or 1/8 if that is
    enough: many times faster, and not quite the pixels that an app sees. Raises BrokenPictureError.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > LARGEST:
                raise Image.DecompressionBombError
            return cut_image(image, choose, size, channels, draft=draft)
    except Image.DecompressionBombError as error:
        raise BrokenPictureError(f"more than {LARGEST / 1e6:.0f} million pixels: make it smaller") from error
    except UnidentifiedImageError as error:
        raise BrokenPictureError(what_it_is(data[:100]) or "not a picture, or of an unknown kind") from error
    except Exception as error:  # Pillow's readers raise nearly anything on damaged files.
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise BrokenPictureError(reason) from error


def cut_image(image: Image.Image, choose: Choose, size: int, channels: int, *, draft: bool = False) -> Image.Image:
    """As `cut`, for a picture that is open, in any mode; resized bilinearly with anti-aliasing."""
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


def _quiet() -> None:
    """Silences Pillow and libtiff: a picture's faults are reported in a line that names it.

    Filters are set once, for the whole process: `warnings.catch_warnings` is not safe in threads.
    """
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    maps = Path("/proc/self/maps")
    loaded = maps.read_text(errors="replace") if maps.is_file() else ""
    for library in set(re.findall(r"/\S*libtiff\S*", loaded)):
        ctypes.CDLL(library).TIFFSetErrorHandler(None)


_quiet()
