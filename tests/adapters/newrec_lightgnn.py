"""Adapters of LightGNN's cases: rename, call, return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from recsys.losses.lightgnn import edge_sizes, largest, layers_of, soft_pairs, spread, subspaces, table_contrast
from tests.adapters.recsys import Inputs, tables


def gaps(sides: tuple[Tensor, Tensor], users: Tensor, first: Tensor, second: Tensor) -> Tensor:
    return (sides[0][users] * (sides[1][first] - sides[1][second])).sum(dim=1)


def off(params: dict) -> list[str]:
    """The parts that a case leaves out; subspaces begin with a later run."""
    within = params["hyper_contr_start_prn_run"] <= params["run"] <= params["hyper_contr_end_prn_run"]
    used = {"subspace": params["use_subspcreg"] and within, "self_contrast": params["use_contr_deno"]}
    return [name for name, there in used.items() if not there]


def lightgnn(inputs: Inputs, params: dict) -> Inputs:
    sizes = [params["num_users"], params["num_items"]]
    raw = torch.cat(tables(inputs, "student"))
    mask, weights = inputs["embedding_mask"], inputs["edge_weights"]
    values = inputs["student_values"] * weights * inputs["edge_mask"]
    own = tuple(sum(layers_of(mask * raw, inputs["student_edges"], values, params["student_layers"])).split(sizes))
    taught = [torch.cat(tables(inputs, "teacher")), inputs["teacher_edges"], inputs["teacher_values"]]
    deep = layers_of(*taught, params["teacher_layers"])
    teacher, high = sum(deep).split(sizes), sum(deep[2:]).split(sizes)
    drawn = [inputs[f"drawn_{name}"] for name in ("users", "first", "second")]
    ids = inputs["users"].unique(), inputs["positive_items"].unique()
    rows = inputs["users"], inputs["positive_items"], inputs["negative_items"]
    shown = (mask * raw).split(sizes) if params.get("use_ly0emb4subspcreg") else own
    parts = {
        "supervised": -F.logsigmoid(gaps(own, *rows)).mean(),
        "soft": soft_pairs(gaps(own, *drawn), gaps(teacher, *drawn), params["tempsoft"]),
        "contrast": sum(table_contrast(own[k], high[k], ids[k], params["tempcd"]) for k in (0, 1)),
        "self_contrast": spread(own, *ids, params["tempsc"]),
        "subspace": subspaces(shown, mask.split(sizes), *ids, params["loosen"], params["tempsubsp"]),
        "l2": params["reg"] * raw.square().sum() + params["ereg"] * weights.square().sum(),
    }
    for name in off(params):
        parts[name] = parts[name] * 0
    names = {"soft": "softreg", "contrast": "cdreg", "self_contrast": "screg", "subspace": "subspcreg"}
    loss = sum(params[names[name]] * part if name in names else part for name, part in parts.items())
    return parts | {"loss": loss, "propagated_user": own[0], "propagated_item": own[1]}


def lightgnn_prune(inputs: Inputs, params: dict) -> Inputs:
    judged = inputs["edge_weights"] * inputs["edge_mask"]
    if params["augmented"]:
        guide = [inputs[f"guide_{name}"] for name in ("embeddings", "edges", "edge_weights")]
        facts = inputs["edge_weights"], inputs["edge_mask"], inputs["edges"], *guide
        judged = edge_sizes(*facts, aug1=params["aug1"], aug2=params["aug2"])
    users, items = inputs["user_embeddings"], inputs["item_embeddings"]
    edges = largest(judged, params["edge_fraction"]).double()
    entries = largest(torch.cat([users, items]), params["entry_fraction"]).double()
    kept = entries.split([len(users), len(items)])
    return {
        "new_edge_mask": edges,
        "new_embedding_mask": entries,
        "new_user_embeddings": users * kept[0],
        "new_item_embeddings": items * kept[1],
        "edges_kept_percent": 100 * edges.mean(),
        "entries_kept_percent": 100 * entries.mean(),
    }


ADAPTERS: dict[str, Callable[[Inputs, dict], dict[str, Any]]] = {
    "lightgnn": lightgnn,
    "lightgnn_prune": lightgnn_prune,
}
