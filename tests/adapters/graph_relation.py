"""Adapters of the graph family's relation losses: rename, call, return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from graphkd.losses import (
    GKD,
    HKD,
    IRG,
    IRGTransform,
    RepresentationGraph,
    edge_map,
    geometric_graph,
    inter_region_affinity,
    logits_graph,
    prediction_graph,
    rkd_distance,
)
from graphkd.losses.relations.inter_region_affinity import Membership, region_affinity, region_moments
from graphkd.losses.relations.irg_transform import Change
from tests.adapters.graph import load
from tests.adapters.params import given, settings

Inputs = dict[str, Tensor]
Adapter = Callable[[Inputs, dict], dict[str, Any]]
SIDES = ("student", "teacher")
DIVISOR = 3  # of the authors of GKD, whatever the number of layers, unless the last alone is compared


def side(inputs: Inputs, name: str, prefix: str = "") -> dict[str, Tensor]:
    """The entries of one side by what comes after its name."""
    return {key.removeprefix(name): value for key, value in inputs.items() if key.startswith(f"{name}{prefix}")}


def compared(inputs: Inputs, last_only: bool | None) -> list[str]:
    """Names of the layers that a case has, in their order; the last alone where it says so."""
    prefix = "student_features_l"
    found = [f"l{n}" for n in sorted(int(key.removeprefix(prefix)) for key in inputs if key.startswith(prefix))]
    return found[-1:] if last_only else found


# ---------------------------------------------------------------- IRG
def irg_edge(inputs: Inputs, params: dict) -> dict[str, Any]:
    """The authors' backward drops the columns: it is that of half the weight."""
    student, teacher = (inputs[f"{name}_features"] for name in SIDES)

    def weighted(weight: float, constant: bool = True) -> Tensor:
        return weight * IRG(constant=constant, reduction="rows")(student, teacher)

    weight = params["loss_weight"]
    gradients = {"": weighted(weight / 2), "_detached_max": weighted(weight), "_exact": weighted(weight, False)}
    return {
        "loss": weighted(weight),
        **{f"edge_map_{name}": edge_map(inputs[f"{name}_features"]) for name in SIDES},
        **{
            f"grad_student_features{form}": torch.autograd.grad(loss, student, retain_graph=True)[0]
            for form, loss in gradients.items()
        },
    }


def irg_transform(inputs: Inputs, params: dict) -> dict[str, Any]:
    layers = {name: tuple(inputs[f"{name}_features_l{n}"] for n in (1, 2)) for name in SIDES}

    def weighted(constant: bool) -> Tensor:
        return params["loss_weight"] * IRGTransform(constant=constant, reduction="rows")(*layers.values())

    exact = torch.autograd.grad(weighted(constant=False), layers["student"])
    return {
        "loss": weighted(constant=True),
        **{f"vertex_{name}": Change.of(layers[name]).lengths for name in SIDES},
        **{f"grad_student_features_l{n}_exact": gradient for n, gradient in enumerate(exact, start=1)},
    }


def irg_paper(inputs: Inputs, params: dict) -> dict[str, Any]:
    losses = IRG.paper(
        ("_features_l1", "_features_l2"),
        [("_features_l1", "_features_l2")],
        vertex=params["lambda_v"],
        edge=params["lambda_e"],
        vertex_change=params["lambda_tv"],
        edge_change=params["lambda_te"],
        logits="_logits",
    )
    student, teacher = (side(inputs, name) for name in SIDES)
    return {
        "loss": sum(
            weight * loss.measure(student, loss.digest_view(teacher, {}), {}) for weight, loss in losses.parts()
        )
    }


# ---------------------------------------------------------------- GKD
def gkd(inputs: Inputs, params: dict) -> dict[str, Any]:
    """A k of 128 is the authors' sign for none."""
    params = settings(params, k=128, power=1, pool3_only=False, intra_only=False, inter_only=False)
    mask = "intra" if params["intra_only"] else "inter" if params["inter_only"] else None
    knobs = {"power": params["power"], "mask": mask, "neighbours": None if params["k"] == 128 else params["k"]}
    layers = compared(inputs, params["pool3_only"])
    divisor = 1 if params["pool3_only"] else DIVISOR
    losses = params["lambda_gkd"] * GKD.layers([f"_features_{layer}" for layer in layers], **knobs, divisor=divisor)
    student, teacher = (side(inputs, name, "_features") for name in SIDES)
    batch = {"y": inputs["labels"]}
    last = {name: inputs[f"{name}_features_{layers[-1]}"] for name in SIDES}
    parts = [weight * loss.measure(student, loss.digest_view(teacher, batch), batch) for weight, loss in losses.parts()]
    return {
        "loss": sum(parts),
        **{
            f"adj_{name}_last": geometric_graph(x, inputs["labels"], **knobs, teacher=last["teacher"])
            for name, x in last.items()
        },
    }


