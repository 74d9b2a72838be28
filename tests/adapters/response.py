"""Adapters of the response and regression losses: rename, call, return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from graphkd import Loss
from graphkd.losses import (
    CE,
    DIST,
    DKD,
    KD4MTL,
    KL,
    NCKD,
    SRRL,
    VML,
    AttentiveImitation,
    CentredLogits,
    ConditionalTS,
    FeatureDistance,
    FitNet,
    LabelSmoothing,
    LogitMSE,
    OutlierRejection,
    PseudoLabel,
    SoftCE,
    TeacherBounded,
    VirtualTeacher,
    bounded_error,
    disagreement,
    discrimination,
    dist_relations,
    fitnet,
    fooling,
    imitation_weights,
    is_bounded,
    is_confident,
    is_inlier,
    is_right,
    nckd,
    smooth_l1,
    softmax_regression,
    survey_objective,
    tckd,
    triplet_hinge,
)
from tests.adapters.graph import evaluate, load
from tests.adapters.params import given

Inputs = dict[str, Tensor]
Adapter = Callable[[Inputs, dict], dict[str, Any]]


def sides(inputs: Inputs, entry: str = "logits") -> tuple[Tensor, Tensor]:
    return inputs[f"student_{entry}"], inputs[f"teacher_{entry}"]


def total(make: Callable[[dict], Loss]) -> Adapter:
    """Cases of a loss, or of a weighted sum, on the entries ``logits`` and ``hidden`` and the labels."""
    return lambda inputs, params: {"loss": evaluate(make(params), inputs)[0]}


# ---------------------------------------------------------------- soft targets
def elementwise(params: dict) -> Loss:
    """Tf-KD's and TAKD's sum, whose KL is averaged over all entries."""
    soft = params.get("multiplier", 1.0) * KL(params["temperature"], reduction="elementmean")
    return (1 - params["alpha"]) * CE() + params["alpha"] * soft


def tfkd_reg(params: dict) -> Loss:
    virtual = params["multiplier"] * VirtualTeacher(**given(params, "temperature", correct_prob="correct"))
    return (1 - params["alpha"]) * CE() + params["alpha"] * virtual


def dkd(inputs: Inputs, params: dict) -> Inputs:
    loss = DKD(**given(params, "temperature", "alpha", "beta"))
    known = (*sides(inputs), inputs["labels"])
    parts = {"tckd": tckd(*known, loss.temperature), "nckd": nckd(*known, loss.temperature)}
    return {"loss": loss(*known[:2], y=known[2]), **parts}


def dist(inputs: Inputs, params: dict) -> Inputs:
    loss = DIST(**given(params, "beta", "gamma", "eps", tau="temperature"))
    inter, intra = dist_relations(*sides(inputs), loss.temperature, eps=loss.eps)
    return {"loss": loss(*sides(inputs)), "inter": inter, "intra": intra}


def conditional_ts(inputs: Inputs, params: dict) -> Inputs:
    loss = ConditionalTS(**given(params, "temperature"))(*sides(inputs), y=inputs["labels"])
    return {"loss": loss, "teacher_correct": is_right(inputs["teacher_logits"], inputs["labels"])}


def weighted_soft_ce(inputs: Inputs, params: dict) -> Inputs:
    loss = SoftCE(**given(params, T="temperature"), class_weights=inputs.get("class_weights"))
    return {"loss": loss(*sides(inputs))}


def pseudo_label_consistency(inputs: Inputs, params: dict) -> Inputs:
    loss = PseudoLabel(**given(params, "threshold"))
    return {"loss": loss(*sides(inputs)), "mask": is_confident(inputs["teacher_logits"], loss.threshold)}


def fedgkd(params: dict) -> Loss:
    return CE() + params["gamma"] / 2 * KL(**given(params, T="temperature"), rescale=False)


# ---------------------------------------------------------------- the survey's objective
def objective_eq14(inputs: Inputs, params: dict) -> Inputs:
    weights = (params["lambda1"], params["lambda2"], params["lambda3"])
    transfer = FeatureDistance(**given(params, distance="metric"))
    objective = survey_objective(transfer, weights, **given(params, "temperature"))
    loss, (ce, kl, distance) = evaluate(objective, inputs)
    return {"loss": loss, "ce": ce, "kl": kl, "dist": distance}


def eq15_21_distances(inputs: Inputs, params: dict) -> Inputs:
    features = sides(inputs, "features")
    outputs = {name: FeatureDistance(name)(*features) for name in ("l1", "l2", "cosine", "huber")}
    outputs["triplet"] = triplet_hinge(
        *(inputs[name] for name in ("anchor", "positive", "negative")), **given(params, delta="margin")
    )
    outputs["jsd"] = VML()(inputs["logits1"], inputs["logits2"])
    return {**outputs, "loss": sum(outputs.values())}


# ---------------------------------------------------------------- regression and features
def teacher_bounded_regression(inputs: Inputs, params: dict) -> Inputs:
    student, teacher = sides(inputs, "output")
    loss, y = TeacherBounded(**given(params, "nu", "margin")), inputs["target"]
    return {
        "loss": loss(student, teacher, y=y),
        "smooth_l1": smooth_l1(student, y),
        "bounded": bounded_error(student, teacher, y, loss.margin),
        "active": is_bounded(student, teacher, y, loss.margin),
    }


def teacher_outlier_rejection(inputs: Inputs, params: dict) -> Inputs:
    names = ("student_label_head", "student_teacher_head", "teacher_prediction", "targets")
    label, imitation, teacher, y = (inputs[name].unsqueeze(-1) for name in names)
    loss = OutlierRejection(**given(params, "threshold", **{"lambda": "weight"}))
    return {
        "loss": loss((label, imitation), (teacher, teacher), y=y),
        "kept": is_inlier(teacher, y, loss.threshold),
    }


def attentive_imitation(inputs: Inputs, params: dict) -> Inputs:
    (student, teacher), y = sides(inputs, "predictions"), inputs["targets"]
    bounds = tuple(inputs["error_range"].tolist()) if "error_range" in inputs else None
    loss = AttentiveImitation(**given(params, "alpha"), error_range=bounds, clamp=False)
    return {
        "loss": loss(student, teacher, y=y),
        "weights": imitation_weights(teacher, y, bounds, clamp=False),
    }


def data_free_regression(inputs: Inputs, params: dict) -> Inputs:
    places = ("synthetic", "noise")
    shown = {
        side: {place: inputs[f"{side}_on_{place}"].unsqueeze(-1) for place in places} for side in ("student", "teacher")
    }
    loss = params["frac"] * FitNet(on="synthetic") + (1 - params["frac"]) * FitNet(on="noise")
    value = sum(weight * part.measure(shown["student"], shown["teacher"][part.on], {}) for weight, part in loss.parts())
    made = inputs["synthetic"].detach().requires_grad_()
    student, teacher = shown["student"]["synthetic"], shown["teacher"]["synthetic"]
    generator = disagreement(student, teacher, made, size=params["beta"], output=params["gamma"])
    slopes = torch.autograd.grad(generator, (made, inputs["student_on_synthetic"]), retain_graph=True)
    return {
        "loss": value,
        "generator_loss": generator,
        "generator_loss_as_coded": disagreement(student, teacher, made, size=0.0, output=0.0),
        "grad_synthetic_of_generator_loss_direct": slopes[0],
        "grad_student_on_synthetic_of_generator_loss": slopes[1],
    }


def srrl(inputs: Inputs, params: dict) -> Inputs:
    """Maps are read out by their mean over positions; the weight is that of both terms, as in the authors' code."""
    features = tuple(maps.flatten(2).mean(dim=2) for maps in sides(inputs, "features"))
    weight = inputs["teacher_classifier_weight"]
    return {
        "loss": params["weight"] * SRRL(weight)(*features),
        "feature_matching": fitnet(*features),
        "softmax_regression": softmax_regression(*features, weight),
    }


