"""AdaGMLP: several small MLPs, each trained mostly on the nodes that the previous ones get wrong.

Lu, Guan, Zhao and Yang, "AdaGMLP: AdaBoosting GNN-to-MLP Knowledge Distillation", KDD 2024, arXiv:2405.14307.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.distiller import Step
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.sparse_features import whole
from graphkd.core.trainable import Trainable
from graphkd.core.view import Batch
from graphkd.gnn.glnn import check_label_weight
from graphkd.losses._checks import check_positive, check_same_shape
from graphkd.losses.graphs.neighbour_kl import soft_labels

LEAST = 1e-16  # lower bound of a member's weight, and added to its error
HIDDEN = 1e-32  # replaces masked features, as in the authors' code


@method(
    "adagmlp",
    family="gnn",
    paper="Lu et al., KDD 2024",
    arxiv="2405.14307",
    cannot={
        "sparse": "it hides some of the features",
        "student": "it brings several MLPs, whose hidden layers it compares",
    },
    published={"epochs": 500, "patience": 50},
    space={
        "label_weight": (0.003, 0.99),
        "temperature": (0.05, 3.0),
        "output_share": (0.01, 1.0),
        "mask_share": (0.01, 0.9),
        "dropout": (0.02, 0.95),
    },
)
def adagmlp_method(
    problem: Problem,
    *,
    members: int = 3,
    label_weight: float = 0.1,
    temperature: float = 0.4,
    beta: float = 1.0,
    output_share: float = 0.9,
    mask_share: float = 0.1,
    reset: bool = False,
    layers: int = 2,
    width: int = 64,
    dropout: float = 0.7,
) -> nn.Module:
    """Boost small MLPs on nodes that are still wrong; choose it where one MLP is too small to follow its teacher.

    ``members`` MLPs of ``layers`` hidden layers of ``width`` are trained together; the result is a ``Boosted``, which
    averages their probabilities with the weights alpha. The loss is that of ``AdaGMLP``: each member has its own random
    part of the labels, soft labels weigh more on nodes where the previous members fail, and masking a ``mask_share`` of
    the features should change neither output nor hidden layers (weights output_share and 1 - output_share). beta: how
    fast a member's error on a node grows with its KL divergence, see ``boost``. Defaults are those published for a GCN
    on Cora. Costs one pass of the teacher, then two of each member a step, O(N F width) each.

    As in the authors' code the node weights continue from epoch to epoch, and in hundreds of epochs concentrate on few
    nodes; reset=True begins each epoch with equal weights. Differs from it in this: a model is saved with the alpha of
    its own epoch, there with that of the last epoch; rows are found by node id, and all members serve new nodes; masked
    rows are divided by their sums only where no feature is negative.
    """
    widths = [problem.features, *[width] * layers, problem.classes]
    student = problem.made(lambda: Boosted(members, widths, dropout))
    options: dict[str, Any] = {"label_weight": label_weight, "temperature": temperature, "beta": beta, "reset": reset}
    options |= {"output_share": output_share, "mask_share": mask_share}
    data = {"x": problem.values_of("x"), "y": problem.targets, "told": problem.view_of(problem.teacher)}
    trainable = AdaGMLP(student, problem.nodes, **options)
    return problem.train(trainable, "student", {**data, "labelled": problem.labelled_nodes})


class Member(nn.Module):
    """Run an MLP that also returns its hidden layers, after ReLU and dropout."""

    def __init__(self, widths: list[int], dropout: float) -> None:
        super().__init__()
        self.lins, self.dropout = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths)), dropout

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(N, F) -> (N, C), and (N, d) of each hidden layer."""
        hidden: list[Tensor] = []
        for number, linear in enumerate(self.lins):
            x = linear(x)
            if number < len(self.lins) - 1:
                x = F.dropout(x.relu(), self.dropout, self.training)
                hidden.append(x)
        return x, hidden


class Boosted(nn.Module):
    """Average the members' probabilities with the weights ``alpha`` (K,), and return logarithms.

    count: K, ValueError below 1; widths: of each member's layers, input and classes included.
    """

    alpha: Tensor

    def __init__(self, count: int, widths: list[int], dropout: float = 0.0) -> None:
        super().__init__()
        if count < 1:
            raise ValueError(f"'members' must be at least 1, got {count}")
        self.members = nn.ModuleList(Member(widths, dropout) for _ in range(count))
        self.register_buffer("alpha", torch.full((count,), 1 / count))

    def forward(self, x: Tensor) -> Tensor:
        """(N, F) -> (N, C)."""
        logs = torch.stack([member(x)[0].log_softmax(dim=1) for member in self.members])
        return (logs + self.alpha.log()[:, None, None]).logsumexp(dim=0)


class Boost(NamedTuple):
    """Result of a boosting step: the member's alpha, a scalar, and the node weights for the next member, (N,)."""

    alpha: Tensor
    weight: Tensor


