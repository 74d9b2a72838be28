"""Adapters of online and self-distillation: rename, call, return."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from graphkd import Loss, Step
from graphkd.core.moving import EMA
from graphkd.losses import CE, KL, OSKD, GuardedKL, logit_mse, soft_cross_entropy
from graphkd.losses.response.confidence_weighted import confidence_weighted
from graphkd.losses.response.consistency import consistency
from graphkd.schemes import (
    Adversaries,
    PeerAttention,
    PeerContrast,
    PeerTargets,
    collaboration,
    each_other,
    exit_hint,
    gated_ensemble,
    general_target,
    general_weights,
    linear_target,
    linear_weights,
    min_logit_target,
    mutual_fusion,
    naive_target,
    pair_discrimination,
    pair_policy,
    peer_losses,
)
from tests.adapters.graph import load
from tests.adapters.mutual import MEMORY
from tests.adapters.params import given
from tests.adapters.response import Adapter, Inputs, sides


def losses_of(inputs: Inputs, made: PeerTargets, soft: Loss, weight: float, logits: Tensor | None = None) -> Step:
    """The losses of peers that show the case's logits."""
    views = [{"logits": peer} for peer in (inputs["peer_logits"] if logits is None else logits)]
    return peer_losses(views, made, {"y": inputs["labels"]}, CE(), soft, weight=weight)


def dml(inputs: Inputs, params: dict) -> Inputs:
    soft = GuardedKL(params["T"], eps=params["eps"], guard="ratio")
    made = each_other(inputs["peer_logits"], weight=params["peer_weight"])
    loss, terms = losses_of(inputs, made, soft, 1.0)
    peers = [terms[f"label_{k}"] + terms.get(f"soft_{k}", 0.0) for k in range(len(inputs["peer_logits"]))]
    return {"loss": loss, "peer_losses": torch.stack(peers)}


def one(inputs: Inputs, params: dict) -> Inputs:
    made = gated_ensemble(inputs["peer_logits"], inputs["gate_preact"])
    soft = GuardedKL(params["T"], eps=params["eps"])
    loss, _ = losses_of(inputs, made, soft, params["consistency_weight"])
    return {"loss": loss, "ensemble_logits": made.auxiliary["ensemble"].logits}


def ffl(inputs: Inputs, params: dict) -> Inputs:
    made = mutual_fusion(inputs["peer_logits"], inputs["fused_logits"])
    soft = GuardedKL(params["T"], eps=params["eps"])
    return {"loss": losses_of(inputs, made, soft, params["consistency_weight"]).loss}


def pcl(inputs: Inputs, params: dict) -> Inputs:
    made = collaboration(inputs["peer_logits"], inputs["ensemble_logits"], inputs["mean_teacher_logits"])
    return {"loss": losses_of(inputs, made, KL(params["T"]), params["rampup_weight"]).loss}


def okddip(inputs: Inputs, params: dict) -> Inputs:
    weights = {f"{name}.weight": inputs[f"{name}_weight"] for name in ("query", "key")}
    rule = load(PeerAttention(inputs["query_weight"].size(1), len(inputs["query_weight"])), weights)
    assert isinstance(rule, PeerAttention)
    peers, features = inputs["peer_logits"], inputs["peer_features"]
    logits = torch.cat([peers, inputs["leader_logits"][None]])
    made = rule(logits, [*features, features[0]])
    soft = GuardedKL(params["T"], eps=params["eps"])
    loss, _ = losses_of(inputs, made, soft, params["alpha_times_rampup"], logits)
    return {"loss": loss, "peer_targets": rule.attend(peers, features)}


def kdcl(target: Callable[[Inputs], Tensor], weights: Callable[[Inputs], Tensor] | None = None) -> Adapter:
    def adapter(inputs: Inputs, params: dict) -> Inputs:
        made = target(inputs)
        step = losses_of(inputs, PeerTargets([(1.0, made)]), KL(params["T"]), params["lambda"])
        return {
            "loss": step.loss,
            "ensemble_logits": made,
            **({} if weights is None else {"ensemble_weights": weights(inputs)}),
        }

    return adapter


def labelled(rule: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Inputs], Tensor]:
    return lambda inputs: rule(inputs["peer_logits"], inputs["labels"])


def validation(inputs: Inputs) -> tuple[Tensor, Tensor]:
    return inputs["validation_logits"], inputs["validation_labels"]


