"""Mutual information maximisation (MIMKD): lower bounds that contrast matching pairs with pairs of other rows."""

import math
from typing import Literal, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.loss import Entry, Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels import product_logsumexp, product_softplus
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_matrix, check_positive, check_rows, check_same_shape, choose
from graphkd.losses._projector import Linear

Bound = Literal["jensen_shannon", "donsker_varadhan", "nce"]


def mutual_information(
    student: Tensor,
    teacher: Tensor,
    bound: Bound = "jensen_shannon",
    *,
    temperature: float = 1.0,
    own: Tensor | None = None,
) -> Tensor:
    """Bound the mutual information of two embeddings from below, in nats; pairs score g_ij = s_i . t_j / temperature.

    student: (N, p), teacher: (M, p), own: (N,) the teacher row that matches each student row, by default the row of the
    same number -> scalar. With +(i) = own_i: ``jensen_shannon`` mean_i -sp(-g_i+(i)) - mean_(i, j != +(i)) sp(g_ij),
    sp = softplus (Deep InfoMax's estimator, Hjelm et al., ICLR 2019: not in nats, never above 0); ``donsker_varadhan``
    mean_i g_i+(i) - log mean_ij e^g_ij, where all pairs stand for the product of marginals; ``nce``
    log M + mean_i log softmax_j(g_ij) at +(i) (van den Oord et al., 2018). O(N M p) time, O((N + M) p) memory.

    Example::

        >>> informative, constant = 20 * torch.eye(4), torch.zeros(4, 4)
        >>> bounds = [mutual_information(x, torch.eye(4), "nce") for x in (informative, constant)]
        >>> [round(float(bound), 3) for bound in bounds]  # at most log 4
        [1.386, 0.0]
    """
    choose("bound", bound, Bound)
    check_positive("temperature", temperature)
    if own is None:
        check_same_shape(student, teacher)
        own = torch.arange(student.size(0), device=student.device)
    elif own.shape != student.shape[:1] or student.shape[1:] != teacher.shape[1:]:
        raise ValueError(
            f"'own' must name a row of 'teacher', (M, p), for each of 'student', (N, p), got {tuple(own.shape)}, "
            f"{tuple(teacher.shape)} and {tuple(student.shape)}"
        )
    anchor, candidate = (x.to(accumulation_dtype(x)) for x in (student, teacher))
    positive = (anchor * candidate[own]).sum(dim=1) / temperature
    rows, others = max(anchor.size(0), 1), max(candidate.size(0) - 1, 1)
    if bound == "jensen_shannon":
        negative = product_softplus(anchor, candidate, own, 1 / temperature)
        return (F.logsigmoid(positive) - negative / others).sum() / rows
    if anchor.size(0) == 0:
        return positive.sum()
    lse = product_logsumexp(anchor, candidate, 1 / temperature)
    if bound == "nce":
        return (positive - lse).sum() / rows + math.log(candidate.size(0))
    return positive.sum() / rows - lse.logsumexp(dim=0) + math.log(rows * candidate.size(0))


def mimkd(student: Tensor, teacher: Tensor, bound: Bound = "jensen_shannon", *, own: Tensor | None = None) -> Tensor:
    """Negate a bound on mutual information: global, local or of features, by the shapes; see ``MIMKD``.

    Example::

        >>> vectors = 20 * torch.eye(4)
        >>> round(float(mimkd(vectors, vectors, "nce")), 3)  # -log 4
        -1.386
        >>> parts = vectors[:, None].expand(4, 3, 4)  # 3 parts of each of 4 objects
        >>> round(float(mimkd(parts, vectors, "nce")), 3), round(float(mimkd(parts, parts, "nce")), 3)
        (-1.386, -1.386)
    """
    check_matrix("student", student)
    check_matrix("teacher", teacher)
    if student.dim() == 2:
        return -mutual_information(student, teacher, bound, own=own)
    check_rows(student[:, 0], teacher if teacher.dim() == 2 else teacher[:, 0])
    if teacher.dim() == 2:
        own = torch.arange(student.size(0), device=student.device).repeat_interleave(student.size(1))
        return -mutual_information(student.flatten(0, 1), teacher, bound, own=own)
    places = zip(student.unbind(1), teacher.unbind(1), strict=True)
    return -torch.stack([mutual_information(*place, bound) for place in places]).mean()


class MIMKD(Loss):
    """Maximise the mutual information of student and teacher. Shrivastava, Qi and Ordonez, CVPRW 2023 (MIMKD).

    Minus ``mutual_information`` of P_s(s) and P_t(t), linear maps without bias that train with the student; other rows
    are the negatives. The shapes of the entries select one of the paper's three terms. Global: student (N, d_s),
    teacher (N, d_t). Features, parts compared at the same place: (N, M, d_s), (N, M, d_t). Local, the parts of an
    object compared with the teacher's vector of the object: (N, M, d_s), (N, d_t). Local terms may also take two
    entries, ``on=("nodes", "graph")``: the student's first, (L, d_s), and the teacher's second, (N, d_t), where PyG's
    ``batch`` (L,) is the object of each part (without it L = N). The paper's discriminators and weights are not known
    to us: the product of maps is our choice. O(N^2 p) time, M times that for parts; O(N M p) memory.

    Example::

        >>> loss = MIMKD(student_width=12, teacher_width=4)
        >>> round(loss(torch.zeros(8, 12), torch.randn(8, 4)).item(), 3)  # a constant student: 2 log 2
        1.386
        >>> objective = graphkd.losses.CE(where="train_mask") + MIMKD(12, 12, bound="nce")
        >>> result = graphkd.distil(objective, student, teacher, data, hidden="convs.0", epochs=2, progress=False)
    """

    on = "hidden"

    def __init__(
        self,
        student_width: int,
        teacher_width: int,
        projection: int = 128,
        bound: Bound = "jensen_shannon",
        **reads: Unpack[Reads],
    ) -> None:
        super().__init__(**reads)
        self.bound = choose("bound", bound, Bound)
        widths = ("student", student_width), ("teacher", teacher_width)
        self.heads = nn.ModuleList(Linear(width, projection, bias=False, side=side) for side, width in widths)

    def forward(self, student: Entry, teacher: Entry, *, batch: Tensor | None = None) -> Tensor:
        one, other = (x if isinstance(x, Tensor) else x[place] for place, x in enumerate((student, teacher)))
        own = None if isinstance(student, Tensor) else batch
        return mimkd(self.heads[0](one), self.heads[1](other), self.bound, own=own)


@method(
    "mimkd",
    family="information",
    paper="Shrivastava et al., CVPRW 2023",
    arxiv="2110.15946",
    survey=(71,),
    tasks=("rows",),
    needs=("hidden",),
)
def mimkd_method(problem: Problem, *, weight: float = 1.0, bound: Bound = "jensen_shannon") -> Loss:
    """Maximise a lower bound on the mutual information of hidden rows, beside the labels.

    Choose it over ``vid`` where the teacher's rows need not be predicted, only distinguished. We do not know the
    authors' weights.
    """
    return problem.supervised() + weight * MIMKD(*problem.widths, bound=bound)
