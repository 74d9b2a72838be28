"""KRD: reliability, the power and the drawn edges by their formulas; the method beside its controls."""

from __future__ import annotations

import math

import pytest
import torch

import graphkd
from graphkd import Cached, Ensemble, Frozen
from graphkd.gnn._unstored import unstored
from graphkd.gnn.krd import KRD, agreement_rates, fitted_power, reliability, teaching_chance
from graphkd.losses import CE
from tests.core.models import CLASSES, NODES, gcn, graph
from tests.gnn.test_ffg2m import mlp
from tests.losses.example import NODES as FEW
from tests.losses.example import STUDENT, TEACHER, softmax


def entropy(row):
    return -sum(p * math.log(p) for p in softmax(row))


def test_reliability_is_the_change_of_entropy():
    changes = [abs(entropy(TEACHER[i]) - entropy(STUDENT[i])) for i in FEW]
    want = [change / max(changes) for change in changes]
    assert reliability(TEACHER, STUDENT).tolist() == pytest.approx(want, rel=1e-12)
    assert teaching_chance(reliability(TEACHER, STUDENT), 2.0).tolist() == pytest.approx([1 - d**2 for d in want])
    assert not reliability(TEACHER, TEACHER).any()


def test_rates_of_bins():
    delta = torch.tensor([0.0, 0.1, 0.24, 0.25, 0.6, 0.61, 0.62, 1.0], dtype=torch.float64)
    agree = torch.tensor([1, 1, 0, 1, 1, 0, 0, 0]).bool()
    x, y = agreement_rates(delta, agree, bins=4)
    assert x.tolist() == pytest.approx([0.05, 0.3, 0.55, 0.8])
    rates = [2 / 3, 1.0, 1 / 3, 0.0]
    assert y.tolist() == pytest.approx(rates, rel=1e-5)
    assert agreement_rates(delta, torch.ones(8).bool(), bins=1)[1].tolist() == pytest.approx([1.0], rel=1e-5)


def test_the_fitted_power_is_the_least_of_a_grid():
    generator = torch.Generator().manual_seed(0)
    x = torch.arange(20).double() / 20 + 0.025
    y = 1 - x**2.5 + 0.1 * torch.randn(20, generator=generator, dtype=torch.float64)
    grid = torch.arange(0.01, 8, 0.001, dtype=torch.float64)
    errors = (y - 1 + x ** grid[:, None]).square().sum(dim=1)
    assert fitted_power(x, y, 1.0) == pytest.approx(float(grid[errors.argmin()]), abs=1e-3)
    assert fitted_power(x, torch.full_like(x, 0.4), 3.0) == 3.0


def krd(**options):
    torch.manual_seed(0)
    return KRD(mlp(), Frozen(gcn(1)), CE(where="train_mask"), **options)


def test_edges_are_drawn_after_the_warm_up_with_the_chance_of_the_teaching_end():
    data = graph()
    data.entropy_change = (torch.arange(NODES) % 2).float()  # odd nodes never teach, even ones always
    trainable = krd(label_weight=0.0, temperature=1.0, warmup=1, momentum=1.0)
    learner, taught = data.edge_index[:, data.edge_index[0] != data.edge_index[1]]
    teacher = gcn(1).eval()(data.x, data.edge_index).detach().double()
    student = mlp().eval()(data.x).detach().double()

    def mean(kept):
        pairs = [*zip(learner[kept].tolist(), taught[kept].tolist(), strict=True), *((i, i) for i in range(NODES))]
        q, p = teacher.softmax(1), student.softmax(1)
        return float(torch.stack([(q[j] * (q[j] / p[i]).log()).sum() for i, j in pairs]).mean())

    for epoch, kept in ((0, torch.ones_like(taught).bool()), (1, taught % 2 == 0)):
        trainable.set_epoch(epoch, 10)
        assert float(trainable(data).loss.detach()) == pytest.approx(mean(kept), rel=1e-4)


def test_the_power_moves_to_what_agreement_says_and_is_part_of_the_state():
    data = graph()
    data.entropy_change = torch.linspace(0, 1, NODES)
    trainable = krd(warmup=0, momentum=0.5, bins=10)
    trainable(data)
    agree = trainable.answers(data).argmax(1) == gcn(1).eval()(data.x, data.edge_index).argmax(1)
    want = 0.5 + 0.5 * fitted_power(*agreement_rates(data.entropy_change, agree, 10), 1.0)
    assert float(trainable.power) == pytest.approx(want, rel=1e-5)
    assert "power" in trainable.state_dict()


def test_a_stored_teacher_is_asked_anew_about_noisy_features():
    data, other = graph(), graph()
    other.x = other.x + 1
    pair = [gcn(1), gcn(2)]
    want = torch.stack([model.eval()(other.x, other.edge_index) for model in pair]).mean(0)
    stored = Ensemble([Cached(model, data) for model in pair])
    stored(data)
    torch.testing.assert_close(unstored(stored)(other)["logits"], want)


def test_what_is_wrong_is_named():
    with pytest.raises(ValueError, match=r"'momentum' must be in \[0, 1\], 'bins' at least 1 and 'power' positive"):
        graphkd.distil("krd", mlp(), gcn(), graph(), momentum=1.5)
    with pytest.raises(ValueError, match=r"'label_weight' must be in \[0, 1\], got 2"):
        graphkd.distil("krd", mlp(), gcn(), graph(), label_weight=2)
    with pytest.raises(ValueError, match="'temperature' must be positive, got -1"):
        graphkd.distil("krd", mlp(), gcn(), graph(), temperature=-1)


def test_without_a_student_an_mlp_is_made():
    plain = graphkd.distil("krd", None, gcn(1), graph(), epochs=1, width=7, progress=False).model
    assert [lin.weight.size(0) for lin in plain.lins] == [7, 7, CLASSES]
