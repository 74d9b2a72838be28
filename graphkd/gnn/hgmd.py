"""HGMD: an MLP learns more from its neighbours where a node is hard to teach.

Wu, Liu, Lin, Huang and Li, "Teach Harder, Learn Poorer: Rethinking Hard Sample Distillation for GNN-to-MLP Knowledge
Distillation", CIKM 2024, arXiv:2407.14768.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.teachers import Frozen
from graphkd.core.view import Batch, Call
from graphkd.gnn._edge_taught import EdgeTaught
from graphkd.gnn.glnn import student_or_mlp
from graphkd.kernels import edge_dot, edge_layout
from graphkd.kernels.norms import unit_vectors
from graphkd.losses._checks import check_positive, check_same_shape, choose
from graphkd.losses.graphs.neighbour_kl import EdgeTargets, entropy, soft_labels

Form = Literal["mixup", "weight"]
SMOOTHING = 1e-6


@method("hgmd_weight", preset={"form": "weight"})
@method(
    "hgmd",
    family="gnn",
    paper="Wu et al., CIKM 2024",
    arxiv="2407.14768",
    needs=("edges",),
    published={"epochs": 500, "patience": 50},
    student=False,
    space={"label_weight": (0.003, 0.99), "temperature": (0.3, 3.0), "beta": (0.1, 3.0)},
)
def hgmd_method(
    problem: Problem,
    *,
    form: Form = "mixup",
    label_weight: float = 0.1,
    temperature: float = 0.9,
    alpha: float = 5.0,
    beta: float = 0.3,
    fall: float = 100.0,
    smooth: bool = False,
    layers: int | None = None,
    width: int | None = None,
    dropout: float | None = None,
) -> nn.Module:
    """Let harder nodes learn from more neighbours; choose it beside ``krd``, where answers differ in certainty.

    lambda CE(labelled) + (1 - lambda) soft, lambda = ``label_weight``. In every epoch an edge (i, j) is drawn with the
    probability ``edge_chance``, which is large if node i is hard and j easy for the teacher and their soft labels are
    alike; the drawn edges and a loop are the sub-graph of i. "mixup": the mean over these edges of KL(t_e || p_i),
    t_e = (1 - w) q_i + w q_j, w the probability times a draw of Beta(beta, beta); "weight": KL(q_j || p_i), weighted
    within the sub-graph by similarity and probability, see ``edge_shares``. q and p are the soft labels of teacher and
    student at the ``temperature``, without T^2. alpha falls by the factor ``fall`` from the first to the last epoch, so
    sub-graphs shrink to plain soft labels. Defaults are those published for a GCN on Cora. smooth: add 1e-6 to all
    targets, as the authors do except on Cora, CiteSeer and PubMed. i is the source of an edge, as in ``low_frequency``.
    layers, width, dropout: hidden layers of the MLP that is made if no student is given, by default 2, 512 and 0.3.
    Costs a pass of the student in eval mode and one sparse product O(E C) a step; "mixup" stores targets of 65,536
    edges at a time, for their entropy.

    As in the authors' code the first epoch takes all edges with probability 1. With a loader every batch is treated as
    an epoch: entropies are divided by the largest of the batch, the authors' by the largest of all nodes.
    """
    student = student_or_mlp(problem, (layers, width, dropout), (2, 512, 0.3))
    options: dict[str, Any] = {"form": form, "label_weight": label_weight, "temperature": temperature, "alpha": alpha}
    options |= {"beta": beta, "fall": fall, "smooth": smooth, "call": problem.call_of(student)}
    return problem.train(HGMD(student, problem.teacher, problem.supervised(), **options))


def relative_entropy(logits: Tensor) -> Tensor:
    """Divide the entropy of each softmax by the largest of all, an exact 0 counting as 1e-8: (N, C) -> (N,)."""
    found = entropy(logits)
    found = found / found.max().clamp_min(torch.finfo(found.dtype).tiny)
    return torch.where(found > 0, found, torch.full_like(found, 1e-8))


def edge_chance(student: Tensor, teacher: Tensor, edge_index: Tensor, alpha: float) -> Tensor:
    """P = 1 - exp(-alpha cos(q_i, q_j) sqrt(H_t(i) H_s(i)) / H_t(j)) of each edge (i, j): (N, C) twice -> (E,).

    q: the teacher's soft labels at T = 1; H: ``relative_entropy`` of teacher and student. O(E C) time, O(E) memory.
    """
    check_same_shape(student, teacher)
    hard, easy = (relative_entropy(teacher) * relative_entropy(student)).sqrt(), relative_entropy(teacher)
    learner, taught = edge_index
    return -torch.expm1(-alpha * likeness(teacher, edge_index) * hard[learner] / easy[taught])


def likeness(teacher: Tensor, edge_index: Tensor) -> Tensor:
    """Compute cosines of the teacher's soft labels at the ends of each edge, T = 1: (N, C), (2, E) -> (E,)."""
    unit = unit_vectors(soft_labels(teacher).exp())
    layout = edge_layout(edge_index, teacher.size(0))
    return layout.restore(edge_dot(unit, unit, layout))


