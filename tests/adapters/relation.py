"""Adapters of the intermediate and relation losses: rename, call, return."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkd import Loss
from graphkd.losses import (
    AB,
    AT,
    CC,
    CIRKD,
    FSP,
    IRG,
    KL,
    NST,
    SP,
    DarkRank,
    FitNet,
    HiddenCosine,
    LogEuclidean,
    activation_boundaries,
    adjacent_correlation,
    cirkd_memory,
    factor_transfer,
    rkd,
    rkd_angle,
    rkd_distance,
)
from tests.adapters.graph import load

Inputs = dict[str, Tensor]
Adapter = Callable[[Inputs, dict], dict[str, Any]]


def features(make: Callable[[dict], Callable[[Tensor, Tensor], Tensor]]) -> Adapter:
    """A loss made from the params, on the features of both sides."""
    return lambda inputs, params: {"loss": make(params)(inputs["student_features"], inputs["teacher_features"])}


def positions(make: Callable[[dict], Loss]) -> Adapter:
    """The same on maps, whose positions are nodes."""
    return features(lambda params: lambda student, teacher: make(params)(nodes(student), nodes(teacher)))


def nodes(maps: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H W, C)"""
    return maps.flatten(2).transpose(1, 2)


def numbered(inputs: Inputs, prefix: str) -> list[Tensor]:
    return [inputs[f"{prefix}_{n}"] for n in range(len(inputs)) if f"{prefix}_{n}" in inputs]


def terms(losses: Loss, student: list[Tensor], teacher: list[Tensor]) -> Inputs:
    """A weighted sum of losses, each on the next entry of both sides, and its terms."""
    pairs = zip(losses.parts(), student, teacher, strict=True)
    found = torch.stack([weight * loss(s, t) for (weight, loss), s, t in pairs])
    return {"loss": found.sum(), "loss_list": found}


# ---------------------------------------------------------------- intermediate
def fitnet(inputs: Inputs, params: dict) -> Inputs:
    weight = inputs["weight"]
    loss = FitNet(weight.size(1), weight.size(0))
    load(loss.projector, {"weight": weight, "bias": inputs["bias"]})
    return {"loss": loss(inputs["student_features"], inputs["teacher_features"])}


def fsp(inputs: Inputs, params: dict) -> Inputs:
    """Maps of two layers are pooled to the smaller first, which images alone need."""
    student, teacher = (flows(numbered(inputs, f"{side}_features")) for side in ("student", "teacher"))
    return terms(sum((FSP() for _ in student[1:]), start=FSP()), student, teacher)


