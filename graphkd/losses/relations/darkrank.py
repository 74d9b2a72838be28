"""DarkRank: the order of nodes by their distance to a query node."""

import math
from dataclasses import dataclass
from typing import Any, Literal, Self, Unpack

import torch
from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels import EdgeLayout, edge_layout, edge_squared_distance, nearest_rows, ranking_log_likelihood
from graphkd.kernels.norms import unit_vectors
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_rows, choose

Transfer = Literal["hard", "soft", "cross_entropy"]

Queries = Literal["all", "first_half"]

_FLOOR = 1e-12  # the least squared distance


@dataclass(frozen=True)
class Proximity:
    """Score nodes by their distance to a query: -alpha |x - y|^beta.

    Example::

        >>> Proximity(alpha=3.0, beta=1.0).of_squared(torch.tensor([4.0, 9.0]))  # distances 2 and 3
        tensor([-6., -9.])
    """

    alpha: float = 3.0
    beta: float = 3.0

    def of_squared(self, distance: Tensor) -> Tensor:
        """Score squared distances."""
        return distance.clamp_min(_FLOOR) ** (self.beta / 2) * -self.alpha

    def of_pairs(self, x: Tensor, pairs: EdgeLayout) -> Tensor:
        """Score edges: (N, d) -> (E,) in the order in which the edges were given."""
        return self.of_squared(pairs.restore(edge_squared_distance(x, pairs)))


@dataclass(frozen=True)
class NearLists:
    """The nodes nearest to each query by the teacher, nearest first, and the teacher's scores of them: (Q, m) each.

    ``pairs`` are the edges from these nodes to their queries, list by list.
    """

    nodes: Tensor
    scores: Tensor
    pairs: EdgeLayout

    @classmethod
    def of(cls, teacher: Tensor, proximity: Proximity, length: int | None, queries: Queries) -> Self:
        """List the ``length`` nearest nodes of each query, or with None all other nodes."""
        rows = teacher.size(0)
        count = rows if queries == "all" else rows // 2
        nodes = nearest_rows(teacher, rows if length is None else length, count)
        query = torch.arange(count, device=teacher.device)[:, None].expand_as(nodes)
        pairs = edge_layout(torch.stack([nodes.flatten(), query.flatten()]), rows)
        return cls(nodes, proximity.of_pairs(teacher, pairs).view(nodes.shape), pairs)


def order_log_likelihood(scores: Tensor) -> Tensor:
    """Compute the log-probability (Plackett-Luce) of lists in their given order: (Q, m) scores -> (Q,)."""
    return ranking_log_likelihood(scores, scores.new_full(scores.shape[:1], -torch.inf))


def order_divergence(student: Tensor, teacher: Tensor, *, entropy: bool = True) -> Tensor:
    """KL divergence of the distributions over all m! orders of lists, the teacher's constant: (Q, m), (Q, m) -> (Q,).

    Without ``entropy`` the teacher's entropy is not subtracted, which gives the cross-entropy. A choice depends only on
    the set of nodes chosen before: the result is the sum over all sets S of the teacher's probability to choose S first
    times the divergence of the next choice. O(2^m m) time per list.
    """
    size = student.size(1)
    if size == 0:
        return student.sum(dim=1)
    sets = torch.arange(2**size - 1, device=student.device)  # as bits; all but the full one
    chosen = (sets[:, None] >> torch.arange(size, device=student.device)) % 2 == 1
    q, p = (
        scores[:, None].masked_fill(chosen, -torch.inf).log_softmax(dim=2).masked_fill(chosen, 0)
        for scores in (student, teacher.detach())
    )
    choice = p.exp().masked_fill(chosen, 0)
    divergence = (choice * (p - q if entropy else -q)).sum(dim=2)
    return (_set_probabilities(choice) * divergence).sum(dim=1)


def _set_probabilities(choice: Tensor) -> Tensor:
    """Compute the probability to choose each set first, from those of next choices: (Q, sets, m) -> (Q, sets)."""
    count, size = choice.shape[1:]
    found = torch.zeros_like(choice[:, :, 0])
    found[:, 0] = 1
    for number in range(1, size):
        sets = [s for s in range(count) if s.bit_count() == number]
        before = torch.tensor([[(s ^ (1 << k), k) for k in range(size) if s >> k & 1] for s in sets])  # (sets, |S|, 2)
        before, last = before.to(choice.device).unbind(2)
        found[:, sets] = (found[:, before] * choice[:, before, last]).sum(dim=2)
    return found


def darkrank(
    student: Tensor,
    teacher: Tensor | NearLists,
    transfer: Transfer = "hard",
    proximity: Proximity | None = None,
    *,
    length: int | None = 4,
    queries: Queries = "all",
    eps: float = 0.0,
    official_gradient: bool = False,
) -> Tensor:
    """Compare the orders of nodes by their distance to a query: (N, d_s), (N, d_t) -> scalar; see ``DarkRank``.

    ``eps`` is added to the probability of a list. ``official_gradient`` takes the gradient of TuSimple's operators, see
    ``DarkRank.tusimple``.

    Example::

        >>> line = torch.tensor([[0.0], [1.0], [3.0]])  # node 1 is nearer to node 0 than to node 2
        >>> other = torch.tensor([[0.0], [2.0], [3.0]])  # and here to node 2
        >>> bool(darkrank(line, line) < darkrank(other, line))
        True
    """
    choose("transfer", transfer, Transfer)
    choose("queries", queries, Queries)
    proximity = proximity or Proximity()
    if isinstance(teacher, Tensor):
        check_rows(student, teacher)
        teacher = NearLists.of(teacher, proximity, length, queries)
    if teacher.pairs.num_nodes != student.size(0):
        raise ValueError(f"'teacher' must be about {student.size(0)} nodes, got lists of {teacher.pairs.num_nodes}")
    if official_gradient:
        wide = student.to(accumulation_dtype(student))
        ends = wide[teacher.nodes] - wide.detach()[: teacher.nodes.size(0), None]
        scores = proximity.of_squared(ends.square().sum(dim=2))
    else:
        scores = proximity.of_pairs(student, teacher.pairs).view(teacher.scores.shape)
    if transfer == "hard":
        values = _hard(scores, eps, official_gradient)
    else:
        values = order_divergence(scores, teacher.scores, entropy=transfer == "soft")
    return values.sum() / max(values.size(0), 1)


