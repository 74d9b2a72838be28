from __future__ import annotations

import copy
import pickle

import pytest
import torch

from graphkd import Loss
from graphkd.losses import AT, CE, KL, LSP, FitNet, LogitMSE
from tests.core.models import Labels, Match, graph


def test_weighted_sums_are_losses():
    total = 0.9 * KL(4.0) + 2 * (CE() + 3.0 * KL())
    assert [(weight, type(loss)) for weight, loss in total.parts()] == [(0.9, KL), (2.0, CE), (6.0, KL)]
    student, teacher = torch.randn(5, 3), torch.randn(5, 3)
    y = torch.tensor([0, 1, 2, 0, 1])
    want = 0.9 * KL(4.0)(student, teacher) + 2 * CE()(student, y=y) + 6 * KL()(student, teacher)
    assert torch.allclose(total(student, teacher, y=y), want)
    assert isinstance(total, Loss)


def test_only_losses_add():
    with pytest.raises(TypeError, match=r"only a Loss can be added to a Loss, got int"):
        CE() + 1


def test_facts_are_filled_by_name_and_missing_ones_listed():
    with pytest.raises(KeyError, match=r"Labels needs \['y'\] from the batch, which has \['x'\]"):
        Labels().measure({"logits": torch.zeros(2, 3)}, None, {"x": 1})


def test_optional_facts_are_given_where_the_batch_has_them():
    class Optional(Loss):
        def forward(self, student, *, extra=None):
            return student.sum() if extra is None else extra

    view = {"logits": torch.ones(2, 2)}
    assert Optional().measure(view, None, {"x": 1}) == 4
    assert Optional().measure(view, None, {"extra": torch.tensor(7.0)}) == 7


def test_a_missing_entry_asks_for_a_tap():
    with pytest.raises(KeyError, match=r"AT reads \['hidden'\] of the teacher's view, which has \['logits'\]"):
        AT().digest_view({"logits": torch.ones(1, 1)}, {})


@pytest.mark.parametrize(
    ("where", "rows"),
    [("train_mask", [0, 3]), ("~train_mask", [1, 2, 4]), ("seed", [0, 1]), ("chosen", [4, 4, 1])],
)
def test_where_restricts_entries_and_row_facts(where, rows):
    logits, y = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    batch: dict = {
        "y": y,
        "train_mask": torch.tensor([True, False, False, True, False]),
        "batch_size": 2,
        "chosen": torch.tensor([4, 4, 1]),
    }
    got = Labels(where=where).measure({"logits": logits}, None, batch)
    assert got == Labels()(logits[rows], y=y[rows])
    teacher = torch.randn(5, 3)
    assert torch.equal(LogitMSE(where=where).digest_view({"logits": teacher}, batch), teacher[rows])


def test_an_empty_selection_is_no_term():
    batch = {"y": torch.zeros(3, dtype=torch.long), "train_mask": torch.zeros(3, dtype=torch.bool)}
    assert Labels(where="train_mask").measure({"logits": torch.zeros(3, 2)}, None, batch) is None


def test_where_must_fit():
    view = {"logits": torch.zeros(3, 2)}
    with pytest.raises(ValueError, match="'m' must be a mask of 3 rows, got 2"):
        KL(where="m").digest_view(view, {"m": torch.ones(2, dtype=torch.bool)})
    with pytest.raises(TypeError, match=r"where='~m' must negate a boolean mask, got ids as torch\.int64"):
        KL(where="~m").digest_view(view, {"m": torch.tensor([0])})


def test_where_is_refused_by_losses_of_edges():
    class Edges(Loss):
        def forward(self, student, teacher, *, edge_index):
            raise NotImplementedError

    with pytest.raises(ValueError, match=r"where='train_mask' restricts rows, but Edges also reads \['edge_index'\]"):
        Edges(where="train_mask")
    with pytest.raises(TypeError, match=r"where"):
        LSP(where="train_mask")  # type: ignore[call-arg]


