"""Datasets of sequential recommenders: `load_sequences(name)` gives what every user took, in the order of time."""

from __future__ import annotations

from pathlib import Path

from datasets.mirror import fetch
from datasets.packed import arrays
from recsys.data import Sequences

__all__ = ["SEQUENCES", "load_sequences"]

# Prepared arrays, which are published nowhere: they come from the mirror.
FILES = {
    "toys": ("more/toys.npz", "c073a506e346dcc6209297b9122108b870294a699af6e19e33385727a78a97ce"),
    "yelp": ("more/yelp.npz", "0debdad6459f9a2fb4ecf7f94f4395f0ee76ea3d00dad0fc1e189986e3b6fbbe"),
}
SEQUENCES = (*FILES, "ml-100k")


def load_sequences(name: str, *, root: str | Path | None = None) -> Sequences:
    """The items of every user of a dataset, oldest first, from 1 on.

    `toys`, `yelp`: Zhou et al., "S3-Rec", CIKM 2020: ratings of toys and games at Amazon, and Yelp of 2019, 5-core;
    19,412 users, 11,924 items, 167,597 events, and 30,431, 20,033, 316,354. No user of `toys` takes an item twice, of
    `yelp` 11,830 events repeat an earlier one. `ml-100k`: MovieLens as it lies inside RecBole's wheel, 943 users, 1,682
    items, 100,000 events.

    Args:
        name: one of `SEQUENCES`.
        root: the cache folder, see `datasets.mirror.fetch`.

    Raises:
        ValueError: there is no such dataset.
        RuntimeError: a raw file is not at hand or has another checksum.
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
