"""SLMRec: blocks of two SASRecs, in one pass each."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import recsys
from graphkd import Distiller, Frozen
from recsys.data.sequence_batches import SequenceBatches
from recsys.losses import SLMRec
from recsys.losses.next_item import item_logits
from recsys.losses.slmrec import InnerHeads, slmrec
from recsys.models import GRU4Rec, SASRec
from recsys.models.layer_view import show_layers
from recsys.models.sequence_view import show_rows
from tests.recsys.toy_sequences import chain_split

QUICK = {"epochs": 1, "progress": False}


def sasrec(layers: int, width: int = 8, seed: int = 0) -> SASRec:
    torch.manual_seed(seed)
    return SASRec(chain_split().num_items, width, max_length=6, layers=layers, dropout=0.0)


def batch(**options: Any) -> dict[str, Any]:
    torch.manual_seed(0)
    return next(iter(SequenceBatches(chain_split().train, batch_size=16, **options)))


@pytest.mark.parametrize("by", ["positions", "rows"])
def test_layers_end_in_the_states(by):
    model, given = sasrec(3), batch(by=by)
    view, plain = show_layers(model, given), show_rows(model, given)
    assert view["layers"].shape == (len(given["targets"]), 4, 8)
    torch.testing.assert_close(view["layers"][:, -1], plain["user"])
    torch.testing.assert_close(view["logits"], plain["logits"])


def test_the_loss_reads_blocks_of_both_sides():
    x, y = (show_layers(sasrec(layers, seed=layers), batch())["layers"].detach().double() for layers in (2, 4))
    found = SLMRec(2, norm_weight=0.3)(x, y)
    want = slmrec(x.transpose(0, 1)[:, :, None], y.transpose(0, 1)[:, :, None], 2, norm_weight=0.3)
    assert found == want
    each = [
        1 - torch.cosine_similarity(x[:, k], y[:, 2 * k]).mean() + 0.3 * (x[:, k] - y[:, 2 * k]).norm(dim=1).mean()
        for k in (1, 2)
    ]
    torch.testing.assert_close(found, each[0] + each[1])


@pytest.mark.parametrize("drawn", [None, 7])
def test_inner_blocks_predict_by_heads(drawn):
    given = batch(shared=drawn)
    view, heads = show_layers(sasrec(3), given), InnerHeads(8, 2)
    facts = {name: given[name] for name in ("targets", "candidates") if name in given}
    states = heads.heads[0](view["layers"][:, 2])  # (3 + 1) // 2
    logits = item_logits(states, view["item"], given["targets"], given.get("candidates"))
    answers = given["targets"] if drawn is None else torch.zeros_like(given["targets"])
    want = torch.nn.functional.cross_entropy(logits, answers, reduction="sum")
    torch.testing.assert_close(heads((view["layers"], view["item"]), **facts), want)


def test_a_student_comes_nearer_to_the_blocks_of_its_teacher_and_not_without():
    teacher = Frozen(sasrec(4, seed=1).eval(), call=show_layers)

    def gap(weight: float) -> float:
        student = sasrec(2)
        task = Distiller(student, teacher, weight * SLMRec(2), call=show_layers)
        adam, given = torch.optim.Adam(student.parameters(), lr=0.01), batch()
        for _ in range(20):
            adam.zero_grad()
            task(given).loss.backward()
            adam.step()
        sides = (show_layers(model, given)["layers"].detach() for model in (student, teacher.model))
        return float(SLMRec(2)(*sides))

    assert gap(1.0) < 0.7 * gap(0.0)


def test_what_it_does_not_take():
    split = chain_split()
    other = GRU4Rec(split.num_items, 8, max_length=6)
    for student, teacher, words in (
        (other, sasrec(2), "'slmrec' reads the blocks of SASRec: give 'student' as .* got GRU4Rec"),
        (sasrec(2), other, "give 'teacher' as .* got GRU4Rec"),
        (sasrec(2, 4), sasrec(2), "the student must have the teacher's width 8, and fewer layers, got 4"),
    ):
        with pytest.raises((TypeError, ValueError), match=words):
            recsys.distil("slmrec", student, teacher, split, **QUICK)
    with pytest.raises(TypeError, match="'model' must be a SASRec, whose blocks are known, got GRU4Rec"):
        show_layers(other, batch())
    with pytest.raises(ValueError, match="'blocks' must be at least 1, weights 0 or more"):
        SLMRec(0)
