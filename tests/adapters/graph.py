"""Adapters of the graph cases: rename, call, return."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Adam
from torch_geometric.nn import MLP

from graphkd import Frozen, Loss, fit
from graphkd.gnn import GLNNBatches, glnn_distiller
from graphkd.losses import AT, BCE, CE, GCRD, GSP, KL, LSP, FitNet, SoftBCE, local_structure
from tests.adapters.params import settings

Inputs = dict[str, Tensor]
KERNELS = {"cosine": "cosine", "poly": "poly", "l2": "euclidean", "rbf": "rbf"}


def evaluate(losses: Loss, inputs: Inputs) -> tuple[Tensor, list[Tensor]]:
    """A weighted sum of losses, and its terms, on the entries ``logits`` and ``hidden`` of both sides."""
    entries = {"logits": "logits", "hidden": "features"}
    student, teacher = (
        {entry: inputs[f"{side}_{name}"] for entry, name in entries.items() if f"{side}_{name}" in inputs}
        for side in ("student", "teacher")
    )
    batch = {**inputs, "y": inputs.get("labels")}
    terms = []
    for _, loss in losses.parts():
        digest = loss.digest_view(teacher, batch) if loss.needs_teacher else None
        terms.append(loss.measure(student, digest, batch))
    weights = (weight for weight, _ in losses.parts())  # a term of no rows is none
    return sum(weight * term for weight, term in zip(weights, terms, strict=True) if term is not None), terms


def auxiliary(make: Callable[[dict], Loss]) -> Callable[[Inputs, dict], Inputs]:
    """Cases of efficient-gnns: cross-entropy + beta auxiliary loss, on sampled rows where there are too many."""

    def adapter(inputs: Inputs, params: dict) -> Inputs:
        chosen = sampled(inputs, params)
        knobs = settings(params, criterion="kld", where="sampled_inds" if chosen else None)
        loss, (cls, aux) = evaluate(CE() + params["beta"] * make(knobs), {**inputs, **chosen})
        return {"loss": loss, "loss_cls": cls, "loss_aux": aux, **chosen}

    return adapter


def sampled(inputs: Inputs, params: dict) -> Inputs:
    """The rows that are compared, if not all: those of the case, else those that the authors' code draws."""
    count, rows = params.get("max_samples"), inputs["student_logits"].size(0)
    if "sampled_inds" in inputs:
        return {"sampled_inds": inputs["sampled_inds"]}
    if params.get("np_seed") is None or count is None or count >= rows:
        return {}
    drawn = np.random.RandomState(params["np_seed"]).choice(rows, count, replace=False)
    return {"sampled_inds": torch.from_numpy(drawn)}


def kd_node(inputs: Inputs, params: dict) -> Inputs:
    alpha, temperature = params["alpha"], params["T"]
    soft = KL(temperature, reduction="elementmean", rescale=False)
    loss, (cls, aux) = evaluate((1 - alpha) * CE() + alpha * temperature**2 * soft, inputs)
    return {"loss": loss, "loss_cls": cls, "loss_aux": aux}


def kd_multilabel(inputs: Inputs, params: dict) -> Inputs:
    alpha = params["alpha"]
    loss, (cls, aux) = evaluate((1 - alpha) * BCE() + alpha * params["T"] ** 2 * SoftBCE(), inputs)
    return {"loss": loss, "loss_cls": cls, "loss_aux": aux}


def lsp(params: dict) -> Loss:
    divergence = {"kld": "teacher_student", "mse": "mse"}[params["criterion"]]
    return LSP.efficient_gnns(KERNELS[params["kernel"]], divergence=divergence)


def lsp_paper(inputs: Inputs, params: dict) -> Inputs:
    loss, _ = evaluate(LSP("rbf", sigma=params["sigma"]), inputs)
    return {"loss": loss}


def lsp_distillgcn(inputs: Inputs, params: dict) -> Inputs:
    sigma = params["sigma_l1"]
    loss, _ = evaluate(LSP.distillgcn(sigma), inputs)
    structures = {
        f"edge_dist_{side}": local_structure(inputs[f"{side}_features"], inputs["edge_index"], "laplacian", sigma=sigma)
        for side in ("student", "teacher")
    }
    return {"loss": loss} | {name: structure.probabilities() for name, structure in structures.items()}


def gsp(params: dict) -> Loss:
    return GSP(KERNELS[params["kernel"]], where=params["where"])


def gcrd(params: dict) -> Loss:
    return GCRD(temperature=params["nce_T"], where=params["where"], eps=1e-12)


def load(module: nn.Module, weights: dict[str, Tensor]) -> nn.Module:
    """Put tensors of a case, differentiable ones too, in the places of a module's parameters."""
    module.double().train()
    for path, value in weights.items():
        owner, _, name = path.rpartition(".")
        target = module.get_submodule(owner)
        del target._parameters[name]
        setattr(target, name, value)
    return module


