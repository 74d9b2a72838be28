"""HTD: how similar the users and items of a batch are to each other, by groups."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from graphkd.kernels.norms import unit_vectors
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_rows, choose
from recsys.losses._experts import FALLING, Annealing, Noise, RoutedExperts, RoutedLoss
from recsys.losses._pair_distance import pair_distance
from recsys.losses._tables import Tables, Triplets
from recsys.losses.ftd import cosine_distance

Topology = Literal["P,P", "P,e"]
_FEW = 48  # rows from which a group gets its own product, which then costs less than padding


def htd(
    student: Tensor,
    teacher: Tensor,
    groups: Tensor,
    *,
    topology: Topology = "P,e",
    positive_only: bool = False,
    own_group: bool = True,
    prototype_grad: bool = True,
) -> Tensor:
    """Match topology inside groups and between them: (n, d_s), (n, d_t), groups (n,) -> scalar; formula at ``HTD``."""
    check_rows(student, teacher)
    choose("topology", topology, ("P,P", "P,e"))
    if groups.shape != student.shape[:1]:
        raise ValueError(f"'groups' must hold {student.size(0)} group ids, got shape {tuple(groups.shape)}")
    present, member = groups.unique(return_inverse=True)
    count = present.size(0)
    s, t = unit_vectors(student), unit_vectors(teacher)
    entities = entity_topology(s, t, member, positive_only=positive_only)
    ps = unit_vectors(prototypes(student if prototype_grad else student.detach(), member, count))
    pt = unit_vectors(prototypes(teacher, member, count))
    if topology == "P,P":
        return entities + (ps @ ps.t() - pt @ pt.t()).square().sum()
    gaps = (ps @ s.t() - pt @ t.t()).square()
    if not own_group:
        gaps = gaps.masked_fill(member == torch.arange(count, device=member.device)[:, None], 0)
    return entities + gaps.sum()


def entity_topology(s: Tensor, t: Tensor, member: Tensor, *, positive_only: bool = False) -> Tensor:
    """Sum over ordered pairs in a group of squared differences of inner products: (n, d_s), (n, d_t), (n,) -> scalar.

    ``positive_only``: only pairs with a positive product in ``t``; then O(sum n_g^2 d). Otherwise Gram matrices are
    used where they cost less, O(sum n_g d^2). Small groups are padded to the longest of them and share one product.
    """
    order = member.argsort(stable=True)
    s, t = s.index_select(0, order), t.index_select(0, order)
    counts = torch.bincount(member).tolist()
    groups = [pair for pair in zip(s.split(counts), t.split(counts), strict=True) if len(pair[0])]
    parts = [
        pair_distance(sg, tg, positive_only=True) if positive_only else cosine_distance(sg, tg)
        for sg, tg in groups
        if len(sg) >= _FEW
    ]
    few = [pair for pair in groups if len(pair[0]) < _FEW]
    if few:
        padded = (pad_sequence(list(side), batch_first=True) for side in zip(*few, strict=True))
        parts.append(pair_distance(*padded, positive_only=positive_only))
    return torch.stack(parts or [s.sum() * 0]).sum()


def prototypes(x: Tensor, member: Tensor, count: int) -> Tensor:
    """Average the rows of each group: (n, d), (n,) -> (count, d)."""
    x, sizes = x.to(accumulation_dtype(x)), torch.bincount(member, minlength=count).clamp_min(1)
    return x.new_zeros(count, x.size(1)).index_add(0, member, x) / sizes[:, None]


class HTDTerms(NamedTuple):
    """The parts of ``HTD``: topology, and the group assignment of users and of items."""

    topology: Tensor
    users: Tensor
    items: Tensor


class HTD(RoutedLoss):
    """Match cosines within groups and of groups (hierarchical topology). Kang et al., KDD 2021, arXiv:2106.08700.

    alpha (E + G) + (1 - alpha) (GA_users + GA_items) over the distinct users and the distinct items of a batch. Groups
    g(e) = argmax of a gate on T_e, separate for users and items; prototypes P_g are means of raw member rows. E = sum
    over pairs of one group of (cos(S_a, S_b) - cos(T_a, T_b))^2; GA = sum_e |T_e - sum_k z_k f_k(S_e)|^2, whose
    experts, noise and temperature are those of ``DE``; G, ``topology``: "P,P" pairs of groups, (cos(PS_g, PS_h) -
    cos(PT_g, PT_h))^2, or "P,e" groups and all entities, (cos(PS_g, S_e) - cos(PT_g, T_e))^2. student, teacher, users,
    positives, negatives: as for ``DE``; ``gumbel``: noise under "users" and "items". The authors' code departs from
    their paper in two ways, which ``HTD.authors`` reproduces: E only has pairs of positive teacher cosine
    (``positive_only``), and prototypes carry no gradient (``prototype_grad=False``), so that G of "P,P" has none at
    all. ``own_group=False`` leaves out an entity's own prototype in "P,e", as UnKD's code does. Authors: alpha 0.5, 30
    groups, weight 1e-3. O(sum n_g^2 d) at most for E, O(n K d) for G, for GA see ``routed``; never n x n.

    Example::

        >>> teacher = torch.randn(4, 3), torch.randn(5, 3)
        >>> ids = {"users": [0, 2], "positives": [1, 1], "negatives": [0, 3]}
        >>> batch = {name: torch.tensor(each) for name, each in ids.items()}
        >>> student = teacher[0] * 2, teacher[1] * 5
        >>> round(HTD(3, 3, groups=2, alpha=1.0)(student, teacher, **batch).item(), 3)  # alpha = 1: cosines alone
        0.0
    """

    def __init__(
        self,
        student_dim: int,
        teacher_dim: int,
        groups: int = 30,
        *,
        alpha: float = 0.5,
        topology: Topology = "P,e",
        positive_only: bool = False,
        own_group: bool = True,
        prototype_grad: bool = True,
        temperature: float | Annealing = FALLING,
        gate_eps: float = 0.0,
        on: tuple[str, str] | None = None,
    ) -> None:
        users, items = (RoutedExperts(student_dim, teacher_dim, groups, gate_eps=gate_eps) for _ in range(2))
        super().__init__(users, items, temperature, on)
        if not 0 <= alpha <= 1:
            raise ValueError(f"'alpha' must be in [0, 1], got {alpha}")
        self.alpha = alpha
        self.options: dict[str, Any] = {
            "topology": choose("topology", topology, ("P,P", "P,e")),
            "positive_only": positive_only,
            "own_group": own_group,
            "prototype_grad": prototype_grad,
        }

    @classmethod
    def authors(cls, student_dim: int, teacher_dim: int, groups: int = 30, **options: Any) -> HTD:
        """Make the form of the authors' code: pairs of positive teacher cosine, prototypes without gradient."""
        return cls(student_dim, teacher_dim, groups, positive_only=True, prototype_grad=False, **options)

    def assign(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Choose groups by teacher rows (n, d_t) of users and of items; item groups are numbered after the users'."""
        return self.users.assign(users), self.items.assign(items) + len(self.users.gate_b)

    def terms(self, student: Tables, teacher: Tables, batch: Triplets, noise: Noise) -> HTDTerms:
        """Compute the three sums."""
        chosen = batch.entities()
        ours, theirs = (
            [table.index_select(0, ids) for table, ids in zip(side, chosen, strict=True)] for side in (student, teacher)
        )
        return HTDTerms(
            htd(torch.cat(ours), torch.cat(theirs), torch.cat(self.assign(*theirs)), **self.options),
            self.users.errors(ours[0], theirs[0], self.temperature, noise.get("users")).sum(),
            self.items.errors(ours[1], theirs[1], self.temperature, noise.get("items")).sum(),
        )

    def total(self, terms: tuple[Tensor, ...]) -> Tensor:
        """Weigh the topology by alpha and the group assignments by 1 - alpha."""
        topology, users, items = terms
        return self.alpha * topology + (1 - self.alpha) * (users + items)
