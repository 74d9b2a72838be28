"""WordNet 3.0: synsets, 45 classes, 26 kinds of relations, words of the glosses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch_geometric.data import Data, HeteroData

from datasets.mirror import fetch
from datasets.packed import arrays, project, sparse_rows, strings, tfidf, undirected
from datasets.shares import random_shares

__all__ = ["wordnet", "wordnet_types"]

FILE, SHA256 = "more/wordnet.npz", "f445e9239b3a21d19ecba95f11936e97cc5f0406dcb6ffe789cab593ce52dfa5"
PARTS = "nvasr"  # noun, verb, adjective, satellite adjective, adverb


def wordnet(seed: int = 0, root: str | Path | None = None, *, words: bool = False) -> Data:
    """Load synsets joined by any relation; the class is the lexicographer's file, from adj.all to verb.weather.

    From Miller, "WordNet: A Lexical Database for English", CACM 1995. Features are the words of lemmas and gloss:
    TF-IDF on 128 singular vectors, or all words. The part of speech and the kinds of relations, which give classes
    away, are left out.

    Args:
        seed: of the split: a tenth to train, a tenth to validate, a fifth of the rest new.
        root: cache folder, see `datasets.mirror.fetch`.
        words: all 7,765 words, as a sparse tensor, instead of 128 columns.

    Shapes:
        117,659 nodes, 367,578 directed edges, 128 features, 45 classes.
    """
    held = arrays(_file(root))
    y = held["y"].astype(np.int64)
    return Data(
        x=sparse_rows(tfidf(held)) if words else torch.from_numpy(project(held)),
        edge_index=torch.from_numpy(undirected(held["src"], held["dst"], len(y))),
        y=torch.from_numpy(y),
        **random_shares(y >= 0, seed).masks(),
    )


def wordnet_types(seed: int = 0, root: str | Path | None = None) -> HeteroData:
    """Load synsets by part of speech, `n v a s r`, with one edge type per kind of relation; edges keep their direction.

    The 82,115 nouns have labels of 26 classes, and masks.
    """
    held = arrays(_file(root))
    x, pos = torch.from_numpy(project(held)), held["pos"]
    data, place = HeteroData(), np.zeros(len(pos), np.int64)
    for number, part in enumerate(PARTS):
        own = np.flatnonzero(pos == number)
        place[own] = np.arange(len(own))
        data[part].x = x[torch.from_numpy(own)]
    _, y = np.unique(held["y"][pos == PARTS.index("n")], return_inverse=True)
    data["n"].y = torch.from_numpy(y)
    for name, mask in random_shares(y >= 0, seed).masks().items():
        data["n"][name] = mask
    ends = np.stack([held["src"], held["dst"]])
    relation = (held["kind"].astype(int) * len(PARTS) + pos[ends[0]]) * len(PARTS) + pos[ends[1]]
    names = strings(held, "kind")
    for number in np.unique(relation):
        rest, target = divmod(int(number), len(PARTS))
        kind, source = divmod(rest, len(PARTS))
        edges = torch.from_numpy(place[ends[:, relation == number]])
        data[PARTS[source], names[kind], PARTS[target]].edge_index = edges
    return data


def _file(root: str | Path | None) -> Path:
    return fetch(FILE, None, SHA256, root)