def flows(maps: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
    sizes = [(pair, min(layer.shape[2:] for layer in pair)) for pair in pairwise(maps)]
    return [tuple(nodes(F.adaptive_avg_pool2d(layer, size)) for layer in pair) for pair, size in sizes]


def ab_multilayer(inputs: Inputs, params: dict) -> Inputs:
    student, teacher = (numbered(inputs, f"{side}_preact") for side in ("student", "teacher"))
    return terms(AB.layers([str(n) for n in range(len(student))], margin=params["margin"]), student, teacher)


def ab(inputs: Inputs, params: dict) -> Inputs:
    return {"loss": activation_boundaries(inputs["student_preact"], inputs["teacher_preact"], params["margin"])}


def factors(inputs: Inputs, params: dict) -> Inputs:
    return {"loss": factor_transfer(inputs["student_factor"], inputs["teacher_factor"], params["p"])}


def collapsed_factors(inputs: Inputs, params: dict) -> Inputs:
    student, teacher = (nodes(inputs[f"{side}_factor"]) for side in ("student", "teacher"))
    return {"loss": factor_transfer(student, teacher, params["p2"], collapse=params["p1"])}


def internal(inputs: Inputs, params: dict) -> Inputs:
    cosine = HiddenCosine()(inputs["student_features"], inputs["teacher_features"])
    attention = KL()(inputs["student_attention"], inputs["teacher_attention"])
    return {"loss": cosine + attention, "cosine": cosine, "attention_kl": attention}


# ---------------------------------------------------------------- relation
def distances(params: dict) -> Callable:
    return partial(rkd_distance, squared=params["squared"], floor=params["eps"], delta=params["huber_delta"])


def torchdistill(kernel: str, params: dict) -> Loss:
    known = {"gamma": "gamma", "max_p": "order"}
    knobs = {ours: params[theirs] for theirs, ours in known.items() if theirs in params}
    reduction = "norm_mean" if params["reduction"] == "batchmean" else "norm"
    return CC(kernel, normalise=False, reduction=reduction, **knobs)


def darkrank(transfer: str, params: dict) -> Loss:
    length = params["permute_len" if transfer == "hard" else "list_length"]
    return DarkRank(transfer, alpha=params["alpha"], beta=params["beta"], length=length, normalise=False)


def tusimple(transfer: str, inputs: Inputs, params: dict) -> Inputs:
    knobs = {"power": params["power"], "scale": params["scale"], "eps": params.get("eps", 0.0)}
    if "list_length" in params:
        knobs["length"] = params["list_length"]
    student, teacher = inputs["student_features"], inputs["teacher_features"]
    loss = DarkRank.tusimple(transfer, **knobs)(student, teacher)
    official = DarkRank.tusimple(transfer, **knobs, official_gradient=True)(student, teacher)
    (backward,) = torch.autograd.grad(official, student)
    return {"loss": loss, "official_forward": official[None], "official_backward": backward}


def irg_zoo(inputs: Inputs, params: dict) -> Inputs:
    """The first map is pooled to the second for the change between them, which images alone need."""
    weights = {ours: params[f"w_{ours}"] for ours in ("vertex", "edge", "transform")}
    losses = IRG.multi_type(("map1", "map2", "features"), [("pooled", "second")], **weights)
    views = []
    for side in ("student", "teacher"):
        first, second = inputs[f"{side}_map1"], inputs[f"{side}_map2"]
        pooled = F.adaptive_avg_pool2d(first, second.shape[2:]) if first.size(2) > second.size(2) else first
        rows = {"map1": first.flatten(1), "map2": second.flatten(1), "pooled": nodes(pooled), "second": nodes(second)}
        views.append(rows | {name: inputs[f"{side}_{name}"] for name in ("features", "logits")})
    student, teacher = views
    parts = [weight * loss.measure(student, loss.digest_view(teacher, {}), {}) for weight, loss in losses.parts()]
    return {"loss": sum(parts)}


def memory(inputs: Inputs, params: dict) -> Inputs:
    tensors = (inputs[name] for name in ("student_features", "teacher_features", "memory"))
    return {"loss": cirkd_memory(*tensors, params["contrast_temperature"], params["contrast_kd_temperature"])}


ADAPTERS: dict[str, Adapter] = {
    "ab": ab,
    "ab_multilayer": ab_multilayer,
    "at_code": positions(lambda params: AT(params["p"])),
    "at_paper": positions(lambda params: AT(params["p"], form=params["mode"])),
    "cc_bilinear_torchdistill": features(partial(torchdistill, "bilinear")),
    "cc_gaussian": features(lambda params: CC(gamma=params["gamma"], order=params["P_order"])),
    "cc_gaussian_torchdistill": features(partial(torchdistill, "gaussian")),
    "cc_repdistiller": features(lambda _: adjacent_correlation),
    "cirkd_memory": memory,
    "cirkd_minibatch": positions(lambda params: CIRKD(params["temperature"])),
    "cosine_internal": internal,
    "darkrank_hard": features(partial(darkrank, "hard")),
    "darkrank_listmle_tusimple": partial(tusimple, "hard"),
    "darkrank_listnet_tusimple": partial(tusimple, "cross_entropy"),
    "darkrank_soft": features(partial(darkrank, "soft")),
    "factor_transfer": factors,
    "factor_transfer_repdistiller": collapsed_factors,
    "fitnet": fitnet,
    "fsp": fsp,
    "irg_graph": features(lambda _: 0.5 * IRG()),
    "irg_zoo": irg_zoo,
    "log_euclidean": features(lambda params: LogEuclidean(params["ridge"])),
    "nst": positions(lambda params: NST(params["d"], params["c"])),
    "rkd": features(lambda params: partial(rkd, distance=params["w_d"], angle=params["w_a"])),
    "rkd_angle": features(lambda params: partial(rkd_angle, delta=params["huber_delta"])),
    "rkd_distance": features(distances),
    "sp": features(lambda _: SP()),
}