def kd4mtl_feature(inputs: Inputs, params: dict) -> Inputs:
    loss = torch.zeros((), dtype=torch.float64)
    for k, weight in enumerate(params["task_weights"]):
        adapter = inputs[f"adapter_{k}"]
        task = load(KD4MTL(*adapter.shape[::-1], **given(params, "eps")), {"adapter.weight": adapter})
        loss = loss + weight * task(inputs["student_features"], inputs[f"teacher_features_{k}"])
    return {"loss": loss}


def centred_logit_regression(inputs: Inputs, params: dict) -> Inputs:
    return {"loss": CentredLogits(**given(params, old_classes="classes"))(*sides(inputs))}


def reverse_adversarial_features(inputs: Inputs, _: dict) -> Inputs:
    student, teacher = (
        features @ inputs["disc_weight"] + inputs["disc_bias"] for features in sides(inputs, "features")
    )
    return {"loss": fooling(student), "discriminator_loss": discrimination(student, teacher)}


ADAPTERS: dict[str, Adapter] = {
    "attentive_imitation": attentive_imitation,
    "centred_logit_regression": centred_logit_regression,
    "conditional_ts": conditional_ts,
    "data_free_regression": data_free_regression,
    "dist": dist,
    "dkd": dkd,
    "eq15_21_distances": eq15_21_distances,
    "fedgkd": total(fedgkd),
    "fedntd": total(lambda params: CE() + params["beta"] * NCKD(**given(params, tau="temperature"))),
    "kd": total(lambda params: KL(**given(params, "temperature"))),
    "kd4mtl_feature": kd4mtl_feature,
    "kd_mean_reduction": total(elementwise),
    "label_smoothing": total(lambda params: LabelSmoothing(**given(params, "alpha"))),
    "label_smoothing_tfkd": total(lambda params: LabelSmoothing(**given(params, "alpha"), spread="others")),
    "logit_mse": total(lambda _: LogitMSE()),
    "objective_eq14": objective_eq14,
    "pseudo_label_consistency": pseudo_label_consistency,
    "reverse_adversarial_features": reverse_adversarial_features,
    "soft_ce_defensive": total(lambda params: SoftCE(**given(params, "temperature"))),
    "srrl": srrl,
    "teacher_bounded_regression": teacher_bounded_regression,
    "teacher_outlier_rejection": teacher_outlier_rejection,
    "tfkd_reg": total(tfkd_reg),
    "tfkd_self": total(elementwise),
    "weighted_soft_ce": weighted_soft_ce,
}
