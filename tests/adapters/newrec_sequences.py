"""Adapters of DLLM2Rec's, EMKD's and SLMRec's cases: rename, call, return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recsys.losses.dllm2rec import dllm2rec
from recsys.losses.emkd import emkd
from recsys.losses.slmrec import slmrec
from tests.adapters.recsys import Inputs


def dllm2rec_case(inputs: Inputs, params: dict) -> Inputs:
    k = params["candidate_topk"]
    given = [inputs["targets"], inputs["negatives"].squeeze(1), inputs["candidates"][:, :k], inputs["distances"][:, :k]]
    options = {
        "lam": params["lam"],
        "dros": params["dros_weight"],
        "item_weights": inputs["item_weights"],
        "temperature": params["dros_temperature"],
        "shares": tuple(params[f"gamma_{name}"] for name in ("position", "confidence", "consistency")),
        "decay": params["position_decay"],
    }
    found = dllm2rec(inputs["logits"], *given, **options)._asdict()
    return found | {"loss_row_wise": dllm2rec(inputs["logits"], *given, **options, row_wise=True).loss}


def emkd_case(inputs: Inputs, params: dict) -> Inputs:
    found = emkd(
        *(inputs[name] for name in ("anchors", "positives", "logits", "labels", "attribute_logits")),
        inputs["attributes"][inputs["tokens"]],
        tau=params["tau"],
        contrast=params["lambda_"],
        mutual=params["mu"],
        padding=params["padding_label"],
    )
    return found._asdict()


def slmrec_case(inputs: Inputs, params: dict) -> Inputs:
    options = {"cosine_weight": params["cosine_weight"], "norm_weight": params["l2_weight"]}
    found = slmrec(inputs["student_states"], inputs["teacher_states"], params["blocks"], **options)
    multi = params["multi_weight"] * inputs["multi"]
    return {"loss": inputs["supervised"] + found + multi, "distillation": found}


ADAPTERS: dict[str, Callable[[Inputs, dict], dict[str, Any]]] = {
    "dllm2rec": dllm2rec_case,
    "dllm2rec_dros": dllm2rec_case,
    "emkd": emkd_case,
    "slmrec": slmrec_case,
}
