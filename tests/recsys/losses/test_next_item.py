"""The next item's cross-entropy and KL, with loops and at the border."""

from __future__ import annotations

import pytest
import torch

from recsys.data import SequenceBatches
from recsys.losses import NextItem, SequenceKL
from recsys.losses.next_item import next_item
from recsys.losses.sequence_kl import sequence_kl, valid_positions
from recsys.models import SASRec, show_rows
from tests.recsys.toy_sequences import chain_split

SPLIT = chain_split()


def model(seed, width=8):
    torch.manual_seed(seed)
    return SASRec(SPLIT.num_items, width, max_length=6).double().eval()


def batch(shared=None):
    torch.manual_seed(0)
    return next(iter(SequenceBatches(SPLIT.train, batch_size=8, shared=shared)))


@pytest.mark.parametrize("shared", [None, 25])
def test_cross_entropy_with_loops(shared):
    held = batch(shared)
    view = show_rows(model(0), held)
    total = 0.0
    for row, target in enumerate(held["targets"].tolist()):
        scores = view["user"][row] @ view["item"].t()
        others = range(1, SPLIT.num_items) if shared is None else [target, *held["candidates"].tolist()]
        kept = [item for place, item in enumerate(others) if shared is None or place == 0 or item != target]
        total -= scores[target] - torch.logsumexp(torch.stack([scores[item] for item in kept]), dim=0)
    facts = {name: held[name] for name in ("targets", "candidates") if name in held}
    torch.testing.assert_close(NextItem()(view["logits"], **facts), total)
    torch.testing.assert_close(NextItem(reduction="mean")(view["logits"], **facts), total / len(held["targets"]))


@pytest.mark.parametrize("shared", [None, 25])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_kl_with_loops(shared, temperature):
    held = batch(shared)
    with torch.no_grad():
        ours, theirs = (dict(show_rows(model(seed), held)) for seed in (0, 1))
    total = 0.0
    for row, target in enumerate(held["targets"].tolist()):
        items = torch.arange(1, SPLIT.num_items)
        if shared is not None:
            drawn = held["candidates"]
            items = torch.cat([torch.tensor([target]), drawn[drawn != target]])
        p, q = (
            ((view["user"][row] @ view["item"].detach().t())[items] / temperature).softmax(0) for view in (theirs, ours)
        )
        total += temperature**2 * float((p * (p.log() - q.log())).sum())
    found = SequenceKL(temperature)(ours["logits"], theirs["logits"])
    assert float(found) == pytest.approx(total, rel=1e-10)
    assert float(SequenceKL(temperature, reduction="mean")(ours["logits"], theirs["logits"])) == pytest.approx(
        total / len(held["targets"]), rel=1e-10
    )


def test_positions_behind_a_sequence_and_padding_have_no_part():
    torch.manual_seed(0)
    student, teacher = (torch.randn(3, 4, 6, dtype=torch.float64) for _ in range(2))
    lengths = torch.tensor([1, 4, 0])
    before = sequence_kl(student, teacher, lengths)
    changed = student.clone()
    changed[0, 1:], changed[2], changed[..., 0] = 7.0, -3.0, 50.0
    assert float(sequence_kl(changed, teacher, lengths)) == float(before)
    assert float(sequence_kl(changed, teacher, lengths, skip_padding_item=False)) != float(before)
    assert valid_positions(student, lengths).shape == (5, 6)
    assert float(sequence_kl(student, teacher, torch.zeros(3, dtype=torch.long))) == 0.0


def test_equal_logits_have_no_kl_and_padding_no_gradient():
    held = batch()
    view = show_rows(model(0), held)
    logits = view["logits"].detach().requires_grad_()
    loss = SequenceKL()(logits, view["logits"].detach() * 0.5)
    (grad,) = torch.autograd.grad(loss, logits)
    assert not grad[:, 0].any()
    assert float(SequenceKL()(logits.detach(), logits.detach())) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: next_item(torch.zeros(2, 3), torch.zeros(3, dtype=torch.long)), "'answers'"),
        (lambda: valid_positions(torch.zeros(2, 3), torch.zeros(2)), "'values' must be"),
        (lambda: SequenceKL(0.0), "temperature"),
        (lambda: NextItem(reduction="max"), "'reduction' must be"),
    ],
)
def test_what_is_wrong_is_refused_by_name(make, words):
    with pytest.raises(ValueError, match=words):
        make()
