from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch_geometric.nn import MLP
from torch_geometric.utils import add_self_loops

import graphkd
from graphkd import Cached, Distiller, fit
from graphkd.gnn import GLNNBatches, NOSMOGDistiller, Positioned, deepwalk
from graphkd.losses import CE
from graphkd.losses._perturbation import adversarial_change
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
    del data.val_mask  # the last epoch, which is not the best on random labels
    teacher = fit(Distiller(gcn(1), losses=CE(where="train_mask")), data, epochs=50)
    position = torch.randn(NODES, 4, generator=torch.Generator().manual_seed(0))
    taught = predict(teacher, data)

    def agreement(model):
        return float((predict(model, data) == taught).float().mean())

    options = {"similarity_weight": 0.01, "positions": position, "hidden": "convs.0", "width": 64, "dropout": 0.0}
    before, trained = (graphkd.distil("nosmog", None, teacher, data, epochs=n, **options).model for n in (0, 80))
    assert isinstance(trained, Positioned)
    assert agreement(trained) > max(agreement(before), 0.8)


def test_validation_sees_the_positions_too():
    data, reports = graph(), []
    options = {"hidden": "convs.0", "positions": torch.randn(NODES, 2), "log": reports.append, "epochs": 2}
    result = graphkd.distil("nosmog", None, gcn(1), data, **options)
    right = predict(result.model, data) == data.y
    best = max(report["accuracy"] for report in reports)
    assert best == result.scores["val"]["accuracy"] == pytest.approx(float(right[data.val_mask].float().mean()))


def test_positions_are_walked_once_a_run_and_saved_with_the_student(tmp_path):
    data = graph()
    options = {"hidden": "convs.0", "position_width": 3, "walks": 2, "walk_length": 5, "seed": 4}
    first = graphkd.distil("nosmog", None, gcn(1), data, epochs=1, checkpoint=tmp_path / "run", **options)
    looped, _ = add_self_loops(data.edge_index, num_nodes=NODES)
    want = deepwalk(looped, NODES, 3, per_node=2, length=5, seed=4)
    assert torch.equal(first.model.position, want)
    known = graphkd.load(tmp_path / "run" / "once" / "positions.pt")
    assert torch.equal(known, want)
    first.save(tmp_path / "student")
    made = graphkd.distil("nosmog", None, gcn(1), data, epochs=0, **{**options, "seed": 5}).model
    other = type(first).load(tmp_path / "student", made).model
    assert torch.equal(other.position, want)
    assert torch.equal(predict(other, data), predict(first.model, data))


def test_it_knows_the_nodes_of_its_graph_and_can_be_told_of_others():
    data = graph()
    model = graphkd.distil(
        "nosmog", None, gcn(1), data, hidden="convs.0", positions=torch.randn(NODES, 2), epochs=1
    ).model
    more = torch.cat([data.x, data.x[:1]])
    with pytest.raises(ValueError, match="'x' must be of the 30 nodes whose positions are known, got 31"):
        model(more)
    seen = torch.arange(NODES + 1) < NODES
    edges = torch.cat([data.edge_index, torch.tensor([[3, 5], [NODES, NODES]])], dim=1)
    larger = model.extended(seen, edges)
    torch.testing.assert_close(larger.position[-1], model.position[[3, 5]].mean(0))
    torch.testing.assert_close(larger(more)[:NODES], model(data.x))


def test_wrong_arguments_are_named():
    data, options = graph(), {"hidden": "convs.0", "positions": torch.zeros(NODES, 2)}
    with pytest.raises(ValueError, match=r"'label_weight' must be in \[0, 1\], got -1"):
        graphkd.distil("nosmog", None, gcn(), data, label_weight=-1, **options)
    with pytest.raises(ValueError, match="'nosmog' cannot take a loader: its positions come from walks"):
        graphkd.distil("nosmog", None, gcn(), [data], **options)


def test_a_student_that_is_given_is_not_used_and_that_is_said(caplog):
    options = {"hidden": "convs.0", "positions": torch.zeros(NODES, 2), "epochs": 0}
    model = graphkd.distil("nosmog", mlp(), gcn(), graph(), **options).model
    assert isinstance(model, Positioned)
    assert "'nosmog' does not use the 'student' it was given: it brings an MLP that reads positions" in caplog.text