def edge_shares(teacher: Tensor, edge_index: Tensor, chance: Tensor) -> Tensor:
    """c_e = d_i w_e / sum of w over the edges of i, w = cos(q_i, q_j) chance: (N, C), (2, E), (E,) -> (E,).

    d_i: the number of edges of the learner i, which is the sum of its c_e; all are 0 if all its w are 0.
    """
    weight = likeness(teacher, edge_index) * chance
    rows = teacher.size(0)
    total = weight.new_zeros(rows).index_add(0, edge_index[0], weight)
    degree = torch.bincount(edge_index[0], minlength=rows).to(weight)
    scale = torch.where(total > 0, degree / total, 0)
    return weight * scale[edge_index[0]]


class HGMD(EdgeTaught):
    """HGMD on batches with ``edge_index``; see the methods ``hgmd`` and ``hgmd_weight``."""

    def __init__(
        self,
        student: nn.Module,
        teacher: Frozen,
        label: Loss,
        *,
        form: Form = "mixup",
        label_weight: float = 0.1,
        temperature: float = 0.9,
        alpha: float = 5.0,
        beta: float = 0.3,
        fall: float = 100.0,
        smooth: bool = False,
        call: Call | None = None,
    ) -> None:
        super().__init__(student, teacher, label, label_weight=label_weight, temperature=temperature, call=call)
        self.form = choose("form", form, get_args(Form))
        self.alpha, self.smoothing = alpha, SMOOTHING if smooth else 0.0
        self.beta, self.fall = check_positive("beta", beta), check_positive("fall", fall)

    def targets(self, batch: Batch, taught: Tensor, edge_index: Tensor) -> EdgeTargets:
        """Compute mixed or weighted soft labels of the drawn neighbours."""
        chance = edge_index.new_ones(edge_index.size(1), dtype=torch.get_default_dtype())
        if self.epoch:
            alpha = self.alpha / self.fall ** (self.epoch / max(self.epochs - 1, 1))
            chance = edge_chance(self.answers(batch), taught, edge_index, alpha).clamp(0, 1)
            drawn = chance.bernoulli() > 0
            edge_index, chance = edge_index[:, drawn], chance[drawn]
        if self.form == "mixup":
            share = chance * self._mix(chance)
            options: dict[str, Any] = {"temperature": self.temperature, "smoothing": self.smoothing}
            return EdgeTargets.mixed(taught, edge_index, share, loops=True, **options)
        nodes = torch.arange(taught.size(0), device=edge_index.device)
        looped = torch.cat([edge_index, nodes.expand(2, -1)], dim=1)
        shares = edge_shares(taught, looped, torch.cat([chance, chance.new_ones(len(nodes))]))
        return EdgeTargets.of(taught, looped, shares, temperature=self.temperature)

    def _mix(self, like: Tensor) -> Tensor:
        """Draw from Beta(beta, beta)."""
        concentration = like.new_tensor(self.beta)
        return torch.distributions.Beta(concentration, concentration).sample(like.shape)
