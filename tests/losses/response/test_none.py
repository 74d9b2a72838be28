"""The student alone: its labels, and nothing of a teacher."""

from __future__ import annotations

import torch

import graphkd
from graphkd.losses import CE
from tests.core.models import gcn, graph


def test_the_student_learns_its_labels_alone():
    options = {"epochs": 3, "progress": False}
    named = graphkd.distil("none", gcn(2), None, graph(), **options)
    given = graphkd.distil(CE(where="train_mask"), gcn(2), None, graph(), **options)
    taught = graphkd.distil("none", gcn(2), gcn(1), graph(), **options)
    for other in (given, taught):
        pairs = zip(named.model.state_dict().values(), other.model.state_dict().values(), strict=True)
        assert all(torch.equal(one, two) for one, two in pairs)
