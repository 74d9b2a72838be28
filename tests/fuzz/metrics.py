"""Metrics as functions of a draw: what models show is drawn, what is judged is a number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import graphkd.tasks as tasks
import recsys.evaluate as evaluate
from recsys.data import Sequences, SequenceSplit
from recsys.models import MF, SequentialRecommender
from tests.fuzz.draw import Draw
from tests.fuzz.given import ITEMS, USERS, interactions, labels, student, teacher


class Shown(nn.Module):
    """A model that answers the same rows to any batch."""

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        self.rows = rows.detach()

    def forward(self, x: Tensor) -> Tensor:
        return self.rows


def _data(draw: Draw) -> dict[str, Tensor]:
    rows = draw.sizes["rows"]
    mask = draw.integers("mask", (rows,), 3) > 0
    return {"x": torch.zeros(rows, 1), "y": labels(draw), "train_mask": ~mask, "test_mask": mask}


def _scores(draw: Draw) -> Tensor:
    return draw.rows("scores", draw.sizes["rows"], differentiable=False)


def _binary(draw: Draw) -> Tensor:
    return draw.integers("binary", (draw.sizes["rows"],), draw.choose("binary", (1, 2, 2, 2)))


def _score(task: Any, draw: Draw, **data: Tensor) -> float:
    batch = task.prepare(_data(draw) | data)
    return list(task.score(Shown(student(draw)), batch).values())


def _regression(draw: Draw) -> Any:
    draw.sizes["width"] = 1
    return _score(tasks.Regression(), draw, y=draw.rows("numbers", draw.sizes["rows"], differentiable=False))


def _anomaly(draw: Draw) -> Any:
    draw.sizes["width"] = 1
    return _score(tasks.AnomalyDetection(), draw, y=_binary(draw))


def _graphs(draw: Draw) -> Any:
    batch = {"x": torch.zeros(1), "y": labels(draw)}
    return tasks.GraphClassification(test=[batch]).score(Shown(student(draw)), None)["accuracy"]


def _recommender(draw: Draw) -> MF:
    model = MF(USERS, ITEMS, 3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(draw.rows(name, *parameter.shape, differentiable=False))
    return model.to(draw.narrow)


def _full_ranking(draw: Draw) -> list[float]:
    return list(evaluate.full_ranking(_recommender(draw), interactions(draw), _nothing(draw)).values())


def _nothing(draw: Draw) -> Any:
    empty = torch.zeros(0, dtype=torch.long)
    return type(interactions(draw)).from_pairs(empty, empty, USERS, ITEMS)


class _Repeats(SequentialRecommender):
    """The state after a history is the row of its last item."""

    def __init__(self, table: Tensor) -> None:
        super().__init__(len(table), 2)
        self.table = nn.Parameter(table)

    def last(self, sequences: Tensor, lengths: Tensor, owners: Tensor | None = None) -> Tensor:
        return self.table[sequences[torch.arange(len(lengths)), lengths - 1]]

    def items(self) -> Tensor:
        return self.table


def _next_item(draw: Draw) -> list[float]:
    users = torch.arange(1, USERS + 1).repeat_interleave(3)
    events = Sequences.from_events(users, 1 + draw.integers("events", users.shape, ITEMS - 1), num_items=ITEMS)
    model = _Repeats(draw.rows("item", ITEMS, 3, differentiable=False)).to(draw.narrow)
    return list(evaluate.next_item_ranking(model, SequenceSplit.leave_one_out(events, 2).test).values())


def _leave_one_out(draw: Draw) -> list[float]:
    targets = draw.integers("targets", (USERS,), ITEMS)
    return list(evaluate.leave_one_out(_recommender(draw), targets, torch.arange(ITEMS).expand(USERS, -1)).values())


def _sampled_ranking(draw: Draw) -> list[float]:
    users, items = interactions(draw).pairs()
    held = draw.integers("held", (len(users),), 2) > 0
    held |= users.diff(prepend=users[:1] - 1) != 0  # everybody has something to find
    drawn = evaluate.Candidates(users, items, held)
    return list(evaluate.sampled_ranking(_recommender(draw), drawn, ["recall@2", "ndcg@2"]).values())


METRICS: dict[str, Callable[[Draw], Any]] = {
    "tasks.accuracy": lambda draw: tasks.accuracy(Shown(student(draw)), _data(draw)),
    "tasks.predict": lambda draw: tasks.predict(Shown(student(draw)), _data(draw)),
    "tasks.fidelity": lambda draw: tuple(tasks.fidelity(Shown(student(draw)), Shown(teacher(draw)), _data(draw))),
    "tasks.area_under_curve": lambda draw: tasks.area_under_curve(_scores(draw), _binary(draw)),
    "tasks.NodeClassification": lambda draw: _score(tasks.NodeClassification(), draw),
    "tasks.GraphClassification": _graphs,
    "tasks.Regression": _regression,
    "tasks.AnomalyDetection": _anomaly,
    "evaluate.auc": lambda draw: evaluate.auc(_scores(draw), _binary(draw)),
    "evaluate.expected_calibration_error": lambda draw: evaluate.expected_calibration_error(
        _scores(draw), _binary(draw)
    ),
    "evaluate.quality": lambda draw: list(evaluate.quality(_scores(draw), _binary(draw)).values()),
    "evaluate.full_ranking": _full_ranking,
    "evaluate.next_item_ranking": _next_item,
    "evaluate.leave_one_out": _leave_one_out,
    "evaluate.prediction_values": lambda draw: list(
        evaluate.prediction_values(_scores(draw), _binary(draw).double(), ["mae", "rmse"]).values()
    ),
    "evaluate.sampled_ranking": _sampled_ranking,
}
