"""No loss without a behavioural case."""

from __future__ import annotations

import torch

import graphkd
from graphkd import Distiller, Loss
from graphkd.core.loss import Sum
from graphkd.losses import AT, CAKD, KL, RKD, FeatureAdversary
from tests.core.models import gcn, graph
from tests.losses.behaviour import every_case, load, subclasses

GAMES = {
    FeatureAdversary,
    CAKD,
}  # two sides' losses, each with the other held constant: its gradient is not its value's


def test_every_loss_has_a_case():
    """An entry of a ``Behaviour`` makes each public loss of the package."""
    load(graphkd)
    covered = {type(case.make()) for case in every_case().values()}
    losses = {kind for kind in subclasses(Loss) if kind.__module__.startswith("graphkd.")} - {Sum, *GAMES}
    assert len(losses) >= 10
    assert sorted(kind.__name__ for kind in losses - covered) == []


def test_three_losses_in_one_line_are_reported_apart():
    """As the README has it."""
    data = graph()
    taps = {"hidden": "convs.0"}
    task = Distiller(gcn(1, width=8), gcn(2, width=16), 0.9 * KL(4.0) + 25 * RKD() + 1e3 * AT(), taps=taps)
    loss, terms = task(data)
    assert list(terms) == ["kl", "rkd", "at"]
    torch.testing.assert_close(loss.detach(), 0.9 * terms["kl"] + 25 * terms["rkd"] + 1e3 * terms["at"])
