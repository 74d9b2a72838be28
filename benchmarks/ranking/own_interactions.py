"""Interactions of one's own on the command line of rankings: files, their columns, and how they are split."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from recsys import Interactions, Split
from recsys.data.tabular import read_interactions

SPLITS: Mapping[str, Callable[[Interactions, int], Split]] = {
    "ratio": lambda pairs, seed: Split.ratio(pairs, seed=seed),
    "time": lambda pairs, _: Split.by_time(pairs),
    "user-time": lambda pairs, _: Split.by_time(pairs, within_users=True),
    "last": lambda pairs, _: Split.leave_last_out(pairs),
}
GIVEN = "given"


@dataclass(frozen=True)
class OwnData:
    """One file that is split as ``split`` says, or three, of training, validation and test, that are split already."""

    files: tuple[Path, ...]
    user: str
    item: str
    time: str | None
    split: str

    @property
    def name(self) -> str:
        """The dataset's name in rows: of the first file."""
        return self.files[0].name

    @cached_property
    def parts(self) -> tuple[Interactions, ...]:
        """The interactions of every file."""
        return tuple(_read(path, self.user, self.item, self.time) for path in self.files)

    def about(self) -> dict[str, Any]:
        """What results depend on: columns, and the sums of the files."""
        sums = [hashlib.sha256(path.read_bytes()).hexdigest()[:12] for path in self.files]
        return {"data": {"sha256": sums, "user": self.user, "item": self.item, "time": self.time, "split": self.split}}

    def split_of(self, seed: int) -> Split:
        """The split; one at random is of its seed."""
        return Split.given(*self.parts) if self.split == GIVEN else SPLITS[self.split](self.parts[0], seed)


@lru_cache(maxsize=8)
def _read(path: Path, user: str, item: str, time: str | None) -> Interactions:
    return read_interactions(path, user, item, time)


def add_own_data(parser: argparse.ArgumentParser) -> None:
    """Files, columns, and how they are split."""
    add = parser.add_argument
    files = "interactions of your own: one file, or three of training, validation and test; .csv, .tsv, .npz"
    add("--data", type=Path, nargs="+", metavar="FILE", help=files)
    add("--user", default="user", help="column of --data (default: %(default)s)")
    add("--item", default="item", help="column of --data (default: %(default)s)")
    add("--time", help="column of --data: numbers or dates; needed for all of --split but ratio")
    words = "of --data, 8:1:1: at random within users, by time over all, by time within users, or each user's last two"
    add("--split", choices=tuple(SPLITS), help=f"{words} (default: ratio)")


def own_data(arguments: argparse.Namespace) -> OwnData | None:
    """What ``--data`` names, read and split once; None without it. ValueError for options that do not go together."""
    if arguments.data is None:
        if arguments.time is not None or arguments.split is not None:
            raise ValueError("'--time' and '--split' belong to '--data', which names files of your own")
        return None
    files, split = tuple(arguments.data), arguments.split or "ratio"
    _check_together(arguments, files, split)
    found = OwnData(files, arguments.user, arguments.item, arguments.time, split if len(files) == 1 else GIVEN)
    made = found.split_of(arguments.first_seed)
    empty = [name for name in ("train", "valid", "test") if not len(getattr(made, name))]
    if empty:
        raise ValueError(f"'--data' must leave interactions to each part of the split, got none for {empty}")
    return found


def _check_together(arguments: argparse.Namespace, files: tuple[Path, ...], split: str) -> None:
    """Raise ValueError for options that do not go together."""
    if arguments.data_path is not None:
        raise ValueError("'--data' names files of your own, '--data-path' a folder of RecBole's: give one of them")
    if len(files) not in (1, 3):
        raise ValueError(f"'--data' must be one file, or three of training, validation and test, got {len(files)}")
    if len(files) == 3 and arguments.split is not None:
        raise ValueError("'--split' splits one file; three are split already")
    if len(files) == 1 and split != "ratio" and arguments.time is None and files[0].suffix != ".safetensors":
        raise ValueError(f"'--split {split}' needs '--time', the column of times")
    if arguments.protocol == "loo" and split != "last":
        raise ValueError("'--protocol loo' ranks one item of each user: say '--split last' with it")
