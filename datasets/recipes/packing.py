"""Text as arrays of a `.npz` file: packed strings, counts of words, and a basis of words. See `datasets.packed`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datasets.packed import Arrays, tfidf

__all__ = ["basis", "counts", "pack", "words", "write"]

_WORD = re.compile(r"[a-z]+")
_STOP = (
    "a an and are as at be been but by can for from had has have he her his if in into is it its may not of on or she "
    "so such than that the their them there they this to was were when where which who whose will with you your"
)
STOP = frozenset(_STOP.split())
MOST = 255  # largest count, since counts are bytes


def pack(name: str, strings: Iterable[str]) -> dict[str, np.ndarray]:
    """Pack strings as their bytes, `<name>_utf8`, and the first position of each, `<name>_offsets`."""
    parts = [text.encode() for text in strings]
    ends = np.cumsum([0, *map(len, parts)])
    return {f"{name}_utf8": np.frombuffer(b"".join(parts), np.uint8), f"{name}_offsets": ends.astype(np.int32)}


def words(text: str) -> list[str]:
    """List runs of two or more letters from a to z, in lower case."""
    return [word for word in _WORD.findall(text.lower()) if len(word) > 1]


def counts(texts: Sequence[Sequence[str]], least: int) -> dict[str, np.ndarray]:
    """Count the words that `least` texts or more have: counts per text as compressed rows, and these words, sorted."""
    frequency = Counter(word for text in texts for word in set(text))
    known = sorted(word for word, count in frequency.items() if count >= least and word not in STOP)
    place = {word: number for number, word in enumerate(known)}
    ptr, index, values = [0], list[int](), list[int]()
    for text in texts:
        found = Counter(place[word] for word in text if word in place)
        index += sorted(found)
        values += [min(found[word], MOST) for word in sorted(found)]
        ptr.append(len(index))
    return {
        "x_indptr": np.array(ptr, np.int32),
        "x_indices": np.array(index, np.uint16),
        "x_counts": np.array(values, np.uint8),
        **pack("vocab", known),
    }


def basis(held: Arrays, width: int = 128) -> np.ndarray:
    """Compute right singular vectors of TF-IDF, the largest entry of each positive: (words, width) float16."""
    from sklearn.decomposition import TruncatedSVD  # type: ignore[import-untyped]  # only recipes of text need it

    width = min(width, len(held["x_indptr"]) - 1, len(held["vocab_offsets"]) - 1)  # smaller for small sources
    found = TruncatedSVD(width, n_iter=7, random_state=0).fit(tfidf(held)).components_.T
    signs = np.sign(found[np.abs(found).argmax(axis=0), np.arange(width)])
    vectors: np.ndarray = (found * signs).astype(np.float16)
    return vectors


def write(path: Path, arrays: Mapping[str, Any]) -> Path:
    """Write arrays to a file; the same arrays give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)
    return path