def test_several_entries_arrive_as_a_tuple():
    class Pair(Loss):
        def forward(self, student, teacher):
            return (student[0] - teacher[0]).sum() + (student[1] - teacher[1]).sum()

    loss = Pair(on=("user", "item"))
    view = {"user": torch.ones(2, 2), "item": torch.ones(3, 2)}
    assert loss.measure(view, loss.digest_view(view, {}), {}) == 0


def test_supervised_losses_need_no_teacher():
    assert not Labels().needs_teacher
    assert Match().needs_teacher
    assert graph().y is not None


def test_the_tensors_that_a_digest_depends_on():
    class Reads(Loss):
        rows = ("y",)

        def digest(self, teacher, *, y, extra=None, adj=None):
            return teacher

        def forward(self, student, teacher, *, y):
            raise NotImplementedError

    sparse = torch.eye(3).to_sparse_csr()
    batch = {"y": torch.arange(3), "m": torch.ones(3, dtype=torch.bool), "adj": sparse, "extra": 7, "batch_size": 2}
    assert Reads(where="m").reads(batch)[0] is batch["m"]
    assert [entry is batch["y"] for entry in Reads(where="m").reads(batch)] == [False, True, False]
    assert Reads(where="m").reads(batch)[2] is sparse
    assert [int(entry) for entry in Reads().reads({"y": batch["y"], "batch_size": 2})[:1]] == [2]
    assert Reads(where="all").reads({"y": batch["y"], "batch_size": 2}) == [batch["y"]]


def test_rows_that_a_loss_reads():
    data = graph()
    assert torch.equal(KL(where="train_mask").rows_in(data).of(torch.arange(30)), data.train_mask.nonzero()[:, 0])
    data.batch_size = 4
    assert torch.equal(KL().rows_in(data).of(torch.arange(30)), torch.arange(4))
    assert LSP().rows_in(data).all
    assert KL(where="all").rows_in(data).all


def test_a_default_that_a_constructor_hands_on_is_no_purpose():
    class HandsOn(Labels):
        def __init__(self, *, on=None, where=None):
            super().__init__(on=on, where=where)

    view, data = {"logits": torch.zeros(30, 3)}, graph()
    with pytest.raises(ValueError, match="HandsOn reads the labels of 20 rows outside of 'train_mask'"):
        HandsOn().measure(view, None, data)
    assert HandsOn(where=None).measure(view, None, data).isfinite()
    assert HandsOn(where="train_mask").where == "train_mask"


class MayReadLabels(Loss):
    """A loss that takes labels where they are to be had."""

    rows = ("y",)

    def digest(self, teacher, *, y=None):
        return y

    def forward(self, student, teacher, *, y=None):
        return torch.tensor(0.0 if y is None and teacher is None else 1.0)


class ReadsNoLabels(MayReadLabels):
    learns_labels = False


def test_labels_that_may_be_read_are_those_of_training_or_hidden():
    view, data = {"logits": torch.zeros(30, 3)}, graph()
    with pytest.raises(ValueError, match="MayReadLabels reads the labels of 20 rows outside of 'train_mask'"):
        MayReadLabels().measure(view, None, data)
    assert torch.equal(MayReadLabels(where="train_mask").digest_view(view, data), data.y[data.train_mask])
    hidden = ReadsNoLabels()
    assert hidden.digest_view(view, data) is None
    assert hidden.measure(view, None, data) == 0
    assert hidden.reads(data) == []  # a stored teacher's answers do not depend on them


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda loss: pickle.loads(pickle.dumps(loss))])
def test_copies_are_as_they_were(copied):
    loss = copied(0.5 * KL(4.0, where=("seed", "m")) + CE(where=None))
    assert loss.weights == [0.5, 1.0]
    assert loss.losses[0].where == ("seed", "m")
    assert CE(where=None).measure({"logits": torch.zeros(30, 3)}, None, graph()) == copied(CE(where=None)).measure(
        {"logits": torch.zeros(30, 3)}, None, graph()
    )


def test_entries_may_be_given_by_name():
    student, teacher = torch.randn(5, 1), torch.randn(5, 1)
    assert FitNet()(student=student[:, 0], teacher=teacher[:, 0]) == FitNet()(student, teacher)


def test_unknown_arguments_are_refused():
    with pytest.raises(TypeError, match="temprature"):
        KL(temprature=3.0)
