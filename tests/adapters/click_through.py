"""Adapters of click-through, multi-task and counterfactual cases, and of RCE-KD: rename, call, return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from graphkd import Loss
from graphkd.losses import FitNet
from recsys.losses import (
    RCEKD,
    Bridge,
    CausalPull,
    ClickHint,
    Clicks,
    Decay,
    LearnedConfidence,
    RatingError,
    Refine,
    Rocket,
    SoftClicks,
    SoftLabels,
)
from recsys.losses.crossdistil import calibrate, calibration_loss, corrected_clicks, crossdistil_kd, quadruplet_ranking
from recsys.losses.refine import refined_ratings
from recsys.losses.rocket import distillation, rocket_kd
from recsys.models import Lists
from recsys.models.clicks import RocketNet
from recsys.models.ratings import AutoRec, BiasedMF
from tests.adapters import recsys
from tests.adapters.graph import load
from tests.adapters.params import settings

Inputs = dict[str, Tensor]
QUADRUPLETS = [
    ["scores_pp", "scores_pn", "scores_np", "scores_nn"],
    [f"score_{a}_{b}" for a in ("pos", "neg") for b in ("pos", "neg")],
]


def measured(
    losses: Loss, batch: dict[str, Any], student: dict[str, Tensor], teacher: Any = None
) -> tuple[Tensor, list]:
    """A weighted sum of losses, and its terms, on the views of both sides."""
    weights, parts = zip(*losses.parts(), strict=True)
    terms = [
        loss.measure(student, loss.digest_view(teacher, batch) if loss.needs_teacher else None, batch) for loss in parts
    ]
    return sum(weight * term for weight, term in zip(weights, terms, strict=True)), terms


class Shown(nn.Module):
    """Layers whose output is the logits."""

    def __init__(self, shared: nn.Module, *own: nn.Module) -> None:
        super().__init__()
        self.shared, self.own = shared, nn.Sequential(*own)

    def forward(self, batch: Inputs) -> Inputs:
        return {"logits": self.own(self.shared(batch["features"]).relu())}


def linear(inputs: Inputs, name: str, end: str = "") -> nn.Module:
    """The linear layer of a case's ``name``_w and ``name``_b."""
    weight = inputs[f"{name}_w{end}"]
    return load(nn.Linear(*weight.shape[::-1]), {"weight": weight, "bias": inputs[f"{name}_b{end}"]})


def rocket_case(inputs: Inputs, params: dict) -> Inputs:
    light = Shown(linear(inputs, "shared"), linear(inputs, "light"))
    booster = Shown(linear(inputs, "shared"), linear(inputs, "booster", "1"), nn.ReLU(), linear(inputs, "booster", "2"))
    view = RocketNet(light, booster, ["shared"])(inputs)
    params = settings(params, grad_block=True)
    loss = Rocket(params["gamma"], block=params["grad_block"], batch_size=params.get("batchSize"))
    value, _ = measured(loss, {"y": inputs["labels"]}, view)
    return {"loss": value, "light_logits": view["logits"], "booster_logits": view["booster"]}


def rocket_ctr(inputs: Inputs, params: dict) -> Inputs:
    loss = Rocket(params["lamda"], block=settings(params, grad_block=True)["grad_block"])
    view = {"logits": inputs["light_logits"], "booster": inputs["booster_logits"]}
    return {"loss": measured(loss, {"y": inputs["labels"]}, view)[0]}


def rocket_kd_case(inputs: Inputs, params: dict) -> Inputs:
    logits, knobs = (inputs["student_logits"], inputs["teacher_logits"]), (params["T"], params["alpha"])
    return {
        "loss": distillation(*logits, inputs["labels"], *knobs),
        "rocket_distillation": rocket_kd(*logits, *knobs),
    }


def ensemble_ctr(inputs: Inputs, params: dict) -> Inputs:
    gate = {name: inputs[name] for name in ("gate_w", "gate_b") if name in inputs}
    soft = SoftClicks(params["temperature"], teachers=inputs["teacher_logits"].size(1) if gate else None)
    load(soft, {{"gate_w": "gate.weight", "gate_b": "gate.bias"}[name]: value for name, value in gate.items()})
    losses = params["weight_ce"] * Clicks() + params["weight_kd"] * soft
    student, teacher = ({"logits": inputs[f"{side}_logits"]} for side in ("student", "teacher"))
    return {"loss": measured(losses, {"y": inputs["labels"]}, student, teacher)[0]}


