"""Adapters of the cases of KRD, HGMD and HG2M, whose soft labels come along edges: rename, call, return."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from graphkd import Frozen
from graphkd.gnn.hg2m import HG2M
from graphkd.gnn.hg2m_paths import Taught, meta_path_pairs, pair_features, reliable_edges, reliable_nodes
from graphkd.gnn.hgmd import SMOOTHING, edge_chance, edge_shares
from graphkd.gnn.krd import agreement_rates, fitted_power, reliability, teaching_chance
from graphkd.losses import CE, cross_entropy
from graphkd.losses.graphs.neighbour_kl import EdgeTargets, neighbour_kl

Inputs = dict[str, Tensor]


def _weighed(inputs: Inputs, label_weight: float, soft: Tensor) -> Inputs:
    rows = inputs["idx_train"]
    label = cross_entropy(inputs["student_logits"][rows], inputs["labels"][rows])
    return {"loss": label_weight * label + (1 - label_weight) * soft, "loss_label": label, "loss_soft": soft}


def krd(inputs: Inputs, params: dict) -> Inputs:
    targets = EdgeTargets.of(inputs["teacher_logits"], inputs["edge_index"], temperature=params["tau"])
    return _weighed(inputs, params["lamb"], neighbour_kl(inputs["student_logits"], targets, params["tau"]))


def krd_power(inputs: Inputs, params: dict) -> Inputs:
    agree = inputs["student_logits"].argmax(1) == inputs["teacher_logits"].argmax(1)
    delta, power, momentum = inputs["delta_entropy"], params["power"], params["momentum"]
    x, y = agreement_rates(delta, agree, params["bins"])
    fit = fitted_power(x, y, power)
    after = momentum * power + (1 - momentum) * fit
    found = {"power_fit": torch.tensor(fit).double(), "power_after": torch.tensor(after).double()}
    return {"bin_x": x, "bin_y": y, "prob": teaching_chance(delta, after), **found}


def krd_reliability(inputs: Inputs, params: dict) -> Inputs:
    delta = reliability(inputs["teacher_logits"], inputs["noisy_logits"])
    return {"delta_entropy": delta, "prob": teaching_chance(delta, params["power"])}


def hgmd_prob(inputs: Inputs, params: dict) -> Inputs:
    ends = inputs["student_logits"], inputs["teacher_logits"], inputs["edge_index"]
    return {"edge_prob": edge_chance(*ends, params["alpha"])}


def hgmd_mixup(inputs: Inputs, params: dict) -> Inputs:
    share = inputs["edge_prob"] * inputs["mix"]
    options = {"temperature": params["tau"], "smoothing": SMOOTHING if params["smooth"] else 0.0}
    targets = EdgeTargets.mixed(inputs["teacher_logits"], inputs["edge_index"], share, **options)
    return _weighed(inputs, params["lamb"], neighbour_kl(inputs["student_logits"], targets, params["tau"]))


def hgmd_weight(inputs: Inputs, params: dict) -> Inputs:
    teacher, edge_index = inputs["teacher_logits"], inputs["edge_index"]
    shares = edge_shares(teacher, edge_index, inputs["edge_prob"])
    targets = EdgeTargets.of(teacher, edge_index, shares, temperature=params["tau"])
    soft = neighbour_kl(inputs["student_logits"], targets, params["tau"])
    return {**_weighed(inputs, params["lamb"], soft), "coefficient": shares}


def hg2m_nodes(inputs: Inputs, params: dict) -> Inputs:
    others = torch.cat([inputs["idx_val"], inputs["idx_test"]])
    rows = inputs["idx_train"], others
    return {"reliable": reliable_nodes(inputs["teacher_probs"], inputs["labels"], *rows, params["p"])}


def hg2m_edges(inputs: Inputs, params: dict) -> Inputs:
    labels, labelled, probabilities = inputs["labels"], inputs["idx_train"], inputs["teacher_probs"]
    reliable = hg2m_nodes(inputs, params)["reliable"]
    pairs = meta_path_pairs(inputs["incidence"], len(labels), reliable, params["min_n"])
    features = pair_features(pairs, inputs["features"], probabilities)
    edges = reliable_edges(pairs, features, labels, labelled, reliable)
    found = {"candidates": pairs.ends, "features_candidates": features, "reliable": reliable}
    return {**found, "edge_index": edges.edge_index, "edge_score": edges.score}


def hg2m(inputs: Inputs, params: dict) -> Inputs:
    taught = [Taught(inputs[f"edge_index_{n}"], inputs[f"edge_score_{n}"]) for n in range(params["paths"])]
    rows, teacher = inputs["idx_train"], Frozen(nn.Identity())
    options = {"label_weight": params["lamda"], "path_weight": params["gamma"]}
    made = HG2M(nn.Linear(1, 1), teacher, CE(), inputs["reliable"], taught, **options)
    nodes, paths = made.soft(inputs["student_logits"], inputs["teacher_logits"])
    label = cross_entropy(inputs["student_logits"][rows], inputs["labels"][rows])
    loss = params["lamda"] * label + (1 - params["lamda"]) * (nodes + params["gamma"] * paths)
    return {"loss": loss, "loss_label": label, "loss_nodes": nodes, "loss_paths": paths}


ADAPTERS: dict[str, Callable[[Inputs, dict], Inputs]] = {
    "hg2m": hg2m,
    "hg2m_edges": hg2m_edges,
    "hg2m_nodes": hg2m_nodes,
    "hgmd_mixup": hgmd_mixup,
    "hgmd_prob": hgmd_prob,
    "hgmd_weight": hgmd_weight,
    "krd": krd,
    "krd_power": krd_power,
    "krd_reliability": krd_reliability,
}
