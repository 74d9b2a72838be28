"""DLLM2Rec: lists and item vectors of a language model, made once and offline, distilled to a sequential model."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from graphkd.core.method import method
from graphkd.losses._checks import choose
from recsys.data.ranked import Ranked
from recsys.losses.dllm2rec import DLLM2Rec
from recsys.methods._sequential import SequentialProblem
from recsys.models.item_vectors import folded, read_with
from recsys.models.products import inner_products
from recsys.sources.dllm2rec import DLLM2RecLists

Base = Literal["task", "authors"]


@method(
    "dllm2rec",
    family="lists",
    paper="Cui et al., RecSys 2024",
    arxiv="2405.00338",
    tasks=("sequential",),
    teacher=False,
)
def language_model_distillation(
    problem: SequentialProblem,
    *,
    ranked: Ranked | None = None,
    weight: float = 0.8,
    vector_weight: float = 0.2,
    k: int = 10,
    place: float = 0.3,
    confidence: float = 0.5,
    agreement: float = 0.1,
    decay: float = 1.0,
    base: Base = "task",
    dros: float = 0.0,
) -> nn.Module:
    """Learn lists that a language model made offline; choose it where the teacher cannot be asked in training.

    The teacher's first ``k`` items of a row are further positives beside one unseen item, with weights by their place
    (``place``), the teacher's ``confidence`` and their ``agreement`` with the student's own first k. The student reads
    items as their embeddings plus ``vector_weight`` times a linear map of the teacher's item vectors. After training,
    this map is folded into rows of the student's width (``recsys.models.item_vectors.with_rows`` makes a model that can
    load them). A weight of 0 leaves out its part.

    ranked: lists, and vectors, of an outside teacher, ``Ranked.from_file``. Without it they come from ``teacher``, any
    sequential model: its first items, distances from its best score, its table of items. weight: multiplied by the
    batch size, since the paper's losses are means over rows. base: "task" adds the lists to the task's own loss;
    "authors" adds them to the paper's, cross-entropy with one negative, and its robust terms (DROS) times ``dros``,
    which is 1 in the authors' code and needs the scores of all items. Their code chooses its epoch on test rows; here
    it is chosen on validation rows. Where the paper has log(1 - sigma(x)), their code and this have log sigma(1 - x).
    O(batch · (items + k)) a step.
    """
    choose("base", base, get_args(Base))
    if dros and base != "authors":
        raise ValueError(
            f"'dros' is a part of the authors' base loss and has no effect beside the task's, got {dros}: "
            "say base='authors', or leave it out"
        )
    if ranked is None and problem.teacher is None:
        raise ValueError(
            "'dllm2rec' needs lists of a teacher: give 'ranked', Ranked.from_file(...), or 'teacher', got none"
        )
    rows = problem.data.train
    k = problem.at_most("k", k, ranked.k if ranked is not None else problem.room())
    items, distances = _of_teacher(problem, k) if ranked is None else ranked.of_rows(rows, k)
    if vector_weight:
        read_with(problem.student, _vectors(problem, ranked), vector_weight)
    whole = base == "authors"
    loss = DLLM2Rec(
        shares=(place, confidence, agreement),
        decay=decay,
        whole=whole,
        lam=weight,
        dros=dros,
        item_weights=popularity(problem) if dros else None,
    ).to(problem.device)
    scaled = problem.batch_size * loss
    objective = scaled if whole else problem.supervised() + weight * scaled
    served: Any = problem.learn(objective, dllm2rec=DLLM2RecLists(items, distances, rows))
    return folded(served) if vector_weight else served


def _of_teacher(problem: SequentialProblem, k: int) -> tuple[Tensor, Tensor]:
    """Rank a sequential teacher's first items for all rows except their targets, with distances from its best score."""
    top, tables = problem.top_items(k)[1:].long(), problem.teacher.model
    rows = torch.arange(1, len(top) + 1, device=top.device)
    with torch.no_grad():
        user, item = tables.tables()
        scores = inner_products(user, item, rows[:, None], top).float()
    return top.cpu(), (scores[:, :1] - scores).clamp_min(0).cpu()


def _vectors(problem: SequentialProblem, ranked: Ranked | None) -> Tensor:
    """Return vectors of all items: those given with the lists, else the teacher's table of items."""
    if ranked is not None and ranked.vectors is not None:
        size = problem.data.num_items
        if ranked.vectors.size(0) != size:
            raise ValueError(f"'ranked' must have vectors of {size} items, padding first, got {len(ranked.vectors)}")
        return ranked.vectors
    if problem.teacher is None:
        raise ValueError(
            "'ranked' has no vectors of items: read them too, Ranked.from_file(..., vectors=...), give a 'teacher', "
            "whose table of items is taken, or say vector_weight=0"
        )
    item: Tensor = problem.teacher.model.item
    return item


def popularity(problem: SequentialProblem) -> Tensor:
    """Compute DROS's item weights by how often items are targets, ((count + 1) / sum)^0.05: (I,), padding first."""
    counts = torch.bincount(problem.data.train.targets, minlength=problem.data.num_items)[1:].double() + 1
    found = (counts / counts.sum()).pow(0.05)
    return torch.cat([found.new_ones(1), found])