@torch.no_grad()
def boost(student: Tensor, teacher: Tensor, weight: Tensor, beta: float = 1.0) -> Boost:
    """Weigh a member by its errors e = 1 - exp(-beta KL(t || s)), and the nodes anew: (N, C), (N, C), (N,).

    err = sum w e / sum w; alpha = max(log((1 - err) / err), 1e-16); w := w exp(alpha e) over their sum. A member whose
    error is above 1/2 does not change the weights.
    """
    check_same_shape(student, teacher)
    log_q = soft_labels(teacher)
    error = 1 - (-beta * (log_q.exp() * (log_q - soft_labels(student))).sum(dim=1)).exp()
    mean = (weight * error).sum() / weight.sum() + LEAST
    alpha = ((1 - mean) / mean + LEAST).log().clamp_min(LEAST)
    other = weight * (alpha * error).exp()
    return Boost(alpha, other / other.sum())


class AdaGMLP(Trainable):
    """AdaGMLP on a batch of all nodes: x, y, ``told`` (the teacher's logits) and ``labelled`` (ids of labelled nodes).

    lambda mean_k CE_k + (1 - lambda) mean_k sum_i w_i KL(t_i || s_ki) + a mean_k out_k + (1 - a) mean_k hid_k, lambda =
    ``label_weight``, a = ``output_share``. CE_k uses a random K-th of the labels; ``boost`` updates w from member to
    member; KL is at the ``temperature`` without T^2; out and hid are mean squared differences of log-probabilities and
    of hidden layers between the rows of CE_k and the same rows with masked features. nodes: N. Terms ``label``,
    ``soft``, ``output``, ``hidden``.
    """

    weight: Tensor

    def __init__(
        self,
        student: Boosted,
        nodes: int,
        *,
        label_weight: float = 0.1,
        temperature: float = 0.4,
        beta: float = 1.0,
        output_share: float = 0.9,
        mask_share: float = 0.1,
        reset: bool = False,
    ) -> None:
        super().__init__()
        check_label_weight(label_weight)
        if not 0 <= output_share <= 1 or not 0 <= mask_share < 1:
            raise ValueError(f"'output_share' and 'mask_share' must be shares, got {output_share} and {mask_share}")
        self.student, self.reset = student, reset
        self.label_weight, self.temperature = label_weight, check_positive("temperature", temperature)
        self.beta, self.output_share, self.mask_share = check_positive("beta", beta), output_share, mask_share
        self.register_buffer("weight", torch.full((nodes,), 1 / nodes))

    def forward(self, batch: Batch) -> Step:
        """Train all members on all nodes, one after the other."""
        x, told = whole(batch["x"]), batch["told"]
        weight = torch.full_like(self.weight, 1 / len(self.weight)) if self.reset else self.weight.clone()
        values: dict[str, list[Tensor]] = {"label": [], "soft": [], "output": [], "hidden": []}
        alphas = []
        for member, rows in zip(self.student.members, self.parts(batch["labelled"]), strict=True):
            logits, hidden = member(x)
            values["label"].append(F.cross_entropy(logits[rows], batch["y"][rows]))
            values["soft"].append(self._soft(logits, told, weight))
            if self.mask_share:
                output, layers = self._masked(member, self.masked(x[rows]), logits[rows], [h[rows] for h in hidden])
                values["output"].append(output)
                values["hidden"].append(layers)
            alpha, weight = boost(logits, told, weight, self.beta)
            alphas.append(alpha)
        self._note(weight, torch.stack(alphas))
        weights = (self.label_weight, 1 - self.label_weight, self.output_share, 1 - self.output_share)
        terms = {
            name: (w, torch.stack(values[name]).mean()) for name, w in zip(values, weights, strict=True) if values[name]
        }
        return Step(self.weighed(terms), {name: value.detach() for name, (_, value) in terms.items()})

    def parts(self, labelled: Tensor) -> list[Tensor]:
        """Draw disjoint parts of the labels, one per member; with fewer labels than members each gets all."""
        count = len(self.student.members)
        size = len(labelled) // count
        if not size:
            return [labelled] * count
        order = torch.randperm(len(labelled), device=labelled.device)[: size * count]
        return list(labelled[order].split(size))

    @torch.no_grad()
    def masked(self, x: Tensor) -> Tensor:
        """Hide a share of the features of each row, and divide it by its sum where no feature is negative."""
        count = int(self.mask_share * x.size(1))
        columns = torch.rand_like(x).topk(count, dim=1).indices if count else x.new_zeros(len(x), 0, dtype=torch.long)
        found = x.scatter(1, columns, HIDDEN)
        total = found.sum(dim=1, keepdim=True)
        plain = (x >= 0).all(dim=1, keepdim=True) & (total > 0)
        return found / torch.where(plain, total, 1)

    def _soft(self, logits: Tensor, told: Tensor, weight: Tensor) -> Tensor:
        log_q, log_p = soft_labels(told, self.temperature), soft_labels(logits, self.temperature)
        return (weight * (log_q.exp() * (log_q - log_p)).sum(dim=1)).sum()

    def _masked(self, member: nn.Module, x: Tensor, logits: Tensor, hidden: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Compute how far masked features move the output and the hidden layers."""
        other, layers = member(x)
        output = (soft_labels(logits) - soft_labels(other)).square().mean()
        apart = [(one - two).square().mean() for one, two in zip(hidden, layers, strict=True)]
        return output, torch.stack(apart).mean() if apart else output * 0

    @torch.no_grad()
    def _note(self, weight: Tensor, alphas: Tensor) -> None:
        self.weight.copy_(weight)
        self.student.alpha.copy_(alphas / alphas.sum())