def _hard(scores: Tensor, eps: float, official_gradient: bool) -> Tensor:
    found = order_log_likelihood(scores)
    if eps > 0:
        found = torch.logaddexp(found, found.new_tensor(math.log(eps)))
    if not official_gradient:
        return -found
    # TuSimple's backward has eps in other places than their forward: it is the gradient of ``pull``.
    left = scores.flip(1).logcumsumexp(dim=1).flip(1)
    left = torch.cat([left[:, :-1], scores[:, -1:]], dim=1)  # the last score itself: gradient exactly 1
    damped = (scores - math.log(eps)).sigmoid().detach() if eps > 0 else 1.0
    pull = (damped * left - scores).sum(dim=1)
    return pull - pull.detach() - found.detach()


class DarkRank(Loss):
    """Match the order of nodes by their distance to a node. Chen et al., AAAI 2018, arXiv:1707.01220.

    Candidates of a query q are its m = ``length`` nearest nodes by the teacher (None: all), scored -alpha |x_q -
    x_j|^beta; an order has the probability of choosing its nodes one after the other by softmax. ``transfer``: "hard",
    minus the log-probability of the teacher's order (ListMLE); "soft", KL(teacher || student) over all orders
    (ListNet); "cross_entropy", "soft" without the teacher's entropy; the mean over queries. student: (N, d_s), teacher:
    (N, d_t), divided by their norms unless ``normalise=False``. "hard" is HardDarkRank in the code of RKD's authors;
    ``DarkRank.tusimple`` is the form of TuSimple's code, whose weight is 16. O(N^2 d) time in blocks for the teacher's
    lists (once, if ``Cached``), O(N m d) for the rest; "soft" O(N 2^m m).

    Example::

        >>> x = torch.randn(6, 4)
        >>> abs(round(float(DarkRank("soft")(3 * x, x)), 3))  # the same order with the same probabilities
        0.0
        >>> round(float(DarkRank()(torch.eye(3), x[:3])), 3)  # equal distances: log 2, for the two orders of two nodes
        0.693
        >>> loss = graphkd.losses.CE(where="train_mask") + 0.03 * DarkRank(length=4)
        >>> result = graphkd.distil(loss, student, teacher, data, hidden="convs.0", epochs=2, progress=False)
    """

    on = "hidden"

    def __init__(
        self,
        transfer: Transfer = "hard",
        *,
        alpha: float = 3.0,
        beta: float = 3.0,
        length: int | None = 4,
        queries: Queries = "all",
        eps: float = 0.0,
        normalise: bool = True,
        official_gradient: bool = False,
        **reads: Unpack[Reads],
    ) -> None:
        super().__init__(**reads)
        self.transfer = choose("transfer", transfer, Transfer)
        self.queries = choose("queries", queries, Queries)
        self.proximity, self.length, self.normalise = Proximity(alpha, beta), length, normalise
        self.options: dict[str, Any] = {"eps": eps, "official_gradient": official_gradient}

    @classmethod
    def tusimple(
        cls,
        transfer: Literal["hard", "cross_entropy"] = "hard",
        *,
        power: float = 2.0,
        scale: float = 3.5,
        length: int = 4,
        eps: float = 1e-12,
        **more: Any,
    ) -> Self:
        """Make TuSimple's form: scores -(scale |x_q - x_j|^2)^power, the first half of the rows as queries.

        "hard" ranks all others, -log(p + eps); "cross_entropy" is their soft transfer, without the teacher's entropy.
        Give rows as unit vectors. ``official_gradient`` omits the gradient of the queries, as their backward does.
        """
        known: dict = {"alpha": scale**power, "beta": 2 * power, "queries": "first_half", "normalise": False}
        return cls(transfer, length=None if transfer == "hard" else length, eps=eps, **known, **more)

    def digest(self, teacher: Tensor) -> NearLists:
        """Compute the teacher's lists once."""
        return NearLists.of(self._rows(teacher), self.proximity, self.length, self.queries)

    def forward(self, student: Tensor, teacher: Tensor | NearLists) -> Tensor:
        if isinstance(teacher, Tensor):
            check_rows(student, teacher)
            teacher = self.digest(teacher)
        return darkrank(self._rows(student), teacher, self.transfer, self.proximity, **self.options)

    def _rows(self, x: Tensor) -> Tensor:
        return unit_vectors(x) if self.normalise else x


@method(
    "darkrank",
    family="relations",
    paper="Chen et al., AAAI 2018",
    arxiv="1707.01220",
    survey=(59,),
    tasks=("rows",),
    needs=("hidden",),
)
def darkrank_method(problem: Problem, *, weight: float = 0.03) -> Loss:
    """Match the order in which nodes are near to each node, beside the labels.

    Choose it for students that rank: they learn the nearest nodes and their order, not their distances. The published
    weight 16 is for image embeddings without class labels, and swamps labels; we chose ours on validation rows of Cora,
    from 0.01 to 1.
    """
    return problem.supervised() + weight * DarkRank()
