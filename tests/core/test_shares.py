"""How much each term moves the student: the definition, and that asking changes nothing."""

from __future__ import annotations

import copy

import pytest
import torch
from torch_geometric.nn import MLP

from graphkd import Distiller, distil, fit
from graphkd.core.distiller import Step
from graphkd.core.shares import shares_of
from graphkd.core.trainable import Trainable
from graphkd.losses import CE, KL

GENERATOR = torch.Generator().manual_seed(0)
DATA = {
    "x": torch.randn(40, 6, generator=GENERATOR),
    "y": torch.randint(3, (40,), generator=GENERATOR),
    "train_mask": torch.arange(40) < 20,
}


def models():
    torch.manual_seed(0)
    return MLP([6, 8, 3], norm=None, dropout=0.0), MLP([6, 16, 3], norm=None)


def test_shares_are_norms_of_gradients_over_their_sum():
    a, b = (torch.tensor(value, requires_grad=True) for value in ([1.0, 2.0], [3.0]))
    parts = {"one": (3 * a).sum() + 4 * b.sum(), "two": (a * 5).sum(), "none": torch.tensor(7.0)}
    one, two = (9 + 9 + 16) ** 0.5, 50**0.5
    found = shares_of(parts, [a, b])
    assert found == pytest.approx(
        {"share of one": one / (one + two), "share of two": two / (one + two), "share of none": 0}
    )
    assert shares_of({"none": torch.tensor(7.0)}, [a]) == {"share of none": 0}


def test_a_report_has_the_shares_of_its_epoch_and_training_is_the_same():
    student, teacher = models()
    plain, reports = copy.deepcopy(student), []
    losses = CE(where="train_mask") + 100.0 * KL(4.0)
    distiller = Distiller(student, teacher, losses)
    want = {}
    for name, loss in {"ce": CE(where="train_mask"), "kl": 100.0 * KL(4.0)}.items():
        alone = Distiller(plain, teacher, loss)
        slopes = torch.autograd.grad(alone(DATA).loss, list(plain.parameters()))
        want[name] = torch.cat([slope.flatten() for slope in slopes]).norm().item()
    fit(distiller, DATA, epochs=5, shares_every=2, log=reports.append)
    total = sum(want.values())
    assert reports[0]["share of kl"] == pytest.approx(want["kl"] / total, rel=1e-4)
    assert reports[0]["share of ce"] == pytest.approx(want["ce"] / total, rel=1e-4)
    assert ["share of kl" in report for report in reports] == [True, False, True, False, True]
    fit(Distiller(plain, teacher, losses), DATA, epochs=5)
    assert all(torch.equal(one, other) for one, other in zip(student.parameters(), plain.parameters(), strict=True))


def test_distil_tells_shares_of_methods_and_of_peers():
    student, teacher = models()
    history = distil("kd", student, teacher, DATA, epochs=2, shares_every=1).history
    assert all(report["share of ce"] + report["share of kl"] == pytest.approx(1) for report in history)
    history = distil("dml", student, None, DATA, epochs=2, shares_every=1, count=2).history
    names = [name for name in history[0] if name.startswith("share of ")]
    assert names == ["share of label_0", "share of soft_0", "share of label_1", "share of soft_1"]
    with pytest.raises(ValueError, match="'shares_every' must be at least 1, got 0"):
        fit(Distiller(student, teacher, KL()), DATA, epochs=1, shares_every=0)


class Two(Trainable):
    """A student of two terms, whose first is weighed."""

    def __init__(self, student):
        super().__init__()
        self.student = student

    def forward(self, batch):
        logits = self.student(batch["x"])
        terms = {"one": (3.0, logits.square().mean()), "two": (1.0, logits.abs().mean())}
        return Step(self.weighed(terms), {name: value.detach() for name, (_, value) in terms.items()})


def test_a_trainable_of_one_s_own_shows_its_weighed_terms():
    reports, student = [], models()[0]
    one, two = Two(student)(DATA).terms.values()
    fit(Two(student), DATA, epochs=1, shares_every=1, log=reports.append)
    assert reports[0]["loss"] == pytest.approx(float(3 * one + two))
    assert reports[0]["share of one"] + reports[0]["share of two"] == pytest.approx(1)
    assert 0 < reports[0]["share of two"] < 1
