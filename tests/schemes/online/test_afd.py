"""Peers and discriminators: the formulas, and who learns from which term."""

from __future__ import annotations

import pytest
import torch

from graphkd.schemes import Adversaries, discrimination_squares, fooling_squares
from tests.losses.example import STUDENT, TEACHER
from tests.schemes.online.scene import peers_trained

LOGITS = torch.stack([STUDENT, TEACHER, STUDENT - TEACHER])
HIDDEN = [TEACHER, STUDENT * 2, TEACHER - 1]


def test_squares():
    own, other = torch.tensor([0.2, -0.4]).double(), torch.tensor([0.9, 0.5, 1.5]).double()
    assert float(fooling_squares(own)) == pytest.approx((0.8**2 + 1.4**2) / 2)
    want = (0.1**2 + 0.5**2 + 0.5**2) / 3 + (0.2**2 + 0.4**2) / 2
    assert float(discrimination_squares(own, other)) == pytest.approx(want)


def test_peers_fool_and_discriminators_tell():
    """Neither term reaches the other's parameters; k tells k + 1 from k."""
    torch.manual_seed(0)
    rule = Adversaries(3, 3, weight=2.0).double()
    hidden = [h.clone().requires_grad_() for h in HIDDEN]
    terms = rule(LOGITS, hidden).terms
    scores = [[layer(h).detach() for h in HIDDEN] for layer in rule.discriminators]
    assert float(terms["fooling"].detach()) == pytest.approx(
        2 * sum(float(fooling_squares(scores[k][k])) for k in range(3))
    )
    want = sum(float(discrimination_squares(scores[k][k], scores[k][(k + 1) % 3])) for k in range(3))
    assert float(terms["discrimination"].detach()) == pytest.approx(want)
    features, discriminators = (tuple(found) for found in (hidden, rule.parameters()))
    for name, reached, spared in (("fooling", features, discriminators), ("discrimination", discriminators, features)):
        assert all(g.any() for g in torch.autograd.grad(terms[name], reached, retain_graph=True))
        assert all(g is None for g in torch.autograd.grad(terms[name], spared, retain_graph=True, allow_unused=True))


def test_adversaries_train():
    assert {"fooling", "discrimination"} <= set(peers_trained(Adversaries(3, 8)))
