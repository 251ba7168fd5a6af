import io

import numpy as np
import pytest
from PIL import Image

from mnascli.data.arrays import DataError
from mnascli.data.picture import decode, steps

RED, BLUE = (255, 0, 0), (0, 0, 255)


def encode(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def halves(mode="RGB", left=RED, right=BLUE):
    image = Image.new(mode, (32, 32), left)
    image.paste(right, (16, 0, 32, 32))
    return image


def assert_red_left_blue_right(pixels):
    assert pixels.shape == (8, 8, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels[:, 1].astype(int) - RED).max() < 40
    assert np.abs(pixels[:, 6].astype(int) - BLUE).max() < 40


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF"])
def test_formats(kind):
    assert_red_left_blue_right(decode(encode(halves(), kind), 8, 3))


def test_palette_cmyk_and_alpha():
    assert_red_left_blue_right(decode(encode(halves().convert("P"), "PNG"), 8, 3))
    assert_red_left_blue_right(decode(encode(halves().convert("CMYK"), "JPEG"), 8, 3))
    assert_red_left_blue_right(decode(encode(halves().convert("RGBA"), "PNG"), 8, 3))


def test_transparent_parts_become_white():
    image = halves().convert("RGBA")
    image.putalpha(0)
    assert (decode(encode(image, "PNG"), 4, 3) == 255).all()


def test_exif_orientation_is_applied():
    upright = halves()
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned: to be turned by 90 degrees clockwise for showing
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    assert_red_left_blue_right(decode(encode(stored, "JPEG", exif=exif, quality=95), 8, 3))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_keep_their_upper_8(kind):
    image = Image.fromarray(np.full((16, 16), 0x80FF, np.uint16))
    assert (decode(encode(image, kind), 4, 1) == 0x80).all()
    assert (decode(encode(image, kind), 4, 3) == 0x80).all()


def test_greyscale_is_repeated_and_colour_becomes_grey():
    grey = encode(Image.new("L", (9, 9), 77), "PNG")
    assert (decode(grey, 3, 3) == 77).all()
    assert decode(encode(halves(), "PNG"), 8, 1).shape == (8, 8, 1)


def test_the_centre_square_is_taken():
    wide = Image.new("RGB", (90, 30), BLUE)
    wide.paste(RED, (30, 0, 60, 30))
    assert (decode(encode(wide, "PNG"), 6, 3)[:, 1:-1] == RED).all()


def photograph(width, height, seed=0):
    """Fine detail everywhere, which a JPEG decoded at a part of its size blurs in another way."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return encode(Image.fromarray(noise), "JPEG", quality=95)


@pytest.mark.parametrize(("width", "height", "crop"), [(160, 96, 1.0), (97, 161, 0.875), (640, 480, 1.0)])
def test_a_jpeg_is_decoded_as_an_app_decodes_it(width, height, crop):
    """The whole picture, its centre square, bilinear: with Pillow alone, as `steps` says."""
    data = photograph(width, height)
    side = crop * min(width, height)
    left, upper = (width - side) / 2, (height - side) / 2
    whole = Image.open(io.BytesIO(data)).convert("RGB")
    expected = whole.resize((16, 16), Image.Resampling.BILINEAR, (left, upper, left + side, upper + side))
    assert (decode(data, 16, 3, crop) == np.asarray(expected)).all()
    assert (decode(data, 16, 3, crop, draft=True) != np.asarray(expected)).any()
    said = steps(16, 3, crop)
    assert "full resolution" in said["decoding"] and "centre square" in said["crop"] and "16x16" in said["resizing"]
    assert ("0.875" in said["crop"]) == (crop == 0.875) and said["channels"] == "RGB"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF"])
def test_truncated_and_other_files_are_broken(kind):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    data = encode(noise, kind)
    for broken in (data[: len(data) // 2], b"", b"not a picture", bytes(100)):
        with pytest.raises(DataError):
            decode(broken, 8, 3)
