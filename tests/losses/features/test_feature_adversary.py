"""The student's features and a discriminator of them: the formula by loops, and whose gradient is whose."""

from __future__ import annotations

import torch

from graphkd import Distiller, fit
from graphkd.losses import CE, FeatureAdversary, InfoNCE
from tests.core.models import gcn, graph
from tests.losses.example import STUDENT, WIDE_TEACHER, assert_value
from tests.schemes.domains.scene import binary


def made():
    torch.manual_seed(0)
    return FeatureAdversary(3, 5, inner=4).double()


def test_feature_adversary():
    loss = made()
    with torch.no_grad():
        own, taught = (loss.discriminator(rows)[:, 0].tolist() for rows in (loss.projector(STUDENT), WIDE_TEACHER))
    want = sum(binary(d, 1) for d in own) / 5  # it wants to be taken for the teacher's
    want += sum(binary(d, 0) for d in own) / 5 + sum(binary(d, 1) for d in taught) / 5
    assert_value(loss(STUDENT, WIDE_TEACHER), want)


def test_each_side_learns_its_own_part():
    loss, rows = made(), STUDENT.clone().requires_grad_()
    from graphkd.losses import discrimination, fooling

    whole = torch.autograd.grad(
        loss(rows, WIDE_TEACHER), [rows, *loss.projector.parameters(), *loss.discriminator.parameters()]
    )
    student = torch.autograd.grad(
        fooling(loss.discriminator(loss.projector(rows)).flatten()), [rows, *loss.projector.parameters()]
    )
    judge = torch.autograd.grad(
        discrimination(
            loss.discriminator(loss.projector(rows).detach()).flatten(), loss.discriminator(WIDE_TEACHER).flatten()
        ),
        list(loss.discriminator.parameters()),
    )
    torch.testing.assert_close(whole, (*student, *judge))


def test_it_trains_beside_other_losses():
    data, student, teacher, seen = graph(), gcn(1, width=4), gcn(2), []
    losses = CE(where="train_mask") + 0.5 * FeatureAdversary(4, 8) + 0.1 * InfoNCE(on="logits")
    task = Distiller(student, teacher, losses, taps={"hidden": "convs.0"})
    assert fit(task, data, epochs=10, log=seen.append) is student
    assert {"ce", "featureadversary", "infonce"} < set(seen[0])
    empty = FeatureAdversary(3, 5)
    assert float(empty(torch.zeros(0, 3), torch.zeros(0, 5)).detach()) == 0.0
