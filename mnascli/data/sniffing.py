"""What a file is that is not what its name says: recognised by its first bytes."""

from __future__ import annotations

from mnascli.data.extras import how_to_install

HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
PAGES = (b"<!doctype html", b"<html", b"<head", b"<body")
LEADING = b"\xef\xbb\xbf \t\r\n"  # a byte order mark, white space
SIGNS = (
    (b"version https://git-lfs", "a Git LFS pointer instead of the file: `git lfs pull` fetches it"),
    (b"\x1f\x8b", "compressed with gzip: unpack it first"),
    (b"BZh", "compressed with bzip2: unpack it first"),
    (b"\xfd7zXZ\x00", "compressed with xz: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd: unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it first"),
    (b"Rar!", "a RAR archive: unpack it first"),
    (b"\x89HDF", "an HDF5 file, as Keras writes it"),
    (b"%PDF", "a PDF"),
)


def what_it_is(head: bytes) -> str | None:
    """What begins with `head` (64 bytes or more, or the whole file) and what to do about it; None if unrecognised."""
    if not head:
        return "empty"
    text = head.lstrip(LEADING)
    if text.lower().startswith(PAGES):
        return "a web page: the download returned a page instead of the file: fetch the file itself"
    if text.startswith(b"<?xml"):
        return "an XML text, as a server returns if it has no such file: fetch the file itself"
    if text.startswith(b"{"):
        return "a JSON text, as a server returns if it has no such file: fetch the file itself"
    if head[4:8] == b"ftyp" and head[8:12] in HEIC_BRANDS:
        return f"a HEIC picture: the package that reads it is missing: {how_to_install('heic')}, or convert it"
    return next((what for sign, what in SIGNS if text.startswith(sign)), None)
