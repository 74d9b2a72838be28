"""Adapters of the cases of ranking evaluation: rename, call, return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from recsys import Interactions
from recsys.evaluate import full_ranking, leave_one_out
from recsys.models import Tables
from tests.adapters.recsys import Inputs, tables


def double(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def eval_loo(inputs: Inputs, params: dict) -> Inputs:
    model = Tables(*tables(inputs, "student"))
    letters = {"H": "hit", "N": "ndcg", "M": "mrr"}
    outputs = {}
    for side, other in (("test", "valid"), ("valid", "test")):
        values = leave_one_out(
            model,
            inputs[f"{side}_items"],
            inputs["candidate_items"],
            removed=inputs[f"{other}_items"],
            cutoffs=params["cutoffs"],
        )
        for letter, name in letters.items():
            outputs |= {f"{side}_{letter}{n}": double(values[f"{name}@{n}"]) for n in params["cutoffs"]}
    return outputs


def eval_full(inputs: Inputs, params: dict) -> Inputs:
    model = Tables(*tables(inputs, "student"))
    sizes = model.num_users, model.num_items
    pairs = {
        name: Interactions.from_pairs(*inputs[f"{name}_pairs"].unbind(1), *sizes) for name in ("train", "valid", "test")
    }
    letters = {"R": "recall", "N": "ndcg", "P": "capped_recall"}
    outputs = {}
    for side, other in (("test", "valid"), ("valid", "test")):
        names = {f"{side}_{letter}{n}": f"{name}@{n}" for letter, name in letters.items() for n in params["cutoffs"]}
        values = full_ranking(model, pairs[side], (pairs["train"], pairs[other]), names.values())
        outputs |= {ours: double(values[theirs]) for ours, theirs in names.items()}
    return outputs


ADAPTERS: dict[str, Callable[[Inputs, dict], dict[str, Any]]] = {"eval_full": eval_full, "eval_loo": eval_loo}