def mcl_okd(inputs: Inputs, params: dict) -> Inputs:
    features, weight = inputs["peer_features"], inputs["embed_weight"]
    widths = [weight.size(2)] * len(weight)
    rule = PeerContrast(params["n_data"], widths, weight.size(1), **given(params, **MEMORY))
    names = ("weight", "bias")
    load(rule, {f"heads.{k}.{name}": inputs[f"embed_{name}"][k] for k in range(len(weight)) for name in names})
    rule.memories.copy_(inputs["memories"])
    loss = rule.contrast(features, inputs["index"], inputs["contrast_index"][:, 1:])
    return {"loss": loss, "new_memories": rule.memories}


def afd(inputs: Inputs, params: dict) -> Inputs:
    own = {name: inputs[f"disc_{name}"].requires_grad_() for name in ("weight", "bias")}
    features, logits = inputs["peer_features"], inputs["peer_logits"]
    rule = Adversaries(len(features), features.size(2), weight=params["feature_weight"])
    parts = {
        f"discriminators.{k}.{name}": value[k : k + 1] for k in range(len(features)) for name, value in own.items()
    }
    made = load(rule, parts)(logits, features)
    fooling, discrimination = (made.terms[name] for name in ("fooling", "discrimination"))
    step = losses_of(inputs, replace(made, terms={"fooling": fooling}), KL(params["T"]), weight=params["logit_weight"])
    found = torch.autograd.grad(discrimination, list(own.values()), retain_graph=True)
    gradients = {f"grad_disc_{name}_of_discriminator_loss": grad for name, grad in zip(own, found, strict=True)}
    return {"loss": step.loss, "discriminator_loss": discrimination, **gradients}


def kdgan(inputs: Inputs, params: dict) -> Inputs:
    share, scores = params["intelltch_weight"], inputs["discriminator_logits"].requires_grad_()
    student, teacher = sides(inputs)
    discrimination = (1 - share) * pair_discrimination(scores, inputs["gen_samples"], inputs["gen_is_real"])
    discrimination = discrimination + share * pair_discrimination(scores, inputs["tch_samples"], inputs["tch_is_real"])
    policy = (1 - share) * pair_policy(student, scores, inputs["policy_samples"])
    (gradient,) = torch.autograd.grad(discrimination, scores)
    return {
        "loss": policy + params["distilled_weight"] * logit_mse(student, teacher),
        "discriminator_loss": discrimination,
        "grad_discriminator_logits_of_discriminator_loss": gradient,
    }


def mean_teacher(inputs: Inputs, params: dict) -> Inputs:
    student = nn.Linear(inputs["student_parameters"].numel(), 1, bias=False).double()
    ema = EMA(student, params["alpha"])
    with torch.no_grad():
        student.weight.copy_(inputs["student_parameters"][None])
        ema.model.get_buffer("weight").copy_(inputs["teacher_parameters"][None])
    ema.kept().set_extra_state(params["global_step"])
    ema.update()
    return {"loss": consistency(*sides(inputs)), "new_teacher_parameters": ema.model.get_buffer("weight")[0]}


def born_again(inputs: Inputs, params: dict) -> Inputs:
    student, teacher = sides(inputs)
    if params["kind"] == "kd":
        return {"loss": soft_cross_entropy(student, teacher)}
    return {"loss": confidence_weighted(student, teacher, inputs["labels"])}


def oskd(inputs: Inputs, params: dict) -> Inputs:
    features = inputs["student_features"]
    return {"loss": OSKD(params["k"], margin=params["margin"])(features, features.detach(), y=inputs["labels"])}


ADAPTERS: dict[str, Adapter] = {
    "afd": afd,
    "born_again": born_again,
    "byot_feature": lambda inputs, _: {"loss": exit_hint(*sides(inputs, "features"))},
    "dml": dml,
    "ffl": ffl,
    "kdcl_general": kdcl(
        lambda inputs: general_target(inputs["peer_logits"], *validation(inputs)),
        lambda inputs: general_weights(*validation(inputs)),
    ),
    "kdcl_linear": kdcl(labelled(linear_target), labelled(linear_weights)),
    "kdcl_minlogit": kdcl(labelled(min_logit_target)),
    "kdcl_naive": kdcl(labelled(naive_target)),
    "kdgan_code": kdgan,
    "mcl_okd": mcl_okd,
    "mean_teacher_consistency": mean_teacher,
    "okddip": okddip,
    "one": one,
    "oskd_restated": oskd,
    "pcl": pcl,
}
