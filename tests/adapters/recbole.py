"""Adapters of the cases of RecBole's evaluation: rename, call, return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from recsys import Interactions
from recsys.evaluate import Candidates, full_ranking, prediction_values, sampled_ranking
from recsys.models import Recommender
from tests.adapters.evaluation import double
from tests.adapters.recsys import Inputs

KINDS = ("recall", "mrr", "ndcg", "hit", "precision", "map")
SPREADS = ("itemcoverage", "averagepopularity", "shannonentropy", "giniindex", "tailpercentage")


class Given(Recommender):
    """A model that gives these scores of all items."""

    has_tables = False

    def __init__(self, scores: Tensor) -> None:
        super().__init__(*scores.shape)
        self.register_buffer("scores", scores)

    def score(self, users: Tensor, items: Tensor) -> Tensor:
        return self.scores[torch.broadcast_tensors(users, items)]

    def score_items(self, users: Tensor) -> Tensor:
        return self.scores[users]


def outputs(values: dict[str, float]) -> Inputs:
    return {name.replace("@", "_at_"): double(value) for name, value in values.items()}


def full(inputs: Inputs, params: dict) -> Inputs:
    scores = inputs["scores"]
    sizes = scores.shape

    def pairs(name: str) -> Interactions:
        users, items = inputs[name].bool().nonzero().unbind(1)
        return Interactions.from_pairs(users, items, *sizes, padding=False)

    names = [f"{kind}@{k}" for kind in (*KINDS, *SPREADS) for k in params["topk"]]
    padding = torch.zeros_like(inputs["history"], dtype=torch.bool)
    padding[:, params["padding_item"]] = True  # here users are counted from 0, items are not
    inputs["history"] = inputs["history"].bool() | padding
    values = full_ranking(
        Given(scores),
        pairs("positive"),
        pairs("history"),
        [*names, "gauc"],
        popularity=inputs["item_counts"],
        tail=params["tail_ratio"],
        ties="sorted",
    )
    return outputs(values)


def sampled(inputs: Inputs, params: dict) -> Inputs:
    rows, items = inputs["row_index"], inputs["item_index"]
    scores = torch.zeros(params["num_users"], params["num_items"], dtype=torch.float64)
    scores[rows, items] = inputs["scores"]
    keys = rows * params["num_items"] + items
    held = inputs["positive_rows"] * params["num_items"] + inputs["positive_items"]
    names = [f"{kind}@{k}" for kind in KINDS for k in params["topk"]]
    candidates = Candidates(rows, items, torch.isin(keys, held))
    return outputs(sampled_ranking(Given(scores), candidates, [*names, "gauc"], ties="sorted"))


def labeled(inputs: Inputs, _: dict) -> Inputs:
    return outputs(prediction_values(inputs["predictions"], inputs["labels"], ["auc", "logloss", "mae", "rmse"]))


ADAPTERS: dict[str, Callable[[Inputs, dict], dict[str, Any]]] = {
    "recbole_full": full,
    "recbole_sampled": sampled,
    "recbole_labeled": labeled,
}