def gcrd_heads(inputs: Inputs, params: dict, names: dict[str, str], graph: bool) -> Loss:
    widths = [inputs[f"{side}_features"].size(1) for side in ("student", "teacher")]
    loss = GCRD(*widths, params["proj_dim"], params["nce_T"], graph=graph)
    for head, side in zip(loss.heads, ("student", "teacher"), strict=True):
        load(head, {path: inputs[f"{side}_proj_{name}"] for path, name in names.items()})
    return loss


def gcrd_proj(inputs: Inputs, params: dict) -> Inputs:
    names = {"map.weight": "0_weight", "map.bias": "0_bias", "norm.weight": "1_weight", "norm.bias": "1_bias"}
    alpha, temperature = params["alpha"], params["kd_T"]
    kd = (1 - alpha) * CE() + alpha * temperature**2 * KL(temperature, reduction="elementmean", rescale=False)
    total = kd + params["beta"] * gcrd_heads(inputs, params, names, graph=False)
    loss, (cls, soft, aux) = evaluate(total, inputs)
    return {"loss": loss, "loss_cls": cls, "loss_kd": soft, "loss_aux": aux}


def gcrd_gcnproj(inputs: Inputs, params: dict) -> Inputs:
    names = {
        "map.lin.weight": "conv_lin_weight",
        "map.bias": "conv_bias",
        "norm.weight": "bn_weight",
        "norm.bias": "bn_bias",
    }
    loss, (aux,) = evaluate(params["beta"] * gcrd_heads(inputs, params, names, graph=True), inputs)
    return {"loss": loss, "loss_aux": aux}


def glnn(inputs: Inputs, params: dict) -> Inputs:
    label_weight = params["lamb"]
    terms = label_weight * CE(where="idx_train") + (1 - label_weight) * KL()
    loss, (label, teacher) = evaluate(terms, {**inputs, "teacher_logits": inputs["teacher_log_probs"]})
    return {"loss": loss, "loss_label": label, "loss_teacher": teacher}


class _Recorded(GLNNBatches):
    """Keeps the permutations that it drew."""

    def __init__(self, *data: Any) -> None:
        super().__init__(*data)
        self.orders: list[Tensor] = []

    def order(self, count: int) -> Tensor:
        self.orders.append(super().order(count))
        return self.orders[-1]


def glnn_epoch(inputs: Inputs, params: dict) -> Inputs:
    names = [name.removeprefix("mlp_layers_") for name in inputs if name.startswith("mlp_layers_")]
    paths = {f"lins.{name[0]}.{name[2:]}": f"mlp_layers_{name}" for name in names}
    widths = [inputs[f"mlp_layers_{n}_weight"].size(1) for n in range(len(names) // 2)]
    student = MLP([*widths, inputs["teacher_log_probs"].size(1)], norm=None, dropout=0.0).double()
    student.load_state_dict({path: inputs[name] for path, name in paths.items()})
    teacher = Frozen(nn.Identity(), call=lambda _, batch: inputs["teacher_log_probs"][batch["n_id"]])
    batches = _Recorded(inputs["features"], inputs["labels"], inputs["idx_train"], params["batch_size"])
    reports: list[dict] = []
    fit(
        glnn_distiller(student, teacher, params["lamb"]),
        batches,
        epochs=params["epochs"],
        optimizer=partial(Adam, lr=params["lr"], weight_decay=params["weight_decay"]),
        seed=params["torch_seed"],
        log=reports.append,
    )
    orders = {"perm_l": torch.stack(batches.orders[::2]), "perm_t": torch.stack(batches.orders[1::2])}
    weights = {f"after_{name}": student.get_parameter(path) for path, name in paths.items()}
    losses = torch.tensor([[report["label"], report["teacher"]] for report in reports], dtype=torch.float64)
    return {"losses": losses, **orders, **weights}


ADAPTERS: dict[str, Callable[[Inputs, dict], dict[str, Any]]] = {
    "at_node": auxiliary(lambda params: AT(where=params["where"])),
    "fitnet_node": auxiliary(lambda params: FitNet(normalise=True, where=params["where"])),
    "gcrd": auxiliary(gcrd),
    "gcrd_gcnproj": gcrd_gcnproj,
    "gcrd_proj": gcrd_proj,
    "glnn": glnn,
    "glnn_epoch": glnn_epoch,
    "kd_multilabel": kd_multilabel,
    "kd_node": kd_node,
    "lsp_distillgcn": lsp_distillgcn,
    "lsp_paper": lsp_paper,
    **{f"gsp_{kernel}": auxiliary(gsp) for kernel in KERNELS},
    **{f"lsp_{kernel}": auxiliary(lsp) for kernel in (*KERNELS, "mse")},
}
