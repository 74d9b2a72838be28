"""ARD: the attack stays in its box and does harm, the loss is its formula, and the student withstands more."""

from __future__ import annotations

import pytest
import torch

import graphkd
from graphkd.core.batches import changed
from graphkd.losses import CE, KL, cross_entropy, kl
from graphkd.losses._perturbation import adversarial_change
from graphkd.schemes import RobustDistiller, ard, attacked
from graphkd.tasks import accuracy
from tests.core.models import gcn, graph
from tests.losses.example import LABELS, STUDENT, TEACHER
from tests.schemes.robust.scene import Linear, blobs

SEEN = CE(where="train_mask")


def test_ard():
    found = ard(STUDENT, STUDENT.flip(0), TEACHER, LABELS, 5.0, alpha=0.7)
    want = 0.7 * kl(STUDENT.flip(0), TEACHER, 5.0) + 0.3 * cross_entropy(STUDENT, LABELS)
    torch.testing.assert_close(found, want)
    thrice = ard(STUDENT, STUDENT.flip(0), TEACHER, LABELS, 5.0, reduction="elementmean")
    torch.testing.assert_close(3 * thrice, kl(STUDENT.flip(0), TEACHER, 5.0))


def test_a_linear_objective_is_followed_to_the_corner():
    slope = torch.tensor([[1.0, -2.0, 0.5]])
    found = adversarial_change(lambda x: (slope * x).sum(), torch.zeros(1, 3), 0.1, steps=20)
    torch.testing.assert_close(found, 0.1 * slope.sign())
    inside = adversarial_change(lambda x: (slope * x).sum(), torch.zeros(1, 3), 0.1, steps=20, bounds=(-0.02, 0.3))
    torch.testing.assert_close(inside, torch.tensor([[0.1, -0.02, 0.1]]))
    start = torch.full((1, 3), 0.05)
    assert torch.equal(adversarial_change(lambda x: x.sum(), torch.zeros(1, 3), 0.1, steps=0, start=start), start)
    with pytest.raises(ValueError, match="must be at least 0, got -1 and 5"):
        adversarial_change(lambda x: x.sum(), torch.zeros(1, 3), -1)


def test_attack_stays_in_its_box_and_raises_the_loss():
    data, model = graph(), gcn().eval()
    torch.manual_seed(0)
    worse = attacked(model, data, CE(where="test_mask"), 0.2)
    assert float((worse - data.x).abs().max()) <= 0.2 + 1e-6
    loss = CE(where="test_mask")
    before, after = (loss.measure({"logits": model(x, data.edge_index)}, None, data).item() for x in (data.x, worse))
    assert after > before + 0.01
    assert all(p.grad is None for p in model.parameters())


def test_step_is_the_formula():
    data, student, teacher = graph(), gcn(0).eval(), gcn(1)
    task = RobustDistiller(student, teacher, labels=SEEN, epsilon=0.1, steps=2, temperature=4.0, alpha=0.6)
    torch.manual_seed(1)
    found = task(data)
    torch.manual_seed(1)
    mask = data.train_mask
    plain, taught = (model(data.x, data.edge_index) for model in (student, teacher.eval()))
    worse = task.attacked(data, taught)
    soft = kl(student(worse, data.edge_index), taught, 4.0)
    want = 0.6 * soft + 0.4 * cross_entropy(plain[mask], data.y[mask])
    torch.testing.assert_close(found.loss, want)
    assert set(found.terms) == {"teacher", "labels"}
    assert set(RobustDistiller(gcn(0), teacher, labels=SEEN, steps=1)(data).terms) == {"teacher"}
    with pytest.raises(ValueError, match=r"'alpha' must be in \[0, 1\], got 2"):
        RobustDistiller(student, teacher, labels=SEEN, alpha=2)


def test_rows_without_labels_are_attacked_on_the_teachers_class():
    data, student, teacher = blobs(), Linear(), Linear()
    torch.nn.init.normal_(teacher.layer.weight)
    secret = changed(data, y=torch.where(data["train_mask"], data["y"], 1 - data["y"]))
    task = RobustDistiller(student, teacher, labels=SEEN, epsilon=0.1, steps=3, step_size=0.1)
    taught = teacher(data["x"])
    found = []
    for batch in (data, secret):
        torch.manual_seed(0)
        found.append(task.attacked(batch, taught))
    assert torch.equal(*found)  # labels of other rows are not read
    y = torch.where(data["train_mask"], data["y"], taught.argmax(dim=1))
    before, after = (student(x).log_softmax(dim=1).gather(1, y[:, None]) for x in (data["x"], found[0]))
    assert bool((after < before).all())  # of every row the class that it is attacked on becomes less likely
    torch.manual_seed(0)
    labelled = RobustDistiller(student, labels=SEEN, epsilon=0.1, steps=3, step_size=0.1).attacked(data)
    torch.testing.assert_close(labelled[data["train_mask"]], found[0][data["train_mask"]])


def test_one_step_from_zero_is_the_fast_gradient_sign():
    data, model = graph(), gcn().eval()
    x = data.x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(CE(where="test_mask").measure({"logits": model(x, data.edge_index)}, None, data), x)
    found = attacked(model, data, CE(where="test_mask"), 0.1, steps=1, step_size=0.1, start=torch.zeros_like(data.x))
    torch.testing.assert_close(found, data.x + 0.1 * slope.sign())


def test_robust_student_withstands_what_plain_kd_does_not():
    data, options = blobs(), {"epochs": 60, "progress": False}
    attack = {"epsilon": 0.5, "steps": 3, "step_share": 0.5}
    robust = graphkd.distil("adversarial", Linear(), None, data, **attack, **options).model
    plain = graphkd.distil("none", Linear(), None, data, **options).model
    students = {
        "kd": graphkd.distil(KL(4.0), Linear(), plain, data, **options),
        "ard": graphkd.distil("ard", Linear(), plain, data, temperature=4.0, **attack, **options),
        "ard_plain": graphkd.distil("ard_plain", Linear(), robust, data, temperature=4.0, **attack, **options),
    }
    found = {}
    for name, result in students.items():
        torch.manual_seed(0)
        worse = attacked(result.model, data, CE(where="test_mask"), 0.5)
        found[name] = accuracy(result.model, changed(data, x=worse))
    assert found["ard"] > 0.8 > 0.2 > found["kd"]
    assert found["ard_plain"] > 0.8
    assert [report["stage"] for report in students["ard"].history[::60]] == ["teacher", "student"]


def test_a_batch_without_labelled_rows():
    data, teacher = blobs(), Linear()
    data["train_mask"] = torch.zeros(400, dtype=torch.bool)
    step = RobustDistiller(Linear(), teacher, labels=SEEN, steps=1, alpha=0.5)(data)
    assert set(step.terms) == {"teacher"}
    assert float(RobustDistiller(Linear(), labels=SEEN, steps=1)(data).loss.detach()) == 0
