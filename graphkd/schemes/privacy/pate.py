"""PATE: labels by a noisy vote of teachers on private parts, and the privacy that they cost.

Papernot, Abadi, Erlingsson, Goodfellow and Talwar, "Semi-supervised Knowledge Transfer for Deep Learning from Private
Training Data", ICLR 2017, arXiv:1610.05755. On graphs, teachers on disjoint nodes would still see each other's rows
over edges, and then no epsilon holds: edges between parts, and to the public part, are dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.batches import batches, changed, count_rows, own_rows, with_ids
from graphkd.core.method import method
from graphkd.core.models import shown
from graphkd.core.problem import Problem
from graphkd.core.view import names
from graphkd.losses._checks import check_positive
from graphkd.losses.response.pseudo_label import PseudoLabel
from graphkd.schemes.augment import told
from graphkd.schemes.teachers._combine import check_stack


class Votes(NamedTuple):
    """Label of each row, and the teachers' votes for each class before the noise."""

    labels: Tensor
    counts: Tensor


def noisy_votes(
    teachers: Tensor, gamma: float = 0.1, *, generator: torch.Generator | None = None, noise: Tensor | None = None
) -> Votes:
    """Take argmax_c (n_c + Laplace(1 / gamma)) of the teachers' votes: (K, N, C) -> (N,), (N, C).

    Choose it to label public rows by models of private ones: a student trained on these labels alone (``CE`` on the
    returned ``labels``) may be published, at the ``epsilon`` of ``privacy_spent``. gamma: the inverse scale of the
    noise; labels are more accurate and less private the larger it is. The noise is drawn from ``generator``; raises
    ValueError where neither that nor ``noise`` (N, C) is given.
    """
    check_stack(teachers)
    check_positive("gamma", gamma)
    classes = teachers.size(-1)
    counts = F.one_hot(teachers.argmax(dim=-1), classes).sum(dim=0).to(torch.float64)
    if noise is None:
        if generator is None:
            raise ValueError("'generator' must be a seeded torch.Generator where 'noise' is not given, got None")
        gaps = torch.rand(2, *counts.shape, generator=generator, dtype=torch.float64, device=generator.device)
        positive, negative = -torch.log1p(-gaps).to(counts.device)  # the difference of two exponentials is Laplace
        noise = (positive - negative) / gamma
    if noise.shape != counts.shape:
        raise ValueError(f"'noise' must have shape {tuple(counts.shape)}, got {tuple(noise.shape)}")
    return Votes((counts + noise).argmax(dim=-1), counts)


@method(
    "pate",
    family="privacy",
    paper="Papernot et al., ICLR 2017",
    arxiv="1610.05755",
    survey=(90, 167),
    cannot={
        "sparse": "it takes rows of the features",
        "heterogeneous": "it cuts a graph of one type of nodes into private parts",
    },
    teacher=False,
)
def pate(
    problem: Problem, *, gamma: float = 1.0, teachers: int = 10, queries: int = 100, parts: Tensor | None = None
) -> nn.Module:
    """Learn noisy votes of models of private parts; choose it where labels, or the rows themselves, are private.

    The student may be published. It sees public rows, and labels of at most ``queries`` of them. Those are voted for by
    new models of its architecture, one trained on the labels of each private part; every queried row costs privacy.
    gamma: the inverse scale of the votes' noise. parts: (N,), each node's private part, from 0, or -1 for public nodes;
    by default the labelled nodes are private, in ``teachers`` random parts. Edges between parts are dropped. All models
    are trained to the last epoch, since validation labels are private too. ``result.scores`` are measured on the data
    with all edges.

    The epsilon that may be published is the one for any votes, ``privacy_spent(torch.zeros(queries, classes), gamma)``.
    That of the actual votes, which a run with a checkpoint saves as ``once/votes.pt``, is itself private, and so is the
    seed of the noise. The paper's student also learns from unlabelled public rows, by a GAN; ours learns labels alone.
    Costs one training per part, and the student's on the public part. Raises ValueError for ``parts`` of the wrong
    shape or type, and for a part, private or public, without nodes.
    """
    generator = torch.Generator().manual_seed(problem.seed)
    private, public = _private_parts(problem, teachers, parts, generator)
    models = []
    for place, ids in enumerate(private, 1):
        model = problem.distiller(problem.fresh_student(place), None, problem.supervised())
        models.append(problem.train(model, f"teacher-{place}", part_of(problem.data, ids), choose=False))
    asked = public[torch.randperm(public.numel(), generator=generator)[:queries]].sort().values
    answers = partial(_answers, problem, models, asked, public)
    votes = problem.once("votes", lambda: noisy_votes(answers(), gamma, generator=generator)._asdict())
    target = torch.zeros(problem.nodes, problem.classes)
    target[asked] = F.one_hot(votes["labels"], target.size(1)).to(target) - 0.5  # logits, of which the largest counts
    is_asked = torch.zeros(problem.nodes, dtype=torch.bool).index_fill(0, asked, True)
    data = problem.with_values(part_of(problem.data, public), votes=target, asked=is_asked)
    learning = problem.distiller(problem.student, told("votes"), PseudoLabel(0.0, where="asked"))
    return problem.train(learning, "student", data, choose=False)


