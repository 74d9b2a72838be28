"""An index of Debian's packages as one graph."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from datasets.recipes.packing import basis, counts, pack, words

__all__ = ["debian"]

SEED = 20241  # of the order of nodes
LEAST_SECTION, LEAST_TAG, LEAST_WORD = 200, 100, 10  # least packages of each
FIELDS = ("Depends", "Pre-Depends", "Recommends", "Suggests")
_NAME = re.compile(r"\s*([a-z0-9][a-z0-9+.\-]*)")
_FACETS = re.compile(r"(.*)\{(.*)\}$")

Package = Mapping[str, str]


def debian(path: Path, least: tuple[int, int, int] = (LEAST_SECTION, LEAST_TAG, LEAST_WORD)) -> dict[str, np.ndarray]:
    """Build arrays of the packages in an unpacked file `Packages`.

    A name that occurs twice counts once. Edges ignore versions; `alternative` is 1 if the name occurs only after a bar.
    Sections, tags and words of few packages are left out.
    """
    packages = _read(path.read_text(encoding="utf-8"))
    old = list(packages)
    names = [old[number] for number in np.random.RandomState(SEED).permutation(len(old))]
    own = [packages[name] for name in names]
    src, dst, kind, alternative = _edges(packages, names)
    section, classes = _kept([[each.get("Section", "?").split("/")[-1]] for each in own], least[0])
    tags, named = _kept([_tags(each.get("Tag", "")) for each in own], least[1])
    held: dict[str, np.ndarray] = {
        "y": np.array([each[0] if each else -1 for each in section], np.int8),
        "src": src.astype(np.int32),
        "dst": dst.astype(np.int32),
        "kind": kind.astype(np.uint8),
        "alternative": alternative.astype(np.uint8),
        "source": _numbered(each.get("Source", name).split(" ")[0] for name, each in zip(names, own, strict=True)),
        "maintainer": _numbered(each.get("Maintainer", "?") for each in own).astype(np.int16),
        **counts([words(each.get("Description", "")) for each in own], least[2]),
        "tag_indptr": np.cumsum([0, *map(len, tags)]).astype(np.int32),
        "tag_indices": np.array([tag for each in tags for tag in each], np.int16),
        **pack("tag", named),
        **pack("class", classes),
        **pack("kind", FIELDS),
        "size": np.array([int(each.get("Installed-Size", "0")) for each in own], np.int32),
    }
    return {**held, "x_basis": basis(held)}


def _read(text: str) -> dict[str, Package]:
    """Read paragraphs by the name of their package; of continued lines only those of tags."""
    found: dict[str, Package] = {}
    for block in text.split("\n\n"):
        fields: dict[str, str] = {}
        last = ""
        for line in block.split("\n"):
            if line[:1] == " ":
                if last == "Tag":
                    fields[last] += " " + line.strip()
            elif ":" in line:
                last, value = line.split(":", 1)
                fields[last] = value.strip()
        if "Package" in fields:
            found.setdefault(fields["Package"], fields)
    return found


def _edges(packages: Mapping[str, Package], names: list[str]) -> tuple[np.ndarray, ...]:
    place, found = {name: number for number, name in enumerate(names)}, dict[tuple[int, int, int], int]()
    for source, name in enumerate(names):
        for kind, field in enumerate(FIELDS):
            for target, behind in _dependencies(packages[name].get(field, "")):
                if target in place and target != name:
                    key = source, place[target], kind
                    found[key] = min(found.get(key, 1), behind)
    rows = np.array(sorted(found), np.int64).reshape(-1, 3)
    return *rows.T, np.array([found[a, b, c] for a, b, c in rows.tolist()], np.uint8)


def _dependencies(text: str) -> Iterable[tuple[str, int]]:
    """Yield names of packages, and whether they follow a bar."""
    for group in text.split(","):
        for number, alternative in enumerate(group.split("|")):
            if match := _NAME.match(alternative):
                yield match[1], int(number > 0)


def _tags(text: str) -> set[str]:
    """Read tags, `a::{b,c}` as `a::b` and `a::c`."""
    found = set[str]()
    for tag in re.findall(r"(?:[^,{]|\{[^}]*\})+", text):
        match = _FACETS.match(tag.strip())
        found |= {match[1] + facet.strip() for facet in match[2].split(",")} if match else {tag.strip()}
    return found - {""}


def _kept(
    values: list[Iterable[str]] | list[list[str]] | list[set[str]], least: int
) -> tuple[list[list[int]], list[str]]:
    """Number the values that `least` rows or more have: return each row's numbers, ascending, and the sorted values."""
    frequency = Counter(value for row in values for value in row)
    known = sorted(value for value, count in frequency.items() if count >= least)
    place = {value: number for number, value in enumerate(known)}
    return [sorted(place[value] for value in row if value in place) for row in values], known


def _numbered(values: Iterable[str]) -> np.ndarray:
    """Return each value's number among the sorted distinct values."""
    listed = list(values)
    place = {value: number for number, value in enumerate(sorted(set(listed)))}
    return np.array([place[value] for value in listed], np.int32)
