"""PCKD, FreqD and GraphD where their mechanisms must help, and do not when they are switched off."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recsys import Interactions
from recsys.data.entity_graphs import co_occurrence, nearest
from recsys.losses import PCKD, FreqD, GraphD
from recsys.losses.pckd import list_order

SIZE, WIDTH, NARROW, TASTES = 48, 8, 2, 2


def groups() -> Tensor:
    """The taste of every user and of every item."""
    return torch.arange(SIZE) % TASTES


def pairs(generator: torch.Generator) -> Interactions:
    """Six items of its own taste for every user."""
    users = torch.arange(SIZE).repeat_interleave(6)
    items = torch.randint(SIZE // TASTES, users.shape, generator=generator) * TASTES + users % TASTES
    return Interactions.from_pairs(users, items, SIZE, SIZE)


def noisy(generator: torch.Generator, noise: float = 1.0) -> tuple[Tensor, Tensor]:
    """A teacher's tables: a centre for each taste, and what is peculiar to each row."""
    centre = torch.nn.functional.normalize(torch.randn(WIDTH, generator=generator), dim=0)
    signs = (2.0 * groups() - 1)[:, None] * centre
    user, item = (signs + noise * torch.randn(SIZE, WIDTH, generator=generator) for _ in range(2))
    return user, item


def learnt(loss: torch.nn.Module, teacher: tuple[Tensor, Tensor], seed: int, steps: int = 60, **facts) -> tuple:
    """Tables of a student that learns the loss alone."""
    torch.manual_seed(seed)
    student = tuple((0.1 * torch.randn(SIZE, NARROW)).requires_grad_() for _ in range(2))
    adam, ids = torch.optim.Adam([*student, *loss.parameters()], lr=0.05), torch.arange(SIZE)
    for _ in range(steps):
        adam.zero_grad()
        loss(student, teacher, users=ids, positives=ids, negatives=ids.roll(1), **facts).backward()
        adam.step()
    return tuple(table.detach() for table in student)


def clear(table: Tensor) -> float:
    """How far apart the tastes are, in units of how far rows of one are from its mean."""
    means = torch.stack([table[groups() == taste].mean(dim=0) for taste in range(TASTES)])
    within = (table - means[groups()]).square().sum(dim=1).mean().sqrt()
    return float((means[0] - means[1]).norm() / within)


@pytest.mark.parametrize("seed", range(2))
def test_freqd_learns_what_neighbours_share_where_rows_are_noisy(seed):
    generator = torch.Generator().manual_seed(seed)
    data, teacher = pairs(generator), noisy(generator)
    graphs = co_occurrence(data), co_occurrence(data.transpose())

    def clarity(alpha: float) -> float:
        torch.manual_seed(seed)
        loss = FreqD(NARROW, WIDTH, *graphs, alpha=alpha, keep=1.0, experts=1, dropout=0.0)
        return sum(map(clear, learnt(loss, teacher, seed)))

    assert clarity(0.5) > 1.3 * clarity(0.0)  # without the filter it is plain features


@pytest.mark.parametrize("seed", range(2))
def test_graphd_learns_neighbourhoods_where_rows_are_noisy(seed):
    generator = torch.Generator().manual_seed(seed)
    teacher = noisy(generator, 0.5)
    graphs = tuple(nearest(table, 5) for table in teacher)

    def clarity(**facts) -> float:
        torch.manual_seed(seed)
        loss = GraphD(NARROW, WIDTH, *graphs, alpha=0.5, keep=1.0, experts=1, dropout=0.0)
        return sum(map(clear, learnt(loss, teacher, seed, **facts)))

    assert clarity() > 1.3 * clarity(self_weights=torch.ones(3, 2))  # rows alone: plain features


@pytest.mark.parametrize("seed", range(2))
def test_pckd_keeps_the_order_of_the_students_own_scores(seed):
    generator = torch.Generator().manual_seed(seed)
    teacher = noisy(generator)
    preferred = torch.stack([torch.randperm(SIZE, generator=generator)[:6] for _ in range(SIZE)])

    def disorder(alpha: float) -> float:
        """How far the projected scores of held-out items are from the student's own, as a cross-entropy of lists."""
        torch.manual_seed(seed)
        loss = PCKD(NARROW, WIDTH, 1, alpha=alpha, tau=1.0, temperature=1.0)
        student = learnt(loss, teacher, seed, preferred=preferred)
        ids, others = torch.arange(SIZE), preferred.roll(1, dims=0)
        before = (student[0][:, None] * student[1][others]).sum(dim=2)
        made = [
            part(table, taught, 1.0)
            for part, table, taught in zip((loss.users, loss.items), student, teacher, strict=True)
        ]
        after = (made[0][ids][:, None] * made[1][others]).sum(dim=2).detach()
        entropy = list_order(before, before, 1.0)
        return float((list_order(before, after, 1.0) - entropy) / SIZE)

    assert disorder(2.0) < 0.5 * disorder(0.0)  # DE alone
