from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch_geometric.nn import MLP

import graphkd
from graphkd import Distiller, fit
from graphkd.losses import CE
from graphkd.tasks import predict
from tests.core.models import CLASSES, FEATURES, NODES, gcn, graph


def mlp() -> MLP:
    torch.manual_seed(0)
    return MLP([FEATURES, 64, CLASSES], norm=None, dropout=0.0)


def test_the_terms_and_their_weights():
    data, student, teacher, reports = graph(), mlp(), gcn(1).eval(), []
    s, t = student(data.x).detach(), teacher(data.x, data.edge_index).detach()
    source, target = data.edge_index
    loops = torch.arange(NODES)

    def kl(q, p):
        return float((q.softmax(1) * (q.log_softmax(1) - p.log_softmax(1))).sum(1).mean())

    label = float(F.cross_entropy(s[data.train_mask], data.y[data.train_mask]))
    low = kl(t[torch.cat([target, loops])], s[torch.cat([source, loops])])
    high = kl((t[source] - t[target]).abs() / 1.2, (s[source] - s[target]).abs() / 1.2)
    options = {"label_weight": 0.4, "temperature": 1.2, "epochs": 1, "log": reports.append}
    graphkd.distil("ffg2m", student, teacher, data, **options)
    want = {"label": label, "low": low, "high": high, "loss": 0.4 * label + 0.6 * (low + high)}
    assert {name: reports[0][name] for name in want} == pytest.approx(want, rel=1e-4)


def test_the_student_learns_what_the_teacher_says():
    data = graph()
    del data.val_mask  # the last epoch, which is not the best on random labels
    teacher = fit(Distiller(gcn(1), losses=CE(where="train_mask")), data, epochs=50)
    untrained, taught = mlp(), predict(teacher, data)

    def agreement(model):
        return float((predict(model, data) == taught).float().mean())

    before = agreement(untrained)
    trained = graphkd.distil("ffg2m", untrained, teacher, data, label_weight=0.0, epochs=80).model
    assert agreement(trained) > max(before, 0.6)


def test_without_a_student_the_published_mlp_is_made():
    data = graph()
    plain = graphkd.distil("ffg2m", None, gcn(1), data, epochs=1).model
    assert [tuple(lin.weight.shape) for lin in plain.lins] == [(256, FEATURES), (CLASSES, 256)]
    assert plain.dropout == [0.5, 0.0]
    other = graphkd.distil("ffg2m", None, gcn(1), data, epochs=1, layers=2, width=7, dropout=0.1).model
    assert [tuple(lin.weight.shape) for lin in other.lins] == [(7, FEATURES), (7, 7), (CLASSES, 7)]


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"'label_weight' must be in \[0, 1\], got 2"):
        graphkd.distil("ffg2m", mlp(), gcn(), graph(), label_weight=2)
    with pytest.raises(ValueError, match=r"no student is given, got \(None, 512, None\) and a student, MLP: give"):
        graphkd.distil("ffg2m", mlp(), gcn(), graph(), width=512)