def ensemble_hint(inputs: Inputs, params: dict) -> Inputs:
    student, teacher = ({"hidden": inputs[f"{side}_representation"]} for side in ("student", "teacher"))
    loss = ClickHint(student["hidden"].size(1), teacher["hidden"].size(1))
    load(loss, {"projector.weight": inputs["w"]})
    return {"loss": measured(loss, {}, student, teacher)[0]}


def crossdistil_calibration(inputs: Inputs, params: dict) -> Inputs:
    platt = inputs["platt_scale"], inputs["platt_shift"]
    return {"loss": calibration_loss(inputs["teacher_logits"], inputs["labels"], *platt)}


def crossdistil_kd_case(inputs: Inputs, params: dict) -> Inputs:
    """Both folders have cases of this name: one gives logits P r + Q, the other Platt's own parameters."""
    student, teacher, y = (inputs[name] for name in ("student_logits", "teacher_logits", "labels"))
    if "platt_P" in params:
        calibrated = calibrate(teacher, params["platt_P"], params["platt_Q"], "platt")
    else:
        calibrated = calibrate(teacher, inputs["platt_scale"], inputs["platt_shift"])
    soft = {"margin": params["margin"], "temperature": params.get("temperature", params.get("tau"))}
    return {
        "loss": crossdistil_kd(student, calibrated, y, alpha=params["alpha"], **soft),
        "soft_labels": corrected_clicks(calibrated, y, **soft),
    }


def crossdistil_quadruplet(inputs: Inputs, params: dict) -> Inputs:
    """Both folders have cases of this name: a sum over quadruplets, and a mean."""
    ours, theirs = QUADRUPLETS
    summed = ours[0] in inputs
    scores = (inputs[name] for name in (ours if summed else theirs))
    default = "sum" if summed else "mean"
    reduction: Any = params.get("reduction") or default
    return {"loss": quadruplet_ranking(*scores, beta1=params["beta1"], beta2=params["beta2"], reduction=reduction)}


def autorec(inputs: Inputs, side: str = "") -> AutoRec:
    """An autoencoder with the weights of a case, which are transposed; without a decoder of its own it has none."""
    ends = ["1", "2"] if f"{side}encoder_w1" in inputs else [""]
    encoder = [inputs[f"{side}encoder_w{end}"] for end in ends]
    model = AutoRec(encoder[0].size(0), [weight.size(1) for weight in encoder]).double()
    for part in ("encoder", "decoder"):
        if f"{side}{part}_b{ends[0]}" in inputs:
            for number, end in enumerate(ends):
                names = {"weight": inputs[f"{side}{part}_w{end}"].T, "bias": inputs[f"{side}{part}_b{end}"]}
                load(model.get_submodule(f"{part}.{number}"), names)
    return model


def autoencoder(
    make: Callable[[dict, Inputs], Loss], *, teacher: bool = False, own: str = ""
) -> Callable[[Inputs, dict], Inputs]:
    """Cases of autoencoders: the loss + lamb times the half squares."""

    def adapter(inputs: Inputs, params: dict) -> Inputs:
        batch = {**inputs, "entries": inputs.get("users")}
        if "logged_mask" in inputs:
            batch["logged"] = inputs["logged_mask"]
        if "sample_mask" in inputs:
            batch["sampled"] = inputs["sample_mask"]
        taught = autorec(inputs, "teacher_")(batch) if teacher else None
        first = make(params, inputs)
        value, terms = measured(first + params["lamb"] * Decay(), batch, autorec(inputs, own)(batch), taught)
        found = {"loss": value}
        if "sampled" in batch:
            error, counterfactual, decay = terms
            found |= {"factual_loss": error + params["lamb"] * decay, "counterfactual_loss": counterfactual}
        if isinstance(next(first.parts())[1], Refine):
            found["refined_label"] = refined_ratings(inputs["ratings"], taught["output"], params["confidence"])
        return found

    return adapter


def structure(loss: Callable[[dict], Loss]) -> Callable[[dict, Inputs], Loss]:
    """The confidence c between what the uniform model shows and the ratings."""
    return lambda params, _: params["confidence"] * loss(params) + (1 - params["confidence"]) * RatingError()


def learned(params: dict, inputs: Inputs) -> Loss:
    loss = LearnedConfidence(*inputs["confidence_table"].shape)
    load(loss, {"table": inputs["confidence_table"]})
    return 1.0 * loss


