"""Complementary relation contrastive distillation (CRCD): relations to anchors, and agreement of gradients."""

import math
from typing import Any, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.checks import check_matrices, check_widths
from graphkd.kernels.norms import cosines, unit_vectors
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_positive, check_rows, check_same_shape, class_ids
from graphkd.losses._negatives import Drawn
from graphkd.losses.information.crd import CRD, EPS, Noise

_RELATION_EPS = 1e-6  # added to every component of a relation


def relation_cosines(student: Tensor, memory: Tensor, index: Tensor, eps: float = _RELATION_EPS) -> Tensor:
    """Cosines of the relations of rows and of memories to anchors: (N, p), (n, p), (N, 1 + K) -> (N, N, 1 + K).

    Entry (i, a, k) is the cosine of s_i - m_a + eps and m_k - m_a + eps, with anchor m_a the positive (first column) of
    row a of ``index`` and k in row i. Computed from inner products in float64, because they cancel where a memory is
    near an anchor. A row equal to an anchor has gradient 0, not 1 / eps. O(N^2 K p) time, O(N^2 K + N K p) memory.
    """
    anchors = memory[index[:, 0]].double() - eps
    keys = memory.index_select(0, index.flatten()).double().view(*index.shape, memory.size(1))
    relation = unit_vectors(student.double()[:, None] - anchors)
    same = (student[:, None] == memory[index[:, 0]]).all(dim=2, keepdim=True)
    relation = torch.where(same, relation.detach(), relation)  # eps alone has no direction to learn
    dots = relation @ keys.mT - (relation * anchors).sum(dim=2, keepdim=True)
    squared = keys.square().sum(dim=2)[:, None] + anchors.square().sum(dim=1)[:, None] - 2 * (anchors @ keys.mT)
    found = dots / squared.clamp_min(eps**2).sqrt()
    # The relation of an anchor to itself is eps in every component.
    itself = relation.sum(dim=2, keepdim=True) / memory.size(1) ** 0.5
    return torch.where(index[:, None] == index[:, :1], itself, found).to(student.dtype)


def crcd(
    anchor: Tensor,
    memory: Tensor,
    index: Tensor,
    log_normaliser: Tensor,
    temperature: float = 0.05,
    *,
    eps: float = EPS,
    relation_eps: float = _RELATION_EPS,
) -> Tensor:
    """Contrast relations by noise-contrastive estimation: (N, p), (n, p), (N, 1 + K), () -> scalar; see ``CRCD``.

    Example::

        >>> memory, index = torch.eye(6), torch.tensor([[0, 2, 3], [1, 4, 5]])  # the positive first, then negatives
        >>> log_z = crcd_log_normaliser(memory[:2], memory, index)
        >>> bool(crcd(memory[[0, 1]], memory, index, log_z) < crcd(memory[[2, 4]], memory, index, log_z))
        True
    """
    noise = Noise(index, memory.size(0), eps)
    log_share = relation_cosines(anchor, memory, index, relation_eps) / temperature - log_normaliser
    total = F.softplus(log_share - noise.log, threshold=50.0).sum(dim=2)
    return noise.contrast(total, log_share[:, :, 0]).sum() / max(anchor.size(0) ** 2, 1)


@torch.no_grad()
def crcd_log_normaliser(
    anchor: Tensor, memory: Tensor, index: Tensor, temperature: float = 0.05, *, relation_eps: float = _RELATION_EPS
) -> Tensor:
    """Compute log Z of ``crcd``, Z the mean of exp(cosine / tau) over a batch, times n; scalar, constant."""
    scores = relation_cosines(anchor, memory, index, relation_eps).flatten() / temperature
    return scores.logsumexp(dim=0) + math.log(memory.size(0) / max(scores.numel(), 1))


