"""DS-FL: clients learn the sharpened mean."""

from __future__ import annotations

import torch

from graphkd.schemes.federated import Received
from graphkd.schemes.federated.era import rule
from tests.schemes.federated.answers import TEACHERS
from tests.schemes.federated.scene import apart, run


def test_the_target_is_the_sharpened_mean():
    answers = TEACHERS.float()
    target = rule(0.5).fuse(Received(answers, [], None))
    want = answers.softmax(dim=-1).mean(dim=0) / 0.5
    torch.testing.assert_close(target.softmax(dim=-1), want.softmax(dim=-1))
    assert bool((target <= 0).all())  # logits, of which none are probabilities


def test_clients_keep_models_of_their_own():
    found = run("era", mixed=True).model
    assert [type(model).__name__ for model in found.models] == ["GCN", "MLP", "GCN"]
    assert apart(found, run("era", mixed=True, temperature=1.0).model) > 1e-5
