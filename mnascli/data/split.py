"""Dividing images into parts by what is in them: the same files give the same parts, on every machine.

Images are ranked by the digest of their bytes, class by class, so the split needs no seed and no random generator whose
stream might change, does not depend on file names or order, and never puts two copies of one image in two parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b


def digest(data: bytes) -> bytes:
    """A 16-byte digest of `data`, evenly distributed."""
    return blake2b(data, digest_size=16).digest()


def divide(digests: Sequence[bytes], labels: Sequence[int], sizes: Mapping[int, Sequence[int]]) -> list[list[int]]:
    """Indices of the images in each part; `sizes[label]` are the parts' sizes for a class, and one more takes the rest.

    Parts are filled in order of the digests, so an image goes where all its copies are: a part may get a few more
    than asked for. Indices within a part ascend.
    """
    by_class: dict[int, list[int]] = {}
    for index, label in enumerate(labels):
        by_class.setdefault(label, []).append(index)
    parts: list[list[int]] = []
    for label, indices in by_class.items():
        indices.sort(key=lambda index: digests[index])
        while len(parts) <= len(sizes[label]):
            parts.append([])
        start = 0
        for part, size in enumerate(sizes[label]):
            end = min(start + size, len(indices))
            while start < end < len(indices) and digests[indices[end]] == digests[indices[end - 1]]:
                end += 1
            parts[part] += indices[start:end]
            start = end
        parts[len(sizes[label])] += indices[start:]
    return [sorted(part) for part in parts]
