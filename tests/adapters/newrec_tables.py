"""Adapters of PCKD's, FreqD's and GraphD's cases: rename, call, return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from recsys import Interactions
from recsys.data.entity_graphs import EntityGraph, co_occurrence
from recsys.losses import PCKD, FreqD, GraphD
from recsys.losses._tables import Triplets
from recsys.losses.pckd import PCKDTerms
from tests.adapters.recsys import Inputs, put, tables, widths


def pckd(inputs: Inputs, params: dict) -> Inputs:
    loss = PCKD(
        *widths(inputs),
        params["num_experts"],
        alpha=params["alpha"],
        form="batch" if params["samples"] == "batch" else params["regularizer"],
        tau=params["tau"],
        temperature=params["temperature"],
        gate_eps=params["gate_eps"],
    )
    put_experts(loss, inputs)
    users, student, teacher = inputs["users"], tables(inputs, "student"), tables(inputs, "teacher")
    items = [inputs["sampled_items"][users]] if "sampled_items" in inputs else batch_items(inputs)
    if loss.form == "pair":
        items = [items[0][:, :2]]
    batch = Triplets(users, inputs["positive_items"], inputs["negative_items"])
    gumbel = noise(inputs) if params["num_experts"] > 1 else {}
    de = loss.terms(student, teacher, batch, gumbel)
    order = loss.order(student, teacher, users, torch.cat(items, dim=1), gumbel)
    facts = batch._asdict() | {"preferred": items[0], "gumbel": gumbel}
    return {
        "loss": loss(student, teacher, **facts),
        "regularizer": order,
        "de": loss.total(PCKDTerms(*de, order * 0)),
    }


def put_experts(loss: Any, inputs: Inputs) -> None:
    """Put both sides' weights into their places; the cases of newer methods leave out ``expert_``."""
    names = {
        f"{side}_{name}": f"{side}_expert_{name}" for side in ("user", "item") for name in ("w1", "b1", "w2", "b2")
    }
    renamed = {names.get(name, name): value for name, value in inputs.items()}
    put(loss.users, renamed, "user")
    put(loss.items, renamed, "item")


def filtered(kind: type[FreqD] | type[GraphD], inputs: Inputs, params: dict, **facts: Any) -> Inputs:
    graphs, kept = {}, {}
    for side, names in (("user", ("users",)), ("item", ("positives", "negatives"))):
        edges = inputs[f"{side}_edges"]
        order = edges[0].argsort(stable=True)
        values = inputs.get(f"{side}_edge_weights", torch.full(order.shape, 1 / params["K"], dtype=torch.float64))
        rows = inputs[f"student_{side}_embeddings"].size(0)
        graphs[f"{side}_graph"] = EntityGraph.from_edges(edges[:, order], values[order], rows)
        kept |= {name: inputs[f"kept_{name}"][order].bool() for name in names}
    options = {"normalise": params["normalise"]} if "normalise" in params else {}
    loss = kind(
        *widths(inputs),
        **graphs,
        alpha=params["alpha"],
        keep=params["keep_prob"],
        experts=params["num_experts"],
        dropout=0.0,
        **options,
    )
    put_experts(loss, inputs)
    batch = Triplets(inputs["users"], inputs["positive_items"], inputs["negative_items"])
    student, teacher = tables(inputs, "student"), tables(inputs, "teacher")
    return {"loss": loss(student, teacher, **batch._asdict(), kept=kept, **facts)}


def freqd(inputs: Inputs, params: dict) -> Inputs:
    return filtered(FreqD, inputs, params)


def graphd(inputs: Inputs, params: dict) -> Inputs:
    return filtered(GraphD, inputs, params, self_weights=inputs["self_weights"])


def freqd_graph(inputs: Inputs, params: dict) -> Inputs:
    sizes = params["num_users"], params["num_items"]
    pairs = Interactions.from_pairs(inputs["train_users"], inputs["train_items"], *sizes)
    graph = co_occurrence(pairs if params["side"] == "user" else pairs.transpose(), params["K"])
    size = len(graph.ptr) - 1
    dense = torch.zeros(size, size, dtype=torch.float64)
    dense[torch.repeat_interleave(graph.ptr.diff()), graph.column] = graph.value
    return {"graph": dense}


def batch_items(inputs: Inputs) -> list[Tensor]:
    return [inputs["positive_items"][:, None], inputs["negative_items"]]


def noise(inputs: Inputs) -> Inputs:
    """Draws of distinct entities, and of slots, whose items are row by row."""
    found = {name: inputs[f"noise_unique_{name}"] for name in ("users", "positives", "negatives")}
    found["reg_users"] = inputs["noise_reg_users"]
    if "noise_reg_items" in inputs:
        found["reg_items"] = inputs["noise_reg_items"]
    else:
        rows = len(inputs["users"])
        parts = ("first", "second") if "noise_reg_first" in inputs else ("positives", "negatives")
        slots = [inputs[f"noise_reg_{part}"].unflatten(0, (rows, -1)) for part in parts]
        found["reg_items"] = torch.cat(slots, dim=1).flatten(0, 1)
    return found


ADAPTERS: dict[str, Callable[[Inputs, dict], dict[str, Any]]] = {
    "freqd": freqd,
    "freqd_graph": freqd_graph,
    "graphd": graphd,
    "pckd_list": pckd,
    "pckd_pair": pckd,
    "pckd_batch": pckd,
}
