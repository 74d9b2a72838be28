"""Anomaly detection: the area under the curve, and labels that judge alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import graphkd
from graphkd.tasks import AnomalyDetection, area_under_curve


def test_area_under_curve():
    odd = torch.tensor([True, False, True, False, False])
    scores = torch.tensor([0.9, 0.1, 0.4, 0.4, 0.8])
    want = (1 + 1 + 1 + 1 + 0.5 + 0) / 6
    assert area_under_curve(scores, odd) == pytest.approx(want)
    assert area_under_curve(scores, odd.long()) == pytest.approx(want)
    with pytest.raises(ValueError, match="0 of 5 are 1"):
        area_under_curve(scores, torch.zeros(5))
    with pytest.raises(ValueError, match="'scores' must be finite, got 1 NaN or infinite of 5"):
        area_under_curve(torch.where(odd, torch.nan, scores)[[0, 1, 3, 4, 4]], odd)


class Sum(nn.Module):
    def __init__(self, keep=False):
        super().__init__()
        self.keep = keep

    def forward(self, x):
        return x.sum(dim=1, keepdim=self.keep)


def data(**more):
    x = torch.arange(12.0).reshape(6, 2)
    return {"x": x, "y": torch.tensor([0, 1, 0, 0, 1, 1]), **more}


@pytest.mark.parametrize("keep", [False, True])
def test_scores_of_all_rows_or_of_some(keep):
    task, model = AnomalyDetection(), Sum(keep)
    assert task.score(model, data())["auc"] == area_under_curve(torch.arange(6.0), data()["y"])
    judged = torch.arange(6) < 4
    found = AnomalyDetection(judged="test_mask").score(model, data(test_mask=judged))["auc"]
    assert found == area_under_curve(torch.arange(4.0), data()["y"][:4])
    halves = [{name: part[rows] for name, part in data().items()} for rows in (slice(3), slice(3, 6))]
    assert task.score(model, halves) == task.score(model, data())


def test_labels_judge_alone():
    task = AnomalyDetection(labels="odd")
    assert task.has("test", data(odd=data()["y"]))
    assert not task.has("test", data())
    assert not task.has("val", data(odd=data()["y"]))
    with pytest.raises(ValueError, match="anomalies are found without labels: choose 'uninformed' or 'ordinal'"):
        task.supervised()
    with pytest.raises(ValueError, match="'kd' is for node_classification"):
        graphkd.distil("kd", Sum(True), Sum(True), data(), task=task)


def test_what_comes_in():
    task = AnomalyDetection()
    assert task.prepare(data())["train_mask"].all()
    known = data(train_mask=torch.arange(6) < 2)
    assert task.prepare(known) is known
    with pytest.raises(ValueError, match=r"'y' must be 1 for what is odd and 0 for the rest, \(N,\)"):
        task.prepare({**data(), "y": torch.arange(6)})
    assert task.prepare(data(train_mask=torch.arange(2)))["train_mask"].tolist() == [True] * 2 + [False] * 4
    with pytest.raises(TypeError, match=r"'train_mask' must be a boolean mask or node ids, got torch\.float32"):
        task.prepare(data(train_mask=torch.ones(6)))
    with pytest.raises(ValueError, match=r"a model must answer one score a row, \(N,\) or \(N, 1\), got \(6, 2\)"):
        task.score(nn.Identity(), {"input": data()["x"], **data()})