def gkd_rkd(inputs: Inputs, params: dict) -> dict[str, Any]:
    layers = compared(inputs, params.get("pool3_only"))
    weight = params["lambda_rkd"] / (1 if params.get("pool3_only") else DIVISOR)
    pairs = [[inputs[f"{name}_features_{layer}"] for name in SIDES] for layer in layers]
    return {"loss": sum(weight * rkd_distance(*pair, diagonal=False) for pair in pairs)}


# ---------------------------------------------------------------- HKD
def hkd(inputs: Inputs, params: dict) -> dict[str, Any]:
    """Where a batch is smaller than its neighbourhoods a case may have no maps of these."""
    params = settings(params, knn=8, T=0.07, momentum=0.9, smooth=0.75)
    memories = {"student": inputs["memory_l"], "teacher": inputs["memory_ab"]}
    nodes, width = memories["student"].shape
    loss = HKD(
        nodes,
        *(inputs[f"{name}_features"].size(1) for name in SIDES),
        width,
        neighbours=params["knn"],
        negatives=inputs["contrast_idx"].size(1),
        temperature=params["T"],
        momentum=params["momentum"],
        smooth=params["smooth"],
    ).double()
    for n, (name, memory) in enumerate(memories.items()):
        loss.get_buffer(f"{name}_memory").copy_(memory)
        load(loss.heads[n], side(inputs, f"embed_{name[0]}_linear_"))
        load(loss.graph_heads[n], side(inputs, f"gnn_{name[0]}_conv1_lin_"))
    student, teacher = ((inputs[f"{name}_features"], inputs[f"{name}_logits"]) for name in SIDES)
    value = loss(student, loss.digest(teacher), n_id=inputs["idx"], negatives=inputs["contrast_idx"])
    return {
        "loss": value,
        "memory_l_after": loss.student_memory,
        "memory_ab_after": loss.teacher_memory,
        **{f"knn_edge_index_{name}": prediction_graph(inputs[f"{name}_logits"], params["knn"]) for name in SIDES},
    }


# ---------------------------------------------------------------- several teachers
def graphdist_logits(inputs: Inputs, params: dict) -> dict[str, Any]:
    weights = inputs.get("weights") if params["mode"] == "pairwise" else None
    knobs = {"temperature": params["T"], "mode": params["mode"]}
    return {"loss": logits_graph(inputs["student_logits"], inputs["teacher_logits"], weights, **knobs)}


def graphdist_repr(inputs: Inputs, params: dict) -> dict[str, Any]:
    teachers = [inputs[f"teacher_features_{k}"] for k in range(len(inputs)) if f"teacher_features_{k}" in inputs]
    student = inputs["student_features"]
    knobs = given(params, "kernel", "gamma")
    loss = RepresentationGraph(student.size(1), [x.size(1) for x in teachers], params["D"], **knobs).double()
    names = ["sa", "sb", *(f"t{k}" for k in range(len(teachers)))]
    for name, sketch in zip(names, (*loss.sketches, *loss.teacher_sketches), strict=True):
        sketch.place.copy_(inputs[f"hash_{name}"])
        sketch.sign.copy_(inputs[f"sign_{name}"])
    return {"loss": loss(student, torch.cat(teachers, dim=1))}


# ---------------------------------------------------------------- regions
def intra_affinity(inputs: Inputs, params: dict) -> dict[str, Any]:
    knobs = settings(params, literal=False, valid_only=True)
    members, literal = Membership.of(inputs["membership"]), knobs["literal"]
    student, teacher = (inputs[f"{name}_features"] for name in SIDES)
    moments = {name: region_moments(inputs[f"{name}_features"], members, literal=literal) for name in SIDES}
    return {
        "loss": inter_region_affinity(student, teacher, inputs["membership"], **knobs),
        "region_valid": members.valid(literal=literal),
        **{f"moments_{name}": value for name, value in moments.items()},
        **{f"affinity_{name}": region_affinity(value) for name, value in moments.items()},
    }


ADAPTERS: dict[str, Adapter] = {
    "gkd": gkd,
    "gkd_class": gkd,
    "gkd_rkd": gkd_rkd,
    "graphdist_logits": graphdist_logits,
    "graphdist_repr": graphdist_repr,
    "hkd": hkd,
    "hkd_unary": hkd,
    "intra_affinity": intra_affinity,
    "irg_edge": irg_edge,
    "irg_paper": irg_paper,
    "irg_transform": irg_transform,
}
