"""Every data set by name: its tasks, its splits, and the function that builds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from datasets import cpf, digits, karate, planetoid, pyg_sets, sbm
from datasets.debian import debian, debian_tags, debian_types
from datasets.link_splits import link_split
from datasets.molecules import nci1, proteins, solubility
from datasets.wordnet import wordnet, wordnet_types

__all__ = ["CATALOGUE", "DATASETS", "OPTIONS"]

Build = Callable[[int, "str | Path | None"], Any]  # seed, cache folder -> what `datasets.loaded.loaded` takes
Splits = Mapping[str, Build]  # the first one is the default


def _links(graph: Callable[[Any], Any]) -> dict[str, Splits]:
    return {"link_prediction": {"random": lambda seed, root: link_split(graph(root), seed)}}


def _nodes(**splits: Build) -> dict[str, Splits]:
    return {"node_classification": splits}


def _cites(name: str, small: str) -> dict[str, Splits]:
    public = partial(planetoid.planetoid, name)
    return _nodes(public=lambda _, root: public(root), cpf=lambda seed, root: cpf.cpf(small, seed, root)) | _links(
        public
    )


def _per_class(name: str) -> dict[str, Splits]:
    return _nodes(random=partial(pyg_sets.per_class, name)) | _links(lambda root: pyg_sets.per_class(name, 0, root))


# Small graphs, used by whole tables.
_SMALL: Mapping[str, Mapping[str, Splits]] = {
    "digits": _nodes(random=lambda seed, _: digits.digits(seed)),
    "karate": _nodes(random=lambda seed, _: karate.karate(seed)),
    "cora": _cites("Cora", "cora"),
    "citeseer": _cites("CiteSeer", "citeseer"),
    "sbm": _nodes(random=lambda seed, _: sbm.sbm(seed=seed)),
}
DATASETS: Mapping[str, Splits] = {name: tasks["node_classification"] for name, tasks in _SMALL.items()}

# Name -> kinds of tasks, the default first -> splits.
CATALOGUE: Mapping[str, Mapping[str, Splits]] = {
    **_SMALL,
    "wordnet": _nodes(random=wordnet) | _links(lambda root: wordnet(0, root)),
    "wordnet-words": _nodes(random=partial(wordnet, words=True)),
    "wordnet-types": _nodes(random=wordnet_types),
    "debian": _nodes(source=debian, random=partial(debian, by_source=False)),
    "debian-words": _nodes(source=partial(debian, words=True)),
    "debian-types": _nodes(source=debian_types),
    "debian-tags": {"multi_label_node_classification": {"source": debian_tags}},
    "nci1": {"graph_classification": {"folds": nci1}},
    "proteins": {"graph_classification": {"folds": proteins}},
    "solubility": {"graph_regression": {"published": solubility}},
    "pubmed": _nodes(public=lambda _, root: pyg_sets.pubmed(root)) | _links(pyg_sets.pubmed),
    "amazon-photo": _per_class("amazon-photo"),
    "amazon-computers": _per_class("amazon-computers"),
    "coauthor-cs": _per_class("coauthor-cs"),
    "coauthor-physics": _per_class("coauthor-physics"),
    "dblp": _nodes(magnn=lambda _, root: pyg_sets.dblp(root)),
    "ppi": {"multi_label_node_classification": {"published": lambda _, root: pyg_sets.ppi(root)}},
    "ogbn-arxiv": _nodes(published=lambda _, root: pyg_sets.ogbn("ogbn-arxiv", root)),
    "ogbn-products": _nodes(published=lambda _, root: pyg_sets.ogbn("ogbn-products", root)),
    "ogbg-molhiv": {"graph_classification": {"scaffold": lambda _, root: pyg_sets.molhiv(root)}},
}
# Task options of a data set's own protocol.
OPTIONS: Mapping[str, Mapping[str, Any]] = {"ogbg-molhiv": {"metrics": ("roc_auc",)}}
