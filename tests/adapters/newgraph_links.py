"""Adapters of LLP's and EHDM's cases: rename, call, return."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch_geometric.nn import MLP

from graphkd import Frozen
from graphkd.gnn.ehdm import Gate, mixed
from graphkd.gnn.ehdm_heuristics import link_heuristics, scaled
from graphkd.gnn.llp import LLP
from graphkd.losses import kl
from graphkd.losses.relations.context_rank import context_rank
from graphkd.tasks import LinkPrediction
from tests.adapters.graph import load

Inputs = dict[str, Tensor]


def llp_d(inputs: Inputs, params: dict) -> Inputs:
    return {"loss": kl(inputs["student_scores"], inputs["teacher_scores"], params["T"])}


def llp_r(inputs: Inputs, params: dict) -> Inputs:
    student, teacher = inputs["student_scores"], inputs["teacher_scores"]
    ties = context_rank(1e9 * teacher, teacher, params["margin"])  # who orders pairs so clearly pays for ties alone
    return {"loss": context_rank(student, teacher, params["margin"]), "loss_ties": ties}


class Pairs(nn.Module):
    """Given embeddings of nodes, and the case's predictor of pairs."""

    def __init__(self, nodes: Tensor, predictor: nn.Module) -> None:
        super().__init__()
        self.nodes, self.predictor = nodes, predictor

    def encode(self) -> Tensor:
        return self.nodes

    def decode(self, z: Tensor, edge_label_index: Tensor) -> Tensor:
        return self.predictor(z[edge_label_index[0]] * z[edge_label_index[1]]).squeeze(1)


def predictor_of(inputs: Inputs, prefix: str) -> nn.Module:
    weights = {
        name.removeprefix(prefix).replace("lins_", "lins.").replace("_weight", ".weight").replace("_bias", ".bias"): w
        for name, w in inputs.items()
        if name.startswith(prefix)
    }
    count = len(weights) // 2
    widths = [weights["lins.0.weight"].size(1), *(weights[f"lins.{n}.weight"].size(0) for n in range(count))]
    return load(MLP(widths, norm=None, dropout=0.0), weights)


def llp(inputs: Inputs, params: dict) -> Inputs:
    student = Pairs(inputs["student_nodes"], predictor_of(inputs, "predictor_"))
    teacher = Pairs(inputs["teacher_nodes"], predictor_of(inputs, "teacher_predictor_"))
    task = LinkPrediction()
    call = task.call(None)
    names = {"label_weight": "True_label", "distribution_weight": "LLP_D", "rank_weight": "LLP_R"}
    names |= {"node_weight": "KD_RM", "score_weight": "KD_LM", "margin": "margin"}
    options = {ours: params[theirs] for ours, theirs in names.items()}
    trainable = LLP(student, Frozen(teacher, call=call), task.supervised(), call=call, **options)
    context = inputs["context"]
    trainable.context = lambda batch: context
    pairs = torch.cat([inputs["edges"], inputs["negative_edges"]], dim=1)
    labels = torch.cat([torch.ones(inputs["edges"].size(1)), torch.zeros(inputs["negative_edges"].size(1))]).double()
    batch = {"edge_label_index": pairs, "y": labels[:, None], task.labelled: torch.ones(len(labels)).bool()}
    step = trainable(batch)
    loops = {"edge_label_index": torch.stack([context[:, :1].expand_as(context[:, 1:]), context[:, 1:]]).flatten(1)}
    shape = context[:, 1:].shape
    scores = {
        side: call(model, loops)["logits"].sigmoid().view(shape)
        for side, model in (("student_scores", student), ("teacher_scores", teacher))
    }
    terms = {"loss_label": step.terms["label"], "loss_d": step.terms["distribution"], "loss_r": step.terms["rank"]}
    return {"loss": step.loss, **terms, **scores}


def ehdm_heuristics(inputs: Inputs, params: dict) -> Inputs:
    edge_index, nodes, cap = inputs["edge_index"], params["num_nodes"], params["cap"]
    score = lambda pairs: link_heuristics(edge_index, pairs, nodes, cap=cap)  # noqa: E731
    found = score(inputs["pairs"])
    edges = score(edge_index[:, edge_index[0] < edge_index[1]])
    known = torch.cat([edges, score(inputs["train_negatives"])])
    values = dict(zip(("aa", "ra", "cn", "capped_shortest_path"), found.t(), strict=True))
    return {**values, "scaled": scaled(found, known), "scaled_train": scaled(edges, known)}


def _sizes(inputs: Inputs, prefix: str) -> list[int]:
    """Widths of an MLP of the case."""
    weights = [inputs[f"{prefix}_layers_{n}_weight"] for n in range(9) if f"{prefix}_layers_{n}_weight" in inputs]
    return [weights[0].size(1), *(weight.size(0) for weight in weights)]


def ehdm_gate(inputs: Inputs, params: dict) -> Inputs:
    chances, product = inputs["predictions"], inputs["x_i"] * inputs["x_j"]
    gate, named = Gate(2, 2), {"feature": "feat_mlp", "heuristic": "heuristic_mlp", "out": "gater_mlp"}
    weights: Inputs = {}
    inputs = {
        name.replace("_mlp_weight", "_mlp_layers_0_weight").replace("_mlp_bias", "_mlp_layers_0_bias"): value
        for name, value in inputs.items()
    }  # a gate of one layer
    for ours, theirs in named.items():
        if f"{theirs}_layers_0_weight" in inputs:
            sizes = _sizes(inputs, theirs)
            setattr(gate, ours, MLP(sizes, norm=None))
            parts = [(n, part) for n in range(len(sizes) - 1) for part in ("weight", "bias")]
            weights |= {f"{ours}.lins.{n}.{part}": inputs[f"{theirs}_layers_{n}_{part}"] for n, part in parts}
    gated = load(gate, weights)(product, inputs.get("heuristics") if params["heuristics"] else None)
    out = mixed(chances, gated)
    label = torch.nn.functional.binary_cross_entropy(out, inputs["labels"].to(out))
    loss = label + params["l1"] * gated.abs().sum(dim=1).mean()
    equal = torch.full_like(chances, 1 / chances.size(1))
    found = {"weights": equal, "out": mixed(chances, equal), "weights_gated": gated, "out_gated": out}
    return {"loss": loss, "loss_gated": loss, **found}


ADAPTERS: dict[str, Callable[[Inputs, dict], Inputs]] = {
    "ehdm_gate": ehdm_gate,
    "ehdm_heuristics": ehdm_heuristics,
    "llp": llp,
    "llp_d": llp_d,
    "llp_r": llp_r,
}
