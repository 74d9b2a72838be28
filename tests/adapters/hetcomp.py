"""Adapters of HetComp's cases: rename, call, return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from recsys.losses.hetcomp import hetcomp_overall, hetcomp_rank, list_ndcg, stage_discrepancy
from recsys.models import Tables
from tests.adapters.params import settings
from tests.adapters.recsys import Inputs, tables


def hetcomp(loss: Callable[..., Tensor]) -> Callable[[Inputs, dict], Inputs]:
    def adapter(inputs: Inputs, params: dict) -> Inputs:
        scores = Tables(*tables(inputs, "student")).score_items(inputs["users"])
        lists = inputs["positive_items"], inputs["top_items"]
        knobs = settings(params, score_clamp=40.0, floor=1e-5)
        options = {"clamp": knobs["score_clamp"], "floor": knobs["floor"]}
        return {"loss": loss(scores, *lists, inputs["train_mask"], **options)}

    return adapter


def hetcomp_discrepancy(inputs: Inputs, params: dict) -> Inputs:
    student, teacher, observed = (inputs[f"{name}_items"][None] for name in ("student_sorted", "teacher", "train"))
    knobs = {"k": params["k"], "decay": params["tau"], "decimals": params.get("rounded")}
    return {
        "ndcg": list_ndcg(student, teacher, observed, **knobs).squeeze(0),
        "discrepancy": stage_discrepancy(student, teacher, observed, **knobs).squeeze(0),
    }


ADAPTERS: dict[str, Callable[[Inputs, dict], dict[str, Any]]] = {
    "hetcomp_discrepancy": hetcomp_discrepancy,
    "hetcomp_overall": hetcomp(hetcomp_overall),
    "hetcomp_rank": hetcomp(hetcomp_rank),
}
