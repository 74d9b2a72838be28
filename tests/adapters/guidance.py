"""Adapters of schemes with a teacher's side, a policy or an adversary: rename, call, return."""

from __future__ import annotations

import torch
from torch import nn

from graphkd.losses import cross_entropy
from graphkd.schemes import (
    NaiveProgress,
    OnlineProgress,
    SamplingProgress,
    TeacherPolicy,
    WindowProgress,
    adversarial_adaptation,
    boltzmann,
    metadistil_loss,
    pilot_step,
    policy_loss,
    sftn_loss,
    sskd,
)
from tests.adapters.graph import load
from tests.adapters.params import given
from tests.adapters.response import Adapter, Inputs


def sskd_case(inputs: Inputs, params: dict) -> Inputs:
    weights = tuple(params.get("loss_weights") or (1.0, 1.0, 1.0, 1.0))
    names = {
        "kl_temp": "temperature",
        "ss_temp": "relation_temperature",
        "tf_temp": "changed_temperature",
        "ss_ratio": "relation_ratio",
        "tf_ratio": "changed_ratio",
    }
    student, teacher = ((inputs[f"{side}_logits"], inputs[f"{side}_ss_features"]) for side in ("student", "teacher"))
    return {"loss": sskd(student, teacher, inputs["labels"], weights=weights, **given(params, **names))}


def metadistil_step(inputs: Inputs, params: dict) -> Inputs:
    weight, soft = inputs["student_weight"], "mse" if params["soft_loss"].startswith("mse") else params["soft_loss"]
    student, teacher = (
        nn.functional.linear(inputs[f"{side}_inputs"], inputs[f"{side}_weight"]) for side in ("student", "teacher")
    )
    inner = metadistil_loss(student, teacher, inputs["labels"], params["T"], alpha=params["alpha"], soft=soft)
    pilot = pilot_step(inner, {"weight": weight}, params["inner_lr"])["weight"]
    loss = cross_entropy(nn.functional.linear(inputs["held_inputs"], pilot), inputs["held_labels"])
    return {"loss": loss, "inner_loss": inner, "pilot_student_weight": pilot}


def sftn_teacher(inputs: Inputs, params: dict) -> Inputs:
    weights = (params["lambda_teacher"], params["lambda_kl"], params["lambda_branch_ce"])
    known = (inputs["teacher_logits"], inputs["branch_logits"], inputs["labels"])
    return {"loss": sftn_loss(*known, params["T"], weights=weights)}


def tscl(inputs: Inputs, params: dict) -> Inputs:
    tasks, window, rate = inputs["scores"].size(1), params["window_size"], params["lr"]
    kinds = {
        "online": OnlineProgress(tasks, rate),
        "naive": NaiveProgress(tasks, rate, window),
        "windowed": WindowProgress(tasks, window),
        "sampling": SamplingProgress(tasks, window),
    }
    outputs = {}
    for name, progress in kinds.items():
        rows = []
        for scores in inputs["scores"]:
            values = progress.values().abs() if params.get("abs") else progress.values()
            rows.append(boltzmann(values, params["temperature"]))
            progress.observe(scores)
        outputs[f"probabilities_{name}"] = torch.stack(rows)
    whole = len(inputs["scores"]) // window * window  # the authors' naive teacher acts in whole windows only
    outputs["probabilities_naive"] = outputs["probabilities_naive"][:whole]
    return outputs


def rlkd_policy(inputs: Inputs, _: dict) -> Inputs:
    policy = load(TeacherPolicy(*inputs["weight"].shape), {name: inputs[name] for name in ("weight", "bias")})
    logits = policy(inputs["state"])
    loss = policy_loss(logits, inputs["actions"], inputs["reward"])
    return {"loss": loss, "selection_probability": logits.sigmoid()}


def adversarial_output_adaptation(inputs: Inputs, params: dict) -> Inputs:
    layer = {"weight": inputs["disc_weight"][None], "bias": inputs["disc_bias"][None]}
    discriminator = load(nn.Linear(layer["weight"].size(1), 1), layer)
    source, target = inputs["source_logits"], inputs["target_logits"]
    student, judged = adversarial_adaptation(
        source,
        inputs["source_labels"],
        (source.softmax(dim=1), target.softmax(dim=1)),
        discriminator,
        weight=params["lambda_adv"],
        source_label=params["source_label"],
    )
    return {"loss": student, "discriminator_loss": judged}


ADAPTERS: dict[str, Adapter] = {
    "adversarial_output_adaptation": adversarial_output_adaptation,
    "metadistil_step": metadistil_step,
    "rlkd_policy": rlkd_policy,
    "sftn_teacher": sftn_teacher,
    "sskd": sskd_case,
    "tscl": tscl,
}
