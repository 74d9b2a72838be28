"""FedGEMS: who answers for each row, and a server's model that learns labels too."""

from __future__ import annotations

import math

import pytest
import torch

from graphkd.losses import soft_cross_entropy
from graphkd.schemes.federated import selective_fusion
from tests.core.models import gcn
from tests.losses.example import CLASSES, LABELS, NODES, STUDENT, TEACHER, softmax
from tests.schemes.federated.scene import answer, public, run

TEACHERS = torch.stack([TEACHER, TEACHER.flip(0), 2 * STUDENT.flip(1)])


def test_selective_fusion():
    """The server is right about some rows, clients about others, nobody about one."""
    server, who = TEACHER.roll(1, dims=0), set()
    got = selective_fusion(server, TEACHERS[:2], LABELS)
    for i in NODES:
        y, answers = int(LABELS[i]), [softmax(TEACHERS[k, i]) for k in range(2)]
        right = [answer for answer in answers if max(answer) == answer[y]]
        trust = [math.exp(sum(p * math.log(p) for p in answer)) for answer in right]
        if int(server[i].argmax()) == y:
            want = softmax(server[i])
            who.add("server")
        elif right:
            want = [sum(t * answer[c] for t, answer in zip(trust, right, strict=True)) / sum(trust) for c in CLASSES]
            who.add("clients")
        else:
            want = [float(c == y) for c in CLASSES]
            who.add("label")
        assert got[i].softmax(dim=0).tolist() == pytest.approx(want, rel=1e-12)
    assert who == {"server", "clients", "label"}
    assert soft_cross_entropy(STUDENT, got).isfinite()


def test_the_server_learns_public_labels():
    data = public()
    model = run("fedgems", server=gcn(5, width=12), distil_epochs=60).model
    right = [float((answer(each, data).argmax(dim=1) == data.y).float().mean()) for each in (gcn(5, width=12), model)]
    assert right[1] > max(right[0], 0.8)


def test_public_rows_must_be_labelled():
    data = public()
    del data.y
    with pytest.raises(ValueError, match=r"needs labelled public rows, 'public' with labels: .*'y'"):
        run("fedgems", public=data)
