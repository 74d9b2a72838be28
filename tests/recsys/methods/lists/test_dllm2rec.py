"""DLLM2Rec: lists from a file or of a live teacher, and what each part adds."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import recsys
from graphkd import Distilled
from recsys.data import Ranked, Sequences, SequenceSplit
from recsys.losses import DLLM2Rec
from recsys.losses.dllm2rec import dllm2rec
from recsys.models import GRU4Rec, SASRec
from recsys.models.item_vectors import with_rows
from recsys.tasks import Sequential

ITEMS, QUICK = 30, {"epochs": 1, "progress": False}


def ring(seed: int = 0) -> SequenceSplit:
    """Few short walks along a ring of items that are numbered in its order."""
    generator = torch.Generator().manual_seed(seed)
    users = torch.arange(1, 25).repeat_interleave(5)
    first = torch.randint(ITEMS, (24,), generator=generator).repeat_interleave(5)
    items = (first + torch.arange(5).repeat(24)) % ITEMS + 1
    return SequenceSplit.leave_one_out(Sequences.from_events(users, items, num_items=ITEMS + 1), 4)


def successors(split: SequenceSplit, k: int = 1, shift: int = 1) -> Ranked:
    """What a teacher that knows the ring says of every row; shifted, it knows nothing."""
    rows = split.train
    last = split.sequences.items[rows.places - 1]
    items = (last[:, None] - 1 + shift + torch.arange(k)) % ITEMS + 1
    steps = rows.places - split.sequences.ptr[rows.users]
    return Ranked(rows.users, items, torch.zeros(items.shape), steps)


def student(split: SequenceSplit, width: int = 8, kind: Any = SASRec) -> Any:
    torch.manual_seed(0)
    return kind(split.num_items, width, max_length=split.max_length, layers=1)


def quality(split: SequenceSplit, **settings: Any) -> float:
    """NDCG of test rows after a few epochs."""
    task, adam = Sequential(batch_size=8), lambda parameters: torch.optim.Adam(parameters, lr=0.01)
    options = {"task": task, "epochs": 15, "optimizer": adam, "metric_every": 15, "progress": False}
    return recsys.distil("dllm2rec", student(split), None, split, **options, **settings).scores["test"]["ndcg@10"]


@pytest.mark.parametrize("seed", range(2))
def test_lists_of_one_who_knows_help_and_others_or_none_do_not(seed):
    split = ring(seed)
    # few of the rows are learnt from: their own targets are others
    items = split.sequences.items.clone()
    blind = split.train.places[torch.arange(len(split.train)) % 2 == 0]
    items[blind] = torch.randint(ITEMS, blind.shape, generator=torch.Generator().manual_seed(seed)) + 1
    noisy = SequenceSplit.leave_one_out(replace(split.sequences, items=items), 4)
    known = successors(split)
    with_lists, alone, misled = (
        quality(noisy, ranked=ranked, weight=weight, k=1, vector_weight=0.0, confidence=0.0)
        for ranked, weight in ((known, 2.0), (known, 0.0), (successors(split, shift=13), 2.0))
    )
    assert with_lists > alone + 0.1
    assert misled < alone + 0.05


def test_a_file_gives_what_the_tensors_give(tmp_path):
    split = ring()
    ranked = successors(split, 3)
    lines = [
        {"user": user, "step": step, "item": items, "distance": [0.5, 1.0, 2.0]}
        for user, step, items in zip(ranked.users.tolist(), ranked.steps.tolist(), ranked.items.tolist(), strict=True)
    ]
    (tmp_path / "lists.jsonl").write_text("\n".join(map(json.dumps, reversed(lines))))
    vectors = torch.randn(ITEMS, 5, generator=torch.Generator().manual_seed(3))
    np.savez(tmp_path / "items.npz", item=np.arange(1, ITEMS + 1), vector=vectors.numpy())
    read = Ranked.from_file(tmp_path / "lists.jsonl", split, vectors=tmp_path / "items.npz")
    made = replace(
        ranked,
        distances=torch.tensor([0.5, 1.0, 2.0]).expand(len(lines), 3),
        vectors=torch.cat([vectors[:1] * 0, vectors]),
    )
    results = [
        recsys.distil("dllm2rec", student(split), None, split, ranked=each, k=3, **QUICK) for each in (read, made)
    ]
    for one, other in zip(*(result.model.parameters() for result in results), strict=True):
        assert torch.equal(one, other)


def test_the_served_model_holds_no_vectors_and_is_loaded_again(tmp_path):
    split = ring()
    teacher = student(split, 16)
    result = recsys.distil("dllm2rec", student(split, 4, GRU4Rec), teacher, split, k=4, **QUICK)
    assert result.model.state_dict()["item.added"].shape == (ITEMS + 1, 4)
    assert not any("vectors" in name for name in result.model.state_dict())
    result.save(tmp_path / "student")
    loaded = Distilled.load(tmp_path / "student", with_rows(student(split, 4, GRU4Rec))).model
    histories = split.test.histories()[:2]
    assert torch.equal(loaded(*histories), result.model(*histories))
    plain = recsys.distil("dllm2rec", student(split, 4, GRU4Rec), teacher, split, k=4, vector_weight=0.0, **QUICK)
    assert "item.added" not in plain.model.state_dict()


def facts(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    lists = torch.stack([torch.randperm(8, generator=generator)[:3] + 1 for _ in range(4)])
    return {
        "targets": torch.randint(1, 9, (4,), generator=generator),
        "unseen": torch.randint(1, 9, (4,), generator=generator),
        "taught": lists,
        "distances": torch.rand(4, 3, dtype=torch.float64, generator=generator),
    }


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("dros", [0.0, 0.5])
def test_the_loss_is_that_of_its_function_without_padding(whole, dros):
    given, generator = facts(), torch.Generator().manual_seed(1)
    user, item = (torch.randn(size, 5, dtype=torch.float64, generator=generator) for size in (4, 9))
    weights = torch.rand(9, dtype=torch.float64, generator=generator)
    x = (user @ item.T)[:, 1:]
    ids = [given[name] - 1 for name in ("targets", "unseen", "taught")]
    want = dllm2rec(x, *ids, given["distances"], lam=0.7, dros=dros, item_weights=weights[1:])
    loss = DLLM2Rec(whole=whole, lam=0.7, dros=dros, item_weights=weights)
    hidden = (user @ item.T).index_fill(1, torch.tensor([0]), -5e4)
    found = loss((hidden, user, item), **given)
    torch.testing.assert_close(found, want.loss if whole else want.distillation)
    drawn = loss((hidden[:, :3], user, item), **given, candidates=torch.tensor([1, 2]))  # whatever was drawn
    torch.testing.assert_close(drawn, found)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "'dllm2rec' needs lists of a teacher: give 'ranked', Ranked.from_file"),
        ({"dros": 1.0}, "'dros' is a part of the authors' base loss and has no effect beside the task's, got 1.0"),
        ({"ranked": "lists"}, "'ranked' has no vectors of items: read them too"),
        ({"ranked": "vectors"}, r"'ranked' must have vectors of 31 items, padding first, got 3"),
        ({"base": "bce"}, "'base' must be"),
    ],
)
def test_what_is_missing_is_said(settings, words):
    split = ring()
    ranked = successors(split)
    known = {"lists": ranked, "vectors": replace(ranked, vectors=torch.zeros(3, 2))}
    given = {**settings, **({"ranked": known[settings["ranked"]]} if "ranked" in settings else {})}
    with pytest.raises(ValueError, match=words):
        recsys.distil("dllm2rec", student(split), None, split, **given, **QUICK)


def test_shares_are_weights():
    with pytest.raises(ValueError, match="'shares' must be three weights of 0 or more, one above 0"):
        DLLM2Rec(shares=(0.0, 0.0, 0.0))
