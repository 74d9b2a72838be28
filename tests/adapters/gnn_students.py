"""Adapters of the cases with students of their own: rename, call, return."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn import MLP

from graphkd import Frozen
from graphkd.core.rng import seeded
from graphkd.gnn import PAM, PLP, GLNNBatches, NOSMOGDistiller, neighbour_distillation
from graphkd.losses import CE, SoftLabels, high_frequency, low_frequency, soft_label_distance
from tests.adapters.graph import Inputs, evaluate, load
from tests.adapters.params import settings

MODES = {"ind": "inductive", "tra": "transductive"}


def known(inputs: Inputs) -> Tensor:
    return torch.zeros_like(inputs["labels"], dtype=torch.bool).index_fill(0, inputs["idx_train"].long(), True)


def weights(inputs: Inputs, prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in inputs.items() if name.startswith(prefix)}


def cpf(inputs: Inputs, params: dict) -> Inputs:
    labelled, classes = known(inputs), inputs["teacher_probs"].size(1)
    student = PLP(
        inputs["features"].size(1),
        classes,
        inputs["labels"],
        labelled,
        hidden=params["emb_dim"],
        steps=params["num_layers"],
        mode=MODES[params["ptype"]],
        mlp_layers=params["mlp_layers"],
        dropout=0.0,
        attention_dropout=0.0,
    )
    of_mlp = weights(inputs, "plp_layer_mlp_")
    paths = {name.replace("linears_", "lins.").replace("linear_", "lins.0."): value for name, value in of_mlp.items()}
    paths = {path.replace("_", "."): value for path, value in paths.items()}
    names = {"lr_alpha": "alpha", "attn_l" if params["ptype"] == "ind" else "fc_emb": "score"}
    own = {names[name]: value for name, value in weights(inputs, "plp_layer_").items() if name in names}
    load(student, {**paths, **own})
    output = student(inputs["features"], inputs["edge_index"])
    taught = SoftLabels(inputs["teacher_probs"][~labelled])
    losses = {"loss": "norm", "loss_mode1_bce": "bce", "loss_mode2_kl": "kl"}
    found = {name: soft_label_distance(output[~labelled], taught, distance) for name, distance in losses.items()}
    attention = student.attention(inputs["features"], inputs["edge_index"])
    return {**found, "student_output": output, "attention": attention}


class Recorded(nn.Module):
    """A teacher's stored answers and hidden rows, found by node id."""

    def __init__(self, logits: Tensor, hidden: Tensor) -> None:
        super().__init__()
        self.logits, self.rows, self.hidden = logits, hidden, nn.Identity()

    def forward(self, n_id: Tensor) -> Tensor:
        self.hidden(self.rows[n_id])
        return self.logits[n_id]


class Watched(NOSMOGDistiller):
    """Keeps the change of features that it drew."""

    def change(self, objective: Any, x: Tensor) -> Tensor:
        self.seen = super().change(objective, x)
        return self.seen


def nosmog(inputs: Inputs, params: dict) -> Inputs:
    """The authors' code reports the loss before it is weighted; what it descends is weighted."""
    taught = params["criterion"] == "kl"
    layers = weights(inputs, "mlp_layers_")
    widths = [layers[f"{n}_weight"].size(1) for n in range(len(layers) // 2)]
    classes = layers[f"{len(widths) - 1}_weight"].size(0)
    student = load(
        MLP([*widths, classes], norm=None, dropout=0.0),
        {f"lins.{name[0]}.{name[2:]}": value for name, value in layers.items()},
    )
    answers = inputs.get("teacher_log_probs", torch.zeros(len(inputs["labels"]), classes))
    task = Watched(
        student,
        Frozen(Recorded(answers, inputs["teacher_features"])),
        (f"lins.{len(widths) - 2}", "hidden"),
        widths[-1],
        label_weight=0.0 if taught else 1.0,
        similarity_weight=params["feat_distill_weight"],
        epsilon=params["adv_eps"],
    )
    load(task.losses, {f"2.head.{name}": value for name, value in weights(inputs, "mlp_mlp_feature_encoder_").items()})
    rows = torch.arange(0 if taught else inputs["labels"].size(0))
    with seeded(params["torch_seed"]):
        batch = next(islice(GLNNBatches(inputs["features"], inputs["labels"], rows), int(taught), None))
        step = task(batch)
    task.close()
    trained = {f"grad_{name}": value for name, value in inputs.items() if value.requires_grad}
    slopes = torch.autograd.grad(params["weight"] * step.loss, list(trained.values())) if trained else ()
    gradients = dict(zip(trained, slopes, strict=True))
    return {"loss": step.loss, "adv_delta": task.seen, "perm": batch["n_id"], **gradients}


def ffg2m(inputs: Inputs, params: dict) -> Inputs:
    student, teacher = inputs["student_logits"], inputs["teacher_logits"]
    _, (label,) = evaluate(CE(where="idx_train"), inputs)
    low = low_frequency(student, teacher, inputs["edge_index_loop"])
    high = high_frequency(student, teacher, inputs["edge_index_no_loop"], params["tau"])
    loss = params["lamb"] * label + (1 - params["lamb"]) * (low + high)
    return {"loss": loss, "loss_label": label, "loss_low": low, "loss_high": high}


def tinygnn_nds(inputs: Inputs, params: dict) -> Inputs:
    label, teacher = neighbour_distillation(
        params["lam"], params["T"], labelled="train_mask", taught="distill_mask"
    ).values()
    loss, _ = evaluate(label + teacher, inputs)
    return {"loss": loss}


def tinygnn_pam(inputs: Inputs, params: dict) -> Inputs:
    params = settings(params, peers="siblings", residual=False)
    module = PAM(
        inputs["features"].size(1),
        inputs["w_v"].size(0),
        key_width=inputs["w_q"].size(0),
        peers=params["peers"],
        residual=params["residual"],
    )
    load(module, {"query.weight": inputs["w_q"], "key.weight": inputs["w_k"], "value.weight": inputs["w_v"]})
    output = module(inputs["features"], inputs["edge_index"])
    return {"loss": (output * inputs["probe"]).sum(), "output": output}


ADAPTERS: dict[str, Callable[[Inputs, dict], dict[str, Any]]] = {
    "cpf_ind": cpf,
    "cpf_tra": cpf,
    "ffg2m": ffg2m,
    "nosmog": nosmog,
    "tinygnn_nds": tinygnn_nds,
    "tinygnn_pam": tinygnn_pam,
}
