"""WordNet 3.0's database files as one graph of synsets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import starmap
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from datasets.recipes.packing import basis, counts, pack, words

__all__ = ["wordnet"]

SEED, LEAST = 20240, 20  # of the order of nodes; least synsets of a word
FILES = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
PARTS = "nvasr"  # of speech, adjectives apart from their satellites
KINDS = {
    "!": "antonym",
    "@": "hypernym",
    "@i": "instance_hypernym",
    "~": "hyponym",
    "~i": "instance_hyponym",
    "#m": "member_holonym",
    "#s": "substance_holonym",
    "#p": "part_holonym",
    "%m": "member_meronym",
    "%s": "substance_meronym",
    "%p": "part_meronym",
    "=": "attribute",
    "+": "derivation",
    ";c": "domain_topic",
    "-c": "member_topic",
    ";r": "domain_region",
    "-r": "member_region",
    ";u": "domain_usage",
    "-u": "member_usage",
    "*": "entailment",
    ">": "cause",
    "^": "also_see",
    "$": "verb_group",
    "&": "similar_to",
    "<": "participle_of",
    "\\": "pertainym",
}
# Lexicographers' files by their numbers, as lexnames(5WN) lists them.
_CLASSES = (
    "adj.all adj.pert adv.all noun.Tops noun.act noun.animal noun.artifact noun.attribute noun.body noun.cognition "
    "noun.communication noun.event noun.feeling noun.food noun.group noun.location noun.motive noun.object noun.person "
    "noun.phenomenon noun.plant noun.possession noun.process noun.quantity noun.relation noun.shape noun.state "
    "noun.substance noun.time verb.body verb.change verb.cognition verb.communication verb.competition "
    "verb.consumption verb.contact verb.creation verb.emotion verb.motion verb.perception verb.possession verb.social "
    "verb.stative verb.weather adj.ppl"
)
CLASSES = _CLASSES.split()


class Synset(NamedTuple):
    """Line of a database file, see wndb(5WN); pointers: (symbol, offset, part of speech, source and target word)."""

    file: str
    offset: str
    number: int
    part: str
    lemmas: list[str]
    gloss: str
    pointers: list[tuple[str, str, str, str]]


def wordnet(folder: Path) -> dict[str, np.ndarray]:
    """Build arrays of the synsets in `data.noun`, `data.verb`, `data.adj` and `data.adv` of a folder.

    The files are sorted by meaning, so nodes are permuted. A pointer between words counts as one between their synsets;
    of several pointers of one kind between the same synsets the first is kept.
    """
    synsets = [each for name, letter in FILES.items() for each in _read(folder / f"data.{name}", letter)]
    order = np.random.RandomState(SEED).permutation(len(synsets))
    src, dst, kind, lexical = _pointers(synsets, order)
    ordered = [synsets[old] for old in order]
    texts = [words(" ".join(each.lemmas) + " " + each.gloss) for each in ordered]
    held: dict[str, np.ndarray] = {
        "y": np.array([each.number for each in ordered], np.int8),
        "src": src.astype(np.int32),
        "dst": dst.astype(np.int32),
        "kind": kind.astype(np.uint8),
        "lexical": lexical.astype(np.uint8),
        **counts(texts, LEAST),
        **pack("class", CLASSES),
        **pack("kind", KINDS.values()),
        "offset": np.array([int(each.offset) for each in ordered], np.int32),
        "pos": np.array([PARTS.index(each.part) for each in ordered], np.uint8),
    }
    return {**held, "x_basis": basis(held)}


def _read(path: Path, letter: str) -> Iterator[Synset]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            if not line.startswith("  "):  # the licence
                yield _synset(line, letter)


def _synset(line: str, letter: str) -> Synset:
    fields, gloss = line.split("|", 1)
    cells = fields.split()
    end = 4 + 2 * int(cells[3], 16)
    lemmas = [re.sub(r"\((a|p|ip)\)$", "", lemma).replace("_", " ") for lemma in cells[4:end:2]]
    places = range(end + 1, end + 1 + 4 * int(cells[end]), 4)
    pointers = [(cells[k], cells[k + 1], cells[k + 2], cells[k + 3]) for k in places]
    return Synset(letter, cells[0], int(cells[1]), cells[2], lemmas, gloss.strip(), pointers)


def _pointers(synsets: list[Synset], order: np.ndarray) -> tuple[np.ndarray, ...]:
    """List source, target, kind and whether between single words, of each distinct pointer, sorted."""
    place: Mapping[tuple[str, str], int] = {(each.file, each.offset): old for old, each in enumerate(synsets)}
    new, kinds = np.argsort(order), {symbol: number for number, symbol in enumerate(KINDS)}

    def row(old: int, pointer: tuple[str, str, str, str]) -> tuple[Any, ...]:
        symbol, offset, part, ends = pointer
        target = place["a" if part == "s" else part, offset]
        return new[old], new[target], kinds[symbol], ends != "0000"

    pairs = [(old, pointer) for old, each in enumerate(synsets) for pointer in each.pointers]
    rows = np.array(list(starmap(row, pairs)), np.int64).reshape(-1, 4)
    count = len(synsets)
    key, first = np.unique((rows[:, 0] * count + rows[:, 1]) * 32 + rows[:, 2], return_index=True)
    return key // 32 // count, key // 32 % count, key % 32, rows[first, 3]
