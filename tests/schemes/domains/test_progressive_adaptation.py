"""A teacher that adapts while it teaches: whose share is how large, and who moves."""

from __future__ import annotations

import pytest
import torch

import graphkd
from graphkd import Distiller, Frozen, fit
from graphkd.losses import CE, KL
from graphkd.schemes import Adversarial, Progressive
from tests.core.models import Labels, gcn, graph
from tests.schemes.domains.scene import discriminator, domains, of_nodes


def test_progressive_weights():
    data, teacher, student = domains(), gcn(1), gcn(2)
    adapting = Adversarial(teacher, discriminator(), CE(where="source_mask"))
    both = Progressive(adapting, Distiller(student, Frozen(teacher), KL(2.0)), start=0.1, end=0.9)
    shares = []
    for epoch in range(3):
        both.set_epoch(epoch, 3)
        shares.append(both.share)
    assert shares == pytest.approx([0.1, 0.3, 0.9])
    torch.manual_seed(0)
    step = both(data)
    first, second = adapting(data).loss, both.distilling(data).loss
    torch.testing.assert_close(step.loss, 0.1 * first + 0.9 * second)
    assert set(step.terms) == {"adapting.student", "adapting.discriminator", "distilling.kl"}
    before = teacher.convs[0].lin.weight.detach().clone()
    assert fit(both, data, epochs=3) is student
    assert not torch.equal(before, teacher.convs[0].lin.weight)
    with pytest.raises(ValueError, match="'start' must be above 0 and 1 at most, got 0"):
        Progressive(Distiller(teacher, losses=Labels()), both.distilling, start=0)


def test_the_teacher_adapts_in_training_mode_batch_after_batch():
    data, teacher = domains(), gcn(1, dropout=0.5)
    adapting = Adversarial(teacher, discriminator(), CE(where="source_mask"))
    both = Progressive(adapting, Distiller(gcn(2), Frozen(teacher), KL(2.0))).train()
    modes = []
    teacher.convs[0].register_forward_hook(lambda *_: modes.append(teacher.training))
    both(data)
    both(data)
    assert modes == [True, False, True, False]


def test_the_given_teacher_stays():
    data, teacher = graph(), gcn(1)
    before = teacher.state_dict()["convs.0.lin.weight"].clone()
    options = {"domains": of_nodes(data), "epochs": 3, "progress": False}
    result = graphkd.distil("progressive_adaptation", gcn(2), teacher, data, **options)
    assert torch.equal(before, teacher.state_dict()["convs.0.lin.weight"])
    assert {"adapting.student", "distilling.kl", "distilling.ce"} < set(result.history[0])
