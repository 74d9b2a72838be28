"""Contrast of peers against memories: the sum over pairs, and what is remembered."""

from __future__ import annotations

import pytest
import torch

from graphkd.losses import crd
from graphkd.losses.information.crd import crd_log_normaliser
from graphkd.schemes import PeerContrast
from tests.losses.example import STUDENT, TEACHER
from tests.losses.negatives import check_counts_are_ids
from tests.schemes.online.scene import peers_trained

LOGITS = torch.stack([STUDENT, TEACHER, STUDENT - TEACHER])
HIDDEN = [TEACHER, STUDENT * 2, TEACHER - 1]


def test_contrast_of_pairs():
    torch.manual_seed(0)
    rule = PeerContrast(8, [3, 3, 3], 4, negatives=2, eps=1e-3).double()
    ids, negatives = torch.tensor([2, 7, 1, 4, 0]), torch.arange(10).reshape(5, 2) % 8
    memories = rule.memories.clone()
    got = rule.contrast(HIDDEN, ids, negatives)
    index, want = torch.cat([ids[:, None], negatives], dim=1), 0.0
    rows = [torch.nn.functional.normalize(head(h), dim=1) for head, h in zip(rule.heads, HIDDEN, strict=True)]
    for i, j in ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)):
        log_z = crd_log_normaliser(rows[j], memories[i], index, 0.1)
        want = want + crd(rows[j], memories[i], index, log_z, 0.1, eps=1e-3)
    torch.testing.assert_close(got, want)
    mixed = 0.5 * memories[1][7] + 0.5 * rows[1][1].detach()
    torch.testing.assert_close(rule.memories[1][7], mixed / mixed.norm())
    assert torch.equal(rule.memories[:, 3], memories[:, 3])


@pytest.mark.parametrize("kept", [1 << 24, 16])
def test_drawn_negatives_are_given_ones(kept, monkeypatch):
    """By counts, in one part or several, what the same ids give: the value, gradients and memories."""
    torch.manual_seed(0)
    rule = PeerContrast(8, [3, 3, 3], 4, negatives=20, eps=1e-3).double()
    ids = torch.tensor([2, 7, 1, 4, 0])

    def run(one, negatives):
        return one.contrast(HIDDEN, ids, negatives)

    check_counts_are_ids(rule, ids, run, monkeypatch, kept)


def test_memories_stay_in_evaluation():
    rule = PeerContrast(5, [3, 3, 3], 4, negatives=3).double().eval()
    before = rule.memories.clone()
    made = rule(LOGITS, HIDDEN)
    assert torch.equal(rule.memories, before)
    (share, targets), *_ = made.targets
    assert share == 1
    torch.testing.assert_close(targets[2], LOGITS.mean(dim=0))
    assert torch.equal(targets[:2], LOGITS[:2])  # the others are made themselves: nothing
    assert made.terms["contrast"] > 0


def test_peer_contrast_trains():
    terms = peers_trained(PeerContrast(30, [8, 8, 8], 4, negatives=6))
    assert float(terms["soft_0"]) == pytest.approx(0, abs=1e-6)
    assert terms["soft_2"] > 0


def test_a_memory_of_one():
    with pytest.raises(ValueError, match="'num_nodes' must be 2 at least, for negatives, got 1"):
        PeerContrast(1, [3, 3])
