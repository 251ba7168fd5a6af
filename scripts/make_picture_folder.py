"""An ordinary folder of pictures out of the bundled data set: upscaled to unequal sizes, in many formats and modes.

    python scripts/make_picture_folder.py FOLDER [--of-each 100] [--side 160]

Most are JPEG; among them are greyscale, CMYK and EXIF-turned ones, PNG with palettes, transparency and 16 bits, WebP,
BMP, GIF and TIFF. The classes become sub-folders. To try `mnas search --data FOLDER` and the commands after it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from mnascli.data import load

TURNED = 6  # EXIF: to be turned by 90 degrees clockwise for showing
KINDS = ("JPEG",) * 6 + ("grey", "cmyk", "turned", "palette", "alpha", "16 bits", "WEBP", "BMP", "GIF", "TIFF")
SUFFIXES = {"JPEG": ".jpg", "grey": ".jpg", "cmyk": ".jpg", "turned": ".JPG", "TIFF": ".tif"}


def save(picture: Image.Image, file: Path, kind: str) -> None:
    file = file.with_suffix(SUFFIXES.get(kind, f".{kind.lower()}" if kind.isupper() else ".png"))
    match kind:
        case "grey":
            picture.convert("L").save(file, "JPEG")
        case "cmyk":
            picture.convert("CMYK").save(file, "JPEG")
        case "turned":
            exif = Image.Exif()
            exif[0x0112] = TURNED
            picture.transpose(Image.Transpose.ROTATE_90).save(file, "JPEG", exif=exif)
        case "palette":
            picture.convert("P").save(file, "PNG")
        case "alpha":
            picture.convert("RGBA").save(file, "PNG")
        case "16 bits":
            Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257).save(file, "PNG")
        case _:
            picture.save(file, kind)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--of-each", type=int, default=100, help="pictures of each class")
    parser.add_argument("--side", type=int, default=160, help="pixels of the shorter side, more or less")
    arguments = parser.parse_args()
    dataset = load("fashion-mnist-10k", size=28, channels=1)
    rng = np.random.default_rng(0)
    for label, name in enumerate(dataset.classes):
        folder = arguments.folder / name.replace("/", " or ")
        folder.mkdir(parents=True)
        chosen = np.flatnonzero(dataset.train.labels == label)[: arguments.of_each]
        for number, image in enumerate(dataset.train.images[chosen][..., 0]):
            tint = rng.uniform(0.6, 1.0, 3)
            colour = Image.fromarray((image[..., None] * tint).astype(np.uint8))
            side = round(arguments.side * rng.uniform(0.8, 1.2))
            wide = Image.new("RGB", (round(side * rng.uniform(1.0, 1.4)), side))
            wide.paste(colour.resize((side, side), Image.Resampling.BICUBIC), ((wide.width - side) // 2, 0))
            save(wide, folder / f"{number:04}", KINDS[number % len(KINDS)])
    print(f"{len(dataset.classes)} classes, {arguments.of_each} pictures each in {arguments.folder}")


if __name__ == "__main__":
    main()