class CRCD(CRD):
    """Contrast relations of nodes to anchors, with memories. Zhu et al., CVPR 2021, arXiv:2103.16367 (CRCD).

    CRD on relations instead of representations. The batch's rows of the memory serve as anchors a; for every row i and
    every anchor, u_i - M_a identifies M_i - M_a among the M_k - M_a (unit vectors of differences plus
    ``relation_eps``): NCE over N^2 relations, with exp(cosine / tau) / Z as a_k of ``CRD``. Memories begin as unit
    vectors. The formulas are those of a third party's code (Lechatelia/CRCD), because the authors' is not public; we
    leave out its products of losses and its weight that falls to 0. Further arguments are those of ``CRD``. O(N^2 K p)
    time and O(N^2 K) memory, hence ``max_samples``.

    Example::

        >>> loss = CRCD(data.num_nodes, student_width=12, teacher_width=12, projection=16, negatives=8)
        >>> tuple(loss.teacher_memory.shape), round(float(loss.teacher_memory.norm(dim=1).mean()), 3)
        ((48, 16), 1.0)
        >>> settings = {"hidden": "convs.0", "negatives": 8, "max_samples": 16, "epochs": 2, "progress": False}
        >>> result = graphkd.distil("crcd", student, teacher, data, **settings)
    """

    def __init__(
        self,
        num_nodes: int,
        student_width: int,
        teacher_width: int,
        projection: int = 128,
        *,
        negatives: int = 500,
        temperature: float = 0.05,
        relation_eps: float = _RELATION_EPS,
        max_samples: int | None = 64,
        **more: Any,
    ) -> None:
        sizes = num_nodes, student_width, teacher_width, projection
        super().__init__(*sizes, negatives=negatives, temperature=temperature, max_samples=max_samples, **more)
        self.relation_eps = check_positive("relation_eps", relation_eps)
        for memory in (self.student_memory, self.teacher_memory):
            memory.copy_(unit_vectors(memory))

    def _draw(self, ids: Tensor, negatives: Tensor | None) -> Drawn:
        return super()._draw(ids, self.draws.index(ids) if negatives is None else negatives)

    def _contrast(self, anchor: Tensor, memory: Tensor, index: Tensor, log_z: Tensor) -> Tensor:
        options = {"eps": self.eps, "relation_eps": self.relation_eps}
        return crcd(anchor, memory, index, log_z, self.temperature, **options)

    def _log_normaliser(self, anchor: Tensor, memory: Tensor, index: Tensor) -> Tensor:
        return crcd_log_normaliser(anchor, memory, index, self.temperature, relation_eps=self.relation_eps)


def cross_entropy_gradient(features: Tensor, y: Tensor, weight: Tensor | None, bias: Tensor | None = None) -> Tensor:
    """Differentiate each row's cross-entropy by features, under a linear classifier: (N, d), (N,) -> (N, d).

    weight: (C, d), bias: (C,); without ``weight`` the features are the logits.

    Example::

        >>> cross_entropy_gradient(torch.zeros(1, 2), torch.tensor([0]), weight=None).tolist()  # p - 1 and p
        [[-0.5, 0.5]]
        >>> weight = torch.tensor([[1.0, 0.0], [0.0, 4.0]])
        >>> cross_entropy_gradient(torch.zeros(1, 2), torch.tensor([0]), weight).tolist()
        [[-0.5, 2.0]]
    """
    check_matrices(features=features)
    features = features.to(accumulation_dtype(features))
    logits = features
    if weight is not None:
        check_widths(features=features, weight=weight)
        weight = weight.to(features.dtype)
        logits = F.linear(features, weight, None if bias is None else bias.to(features.dtype))
    y = class_ids(y, logits.size(0), logits.size(1))
    own = F.one_hot(y, logits.size(1)).bool()
    others = logits.softmax(dim=1).masked_fill(own, 0)
    error = torch.where(own, -others.sum(dim=1, keepdim=True), others)  # p - 1 of a sure row would be rounding alone
    return error if weight is None else error @ weight


