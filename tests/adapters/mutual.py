"""Adapters of the mutual-information losses: rename, call, return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from graphkd import Loss
from graphkd.losses import (
    CMPM,
    CRCD,
    CRD,
    MIMKD,
    PKT,
    QMI,
    VID,
    VML,
    VSD,
    CRCDGradient,
    InfoNCE,
    ITRDCorrelation,
    ITRDMutual,
    SupervisedPKT,
    information_potentials,
)
from tests.adapters.graph import load
from tests.adapters.params import given

Inputs = dict[str, Tensor]
Adapter = Callable[[Inputs, dict], dict[str, Any]]


def widths(inputs: Inputs, part: str = "features") -> tuple[int, int]:
    return inputs[f"student_{part}"].size(1), inputs[f"teacher_{part}"].size(1)


MEMORY = {
    "nce_k": "negatives",
    "nce_t": "temperature",
    "nce_m": "momentum",
    "eps": "eps",
    "relation_eps": "relation_eps",
}


def plain(
    make: Callable[[dict], Loss], student: str = "student_features", teacher: str = "teacher_features"
) -> Adapter:
    """Cases of a loss without layers."""
    return lambda inputs, params: {"loss": make(params)(inputs[student], inputs[teacher])}


def vid(inputs: Inputs, params: dict) -> Inputs:
    student, teacher = (inputs[f"{side}_features"].movedim(1, -1) for side in ("student", "teacher"))
    names = {"mean.0.weight": "weight0", "mean.2.weight": "weight1", "mean.4.weight": "weight2", "scale": "log_scale"}
    knobs = given(params, "eps", init_pred_var="initial_variance")
    loss = VID(*widths(inputs), len(inputs["weight0"]), **knobs)
    return {"loss": load(loss, {path: inputs[name] for path, name in names.items()})(student, teacher)}


def contrasted(kind: type[CRD]) -> Adapter:
    """CRD and CRCD on given ids, negatives, memories and, where positive, given Z."""

    def adapter(inputs: Inputs, params: dict) -> Inputs:
        projection = inputs["student_weight"].size(0)
        loss = kind(params["n_data"], *widths(inputs), projection, max_samples=None, **given(params, **MEMORY))
        sides = list(enumerate(("student", "teacher")))
        load(loss, {f"heads.{k}.{name}": inputs[f"{side}_{name}"] for k, side in sides for name in ("weight", "bias")})
        for k, side in sides:
            getattr(loss, f"{side}_memory").copy_(inputs[f"memory_{side}"])
            known = params.get(f"Z_{side}")
            if known is not None and known > 0:
                loss.log_normaliser[k] = torch.tensor(known).double().log()
        facts = {"n_id": inputs["index"], "negatives": inputs["contrast_index"][:, 1:]}
        value = loss(inputs["student_features"], inputs["teacher_features"], **facts)
        memories = {f"new_memory_{side}": getattr(loss, f"{side}_memory") for _, side in sides}
        return {"loss": value, **memories, "Z": loss.log_normaliser.exp()}

    return adapter


def crcd_gradient(inputs: Inputs, _: dict) -> Inputs:
    layers = (
        load(nn.Linear(*weight.shape[::-1], bias=False), {"weight": weight})
        for weight in (inputs["student_weight"], inputs["teacher_weight"])
    )
    loss = CRCDGradient(*layers)
    return {"loss": loss(inputs["student_features"], inputs["teacher_features"], y=inputs["labels"])}


def flow_pkt(params: dict) -> Loss:
    """PKT as in the code of the heterogeneous flow, whose distances and norms have an eps of their own."""
    kernel = {"rbf": "exponential"}.get(params["kernel"], params["kernel"])
    divergence = {"kl": "kl_ratio", "combined": "jeffreys"}.get(params["divergence"], params["divergence"])
    knobs = given(params, "sigma", "eps", d="degree")
    return PKT(kernel, divergence, kernel_eps=1e-6, **knobs)


def survey_pkt(params: dict) -> Loss:
    """PKT as the survey prints it."""
    kernel = {"gaussian": "rbf"}.get(params["kernel"], params["kernel"])
    return PKT.survey(kernel, **given(params, kernel_variance="sigma"))


def pkt_supervised(inputs: Inputs, params: dict) -> Inputs:
    return {"loss": SupervisedPKT(**given(params, "eps"))(inputs["student_features"], y=inputs["labels"])}


def qmi_potentials(inputs: Inputs, params: dict) -> Inputs:
    kernel = {"gaussian": "rbf"}.get(params["kernel"], params["kernel"])
    knobs, y = given(params, kernel_variance="variance"), inputs["labels"]
    outputs = {"loss": QMI(kernel, **knobs)(inputs["student_features"], inputs["teacher_features"], y=y)}
    for side in ("student", "teacher"):
        potentials = information_potentials(inputs[f"{side}_features"], y, kernel, **knobs)
        outputs[f"potentials_{side}"] = torch.stack(potentials)
        outputs[f"qmi_{side}"] = potentials.information()
    return outputs


def mimkd(student: str, teacher: str) -> Adapter:
    def adapter(inputs: Inputs, _: dict) -> Inputs:
        weights = [inputs[f"{side}_weight"] for side in ("student", "teacher")]
        loss = MIMKD(weights[0].size(1), weights[1].size(1), weights[0].size(0))
        load(loss, {f"heads.{k}.weight": weight for k, weight in enumerate(weights)})
        return {"loss": loss(inputs[student], inputs[teacher])}

    return adapter


def itrd(make: Callable[..., Loss], **knobs: str) -> Adapter:
    """Behind a linear map where the case has one; ``knobs``: argument -> parameter of the case."""

    def adapter(inputs: Inputs, params: dict) -> Inputs:
        names = ("weight", "bias") if "weight" in inputs else ()
        loss = make(*(widths(inputs) if names else ()), **{knob: params[name] for knob, name in knobs.items()})
        load(loss, {f"projector.{name}": inputs[name] for name in names})
        return {"loss": loss(inputs["student_features"], inputs["teacher_features"])}

    return adapter


def cmpm(inputs: Inputs, params: dict) -> Inputs:
    return {"loss": CMPM(**given(params, "eps"))(inputs["features_1"], inputs["features_2"], y=inputs["labels"])}


LOGITS = ("representation_logits", "observation_logits")

ADAPTERS: dict[str, Adapter] = {
    "cmpm": cmpm,
    "crcd": contrasted(CRCD),
    "crcd_gradient": crcd_gradient,
    "crd": contrasted(CRD),
    "infonce": plain(lambda params: InfoNCE(**given(params, "temperature"))),
    "itrd_correlation": itrd(ITRDCorrelation, alpha="alpha"),
    "itrd_mutual": itrd(ITRDMutual),
    "mimkd_feature": mimkd("student_local", "teacher_local"),
    "mimkd_global": mimkd("student_features", "teacher_features"),
    "mimkd_local": mimkd("student_local", "teacher_features"),
    "pkt_cosine": plain(lambda params: PKT(**given(params, "eps"))),
    "pkt_supervised": pkt_supervised,
    "pkt_survey_eq13": plain(survey_pkt),
    "qmi_potentials": qmi_potentials,
    "vid": vid,
    "vml_jsd": plain(lambda _: VML(), "logits_1", "logits_2"),
    "vsd": plain(lambda params: VSD(params["temperature"]), *LOGITS),
    "vsd_code": plain(lambda params: VSD(params["temperature"], form="code"), *LOGITS),
    **{f"pkt_{name}": plain(flow_pkt) for name in ("student_t_kl", "student_t_jeffreys", "rbf_kl", "combined")},
}
