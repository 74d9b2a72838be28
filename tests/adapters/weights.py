"""Adapters of what several teachers say together, of schedules and pseudo-labels: rename, call, return."""

from __future__ import annotations

import torch

from graphkd.losses import KL, soft_cross_entropy, triplet_hinge
from graphkd.schemes import (
    AdaptiveWeights,
    amtml,
    anomaly_score,
    certainty,
    class_credibility,
    cluster_difference,
    cosine_rampdown,
    domain_similarity,
    entropy_reduction,
    gaussian_noise_std,
    linear_rampup,
    mixed_pseudo_labels,
    oracle_kd,
    oracle_weights,
    predictive_uncertainty,
    regression_error,
    select_pseudo_labels,
    selective_distillation,
    sigmoid_rampup,
    soft_target,
    trimmed_mean,
    uninformed_students,
    vote_triplets,
)
from tests.adapters.graph import load
from tests.adapters.params import given
from tests.adapters.response import Adapter, Inputs, sides


def fedssd(inputs: Inputs, params: dict) -> Inputs:
    weights = class_credibility(
        inputs["teacher_logits"],
        inputs["labels"],
        inputs["confusion"],
        highest=params["m_max"],
        threshold=params["threshold"],
    )
    return {"loss": selective_distillation(*sides(inputs), weights), "weights": weights}


def multi_teacher_average(inputs: Inputs, params: dict) -> Inputs:
    known = given(params, "average", T="temperature")
    target = soft_target(inputs["teacher_logits"], **known, weights=inputs.get("weights"))
    return {"loss": KL(params["T"])(inputs["student_logits"], target)}


def fedaux(inputs: Inputs, _: dict) -> Inputs:
    target = soft_target(inputs["teacher_logits"], weights=inputs["scores"], average="logits")
    return {"loss": KL()(inputs["student_logits"], target), "soft_targets": target.softmax(dim=-1)}


def amtml_case(inputs: Inputs, params: dict) -> Inputs:
    theta, weight = inputs["theta"], inputs["W"]
    module = load(AdaptiveWeights(*theta.shape), {"factors": theta, "weight": weight[:, 0]})
    student, teachers = inputs["student_logits"], inputs["teacher_logits"].transpose(0, 1)
    weights = module(inputs["student_features"])
    loss = amtml(student, teachers, inputs["labels"], weights, params["T"], alpha=params["alpha"])
    return {"loss": loss + params["regularisation"] * module.penalty(), "teacher_weights": weights.t()}


def you_triplet_voting(inputs: Inputs, params: dict) -> Inputs:
    oriented, votes = vote_triplets(inputs["teacher_features"], inputs["triplets"])
    rows = (inputs["student_features"][side] for side in oriented.unbind(dim=1))
    return {"loss": triplet_hinge(*rows, params["margin"]), "oriented_triplets": oriented, "votes": votes}


def domain_similarity_weights(inputs: Inputs, params: dict) -> Inputs:
    weights = domain_similarity(inputs["source_distributions"], inputs["target_distribution"])
    target = soft_target(inputs["teacher_logits"], params["T"], weights=weights)
    return {"loss": soft_cross_entropy(inputs["student_logits"], target, params["T"]), "weights": weights}


def ruder_mcd(inputs: Inputs, params: dict) -> Inputs:
    student, teacher = sides(inputs)
    mcd = cluster_difference(inputs["teacher_hidden"], teacher)
    selected = mcd.topk(min(params["top_n"], len(mcd))).indices.sort().values
    target = mixed_pseudo_labels(teacher[selected], params["T"], params["lambda"])
    return {"loss": soft_cross_entropy(student[selected], target, params["T"]), "mcd": mcd, "selected": selected}


def oracle_kd_case(inputs: Inputs, params: dict) -> Inputs:
    known = (inputs["teacher_logits"], inputs["labels"])
    loss = oracle_kd(inputs["student_logits"], *known, params["T"], weight=params["lambda"])
    return {"loss": loss, "correct_teachers": oracle_weights(*known).sum(dim=0)}


def uninformed(inputs: Inputs, _: dict) -> Inputs:
    students = inputs["student_features"]
    teacher = (inputs["teacher_features"] - inputs["teacher_mean"]) / inputs["teacher_std"]
    error, uncertainty = inputs["calibration"].split(2)
    return {
        "loss": uninformed_students(students, teacher),
        "regression_error": regression_error(students, teacher),
        "predictive_uncertainty": predictive_uncertainty(students),
        "score": anomaly_score(students, teacher, tuple(error), tuple(uncertainty)),
    }


def era(inputs: Inputs, params: dict) -> Inputs:
    target = entropy_reduction(inputs["teacher_logits"], params["T"])
    loss = soft_cross_entropy(inputs["student_logits"], target)
    return {"loss": loss, "global_soft_labels": target.softmax(dim=-1)}


def cronus(inputs: Inputs, params: dict) -> Inputs:
    clients = inputs["client_probabilities"]
    return {"trimmed_mean": trimmed_mean(clients, params["trim"]), "median": clients.quantile(0.5, dim=0)}


def fedaux_scores(inputs: Inputs, params: dict) -> Inputs:
    model = certainty(inputs["local_features"], inputs["public_features"], params["lambda_reg"])
    rows = len(inputs["local_features"]) + len(inputs["public_features"])
    std = gaussian_noise_std(rows, params["lambda_reg"], params["epsilon"], params["delta"])
    private = model.noised(inputs["noise_weight"], inputs["noise_bias"], std)
    return {
        "weight": model.weight,
        "bias": model.bias,
        "noise_std": torch.tensor(std, dtype=torch.float64),
        "scores": private.scores(inputs["distill_features"]),
        "scores_without_noise": model.scores(inputs["distill_features"]),
    }


def pseudo_label_selection(inputs: Inputs, params: dict) -> Inputs:
    chosen = select_pseudo_labels(inputs["teacher_logits"], params["threshold"], params["per_class"])
    return dict(zip(("selected", "pseudo_labels", "confidence"), chosen, strict=True))


def rampup(inputs: Inputs, params: dict) -> Inputs:
    ramps = (sigmoid_rampup, linear_rampup, cosine_rampdown)
    epochs, length = inputs["epochs"].tolist(), params["length"]
    return {ramp.__name__: torch.tensor([ramp(e, length) for e in epochs], dtype=torch.float64) for ramp in ramps}


ADAPTERS: dict[str, Adapter] = {
    "amtml": amtml_case,
    "cronus": cronus,
    "domain_similarity_weights": domain_similarity_weights,
    "era": era,
    "fedaux": fedaux,
    "fedaux_scores": fedaux_scores,
    "fedssd": fedssd,
    "multi_teacher_average": multi_teacher_average,
    "oracle_kd": oracle_kd_case,
    "pseudo_label_selection": pseudo_label_selection,
    "rampup": rampup,
    "ruder_mcd": ruder_mcd,
    "uninformed_students": uninformed,
    "you_triplet_voting": you_triplet_voting,
}
