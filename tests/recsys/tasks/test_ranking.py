"""Rankings: what is taken at the door, the losses, and how models are judged."""

from __future__ import annotations

import pytest
import torch

from graphkd import Distiller, Frozen
from recsys import Interactions, Split
from recsys.evaluate import draw_candidates, full_ranking, held_out, leave_one_out
from recsys.losses.cd import cd
from recsys.models import MF, show
from recsys.tasks import Ranking
from tests.methods import recommenders

USERS, ITEMS = recommenders.USERS, recommenders.ITEMS


@pytest.fixture(scope="module")
def split():
    return recommenders.split()


def one_each(pairs):
    """The first item of every user."""
    users = pairs.degrees().nonzero().squeeze(1)
    return Interactions.from_pairs(users, pairs.items.long()[pairs.ptr[users]], USERS, ITEMS)


def test_full_ranking_leaves_out_what_was_seen(split):
    model, task = recommenders.mf(0, 4), Ranking(metrics=("recall@5", "mrr@20"))
    want = full_ranking(model, split.valid, [split.train], ("recall@5", "mrr@20"))
    assert task.score(model, split, "val") == want
    assert task.progress(model, split) == {"recall@5": want["recall@5"]}
    tested = full_ranking(model, split.test, [split.train, split.valid], ("recall@5", "mrr@20"))
    assert task.scores(model, split) == {"val": want, "test": tested}


def test_leave_one_out_takes_the_other_item_away(split):
    split = Split(split.train, one_each(split.valid), one_each(split.test))
    task = Ranking(protocol="leave_one_out")
    assert 0 < task.score(recommenders.mf(0, 4), split)["hit@20"] < 1  # among what the user with most pairs has left
    big = Split(*(wider(part) for part in (split.train, split.valid, split.test)))
    model = MF(USERS, 900, 4)
    found = task.score(model, big, "val")
    targets, other = held_out(big.valid), held_out(big.test)
    drawn = draw_candidates(big.train.union(big.valid, big.test))
    assert found == leave_one_out(model, targets, drawn, removed=other)
    assert list(task.progress(model, big)) == ["hit@5", "hit@10", "hit@20"]
    few = Ranking(protocol="leave_one_out", metrics=("mrr@7",))
    assert list(few.progress(model, big)) == list(few.score(model, big)) == ["mrr@7"]


def wider(pairs):
    return Interactions.from_pairs(*pairs.pairs(), USERS, 900)


def test_soft_targets_are_those_of_the_batchs_pairs(split):
    task, student, teacher = Ranking(batch_size=50), recommenders.mf(1, 4), recommenders.mf(2, 8)
    batch = next(iter(task.batches(split.train, {})))
    step = Distiller(student, Frozen(teacher, call=show), task.soft(3.0), call=show)(batch)
    want = sum(
        cd(
            *(model.score(batch["users"][:, None], batch[name][:, None]) for model in (student, teacher)),
            temperature=3.0,
            reduction="sum",
        )
        for name in ("positives", "negatives")
    )
    torch.testing.assert_close(step.loss, want)


def test_what_is_no_split_is_refused(split):
    with pytest.raises(TypeError, match=r"'split' must be a recsys.Split\(train, valid, test\), or what"):
        Ranking().prepare(split.train)
    other = Interactions.from_pairs(torch.tensor([0]), torch.tensor([0]), USERS, ITEMS + 1)
    with pytest.raises(ValueError, match="'test' must be over 170 users × 180 items"):
        Ranking().prepare(Split(split.train, split.valid, other))
    with pytest.raises(ValueError, match="'protocol' must be 'full'"):
        Ranking(protocol="half")
    with pytest.raises(ValueError, match="leave out 'where', got 'mask'"):
        Ranking().supervised("mask")
