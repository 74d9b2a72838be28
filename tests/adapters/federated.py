"""Adapters of federated, private and robust distillation: rename, call, return."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F

from graphkd.losses._perturbation import adversarial_change
from graphkd.losses.response.ce import cross_entropy
from graphkd.losses.response.kd import kl
from graphkd.schemes.data_free.activation_records import Record, activation_loss
from graphkd.schemes.data_free.cross_distillation import cross_distillation, soft_cross_distillation
from graphkd.schemes.federated import (
    average_states,
    clients_kl,
    fedftg_generator,
    fedftg_student,
    logit_mae,
    quantise,
    sample_state,
)
from graphkd.schemes.privacy._accountant import log_moments, privacy_spent, wrong_vote_bound
from graphkd.schemes.privacy.pate import noisy_votes
from graphkd.schemes.robust.ard import ard
from graphkd.schemes.teachers._combine import soft_target
from tests.adapters.response import Adapter, Inputs, sides


def feddf(inputs: Inputs, params: dict) -> Inputs:
    average = {"avg_logits": "logits", "avg_probs": "probabilities", "avg_losses": "losses"}[params["scheme"]]
    return {"loss": clients_kl(*sides(inputs), params["T"], weights=inputs.get("weights"), average=average)}


def fedmd(inputs: Inputs, _: dict) -> Inputs:
    consensus = soft_target(inputs["teacher_logits"], average="logits")
    return {"loss": logit_mae(inputs["student_logits"], consensus), "consensus": consensus}


def fedavg(inputs: Inputs, _: dict) -> Inputs:
    states = [{"parameters": client} for client in inputs["client_parameters"]]
    return average_states(states, inputs.get("client_sizes"))


def fedbe_gaussian(inputs: Inputs, params: dict) -> Inputs:
    base, clients, noise = (inputs[name] for name in ("base_parameters", "client_parameters", "noise"))
    return sample_state(
        {"sampled_parameters": base},
        [{"sampled_parameters": client} for client in clients],
        {"sampled_parameters": noise},
        variance_scale=params["var_scale"],
        step=params["swag_stepsize"],
        least_variance=params["var_clamp"],
    )


def fedbe_distill(inputs: Inputs, _: dict) -> Inputs:
    student, teachers = sides(inputs)
    return {"loss": kl(student, soft_target(teachers), reduction="elementmean")}


def fedftg_generator_case(inputs: Inputs, params: dict) -> Inputs:
    x = inputs["synthetic"]
    answers = (F.linear(x, inputs[f"{side}_weight"]) for side in ("student", "teacher"))
    terms = fedftg_generator(
        x,
        inputs["noise"],
        *answers,
        inputs["labels"],
        inputs["client_weight"],
        clients=params["num_clients"],
        class_weight=params["lambda_cls"],
        disagreement_weight=params["lambda_dis"],
    )
    return dict(zip(("loss", "loss_disagreement", "loss_class", "loss_diversity"), terms, strict=True))


def fedftg_student_case(inputs: Inputs, _: dict) -> Inputs:
    return {"loss": fedftg_student(*sides(inputs), inputs["weights"])}


def cfd(inputs: Inputs, params: dict) -> Inputs:
    return {"quantised": quantise(inputs["probabilities"], params["bits"])}


def ard_case(inputs: Inputs, params: dict) -> Inputs:
    x, y = inputs["inputs"], inputs["labels"]
    student = partial(F.linear, weight=inputs["student_weight"], bias=inputs["student_bias"])
    change = adversarial_change(
        lambda worse: cross_entropy(student(worse), y),
        x,
        params["epsilon"],
        steps=params["num_steps"],
        step_size=params["step_size"],
        start=inputs["initial_noise"],
        bounds=(0.0, 1.0),
    )
    answers = (student(x), student(x + change), inputs["teacher_logits"])
    loss = ard(*answers, y, params["T"], alpha=params["alpha"], reduction="elementmean")
    return {"loss": loss, "adversarial_inputs": x + change}


def pate(inputs: Inputs, params: dict) -> Inputs:
    gamma, moments = params["noise_eps"], params["moments"]
    labels, counts = noisy_votes(inputs["teacher_probabilities"], 1 / params["laplace_scale"], noise=inputs["noise"])
    spent = privacy_spent(counts, gamma, delta=params["delta"], moments=moments, limit="code")
    return {
        "labels": labels,
        "votes": counts,
        "q": wrong_vote_bound(counts, gamma),
        "log_moments": log_moments(counts, gamma, moments, limit="code"),
        "epsilon_per_moment": spent.each,
        "epsilon": torch.tensor(spent.epsilon, dtype=torch.float64),
    }


LAYER = ("student_input", "teacher_input", "student_weight", "teacher_weight")


def cross(inputs: Inputs, params: dict) -> Inputs:
    return cross_distillation(*(inputs[name] for name in LAYER), params["mu"])._asdict()


def soft_cross(inputs: Inputs, params: dict) -> Inputs:
    layer = (inputs[name] for name in LAYER)
    return {"loss": soft_cross_distillation(*layer, alpha=params["alpha"], beta=params["beta"])}


def data_free_activation(inputs: Inputs, _: dict) -> Inputs:
    layers = [name.removeprefix("activation_") for name in inputs if name.startswith("activation_")]
    records = {n: Record(inputs[f"record_mean_{n}"], inputs[f"record_cholesky_{n}"]) for n in layers}
    targets = {n: record.sample(inputs[f"noise_{n}"]) for n, record in records.items()}
    loss = activation_loss({n: inputs[f"activation_{n}"] for n in layers}, targets)
    return {"loss": loss, **{f"target_{n}": target for n, target in targets.items()}}


ADAPTERS: dict[str, Adapter] = {
    "ard": ard_case,
    "cfd_quantisation": cfd,
    "cross_distillation": cross,
    "cross_distillation_soft": soft_cross,
    "data_free_activation": data_free_activation,
    "fedavg": fedavg,
    "fedbe_distill": fedbe_distill,
    "fedbe_gaussian": fedbe_gaussian,
    "feddf": feddf,
    "fedftg_generator": fedftg_generator_case,
    "fedftg_student": fedftg_student_case,
    "fedmd": fedmd,
    "pate": pate,
}