def crcd_gradient(student: Tensor, teacher: Tensor) -> Tensor:
    """Subtract the mean cosine of two sets of gradients from 1: (N, d), (N, d) -> scalar; see ``CRCDGradient``.

    Example::

        >>> rows = torch.eye(2)  # equal, orthogonal and opposite gradients
        >>> [float(crcd_gradient(rows, other)) for other in (rows, rows.flip(0), -rows)]
        [0.0, 1.0, 2.0]
    """
    check_same_shape(student, teacher)
    return (1 - cosines(student, teacher)).sum() / max(student.size(0), 1)


class CRCDGradient(Loss):
    """Match both models' feature gradients of the cross-entropy. Zhu et al., CVPR 2021, arXiv:2103.16367 (CRCD).

    mean_i 1 - cos(dCE/ds_i, dCE/dt_i), CE the cross-entropy with ``y`` of a linear classifier on the features, whose
    gradient has a closed form. contrast: a ``CRCD`` that compares these gradients instead of the cosine. student,
    teacher: (N, d), of one width unless ``contrast`` is given; y: (N,) integers. Classifiers: the models' own last
    layers, which this loss neither trains nor registers as its own, or None where the entries are the logits. O(N C d).

    Example::

        >>> loss = CRCDGradient(on="logits", where="train_mask")
        >>> logits = torch.tensor([[0.0, 30.0, 0.0]]), torch.tensor([[0.0, 0.0, 30.0]])  # two wrong classes
        >>> round(float(loss(*logits, y=torch.tensor([0]))), 3)  # gradients (-1, 1, 0) and (-1, 0, 1)
        0.5
        >>> objective = graphkd.losses.CE(where="train_mask") + loss
        >>> result = graphkd.distil(objective, student, teacher, data, epochs=2, progress=False)
    """

    on = "hidden"
    rows = ("y", "n_id", "negatives")

    def __init__(
        self,
        student_classifier: nn.Linear | None = None,
        teacher_classifier: nn.Linear | None = None,
        contrast: CRCD | None = None,
        **reads: Unpack[Reads],
    ) -> None:
        super().__init__(**reads)
        self.classifiers = (student_classifier, teacher_classifier)  # in a tuple: not this loss's parameters
        self.contrast = contrast

    def forward(
        self,
        student: Tensor,
        teacher: Tensor,
        *,
        y: Tensor,
        n_id: Tensor | None = None,
        negatives: Tensor | None = None,
    ) -> Tensor:
        check_rows(student, teacher)
        s, t = (
            cross_entropy_gradient(x, y, *((None,) if layer is None else (layer.weight, layer.bias)))
            for x, layer in zip((student, teacher), self.classifiers, strict=True)
        )
        if self.contrast is None:
            return crcd_gradient(s, t.detach())
        return self.contrast(s, t.detach(), n_id=n_id, negatives=negatives)


@method(
    "crcd", family="information", paper="Zhu et al., CVPR 2021", arxiv="2103.16367", survey=(69,), needs=("hidden",)
)
def crcd_method(problem: Problem, *, weight: float = 1.0, negatives: int = 500, max_samples: int = 64) -> Loss:
    """Tell each node's relation to anchors from those of other nodes, by memories, beside the labels.

    Choose it over ``crd`` where a node's position relative to others says more than its row. Each step draws
    ``max_samples`` nodes.
    """
    loss = CRCD(problem.nodes, *problem.widths, negatives=negatives, max_samples=max_samples)
    return problem.supervised() + weight * loss


@method(
    "crcd_gradient",
    family="information",
    paper="Zhu et al., CVPR 2021",
    arxiv="2103.16367",
    survey=(69,),
    tasks=("classes",),
)
def crcd_gradient_method(problem: Problem, *, weight: float = 1.0) -> Loss:
    """Match how the labels would change both models' logits, beside the labels.

    Choose it as an addition: it reads the labelled nodes alone, and only how both models err there.
    """
    return problem.supervised() + weight * CRCDGradient(on="logits", where=problem.labelled)
