"""Tri-training: three models label for each other what two of them agree on.

Zhou and Li, "Tri-training: exploiting unlabeled data using three classifiers", TKDE 2005; Ruder and Plank, "Strong
Baselines for Neural Semi-Supervised Learning under Domain Shift", ACL 2018, arXiv:1804.09530.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.schemes.semi._pseudo_labels import unlabelled_nodes


@torch.no_grad()
def agreed_labels(logits: Tensor, rows: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Find for each of three models the rows on which the others agree, and the label: (3, N, C), (M,) -> 3 pairs."""
    if logits.dim() != 3 or logits.size(0) != 3:
        raise ValueError(f"'logits' must have shape (3, N, C), got {tuple(logits.shape)}")
    votes = logits[:, rows].argmax(dim=-1)
    pairs = [(votes[(k + 1) % 3], votes[(k + 2) % 3]) for k in range(3)]
    return [(rows[one == other], one[one == other]) for one, other in pairs]


@method(
    "tri_training",
    family="semi",
    paper="Zhou and Li, TKDE 2005; Ruder and Plank, ACL 2018",
    arxiv="1804.09530",
    survey=(53,),
    teacher=False,
)
def tri_training(problem: Problem, *, rounds: int = 3, peers: Sequence[nn.Module] | None = None) -> nn.Module:
    """Train three models, which label for each other what two of them agree on; the student is one of them.

    Choose it to adapt without a teacher: unlabelled rows may be another domain's. Each model starts on a bootstrap
    sample of the labelled rows; then, for ``rounds`` rounds or until the agreed rows stop changing, it is trained
    further on all labelled rows and on the unlabelled rows on which the other two models agree. The paper's test of the
    error estimate is left out, and the student alone is returned. peers: the other two models, by default new ones of
    its architecture. Costs 3 (rounds + 1) trainings. Raises ValueError unless there are two ``peers``.
    """
    peers = [problem.fresh_student(number) for number in (1, 2)] if peers is None else peers
    if len(peers) != 2:
        raise ValueError(f"'peers' must be two models besides the student, got {len(peers)}")
    models = [problem.student, *peers]
    labelled, unlabelled = problem.labelled_nodes, unlabelled_nodes(problem)
    draws = problem.once("bootstrap", lambda: _bootstrap(labelled, problem.seed))
    for k, (model, draw) in enumerate(zip(models, draws, strict=True)):
        _train(problem, model, f"start-{k + 1}", k, draw, problem.targets)
    before: list[Tensor] = []
    for number in range(1, rounds + 1):
        agreed = problem.once(f"agreed-{number}", lambda: _agreed(problem, models, unlabelled))
        if before and all(torch.equal(rows, old) for (rows, _), old in zip(agreed, before, strict=True)):
            break
        before = [rows for rows, _ in agreed]
        for k, (model, (rows, labels)) in enumerate(zip(models, agreed, strict=True)):
            known = problem.targets.index_copy(0, rows, labels)
            _train(problem, model, f"round-{number}-{k + 1}", k, torch.cat([labelled, rows]), known)
    return problem.student


def _bootstrap(labelled: Tensor, seed: int) -> list[Tensor]:
    """Draw as many labelled nodes as there are, with replacement, for each of three models."""
    generator, count = torch.Generator().manual_seed(seed), labelled.numel()
    return [labelled[torch.randint(count, (count,), generator=generator).to(labelled.device)] for _ in range(3)]


def _agreed(problem: Problem, models: Sequence[nn.Module], unlabelled: Tensor) -> list[tuple[Tensor, Tensor]]:
    logits = torch.stack([problem.view_of(model) for model in models])
    return agreed_labels(logits.to(unlabelled.device), unlabelled)


def _train(problem: Problem, model: nn.Module, stage: str, number: int, rows: Tensor, labels: Tensor) -> None:
    """Train a model further on some rows and their labels."""
    task = problem.distiller(model, None, problem.supervised(where="chosen"))
    data = problem.with_rows(problem.with_values(y=labels), chosen=rows)
    problem.train(task, stage, data, seed=problem.seed + number)
