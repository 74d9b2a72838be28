"""Snapshot distillation: what the method trains."""

from __future__ import annotations

import torch

import graphkd
from graphkd import Distiller, Snapshot, fit
from graphkd.core.adam import adam
from graphkd.losses import CE, KL
from tests.core.models import gcn, graph

LABEL = CE(where="train_mask")


def test_it_is_the_distiller_of_a_student_and_what_follows_it():
    data, student = graph(), gcn(1, dropout=0.5)
    del data.val_mask  # the last epoch is kept
    got = graphkd.distil("snapshot", student, None, data, epochs=6, progress=False, every=2).model
    task = Distiller(student, Snapshot(student, 2), LABEL + 1.0 * KL(2.0))
    want = fit(task, data, epochs=6, optimizer=adam(lr=0.01, weight_decay=5e-4))
    torch.testing.assert_close(got.state_dict(), want.state_dict(), rtol=0, atol=0)
