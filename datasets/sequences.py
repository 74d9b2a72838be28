"""Datasets of sequential recommenders: `load_sequences(name)` returns every user's items in the order of time."""

from __future__ import annotations

from pathlib import Path

from datasets.mirror import fetch
from datasets.packed import arrays
from recsys.data import Sequences

__all__ = ["SEQUENCES", "load_sequences"]

# Prepared arrays from the mirror, since they are not published.
FILES = {
    "toys": ("more/toys.npz", "c073a506e346dcc6209297b9122108b870294a699af6e19e33385727a78a97ce"),
    "yelp": ("more/yelp.npz", "0debdad6459f9a2fb4ecf7f94f4395f0ee76ea3d00dad0fc1e189986e3b6fbbe"),
}
SEQUENCES = (*FILES, "ml-100k")


def load_sequences(name: str, *, root: str | Path | None = None) -> Sequences:
    """Load the items of every user of a dataset, oldest first; item ids start at 1.

    `toys`: ratings of toys and games at Amazon, 5-core, Zhou et al., "S3-Rec", CIKM 2020; 19,412 users, 11,924 items,
    167,597 events, none of which repeats an item of its user. `yelp`: Yelp of 2019, 5-core, from the same paper; 30,431
    users, 20,033 items, 316,354 events, of which 11,830 repeat an earlier one. `ml-100k`: MovieLens from RecBole's
    wheel; 943 users, 1,682 items, 100,000 events.

    Args:
        name: one of `SEQUENCES`.
        root: the cache folder, see `datasets.mirror.fetch`.

    Raises:
        ValueError: there is no such dataset.
        RuntimeError: a raw file is missing or has another checksum.
        ImportError: `ml-100k` without RecBole.
    """
    if name not in SEQUENCES:
        raise ValueError(f"name must be one of {list(SEQUENCES)}, got {name!r}")
    if name == "ml-100k":
        return _ml_100k()
    file, sha256 = FILES[name]
    held = arrays(fetch(file, None, sha256, root))
    return Sequences.from_arrays(held["ptr"], held["items"], len(held["item_source_id"]), first=0)


def _ml_100k() -> Sequences:
    from recsys import bridge  # only this dataset needs RecBole

    split = bridge.load("ml-100k", model="SASRec").sequences
    assert split is not None
    return split.sequences