def factorisation(inputs: Inputs, side: str = "", num_items: int | None = None) -> BiasedMF:
    """A factorisation with the tables of a case; ``num_items`` where half of the rows are copies."""
    users, items = (inputs[f"{side}{name}_embeddings"] for name in ("user", "item"))
    model = BiasedMF(users.size(0), num_items or items.size(0), users.size(1), copies=num_items is not None)
    weights = {"user.weight": users, "item.weight": items}
    biases = {f"{name}_bias.weight": inputs[f"{side}{name}_bias"][:, None] for name in ("user", "item")}
    load(model, weights | biases)
    return model


def pairs(
    make: Callable[[dict, Inputs], Loss], *, teacher: bool = False, own: str = ""
) -> Callable[[Inputs, dict], Inputs]:
    """Cases of factorisations: the loss + lamb times the half squares of the batch's rows."""

    def adapter(inputs: Inputs, params: dict) -> Inputs:
        batch = {"users": inputs["users"], "items": inputs["items"], "ratings": inputs["labels"]}
        names = {"sampled_users": "random_users", "sampled_items": "random_items", "logged_mark": "logged"}
        names["sample_ids"] = "entries"
        batch |= {ours: inputs[theirs] for theirs, ours in names.items() if theirs in inputs}
        taught = factorisation(inputs, "teacher_")(batch) if teacher else None
        student = factorisation(inputs, own, params.get("num_items"))(batch)
        first, lamb = make(params, inputs), params["lamb"]
        value, terms = measured(first + lamb * Decay(), batch, student, taught)
        found = {"loss": value}
        if "random_users" in batch:
            error, agreement, sampled, decay = terms
            found |= {"factual_loss": error + lamb * decay, "counterfactual_loss": agreement + lamb * sampled}
        if isinstance(next(first.parts())[1], Refine):
            found["refined_label"] = refined_ratings(batch["ratings"], taught["output"], params["confidence"])
        return found

    return adapter


def mf_bridge(params: dict, _: Inputs) -> Loss:
    random = Bridge(on="random") + params["lamb"] * Decay(on="random_decay")
    return RatingError() + params["lamb2"] * random


def rcekd(inputs: Inputs, params: dict) -> Inputs:
    own, top, sampled = (inputs[f"{name}_items"] for name in ("student_topk", "teacher_topk", "sampled"))
    users, k, length = inputs["users"], params["K"], params["L"]
    mixed = torch.cat([sampled[:, :length], top[:, :k]], dim=1)
    lists = {"own": Lists(users, own[users, :k]), "mixed": Lists(users, mixed[users])}
    return {"loss": recsys.evaluate(RCEKD(params["tau"], sharpness=params["beta"]), inputs, lists)[0]}


ADAPTERS: dict[str, Callable[[Inputs, dict], dict[str, Any]]] = {
    "crossdistil_calibration": crossdistil_calibration,
    "crossdistil_kd": crossdistil_kd_case,
    "crossdistil_quadruplet": crossdistil_quadruplet,
    "ensemble_ctr": ensemble_ctr,
    "ensemble_hint": ensemble_hint,
    "kdcrec_autorec": autoencoder(lambda *_: 1.0 * RatingError()),
    "kdcrec_bridge": autoencoder(
        lambda params, _: RatingError() + params["lamb2"] * Bridge(), teacher=True, own="student_"
    ),
    "kdcrec_hint": autoencoder(structure(lambda _: FitNet(on="code")), teacher=True),
    "kdcrec_mf_bridge": pairs(mf_bridge, teacher=True, own="student_"),
    "kdcrec_mf_cause": pairs(lambda params, _: RatingError() + params["lamb2"] * CausalPull()),
    "kdcrec_mf_refine": pairs(lambda params, _: 1.0 * Refine(params["confidence"]), teacher=True, own="student_"),
    "kdcrec_mf_wr": pairs(learned),
    "kdcrec_refine": autoencoder(lambda params, _: 1.0 * Refine(params["confidence"]), teacher=True, own="student_"),
    "kdcrec_softlabel": autoencoder(structure(lambda params: SoftLabels(params["tau"])), teacher=True),
    "kdcrec_union": autoencoder(lambda params, _: 1.0 * RatingError(params["confidence"])),
    "kdcrec_wr": autoencoder(learned),
    "rcekd": rcekd,
    "rocket": rocket_case,
    "rocket_ctr": rocket_ctr,
    "rocket_kd": rocket_kd_case,
}
