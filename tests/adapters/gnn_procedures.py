"""Adapters of FreeKD's and GFKD's cases: rename, call, return."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch_geometric.nn import GCNConv
from torch_geometric.utils import degree

from benchmarks.graph.classifiers import GraphClassifier
from graphkd.gnn import Actions, FakeGraphs, Inversion, Shown, freekd_objective, freekd_reward, freekd_transfer
from graphkd.losses import KL, cross_entropy
from tests.adapters.graph import load
from tests.adapters.params import settings

Inputs = dict[str, Tensor]
SIMILARITIES = {
    "euclid": "euclidean",
    "l2": "euclidean",
    "sqeuclidean": "squared_euclidean",
    "sq_euclidean": "squared_euclidean",
    "sqdist": "squared_euclidean",
    "sq_l2": "squared_euclidean",
}


def freekd(inputs: Inputs, params: dict) -> Inputs:
    params = settings(params, T=1.0, sim="cosine", beta_sim=1.0)
    named = params["sim"].removeprefix("neg_")  # distances are negated, whether a case says so or not
    where, edge_index, y = inputs["train_mask"], inputs["edge_index"], inputs["labels"]
    phi, psi = (Shown(inputs[f"logits_{peer}"], inputs[f"embed_{peer}"]) for peer in ("phi", "psi"))
    actions = Actions(inputs["action_node"], inputs["action_struct"])
    knobs = {
        "similarity": SIMILARITIES.get(named, named),
        "scale": params["beta_sim"],
        "temperature": params["T"],
        "reduction": "sum",
    }
    found: Inputs = {"loss": torch.zeros(())}
    for name, student, teacher, direction in (("phi", phi, psi, 1), ("psi", psi, phi, 0)):
        node, structure = freekd_transfer(
            student, teacher, actions, edge_index, direction=direction, where=where, **knobs
        )
        loss = cross_entropy(student.logits[where], y[where]) + params["mu"] * node + params["rho"] * structure
        found |= {f"loss_{name}": loss, f"loss_node_{name}": node, f"loss_struct_{name}": structure}
        found["loss"] = found["loss"] + loss
    reward = freekd_reward(phi.logits, psi.logits, y, edge_index, params["gamma"])
    logits = [inputs["policy_logit_node"], inputs["policy_logit_struct"]]
    chosen = (Actions(*(pair[where] for pair in pairs)) for pairs in (logits, actions))
    objective = freekd_objective(reward[where], *chosen)
    grads = dict(
        zip(("grad_policy_logit_node", "grad_policy_logit_struct"), torch.autograd.grad(objective, logits), strict=True)
    )
    return {**found, "reward": reward, "policy_objective": objective, **grads}


class InDegreeConv(GCNConv):
    """The convolution of the authors' graph library: both ends count by their in-degree, at least 1."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__(width, out, normalize=False, add_self_loops=False)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        scale = degree(edge_index[1], x.size(0), dtype=x.dtype).clamp(min=1).rsqrt()
        return super().forward(x, edge_index, scale[edge_index].prod(dim=0))


def inversion(inputs: Inputs, params: dict) -> Inversion:
    """The case's teacher and its fake graphs."""
    width = inputs["feature_params"].size(1)
    layers = params["num_layers"] - 1
    teacher = GraphClassifier(InDegreeConv, [width, *[params["hidden"]] * layers], params["classes"]).double()
    state = {f"linear.{part}": inputs[f"net_linears_prediction_{part}"] for part in ("weight", "bias")}
    for layer in range(layers):
        state[f"convs.{layer}.lin.weight"] = inputs[f"net_gcnlayers_{layer}_weight"].t()
        state[f"convs.{layer}.bias"] = inputs[f"net_gcnlayers_{layer}_bias"]
        for part in ("weight", "bias", "running_mean", "running_var"):
            state[f"norms.{layer}.{part}"] = inputs[f"net_norms_{layer}_{part}"]
        state[f"norms.{layer}.num_batches_tracked"] = torch.tensor(0)
    teacher.load_state_dict(state)
    fake = FakeGraphs(
        inputs["sizes"], inputs["targets"], width, one_hot=bool(params["onehot"]), self_loops=params["self_loop"]
    )
    load(fake, {"features": inputs["feature_params"], "structure": inputs["structure_params"]})
    return Inversion(fake, teacher, bn_weight=params["bn_reg_scale"], entropy_weight=params["onehot_cof"])


def gfkd_feature(inputs: Inputs, params: dict) -> Inputs:
    task = inversion(inputs, params)
    loss, _ = task.feature_loss()
    _, statistics = task.look(task.student())
    return {"loss": loss, "bn_terms": statistics, "structures": task.student.likely()}


def gfkd_structure(inputs: Inputs, params: dict) -> Inputs:
    task = inversion(inputs, params)
    first, second = task.merged(inputs["noise"])
    return {"E1": first, "E2": second, "grad_structure_params": task.structure_gradient(inputs["noise"])}


def gfkd_kd(inputs: Inputs, params: dict) -> Inputs:
    return {"loss": KL(params["T"])(inputs["student_logits"], inputs["teacher_logits"])}


ADAPTERS: dict[str, Callable[[Inputs, dict], Inputs]] = {
    "freekd": freekd,
    "gfkd_feature": gfkd_feature,
    "gfkd_kd": gfkd_kd,
    "gfkd_structure": gfkd_structure,
}
