"""Labels apart: what comes in, what is learnt of unknown entries, and scores by their definitions."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.nn import MLP

import graphkd
from graphkd.losses import BCE
from graphkd.tasks import MultiLabelNodeClassification

LABELS = 3


def graph(rows: int = 120, seed: int = 0) -> Data:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 6, generator=generator)
    place = torch.arange(rows) % 4
    return Data(
        x=x,
        y=(x[:, :LABELS] + 0.3 * torch.randn(rows, LABELS, generator=generator) > 0).float(),
        edge_index=torch.randint(rows, (2, 4 * rows), generator=generator),
        train_mask=place < 2,
        val_mask=place == 2,
        test_mask=place == 3,
    )


def net(seed: int = 0, width: int = 16) -> MLP:
    torch.manual_seed(seed)
    return MLP([6, width, LABELS], norm=None)


def run(method, data, teacher=None, **options):
    return graphkd.distil(
        method, net(1), teacher, data, task=MultiLabelNodeClassification(), progress=False, **{"epochs": 30, **options}
    )


def test_a_student_learns_labels_and_the_teacher_s():
    data = graph()
    teacher = run("none", data, epochs=80)
    assert teacher.scores["test"]["micro_f1"] > 0.75
    bare = data.clone()
    bare.train_mask = torch.arange(120) == int(data.train_mask.nonzero()[0])
    alone, taught = (
        graphkd.distil(
            method, net(2), teacher.model, bare, task=MultiLabelNodeClassification(), epochs=80, progress=False
        )
        for method in ("none", "kd")
    )
    assert taught.scores["test"]["micro_f1"] > alone.scores["test"]["micro_f1"] + 0.05


def test_unknown_entries_are_not_learnt():
    data = graph()
    hidden = data.clone()
    unknown = torch.rand(data.y.shape, generator=torch.Generator().manual_seed(1)) < 0.5
    hidden.y = torch.where(unknown, torch.nan, data.y)
    known = data.train_mask & ~unknown.all(dim=1)
    hidden.train_mask, hidden.val_mask, hidden.test_mask = (
        mask & ~unknown.all(dim=1) for mask in (data.train_mask, data.val_mask, data.test_mask)
    )
    logits, rows = net()(data.x)[known], (~unknown)[known]
    each = torch.nn.functional.binary_cross_entropy_with_logits(logits[rows], data.y[known][rows])
    torch.testing.assert_close(BCE()(logits, y=hidden.y[known]), each)
    assert run("none", hidden).scores["test"]["micro_f1"] > 0.6


def test_scores_are_those_of_their_definitions():
    from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

    data, model = graph(), net()
    data.y[:, 2] = torch.where(torch.arange(120) % 3 == 0, torch.nan, data.y[:, 2])
    task = MultiLabelNodeClassification(metrics=("micro_f1", "macro_f1", "roc_auc", "average_precision"))
    found = task.score(model, task.prepare(data), "test")
    logits, y = model(data.x)[data.test_mask].detach(), data.y[data.test_mask]
    columns = [(logits[~y[:, c].isnan(), c].numpy(), y[~y[:, c].isnan(), c].numpy()) for c in range(LABELS)]
    flat = [torch.cat([torch.as_tensor(column[side]) for column in columns]).numpy() for side in (0, 1)]
    mean = {
        "macro_f1": lambda s, y: f1_score(y, s > 0),
        "roc_auc": lambda s, y: roc_auc_score(y, s),
        "average_precision": lambda s, y: average_precision_score(y, s),
    }
    wanted = {name: sum(one(*column) for column in columns) / LABELS for name, one in mean.items()}
    assert found == pytest.approx({**wanted, "micro_f1": f1_score(flat[1], flat[0] > 0)}, rel=1e-5)


def test_a_label_that_all_have_is_left_out_of_curves():
    data, model = graph(), net()
    two = MultiLabelNodeClassification(metrics=("roc_auc",))
    before = two.score(model, two.prepare(data), "test")["roc_auc"]
    logits, y = model(data.x)[data.test_mask].detach(), data.y[data.test_mask]
    data.y[:, 0] = 1.0
    after = two.score(model, two.prepare(data), "test")["roc_auc"]
    first = float((logits[y[:, 0] == 1, 0][:, None] > logits[y[:, 0] == 0, 0]).double().mean())
    assert after == pytest.approx((3 * before - first) / 2, rel=1e-6)
    data.y[:] = 1.0
    with pytest.raises(ValueError, match="no label stands for some of the judged rows and not for others"):
        two.score(model, two.prepare(data), "test")


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (torch.zeros(120, dtype=torch.long), r"must hold 0 or 1 for each label of each node, \(N, L\), got \(120,\)"),
        (torch.full((120, 3), -1.0), "'y' must hold 0, 1 or NaN for unknown"),
        (torch.full((120, 3), 0.5), "'y' must hold 0, 1 or NaN for unknown"),
        (torch.zeros(119, 3), "'y' must hold a label for each of 120 nodes, got 119"),
        (torch.full((120, 3), torch.nan), "'train_mask' selects nodes whose 'y' is negative or NaN"),
    ],
)
def test_wrong_labels(y, words):
    data = graph()
    data.y = y
    with pytest.raises(ValueError, match=words):
        run("none", data)


def test_a_model_of_other_width_is_refused():
    with pytest.raises(ValueError, match=r"a logit for each label, \(120, 3\), got \(120, 2\)"):
        MultiLabelNodeClassification().score(MLP([6, 2]), graph(), "test")


def test_metrics_have_names():
    with pytest.raises(ValueError, match=r"'metrics' must be some of \['average_precision', .*\], got \('f1',\)"):
        MultiLabelNodeClassification(metrics=("f1",))
