"""EMKD: masks, stretches, and what its parts do where they are on and off."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import recsys
from recsys.data.sequence_batches import SequenceBatches
from recsys.losses.emkd import emkd
from recsys.methods.sequences import _masked
from recsys.methods.sequences._masked import MaskedPeers, Weights, masks, whole_stretches
from recsys.models import BERT4Rec, GRU4Rec
from recsys.models.sequential import MeanSequential
from recsys.tasks import Sequential
from tests.recsys.toy_sequences import chain_split

QUICK = {"epochs": 1, "progress": False, "copies": 2, "task": Sequential(batch_size=32)}


def networks(count: int, width: int = 8) -> list[BERT4Rec]:
    torch.manual_seed(0)
    return [BERT4Rec(chain_split().num_items, width, max_length=6, layers=1, dropout=0.0) for _ in range(count)]


def batch(**options: Any) -> dict[str, Any]:
    torch.manual_seed(0)
    return next(iter(SequenceBatches(chain_split().train, batch_size=32, **options)))


@pytest.mark.parametrize("by", ["positions", "rows"])
def test_a_stretch_is_a_history_and_what_follows(by):
    given = batch(by=by)
    whole, rows = whole_stretches(given), chain_split().train
    assert whole.shape[1] == given["sequences"].size(1) + 1
    assert torch.equal(whole[:, 0], given["sequences"][:, 0])
    assert torch.equal((whole > 0).sum(dim=1), given["lengths"] + 1)
    last = whole.gather(1, given["lengths"][:, None]).squeeze(1)
    events = rows.sequences.items
    for stretch, length, end in zip(whole.tolist(), given["lengths"].tolist(), last.tolist(), strict=True):
        found = [
            place
            for place in range(len(events) - length)
            if events[place : place + length + 1].tolist() == stretch[: length + 1]
        ]
        assert found
        assert stretch[length] == end


def test_masks_are_of_items_one_a_row_at_least():
    whole = torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0]]).repeat(500, 1)
    torch.manual_seed(0)
    chosen = masks(whole, 0.15)
    assert not chosen[whole == 0].any()
    assert chosen.any(dim=1).all()
    assert chosen[::2, :3].float().mean().item() == pytest.approx(0.15, abs=0.03)
    assert chosen[1::2, 1].float().mean().item() == pytest.approx(0.15 + 0.85**2, abs=0.04)


def test_a_step_is_the_function_of_the_authors_on_all_positions(monkeypatch):
    """The parts on masked places alone, against ``emkd`` on all logits."""
    given, models = batch(), networks(3)
    peers = MaskedPeers(models, Weights(0.4, 0.3, 0.2), copies=2).double()
    whole = whole_stretches(given)
    torch.manual_seed(1)
    drawn = [masks(whole, 0.4) for _ in range(2)]
    found = iter(drawn)
    monkeypatch.setattr(_masked, "masks", lambda *_: next(found))
    step = peers(given)
    states = torch.stack([model.encode(whole) for model in models])
    shown = torch.stack([torch.stack([m.encode(whole.masked_fill(c, m.mask)) for c in drawn]) for m in models])
    logits = torch.stack([each @ model.items().T for each, model in zip(shown, models, strict=True)])
    logits[..., 0] = -5e4
    labels = torch.stack([whole * chosen for chosen in drawn])
    none = torch.zeros(*whole.shape, 0)
    want = emkd(states, shown, logits, labels, none.expand(3, *none.shape), none, tau=0.4, mutual=0.3, contrast=0.2)
    torch.testing.assert_close(step.loss, want.loss, rtol=1e-5, atol=1e-6)
    assert set(step.terms) == {"items", "mutual", "contrast"}
    torch.testing.assert_close(step.terms["mutual"], want.kl, rtol=1e-5, atol=1e-6)


def trained(mutual: float, contrast: float, steps: int = 40) -> MaskedPeers:
    models = networks(2)
    peers = MaskedPeers(models, Weights(0.5, mutual, contrast), copies=2, share=0.3)
    adam = torch.optim.Adam(peers.parameters(), lr=0.01)
    batches = SequenceBatches(chain_split().train, batch_size=64)
    torch.manual_seed(2)
    while steps > 0:
        for each in batches:
            adam.zero_grad()
            peers(each).loss.backward()
            adam.step()
            steps -= 1
    return peers.eval()


@torch.no_grad()
def apart(peers: MaskedPeers) -> tuple[float, float]:
    """How far the networks' answers are apart, and how much nearer copies of a stretch are than other stretches."""
    whole = whole_stretches(batch())
    torch.manual_seed(3)
    chosen = masks(whole, 0.3)
    models: list[Any] = list(peers.student.models)
    shown = [model.encode(whole.masked_fill(chosen, model.mask)) for model in models]
    logs = [(each[chosen] @ model.items()[1:].T).log_softmax(dim=1) for each, model in zip(shown, models, strict=True)]
    gap = (logs[0].exp() * (logs[0] - logs[1])).sum(dim=1).mean()
    near = []
    for model, each in zip(models, shown, strict=True):
        rows, copies = (torch.nn.functional.normalize(x.flatten(1), dim=1) for x in (model.encode(whole), each))
        cosine = rows @ copies.T
        near.append(cosine.diagonal().mean() - cosine.mean())
    return float(gap), float(torch.stack(near).mean())


def test_networks_that_teach_one_another_agree_and_contrast_tells_stretches_apart():
    off, taught, contrasted = (apart(trained(*weights)) for weights in ((0.0, 0.0), (2.0, 0.0), (0.0, 0.5)))
    assert taught[0] < 0.7 * off[0]
    assert contrasted[1] > 1.1 * off[1]


def test_what_serves_is_the_mean_or_the_first():
    split, (student,) = chain_split(), networks(1)
    both = [
        recsys.distil("emkd", student, None, split, serve=serve, count=2, **QUICK).model for serve in ("mean", "first")
    ]
    assert isinstance(both[0], MeanSequential)
    assert isinstance(both[1], BERT4Rec)
    histories = split.test.histories()[:2]
    each = [model(*histories) for model in both[0].models]
    torch.testing.assert_close(both[0](*histories), (each[0] + each[1]) / 2)
    assert not torch.equal(*(model.item.weight for model in both[0].models))


def test_attributes_are_learnt_beside():
    split, (student,) = chain_split(), networks(1)
    attributes = (torch.arange(split.num_items)[:, None] % torch.tensor([2, 3]) == 0).long()
    result = recsys.distil("emkd", student, None, split, attributes=attributes, count=1, **QUICK)
    assert {"items", "contrast", "attributes"} <= set(result.history[0])
    with pytest.raises(ValueError, match=rf"'attributes' must be \({split.num_items}, A\) of 0 and 1"):
        recsys.distil("emkd", student, None, split, attributes=attributes[1:], **QUICK)


def test_what_it_does_not_take():
    split, (student,) = chain_split(), networks(1)
    with pytest.raises(TypeError, match=r"give 'student' as recsys.models.BERT4Rec\(.*got GRU4Rec"):
        recsys.distil("emkd", GRU4Rec(split.num_items, 4, max_length=6), None, split, **QUICK)
    with pytest.raises(ValueError, match="'count' and 'copies' must be at least 1 and 'mask' between 0 and 1"):
        recsys.distil("emkd", student, None, split, mask=1.0, **QUICK)
