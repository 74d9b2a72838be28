"""What every method of recommenders is given in tests: a random table of pairs, rows of clicks, ratings, sequences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

import recsys
from graphkd.core.method import Metadata
from recsys import Interactions, Split
from recsys.data import Sequences, SequenceSplit
from recsys.data.ratings import Ratings, UniformSplit
from recsys.data.rows import Field, Rows
from recsys.models import MF, BERT4Rec, GRU4Rec, LightGCN, SASRec
from recsys.models.clicks import ClickNet, show
from recsys.models.ratings import AutoRec, BiasedMF
from recsys.tasks import Clicks, Ranking, Sequential, UniformRatings
from tests.recsys.toy_sequences import chain_split

USERS, ITEMS, EPOCHS = 170, 180, 2
FIELDS = {"user": Field(20), "item": Field(15), "tags": Field(6, sequence=True)}


# ------------------------------------------------------------------ data
def split(seed: int = 0) -> Split:
    """Pairs by taste and by chance, some held out."""
    generator = torch.Generator().manual_seed(seed)
    user = torch.randint(USERS, (2400,), generator=generator)
    item = torch.randint(ITEMS // 6, (2400,), generator=generator) * 6 + user % 6
    item = torch.where(torch.rand(2400, generator=generator) < 0.7, item, item.roll(1))
    part = torch.rand(2400, generator=generator)
    train = pairs(user, item, part < 0.8)
    held = [pairs(user, item, rest) for rest in ((part >= 0.8) & (part < 0.9), part >= 0.9)]
    return Split(train, *(without(each, train) for each in held))


def pairs(user: torch.Tensor, item: torch.Tensor, chosen: torch.Tensor) -> Interactions:
    return Interactions.from_pairs(user[chosen], item[chosen], USERS, ITEMS)


def without(held: Interactions, train: Interactions) -> Interactions:
    user, item = held.pairs()
    return pairs(user, item, ~train.contains(user, item))


def rows(seed: int = 0) -> Rows:
    """Clicks that depend on users, items and chance."""
    generator = torch.Generator().manual_seed(seed)
    user, item = (torch.randint(1, size, (240,), generator=generator) for size in (20, 15))
    tags = torch.randint(6, (240, 3), generator=generator)
    y = ((user % 3 + item % 2 + torch.rand(240, generator=generator)) > 1.5).float()
    ids = torch.arange(240)
    return Rows({"user": user, "item": item, "tags": tags, "y": y}, FIELDS, ids[:160], ids[160:200], ids[200:])


def ratings(seed: int = 0) -> UniformSplit:
    """Likes and dislikes of 12 users for 9 items."""
    place = torch.randperm(12 * 9, generator=torch.Generator().manual_seed(seed))
    user, item = place // 9, place % 9
    whole = Ratings(user, item, torch.where((user + item) % 2 == 0, 1.0, -1.0))
    parts = (whole[:][0].new_tensor(range(a, b)) for a, b in ((0, 50), (50, 65), (65, 85), (85, 108)))
    return UniformSplit(*(Ratings(*(column[part] for column in whole)) for part in parts), 12, 9)


def poisoned(data: Any, kind: str) -> Any:
    """The data with wrong test labels."""
    if isinstance(data, Split):
        return replace(data, test=split(seed=1).test)
    if isinstance(data, Rows):
        y = data.columns["y"].clone()
        y[data.test] = 1 - y[data.test]
        return replace(data, columns={**data.columns, "y": y})
    if isinstance(data, SequenceSplit):
        items = data.sequences.items.clone()
        items[data.test.places] = items[data.test.places] % (data.num_items - 1) + 1
        other = Sequences(data.sequences.ptr, items, data.num_items)
        return SequenceSplit.leave_one_out(other, data.max_length)
    return replace(data, test=data.test._replace(values=-data.test.values))


TEACHERS_CALL = show  # how a test calls the teachers that it makes of modules


def stored(data: Any) -> Any:
    """What a ``Cached`` teacher is asked about: of rankings and ratings it is its model that counts."""
    return data.take() if isinstance(data, Rows) else None


# ------------------------------------------------------------------ models
def seeded(seed: int, make: Callable[[], Any]) -> Any:
    torch.manual_seed(seed)
    return make()


def mf(seed: int, width: int) -> MF:
    return seeded(seed, lambda: MF(USERS, ITEMS, width, std=0.1)).eval()


def lightgcn(seed: int, layers: int) -> LightGCN:
    return seeded(seed, lambda: LightGCN(split().train, 8, layers)).eval()


def net(seed: int, width: int = 3, hidden: tuple[int, ...] = (8,)) -> ClickNet:
    return seeded(seed, lambda: ClickNet(FIELDS, width, hidden, dropout=0.1)).eval()


def factors(seed: int, **options: Any) -> BiasedMF:
    return seeded(seed, lambda: BiasedMF(12, 9, 3, std=0.5, **options)).eval()


def autoencoder(seed: int) -> AutoRec:
    return seeded(seed, lambda: AutoRec(9, (4,))).eval()


def sasrec(seed: int, width: int) -> SASRec:
    made = chain_split()
    return seeded(seed, lambda: SASRec(made.num_items, width, max_length=made.max_length, layers=1)).eval()


# Kind of a task -> student, teacher, data and task; autoencoders are students of their own of uniform ratings.
KINDS: dict[str, Callable[[], dict[str, Any]]] = {
    "ranking": lambda: {
        "student": mf(5, 4),
        "teacher": mf(1, 8),
        "data": split(),
        "task": Ranking(batch_size=256),
        "metric_every": 1,
    },
    "sequential": lambda: {
        "student": seeded(5, lambda: GRU4Rec(chain_split().num_items, 4, max_length=6)).eval(),
        "teacher": sasrec(1, 8),
        "data": chain_split(),
        "task": Sequential(batch_size=32),
    },
    "clicks": lambda: {
        "student": net(5),
        "teacher": net(1, 6, (12,)),
        "data": rows(),
        "task": Clicks(batch_size=32),
        "hidden": "layers",
    },
    "uniform_ratings": lambda: {
        "student": factors(5),
        "teacher": factors(1),
        "data": ratings(),
        "task": UniformRatings(batch_size=16),
    },
    "autoencoders": lambda: {
        "student": autoencoder(5),
        "teacher": autoencoder(1),
        "data": ratings(),
        "task": UniformRatings(batch_size=4),
    },
}
# What a method needs -> what it is given for it.
GIVEN: dict[str, Callable[[], dict[str, Any]]] = {
    "hidden": dict,
    "teachers": lambda: {"teacher": [net(1, 6, (12,)), net(2, 4, (10,))]},
    "booster": lambda: {"booster": net(7, 3, (16, 8))},
    "second": lambda: {"second": (rows().columns["user"] % 2).float()},
    "student_tables": dict,
    "teacher_tables": dict,
    "propagation": lambda: {"student": lightgcn(5, 2), "teacher": lightgcn(1, 3)},
    "masked student": lambda: {
        "student": seeded(5, lambda: BERT4Rec(chain_split().num_items, 8, max_length=6, layers=1)).eval()
    },
    "blocks": lambda: {"student": sasrec(5, 8)},
}
# Method -> what it alone is given.
OWN: dict[str, Callable[[], dict[str, Any]]] = {
    "cause": lambda: {"student": factors(5, copies=True), "teacher": None},
    "hetcomp": lambda: {
        "teacher": None,
        "teachers": [mf(2, 6), seeded(3, lambda: LightGCN(split().train, 6))],
        "epochs": 4,
        "every": 1,
    },
    "dllm2rec": lambda: {"teacher": sasrec(1, 8)},
    "hint": lambda: {"student": autoencoder(5)},
    "soft_label": lambda: {"student": autoencoder(5)},
    "emkd": lambda: {"count": 2, "copies": 2},
    "lightgnn": lambda: {"runs": 2, "hops": 3, "triples": 200},
}


def arguments(row: Metadata) -> dict[str, Any]:
    """Arguments of ``distil`` for a method, beside its name, in the first of its tasks; without a teacher if it can."""
    given: dict[str, Any] = {"epochs": EPOCHS, "save_every": 1, "progress": False, **KINDS[row.tasks[0]]()}
    if not row.teacher:
        given["teacher"] = None
    for need in row.needs:
        given |= GIVEN[need]()
    return given | OWN.get(row.name, dict)()


def run(row: Metadata, given: dict[str, Any] | None = None, **options: Any) -> Any:
    """Distil by a method."""
    given = {**(arguments(row) if given is None else given), **options}
    student, teacher, data = given.pop("student"), given.pop("teacher"), given.pop("data")
    return recsys.distil(row.name, student, teacher, data, **given)
