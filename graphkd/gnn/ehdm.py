"""EHDM: link heuristics teach MLPs that read no edges, and the MLPs' answers are averaged.

Qin and others, "Heuristic Methods are Good Teachers to Distill MLPs for Graph Link Prediction", Learning on Graphs
2025, arXiv:2504.06193.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn import MLP

from graphkd.core.distiller import Distiller
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.teachers import Frozen
from graphkd.core.view import Call
from graphkd.gnn.ehdm_heuristics import Heuristic, Kind
from graphkd.gnn.llp import LLP, link_student


@method(
    "ehdm",
    family="gnn",
    paper="Qin et al., LoG 2025",
    arxiv="2504.06193",
    tasks=("link_prediction",),
    needs=("edges",),
    published={"epochs": 2000, "patience": 100, "weight_decay": 0.0},
    student=False,
    teacher=False,
    space={
        "label_weight": (0.001, 1000.0),
        "distribution_weight": (0.001, 1000.0),
        "rank_weight": (0.001, 1000.0),
        "margin": (0.01, 0.5),
    },
)
def ehdm_method(
    problem: Problem,
    *,
    heuristics: Sequence[Kind] = ("cn", "aa"),
    gated: bool = False,
    label_weight: float = 1.0,
    distribution_weight: float = 0.01,
    rank_weight: float = 1.0,
    margin: float = 0.1,
    hops: int = 2,
    walks: int = 3,
    random_rate: int = 1,
    anchors: int = 8192,
    width: int | None = None,
    layers: int | None = None,
    dropout: float | None = None,
) -> nn.Module:
    """Teach an MLP by each of several heuristics and let them answer together; choose it for links without a GNN.

    No teacher is needed. For each of ``heuristics``, "cn", "aa", "ra" or "path" (see ``link_heuristics``), a student
    with weights of its own learns the heuristic's scores of the training edges by ``llp``. The result is a
    ``LinkEnsemble``, the mean of their probabilities, which reads features alone. gated: a ``Gate`` on the features of
    a pair weighs the mean, and learns the labels in a separate stage; this is the paper's form, while the released code
    has the plain mean, our default. The paper's penalty on the gate's weights is constant, since these sum to 1, and is
    left out. Other settings are those of ``llp``, by default those of the authors' example. Contexts are scored by the
    heuristic on the CPU at every step ("path" searches from every anchor); the authors score stored walks once. Costs
    ``llp`` once per heuristic. Raises ValueError for an unknown heuristic.
    """
    options: dict[str, Any] = {"label_weight": label_weight, "distribution_weight": distribution_weight}
    options |= {"rank_weight": rank_weight, "margin": margin, "hops": hops, "walks": walks}
    options |= {"random_rate": random_rate, "anchors": anchors}
    if isinstance(heuristics, str) or not heuristics:
        raise ValueError(f"'heuristics' must be some of 'cn', 'aa', 'ra' and 'path', got {heuristics!r}")
    members, shape = [], {"width": width, "layers": layers, "dropout": dropout}
    for number, kind in enumerate(heuristics):
        student = link_student(problem, shape, number)
        call = problem.task.call(problem.call_of(student))
        teacher = Frozen(Heuristic(kind), call=problem.task.call(None))
        trainable = LLP(student, teacher, problem.supervised(), call=call, **options)
        members.append(problem.train(trainable, f"{number + 1}-{kind}", clip=1.0))
    call = problem.task.call(problem.call_of(members[0]))
    assert call is not None  # the task of links wraps every call
    ensemble = problem.made(lambda: LinkEnsemble(members, call, problem.features if gated else None))
    if not gated:
        return ensemble.eval()
    for member in ensemble.members:
        member.requires_grad_(False)
    gate = Gating(ensemble, None, problem.supervised(), call=problem.task.call(None))
    return problem.train(gate, "gate")


class Gating(Distiller):
    """Train an ensemble's gate alone on the labels: its members stay in eval mode."""

    def train(self, mode: bool = True) -> Gating:
        """Train the gate."""
        super().train(mode)
        student: Any = self.student
        student.members.eval()
        return self


def mixed(chances: Tensor, weights: Tensor) -> Tensor:
    """(sum_m w_m s_m + 1e-6) / (1 + 1e-3), within (0, 1): (M, k), (M, k) -> (M,)."""
    return ((chances * weights).sum(dim=1) + 1e-6) / (1 + 1e-3)


class Gate(nn.Module):
    """Weigh the members for each pair, softmax(G[F(x_i * x_j), H(heuristics)]): -> (M, k).

    features, members: widths F and k; width: of hidden layers; heuristics: how many heuristic values of a pair it
    reads. The networks F and H have two linear layers; G has two with heuristics, without them one.
    """

    def __init__(self, features: int, members: int, width: int = 64, *, heuristics: int = 0) -> None:
        super().__init__()
        self.feature = MLP([features, width, width], norm=None)
        self.heuristic = MLP([heuristics, width, width], norm=None) if heuristics else None
        self.out = MLP([2 * width, width, members] if heuristics else [width, members], norm=None)

    def forward(self, product: Tensor, heuristics: Tensor | None = None) -> Tensor:
        """(M, F), (M, h) -> (M, k)."""
        seen = self.feature(product)
        if self.heuristic is not None:
            seen = torch.cat([seen, self.heuristic(heuristics)], dim=1)
        weights: Tensor = self.out(seen).softmax(dim=1)
        return weights


class LinkEnsemble(nn.Module):
    """Answer pairs by the mean probability of several models, as a logit; weighed by a gate if ``features`` is given.

    members: models of the link task; call: how to call them for ``logits``; features: F, the width of x.
    """

    def __init__(self, members: Sequence[nn.Module], call: Call, features: int | None = None) -> None:
        super().__init__()
        self.members, self._call = nn.ModuleList(members), call
        self.gate = None if features is None else Gate(features, len(members))

    def forward(self, x: Tensor, edge_label_index: Tensor, edge_index: Tensor | None = None) -> Tensor:
        """(N, F), (2, M) -> (M,)."""
        batch: dict[str, Any] = {"x": x, "edge_label_index": edge_label_index}
        batch |= {} if edge_index is None else {"edge_index": edge_index}
        chances = torch.stack([self._call(each, batch)["logits"].reshape(-1).sigmoid() for each in self.members], dim=1)
        weights = torch.full_like(chances, 1 / chances.size(1))
        if self.gate is not None:
            weights = self.gate(x[edge_label_index[0]] * x[edge_label_index[1]])
        return mixed(chances, weights).logit()
