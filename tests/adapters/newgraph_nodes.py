"""Adapters of the cases of TINED, AdaGMLP and VQGraph: rename, call, return."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from graphkd.gnn.adagmlp import AdaGMLP, Boosted, boost
from graphkd.gnn.tined import dirichlet_energy, energy_loss, energy_ratios
from graphkd.gnn.tined_student import InjectedMLP, Transformation
from graphkd.gnn.vqgraph import token_kl, token_scores
from graphkd.gnn.vqgraph_tokeniser import Codebook, Tokeniser
from tests.adapters.graph import load

Inputs = dict[str, Tensor]


def tined_energy(inputs: Inputs, params: dict) -> Inputs:
    return {"loss": dirichlet_energy(inputs["features"], inputs["edge_index"])}


def tined(inputs: Inputs, params: dict) -> Inputs:
    count = len(params["order"])
    layers = [Transformation(inputs[f"layers_{n}_weight"], None) for n in range(count)]
    student = InjectedMLP(layers, norm=params["norm"])
    student.lins = nn.ModuleList(nn.Linear(*layer.weight.t().shape) for layer in layers)
    widths = [layer.weight.size(0) for layer in layers][:-1]
    kind = {"none": lambda _: nn.Identity(), "layer": nn.LayerNorm, "batch": nn.BatchNorm1d}[params["norm"]]
    student.norms = nn.ModuleList(kind(width) for width in widths)
    given = [(f"lins.{n}.{part}", f"layers_{n}_{part}") for n in range(count) for part in ("weight", "bias")]
    given += [(f"norms.{n}.{part}", f"norms_{n}_{part}") for n in range(count - 1) for part in ("weight", "bias")]
    load(student, {path: inputs[name] for path, name in given if name in inputs})
    pairs = list(student.pairs(inputs["features"]))
    options = {"log": params["log"], "root": params["sqrt"]}
    loss = params["rate"] * energy_loss(pairs, inputs["de_targets"], inputs["edge_index"], **options)
    return {"loss": loss, "de_ratios": energy_ratios(pairs, inputs["edge_index"])}


def tined_inject(inputs: Inputs, params: dict) -> Inputs:
    order = params["order"]
    parts = [Transformation(*(inputs[f"teacher_{n}_{p}"] for p in ("weight", "bias"))) for n in range(len(order) // 2)]
    first = [order[2 * n] == "TeacherMLP" for n in range(len(parts))]
    student = InjectedMLP(parts, first=first, positions=params["positions"])
    outs = [after for _, after in student.pairs(inputs["features"])]
    return {"logits": outs[-1], **{f"hidden_{n}": out for n, out in enumerate(outs[:-1])}}


def adagmlp_weights(inputs: Inputs, params: dict) -> Inputs:
    sides = inputs["student_logits"], inputs["teacher_logits"]
    alpha, weight = boost(*sides, inputs["node_weights"], params["beta"])
    return {"alpha": alpha, "node_weights_after": weight}


def adagmlp(inputs: Inputs, params: dict) -> Inputs:
    count, layers = params["K"], params["num_layers"]
    student = Boosted(count, [1] * (layers + 1))
    named = {
        f"members.{k}.lins.{n}.{part}": f"mlp_{k}_layers_{n}_{part}"
        for k in range(count)
        for n in range(layers)
        for part in ("weight", "bias")
    }
    load(student, {path: inputs[name] for path, name in named.items()})
    options = {"label_weight": params["lamb"], "temperature": params["tau"], "beta": params["beta"]}
    share = params["rate"] if "masked" in inputs else 0.0
    made = AdaGMLP(student, len(inputs["labels"]), output_share=params["lamb_a"], mask_share=share, **options).double()
    made.weight.copy_(inputs["node_weights"])
    every = inputs.get("idx_train", torch.arange(len(inputs["labels"])))
    made.parts = lambda _: list(inputs["subsets"]) if "subsets" in inputs else [every] * count
    masked = iter(inputs.get("masked", ()))
    made.masked = lambda _: next(masked)
    batch = {"x": inputs["features"], "y": inputs["labels"], "told": inputs["teacher_logits"], "labelled": every}
    step = made(batch)
    names = {"loss_label": "label", "loss_soft": "soft", "loss_align_out": "output", "loss_align_hidden": "hidden"}
    terms = {theirs: step.terms.get(ours, torch.zeros((), dtype=torch.float64)) for theirs, ours in names.items()}
    found = {"alpha": student.alpha, "node_weights_after": made.weight, "probs": student(inputs["features"]).exp()}
    return {"loss": step.loss, **terms, **found}


def vqgraph_codebook(inputs: Inputs, params: dict) -> Inputs:
    book = Codebook(*inputs["codebook"].shape, decay=params["decay"]).double().train()
    book.codes.copy_(inputs["codebook"])
    book.size.copy_(inputs["cluster_size"])
    found = book(inputs["features"])
    after = {"codebook_after": book.codes, "cluster_size_after": book.size}
    return {"loss": found.commitment, "index": found.place, "quantized": found.codes, "scores": found.scores, **after}


def vqgraph_token(inputs: Inputs, params: dict) -> Inputs:
    tokens, codes = inputs["student_tokens"], inputs["codebook"]
    plain = torch.eye(tokens.size(1)).to(tokens), torch.zeros(tokens.size(1)).to(tokens)
    ours, found = token_scores(tokens, *plain, codes), {}
    for name, released in (("", True), ("_kl", False)):
        loss = token_kl(ours, inputs["teacher_scores"], params["temperature"], released=released)
        (grad,) = torch.autograd.grad(loss, tokens, retain_graph=True)
        found |= {f"loss{name}": loss, f"grad_student_tokens{name}": grad}
    return found


def vqgraph_tokenizer(inputs: Inputs, params: dict) -> Inputs:
    features, width = inputs["graph_layer_2_weight"].shape
    shape = {"classes": inputs["linear_weight"].size(0), "codes": len(inputs["codebook"]), "dropout": 0.0}
    made = Tokeniser(features, width, decay=params["decay"], **shape)
    named = {"first": "graph_layer_1", "second": "graph_layer_2", "edges": "decoder_1", "nodes": "decoder_2"}
    named |= {"last": "linear"}
    pairs = [(f"{ours}.{part}", f"{theirs}_{part}") for ours, theirs in named.items() for part in ("weight", "bias")]
    load(made, {ours: inputs[theirs] for ours, theirs in pairs})
    made.book.codes.copy_(inputs["codebook"])
    seen = made.look(inputs["features"], inputs["edge_index"])
    node, edge = params["lamb_node"] * seen.node, params["lamb_edge"] * seen.edge
    terms = {"loss_commit": seen.quantised.commitment, "loss_node": node, "loss_edge": edge}
    found = {"logits": seen.logits, "index": seen.quantised.place, "scores": seen.quantised.scores}
    return {"loss": sum(terms.values()), **terms, **found, "codebook_after": made.book.codes}


ADAPTERS: dict[str, Callable[[Inputs, dict], Inputs]] = {
    "adagmlp": adagmlp,
    "adagmlp_weights": adagmlp_weights,
    "tined": tined,
    "tined_energy": tined_energy,
    "tined_inject": tined_inject,
    "vqgraph_codebook": vqgraph_codebook,
    "vqgraph_token": vqgraph_token,
    "vqgraph_tokenizer": vqgraph_tokenizer,
}
