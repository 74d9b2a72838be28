"""DS-FL: clients learn the sharpened mean."""

from __future__ import annotations

import torch

from graphkd.schemes.federated import Received
from graphkd.schemes.federated.era import rule
from tests.core.models import gcn
from tests.schemes.federated.answers import TEACHERS
from tests.schemes.federated.scene import apart, run


def test_the_target_is_the_sharpened_mean():
    answers = TEACHERS.float()
    target = rule(0.5).fuse(Received(answers, [], None))
    want = answers.softmax(dim=-1).mean(dim=0) / 0.5
    torch.testing.assert_close(target.softmax(dim=-1), want.softmax(dim=-1))
    assert bool((target <= 0).all())  # logits, of which none are probabilities


def test_the_server_learns_the_same_target():
    given_model = gcn(5, width=12)
    found = run("era", mixed=True, server=given_model)
    assert found.model.convs[0].out_channels == 12
    assert apart(found.model, run("era", mixed=True, server=given_model, temperature=1.0).model) > 1e-5
    assert {f"round-2-client-{who}-digest" for who in (1, 2, 3)} < {report["stage"] for report in found.history}


def test_by_default_it_is_a_fresh_student():
    assert run("era").model.convs[0].out_channels == 8
