"""Adapters of MuGSI's cases: rename, call, return."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from graphkd.gnn.mugsi_terms import cluster_cosines, graph_vectors, pooled, stacked_clusters, walk_affinity
from graphkd.losses import cross_entropy, kl
from tests.adapters.graph import load

Inputs = dict[str, Tensor]


def _graphs(inputs: Inputs) -> int:
    return int(inputs["batch"].max()) + 1


def _gate(inputs: Inputs, params: dict) -> nn.Module | None:
    """The case's gate, a linear layer, where clusters are pooled by attention."""
    if params["pool"] == "sum":
        return None
    weights = {
        part: next(v for k, v in inputs.items() if "gate" in k and k.endswith(part)) for part in ("weight", "bias")
    }
    return load(nn.Linear(weights["weight"].size(1), 1), weights)


def mugsi_walk(inputs: Inputs, params: dict) -> Inputs:
    graphs, each = _graphs(inputs), params["walks_per_graph"]
    graph = torch.arange(graphs).repeat_interleave(each)
    sizes = torch.bincount(inputs["batch"])
    there = (inputs["walks"] != 1).view(graphs, -1).any(dim=1)[graph]  # walks of ones stand for none
    walks = (inputs["walks"] + (sizes.cumsum(0) - sizes)[graph][:, None])[there]
    sides = inputs["student_nodes"], inputs["teacher_nodes"]
    return {"loss": walk_affinity(*sides, walks, graph[there], graphs, per_graph=each, exact=False)}


def mugsi_cluster(inputs: Inputs, params: dict) -> Inputs:
    graphs = _graphs(inputs)
    cluster, graph = stacked_clusters(inputs["cluster"], inputs["batch"], graphs)
    student = pooled(inputs["student_nodes"], cluster, graph.size(0), _gate(inputs, params))
    return {"loss": cluster_cosines(student, inputs["teacher_clusters"], graph, graphs)}


def mugsi_graph(inputs: Inputs, params: dict) -> Inputs:
    projected = linear(inputs["student_graphs"], inputs["proj_weight"], inputs["proj_bias"])
    return {"loss": graph_vectors(projected, inputs["teacher_graphs"])}


def mugsi(inputs: Inputs, params: dict) -> Inputs:
    label = cross_entropy(inputs["student_logits"], inputs["labels"])
    loss = label + params["soft"] * kl(inputs["student_logits"], inputs["teacher_logits"])
    for name, term in (("graph", mugsi_graph), ("cluster", mugsi_cluster), ("walk", mugsi_walk)):
        loss = loss + params[name] * term(inputs, params)["loss"]
    return {"loss": loss, "loss_label": label}


ADAPTERS: dict[str, Callable[[Inputs, dict], Inputs]] = {
    "mugsi": mugsi,
    "mugsi_cluster": mugsi_cluster,
    "mugsi_graph": mugsi_graph,
    "mugsi_walk": mugsi_walk,
}
