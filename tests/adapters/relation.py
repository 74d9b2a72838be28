"""Adapters of the intermediate and relation losses: rename, call, return."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    flow,
    rkd,
    rkd_angle,
    rkd_distance,
)
from tests.adapters.graph import load
from tests.adapters.params import given

Inputs = dict[str, Tensor]
Adapter = Callable[[Inputs, dict], dict[str, Any]]
SIDES = ("student", "teacher")


def features(make: Callable[[dict], Callable[[Tensor, Tensor], Tensor]]) -> Adapter:
    """A loss made from the params, on the features of both sides, a row for each object."""
    return lambda inputs, params: {"loss": make(params)(*(inputs[f"{side}_features"].flatten(1) for side in SIDES))}


def positions(make: Callable[[dict], Loss]) -> Adapter:
    """The same on maps, whose positions are nodes."""
    return lambda inputs, params: {"loss": make(params)(*(nodes(inputs[f"{side}_features"]) for side in SIDES))}


def nodes(maps: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H W, C)"""
    return maps.flatten(2).transpose(1, 2)


def numbered(inputs: Inputs, prefix: str) -> list[Tensor]:
    return [inputs[f"{prefix}_{n}"] for n in range(len(inputs)) if f"{prefix}_{n}" in inputs]


def terms(losses: Loss, student: Sequence, teacher: Sequence) -> Inputs:
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


def pooled(*maps: Tensor) -> tuple[Tensor, ...]:
    """Maps at the size of the smaller, which images alone need."""
    size = min(layer.shape[2:] for layer in maps)
    return tuple(F.adaptive_avg_pool2d(layer, size) for layer in maps)


def fsp(inputs: Inputs, params: dict) -> Inputs:
    """The teacher's maps may have another size than the student's: its flow is what is compared."""
    student, teacher = (layer_pairs(numbered(inputs, f"{side}_features")) for side in SIDES)
    losses = sum((FSP() for _ in student[1:]), start=FSP())
    return terms(losses, student, [flow(*pair) for pair in teacher])


def layer_pairs(maps: list[Tensor]) -> list[tuple[Tensor, ...]]:
    return [tuple(nodes(layer) for layer in pooled(*pair)) for pair in pairwise(maps)]


def ab_multilayer(inputs: Inputs, params: dict) -> Inputs:
    student, teacher = ([layer.flatten(1) for layer in numbered(inputs, f"{side}_preact")] for side in SIDES)
    return terms(AB.layers([str(n) for n in range(len(student))], **given(params, "margin")), student, teacher)


def ab(inputs: Inputs, params: dict) -> Inputs:
    units = (inputs[f"{side}_preact"].flatten(1) for side in SIDES)
    return {"loss": activation_boundaries(*units, **given(params, "margin"))}


def factors(inputs: Inputs, params: dict) -> Inputs:
    return {"loss": factor_transfer(inputs["student_factor"], inputs["teacher_factor"], **given(params, p="power"))}


def collapsed_factors(inputs: Inputs, params: dict) -> Inputs:
    maps = pooled(*(inputs[f"{side}_factor"] for side in SIDES))
    return {"loss": factor_transfer(*map(nodes, maps), **given(params, p1="collapse", p2="power"))}


def selectivity(params: dict) -> Loss:
    if params.get("kernel", "polynomial") != "polynomial":
        raise ValueError(f"'kernel' must be 'polynomial', got {params['kernel']!r}")
    return NST(**given(params, d="degree", c="offset"))


def internal(inputs: Inputs, params: dict) -> Inputs:
    cosine = HiddenCosine()(inputs["student_features"], inputs["teacher_features"])
    attention = KL()(inputs["student_attention"], inputs["teacher_attention"])
    return {"loss": cosine + attention, "cosine": cosine, "attention_kl": attention}


# ---------------------------------------------------------------- relation
def distances(params: dict) -> Callable:
    return partial(rkd_distance, **given(params, "squared", eps="floor", huber_delta="delta"))


def torchdistill(kernel: str, params: dict) -> Loss:
    reduction = "norm_mean" if params.get("reduction", "batchmean") == "batchmean" else "norm"
    return CC(kernel, normalise=False, reduction=reduction, **given(params, "gamma", max_p="order"))


def darkrank(transfer: str, params: dict) -> Loss:
    known = given(params, "alpha", "beta", permute_len="length", list_length="length")
    return DarkRank(transfer, **known, normalise=False)


def tusimple(transfer: str, inputs: Inputs, params: dict) -> Inputs:
    known = given(params, "power", "scale", "eps", list_length="length")
    student, teacher = inputs["student_features"], inputs["teacher_features"]
    loss = DarkRank.tusimple(transfer, **known)(student, teacher)
    official = DarkRank.tusimple(transfer, **known, official_gradient=True)(student, teacher)
    (backward,) = torch.autograd.grad(official, student)
    return {"loss": loss, "official_forward": official[None], "official_backward": backward}


def irg_zoo(inputs: Inputs, params: dict) -> Inputs:
    """The first map is pooled to the second for the change between them, which images alone need."""
    weights = given(params, **{f"w_{name}": name for name in ("vertex", "edge", "transform")})
    losses = IRG.multi_type(("map1", "map2", "features"), [("pooled", "second")], **weights)
    views = []
    for side in SIDES:
        first, second = inputs[f"{side}_map1"], inputs[f"{side}_map2"]
        pooled = F.adaptive_avg_pool2d(first, second.shape[2:]) if first.size(2) > second.size(2) else first
        rows = {"map1": first.flatten(1), "map2": second.flatten(1), "pooled": nodes(pooled), "second": nodes(second)}
        views.append(rows | {name: inputs[f"{side}_{name}"] for name in ("features", "logits")})
    student, teacher = views
    parts = [weight * loss.measure(student, loss.digest_view(teacher, {}), {}) for weight, loss in losses.parts()]
    return {"loss": sum(parts)}


def memory(inputs: Inputs, params: dict) -> Inputs:
    tensors = (inputs[name] for name in ("student_features", "teacher_features", "memory"))
    temperatures = {"contrast_temperature": "temperature", "contrast_kd_temperature": "kd_temperature"}
    return {"loss": cirkd_memory(*tensors, **given(params, **temperatures))}


ADAPTERS: dict[str, Adapter] = {
    "ab": ab,
    "ab_multilayer": ab_multilayer,
    "at_code": positions(lambda params: AT(**given(params, p="power"))),
    "at_paper": positions(lambda params: AT(**given(params, p="power", mode="form"))),
    "cc_bilinear_torchdistill": features(partial(torchdistill, "bilinear")),
    "cc_gaussian": features(lambda params: CC(**given(params, "gamma", P_order="order"))),
    "cc_gaussian_torchdistill": features(partial(torchdistill, "gaussian")),
    "cc_repdistiller": features(lambda _: adjacent_correlation),
    "cirkd_memory": memory,
    "cirkd_minibatch": positions(lambda params: CIRKD(**given(params, "temperature"))),
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
    "log_euclidean": features(lambda params: LogEuclidean(**given(params, "ridge"))),
    "nst": positions(selectivity),
    "rkd": features(lambda params: partial(rkd, distance=params["w_d"], angle=params["w_a"])),
    "rkd_angle": features(lambda params: partial(rkd_angle, **given(params, huber_delta="delta"))),
    "rkd_distance": features(distances),
    "sp": features(lambda _: SP()),
}
