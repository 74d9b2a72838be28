from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch_geometric.nn import MLP

from graphkd import Cached, Distiller, fit
from graphkd.gnn import GLNNBatches, NOSMOGDistiller, adversarial_change, nosmog
from graphkd.losses import CE
from graphkd.tasks import predict
from tests.core.models import CLASSES, FEATURES, NODES, gcn, graph

HIDDEN = ("lins.0", "convs.0")


def mlp(width: int = FEATURES) -> MLP:
    torch.manual_seed(0)
    return MLP([width, 64, CLASSES], norm=None, dropout=0.0)


def task_of(data, student, teacher, **options) -> NOSMOGDistiller:
    torch.manual_seed(1)
    return NOSMOGDistiller(student, Cached(teacher, data), HIDDEN, 64, **options)


def batches(data):
    torch.manual_seed(2)
    return list(GLNNBatches(data.x, data.y, data.train_mask.nonzero()[:, 0]))


def test_the_change_climbs_by_signs_within_epsilon():
    x = torch.tensor([[0.3, -0.2], [1.0, 0.0]], dtype=torch.float64)
    weight = torch.tensor([[1.0, -2.0], [0.0, 3.0]], dtype=torch.float64)
    epsilon = 0.1
    torch.manual_seed(0)
    found = adversarial_change(lambda x: (weight * x).sum() + x[0, 0] ** 2, x, epsilon, steps=3)
    torch.manual_seed(0)
    start = torch.rand(2, 2, dtype=torch.float64)
    for i in range(2):
        for j in range(2):
            value = epsilon * (2 * float(start[i, j]) - 1)
            for _ in range(3):
                slope = float(weight[i, j]) + (2 * (float(x[i, j]) + value) if (i, j) == (0, 0) else 0.0)
                value += epsilon / 4 * ((slope > 0) - (slope < 0))
                value = min(max(value, -epsilon), epsilon)
            assert float(found[i, j]) == pytest.approx(value)
    assert not found.requires_grad


@pytest.mark.parametrize("number", [0, 1], ids=["labelled", "taught"])
def test_a_step_is_answer_changed_answer_and_similarity(number):
    data, student, teacher = graph(), mlp(), gcn(1)
    task = task_of(data, student, teacher, label_weight=0.3, adversarial_weight=0.2, similarity_weight=0.5)
    change = 0.05 * torch.randn(NODES, FEATURES)
    task.change = lambda objective, x: change[: x.size(0)]
    batch = batches(data)[number]
    step, rows = task(batch), batch["n_id"]
    soft = teacher(data.x, data.edge_index).log_softmax(1)[rows].detach()

    def answer(x):
        log_p = student(x).log_softmax(1)
        return F.nll_loss(log_p, batch["y"]) if number == 0 else (soft.exp() * (soft - log_p)).sum(1).mean()

    with torch.no_grad():
        s = task.losses[2].head(student.lins[0](batch["x"])).relu()
        t = teacher.convs[0](data.x, data.edge_index)[rows]
        similarity = (s @ s.t() - t @ t.t()).square().mean()
    terms = {
        ("label", "teacher")[number]: answer(batch["x"]),
        "similarity": similarity,
        "adversarial": answer(batch["x"] + change[: len(rows)]),
    }
    assert {name: float(value) for name, value in step.terms.items()} == pytest.approx(
        {name: value.item() for name, value in terms.items()}, rel=1e-4
    )
    total = sum(terms.values()) - 0.8 * terms["adversarial"] - 0.5 * terms["similarity"]
    torch.testing.assert_close(step.loss, (0.3, 0.7)[number] * total, rtol=1e-4, atol=1e-6)


def test_the_published_label_step_has_gradients_of_zero_for_all_that_trains():
    data = graph()
    task = task_of(data, mlp(), gcn(1))
    task.change = None  # not asked
    loss, terms = task(batches(data)[0])
    loss.backward()
    assert loss == 0
    assert set(terms) == {"label", "similarity"}
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in task.parameters())


def test_the_change_of_a_training_step_raises_the_loss():
    data, student = graph(), mlp()
    task = task_of(data, student, gcn(1), epsilon=0.5)
    step = task(batches(data)[1])
    assert step.terms["adversarial"] > step.terms["teacher"]
    assert all(parameter.grad is None for parameter in task.parameters())


def test_the_student_learns_what_the_teacher_says_with_positions_beside_the_features():
    data = graph()
    teacher = fit(Distiller(gcn(1), losses=CE(where="train_mask")), data, epochs=50)
    position = torch.randn(NODES, 4, generator=torch.Generator().manual_seed(0))
    taught, whole = predict(teacher, data), torch.cat([data.x, position], dim=1)

    def agreement(model):
        return float((predict(model, {"x": whole}) == taught).float().mean())

    student = mlp(FEATURES + 4)
    before = agreement(student)
    options = {"similarity_weight": 0.01, "metric": agreement, "epochs": 80}
    trained = nosmog(student, teacher, data, hidden=HIDDEN, position=position, **options)
    assert agreement(trained) > max(before, 0.9)


def test_validation_sees_the_positions_too():
    data, reports = graph(), []
    position = torch.zeros(NODES, 2)
    student = nosmog(mlp(FEATURES + 2), gcn(1), data, hidden=HIDDEN, position=position, epochs=2, log=reports.append)
    right = predict(student, {"x": torch.cat([data.x, position], dim=1)}) == data.y
    assert max(report["metric"] for report in reports) == pytest.approx(float(right[data.val_mask].float().mean()))


def test_wrong_arguments_are_named():
    data = graph()
    with pytest.raises(ValueError, match=r"'label_weight' must be in \[0, 1\], got -1"):
        nosmog(mlp(), gcn(), data, hidden=HIDDEN, label_weight=-1)