def _private_parts(
    problem: Problem, count: int, parts: Tensor | None, generator: torch.Generator
) -> tuple[list[Tensor], Tensor]:
    """Return node ids of the private parts, and of the public one."""
    if parts is None:
        rows = problem.labelled_nodes.cpu()
        order = rows[torch.randperm(rows.numel(), generator=generator)]
        private = list(order.tensor_split(min(count, rows.numel())))
    elif parts.dim() != 1 or parts.is_floating_point() or parts.size(0) < problem.nodes:
        raise ValueError(
            f"'parts' must hold an integer for each of {problem.nodes} nodes, its private part or -1, got "
            f"{parts.dtype} of shape {tuple(parts.shape)}"
        )
    else:
        chosen = parts[: problem.nodes].cpu()
        private = [(chosen == place).nonzero()[:, 0] for place in range(int(chosen.max()) + 1)]
    is_public = torch.ones(problem.nodes, dtype=torch.bool)
    for ids in private:
        is_public[ids] = False
    public, sizes = is_public.nonzero()[:, 0], [ids.numel() for ids in private]
    if not public.numel() or not all(sizes) or not sizes:
        raise ValueError(
            f"there must be private parts with a node each, and public nodes, got parts of {sizes} nodes and "
            f"{public.numel()} public ones: give 'parts'"
        )
    return private, public


def _answers(problem: Problem, models: list[nn.Module], asked: Tensor, public: Tensor) -> Tensor:
    """Compute each model's answers on the queried rows, from the public part alone: (K, Q, C)."""
    part, answers = part_of(problem.data, public), []
    for model in models:
        found = torch.zeros(problem.nodes, problem.classes)
        with shown(model, problem.call_of(model)) as show:
            for batch in batches(part):
                found[batch["n_id"].cpu()] = show(batch)["logits"].cpu().to(found)
        answers.append(found[asked])
    return torch.stack(answers)


class Part:
    """Batches cut to the rows of some nodes, with node ids as ``n_id``; batches without such rows are left out."""

    def __init__(self, data: Any, ids: Tensor) -> None:
        self.data, self.ids = data, ids

    def __iter__(self) -> Iterator[Any]:
        for batch in batches(self.data):
            rows = self._rows(batch)
            if rows.numel():
                yield cut(batch, rows)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _rows(self, batch: Any) -> Tensor:
        """Select the rows: for a graph the nodes in their given order, for a batch those of its rows among them."""
        if "n_id" not in batch:
            return self.ids
        n_id: Tensor = batch["n_id"]
        return torch.isin(n_id, self.ids.to(n_id.device)).nonzero()[:, 0]


def part_of(data: Any, ids: Tensor) -> Any:
    """Take the rows of some nodes and the edges between them: from a graph at once, from a loader batch by batch."""
    part = Part(data, ids)
    return next(iter(part)) if names(data) is not None else part


def cut(batch: Any, rows: Tensor) -> Any:
    """Take some rows of a batch, and the edges between them, numbered anew; entries of other sizes stay."""
    whole = with_ids(batch)
    count = count_rows(whole)
    edges = batch["edge_index"] if "edge_index" in batch else None  # noqa: SIM401 - a batch need not have get()
    entries: dict[str, Any] = {}
    if edges is not None:
        place = torch.full((count,), -1, dtype=torch.long, device=edges.device)
        place[rows.to(edges.device)] = torch.arange(rows.numel(), device=edges.device)
        moved = place[edges]
        kept = (moved >= 0).all(dim=0)
        entries["edge_index"] = moved[:, kept]
    for name in names(whole) or ():
        entry = whole[name]
        if name == "edge_index" or not isinstance(entry, Tensor) or not entry.dim():
            continue
        if edges is not None and name.startswith("edge_") and entry.size(0) == edges.size(1):
            entries[name] = entry[kept.to(entry.device)]
        elif entry.size(0) == count:
            entries[name] = entry[rows.to(entry.device)]
    if "num_nodes" in (names(batch) or ()):
        entries["num_nodes"] = rows.numel()
    if "batch_size" in batch:
        entries["batch_size"] = int((rows < own_rows(batch)).sum())
    return changed(whole, **entries)
