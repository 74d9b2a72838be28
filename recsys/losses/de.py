"""DE: a teacher's embeddings reconstructed by routed experts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from recsys.losses._experts import FALLING, Annealing, Noise, RoutedExperts, RoutedLoss
from recsys.losses._tables import Tables, Triplets


class DETerms(NamedTuple):
    """The parts of ``DE``: distinct users, distinct positive items and distinct negative items of a batch."""

    users: Tensor
    positives: Tensor
    negatives: Tensor


class DE(RoutedLoss):
    """Reconstruct the teacher's embeddings by experts. Kang et al., CIKM 2020, arXiv:2012.04357.

    l(e) = |T_e - sum_m z_m E_m(S_e)|^2, z = softmax((log softmax(G T_e + c) + g) / tau), g fresh Gumbel noise; the sum
    over distinct users of l + 1/2 (the sum over distinct positive items + the sum over distinct negative items).
    student: tables (U, d_s), (I, d_s), teacher: (U, d_t), (I, d_t); users, positives, negatives: (B,) ids of the
    training triplets; ValueError for widths other than ``student_dim`` and ``teacher_dim``. Users and items have
    separate experts, which train with the student and are dropped afterwards. ``temperature`` tau: a number or an
    ``Annealing`` (the authors': over 1000 epochs). ``squared=False`` takes the norm itself, as in the paper. Their
    weight is 0.01, beside summed BPR. For cost see ``routed``: there is never a (B, d_t, M) tensor. ``gumbel``: noise
    under "users", "positives" and "negatives", with rows in the order of the sorted distinct ids.

    Example::

        >>> user, item = torch.randn(4, 3, requires_grad=True), torch.randn(5, 3)
        >>> ids = {"users": [0, 2], "positives": [1, 1], "negatives": [0, 3]}
        >>> batch = {name: torch.tensor(each) for name, each in ids.items()}
        >>> DE(3, 6, experts=2)((user, item), (torch.randn(4, 6), torch.randn(5, 6)), **batch).backward()
        >>> user.grad.any(dim=1)  # users of the batch alone are read
        tensor([ True, False,  True, False])
    """

    def __init__(
        self,
        student_dim: int,
        teacher_dim: int,
        experts: int = 30,
        *,
        temperature: float | Annealing = FALLING,
        squared: bool = True,
        gate_eps: float = 0.0,
        on: tuple[str, str] | None = None,
    ) -> None:
        users, items = (RoutedExperts(student_dim, teacher_dim, experts, gate_eps=gate_eps) for _ in range(2))
        super().__init__(users, items, temperature, on)
        self.squared = squared

    def terms(self, student: Tables, teacher: Tables, batch: Triplets, noise: Noise) -> DETerms:
        """Compute the three sums."""
        ids = Triplets(*(each.unique() for each in batch))
        users = self._errors(student, teacher, 0, {"users": ids.users}, noise)
        # Items are routed together: half the calls, and fuller blocks.
        items = self._errors(student, teacher, 1, {"positives": ids.positives, "negatives": ids.negatives}, noise)
        positives, negatives = items.split([len(ids.positives), len(ids.negatives)])
        return DETerms(users.sum(), positives.sum(), negatives.sum())

    def _errors(self, student: Tables, teacher: Tables, side: int, ids: Mapping[str, Tensor], noise: Noise) -> Tensor:
        """Compute the errors of some rows of a side's tables: (n,)."""
        experts, rows = (self.users, self.items)[side], torch.cat([*ids.values()])
        ours, theirs = (tables[side].index_select(0, rows) for tables in (student, teacher))
        given = [noise[name] if name in noise else experts.noise(len(each)) for name, each in ids.items()]
        return experts.errors(ours, theirs, self.temperature, torch.cat(given), squared=self.squared)

    def total(self, terms: tuple[Tensor, ...]) -> Tensor:
        """Add up users and half of each of the item terms."""
        users, positives, negatives = terms
        return users + (positives + negatives) / 2
