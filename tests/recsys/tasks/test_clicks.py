"""Clicks: what is taken at the door, and how models are judged."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from recsys.evaluate.clicks import quality
from recsys.tasks import Clicks
from tests.methods import recommenders


def test_models_are_judged_on_the_rows_of_a_part():
    rows, net, task = recommenders.rows(), recommenders.net(0), Clicks()
    for part, ids in (("val", rows.valid), ("test", rows.test)):
        with torch.no_grad():
            want = quality(net(rows.take(ids))["logits"], rows.columns["y"][ids])
        assert task.score(net, rows, part) == want
    assert list(task.progress(net, rows)) == ["auc"]


def test_a_net_of_ones_own_is_called_as_one_says():
    rows, net = recommenders.rows(), recommenders.net(0)

    class ByName(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, user, item, tags):
            return self.net({"user": user, "item": item, "tags": tags})["logits"]

    def call(model, batch):
        return model(batch["user"], batch["item"], batch["tags"])

    assert Clicks().score(ByName(), rows, "test", call) == Clicks().score(net, rows, "test")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"y": torch.full((240,), 2.0)}, "'y' must hold a number from 0 to 1 for every row, got shape"),
        ({"y": torch.zeros(240, 2)}, r"got shape \(240, 2\)"),
    ],
)
def test_other_labels_are_refused(columns, message):
    rows = recommenders.rows()
    with pytest.raises(ValueError, match=message):
        Clicks().prepare(replace(rows, columns={**rows.columns, **columns}))


def test_rows_without_clicks_are_refused():
    rows = recommenders.rows()
    columns = {name: column for name, column in rows.columns.items() if name != "y"}
    with pytest.raises(ValueError, match="'y', the clicks, must be a column of the rows, which have"):
        Clicks().prepare(replace(rows, columns=columns))
    with pytest.raises(TypeError, match=r"clicks are learnt from recsys.data.rows.Rows, got dict"):
        Clicks().prepare(columns)
