"""Regression: labels and masks as they come in, errors by loops, and the epoch that is chosen."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import graphkd
from graphkd import Cached
from graphkd.tasks import Regression


class Net(nn.Module):
    def __init__(self, seed=0, width=8):
        super().__init__()
        torch.manual_seed(seed)
        self.first, self.last = nn.Linear(3, width), nn.Linear(width, 1)

    def forward(self, x):
        return self.last(self.first(x).relu())


def rows(count=40, seed=0, **more):
    x = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))
    return {"x": x, "y": x[:, 0] - 2 * x[:, 1].abs(), **more}


def masks(count=40):
    place = torch.arange(count) % 4
    return {"train_mask": place < 2, "val_mask": place == 2, "test_mask": place == 3}


def run(method, data, task=None, teacher=None, **settings):
    options = {"epochs": 5, "progress": False, **settings}
    return graphkd.distil(method, Net(1), teacher, data, task=task or Regression(), **options)


# ------------------------------------------------------------- what comes in
@pytest.mark.parametrize(
    "change",
    [
        lambda data: {**data, "y": data["y"][:, None]},
        lambda data: {**data, "y": data["y"].double()},
        lambda data: {**data, "train_mask": data["train_mask"].nonzero()[:, 0]},
        lambda data: {
            **data,
            "y": torch.where(data["train_mask"], data["y"], torch.nan),
            "train_mask": torch.ones(40).bool(),
        },
    ],
    ids=["column", "float64", "ids", "nan"],
)
def test_forms_of_labels_and_masks(change):
    data = rows(**masks())
    del data["val_mask"], data["test_mask"]
    weights = [run("none", each).model.first.weight for each in (data, change(data))]
    torch.testing.assert_close(*weights)


def test_without_a_mask_all_labelled_rows_are_learnt():
    data = rows()
    data["y"][5:] = torch.nan
    weights = [run("none", each).model.first.weight for each in (data, {name: part[:5] for name, part in data.items()})]
    assert torch.equal(*weights)


def test_integers_are_numbers():
    data = {**rows(), "y": torch.arange(40)}
    assert Regression().prepare(data)["y"].dtype == torch.float32
    assert data["y"].dtype == torch.int64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": torch.zeros(40, 2)}, r"'y' must have the shape of the outputs, \(40, 1\), got \(40, 2\)"),
        ({"y": torch.zeros(40, 2, 2)}, r"'y' must hold numbers for each row, \(N,\) or \(N, k\), got .*\(40, 2, 2\)"),
        ({"train_mask": torch.ones(40)}, "'train_mask' must be a boolean mask or node ids, got torch.float32"),
        ({"train_mask": torch.ones(40, dtype=torch.long)}, "'train_mask' must be a boolean mask or node ids"),
        ({"train_mask": torch.ones(39).bool()}, "'train_mask' must be a mask of 40 rows, got 39"),
    ],
)
def test_wrong_data(change, message):
    with pytest.raises((TypeError, ValueError), match=message):
        run("none", {**rows(), **change})
    with pytest.raises(ValueError, match="a regression needs labels, as 'y', in the data"):
        run("none", {"x": rows()["x"]})


def test_outputs_without_a_column_are_the_same():
    flat, wide = Net(), Net()
    flat.load_state_dict(wide.state_dict())
    flat.forward = lambda x: flat.last(flat.first(x))[:, 0]
    wide.forward = lambda x: wide.last(wide.first(x))
    data = {**rows(), "val_mask": torch.arange(40) < 9}
    one, two = (graphkd.distil("none", each, None, data, task=Regression(), epochs=3) for each in (flat, wide))
    assert one.scores == two.scores
    assert torch.equal(one.model.last.weight, two.model.last.weight)


# ------------------------------------------------------------- scores
def errors(model, data, chosen):
    gaps = [float(model(data["x"][i : i + 1]).detach()) - float(data["y"][i]) for i in chosen.nonzero()[:, 0]]
    labels = data["y"][chosen].double()
    mse = sum(gap * gap for gap in gaps) / len(gaps)
    return {
        "explained": 1 - mse / float(((labels - labels.mean()) ** 2).mean()),
        "rmse": mse**0.5,
        "mae": sum(map(abs, gaps)) / len(gaps),
    }


def test_scores():
    data = rows(**masks())
    result = run("none", data)
    for part in ("val", "test"):
        assert result.scores[part] == pytest.approx(errors(result.model, data, data[f"{part}_mask"]), rel=1e-4)
    apart = rows(20, seed=3)
    apart["y"][:4] = torch.nan
    halves = [{name: part[rows] for name, part in apart.items()} for rows in (slice(10), slice(10, 20))]
    want = pytest.approx(errors(result.model, apart, torch.arange(20) >= 4), rel=1e-4)
    for given in (apart, halves):
        found = run("none", data, Regression(test=given))
        assert found.scores["test"] == want
        assert found.scores["val"] == result.scores["val"]
    assert run("none", rows()).scores == {}


def test_the_epoch_is_that_of_the_largest_explained_share():
    data = rows(**masks())
    found = run("none", data, epochs=40, optimizer=lambda p: torch.optim.Adam(p, lr=0.5))
    shares = [report["explained"] for report in found.history]
    assert found.scores["val"]["explained"] == pytest.approx(max(shares), rel=1e-6)
    assert "rmse" not in found.history[0]  # an error that grows would count as a best
    patient = run("none", data, epochs=400, patience=3, optimizer=lambda p: torch.optim.Adam(p, lr=0.5))
    assert len(patient.history) < 400


def test_constant_labels_have_finite_scores():
    data = {**rows(**masks()), "y": torch.zeros(40)}
    assert torch.isfinite(torch.tensor(run("none", data).scores["test"]["explained"]))


# ------------------------------------------------------------- methods of both tasks
def test_soft_targets_are_squared_distances():
    data, teacher = rows(**masks()), Net(2, 16)
    s, t, train = Net(1)(data["x"]), teacher(data["x"]), data["train_mask"]
    want = 0.5 * (s[train, 0] - data["y"][train]).square().mean() + 0.5 * (s - t).square().mean()
    for known in (teacher, Cached(teacher, data)):
        report = run("kd", data, teacher=known, label_weight=0.5, epochs=1).history[0]
        assert report["loss"] == pytest.approx(float(want.detach()), rel=1e-5)


def test_a_method_of_classes_is_refused():
    with pytest.raises(
        ValueError,
        match="'dkd' is for node_classification and graph_classification: give such a 'task', got 'regression'",
    ):
        run("dkd", rows(), teacher=Net(2))
    assert {"none", "kd", "srrl", "cakd", "activation_records"} <= {
        row.name for row in graphkd.methods(task=Regression)
    }
