"""SSKD: a teacher passes on how it relates changed objects to unchanged ones, besides what it answers.

Xu, Liu, Li and Loy, "Knowledge Distillation Meets Self-Supervision", ECCV 2020, arXiv:2006.07114.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from graphkd.core.distiller import Step
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.teachers import Frozen, frozen
from graphkd.core.trainable import Trainable
from graphkd.core.view import Batch, Call, View, Viewer
from graphkd.kernels.norms import unit_vectors
from graphkd.losses._checks import check_same_shape
from graphkd.losses.response.ce import cross_entropy
from graphkd.losses.response.kd import kl
from graphkd.schemes._rows import chosen_rows
from graphkd.schemes.augment import Change, asked_anew, drop_edges, drop_edges_and_features, mask_features

WEIGHTS = (1.0, 0.9, 10.0, 2.7)


def reliable_rows(scores: Tensor, answers: Tensor, ratio: float) -> Tensor:
    """Find rows a teacher gets right, and a share of the others, those nearest to right: (M, C), (M,) -> (M',), sorted.

    A row's error is the place of its answer among its sorted scores; the share ``ratio`` of the rows not at place 0 is
    selected. Equal errors keep their order (the authors' sort is not stable).
    """
    places = (scores.argsort(dim=1, descending=True, stable=True) == answers[:, None]).int().argmax(dim=1)
    wrong = int((places > 0).sum())
    kept = places.argsort(stable=True)[: places.numel() - wrong + int(wrong * ratio)]
    return kept.sort().values


def relations(features: Tensor, views: int = 4) -> Tensor:
    """Compute cosines of changed objects and unchanged ones: (n views, d) -> (n (views - 1), n). Rows: see ``sskd``."""
    unit = unit_vectors(features).unflatten(0, (-1, views))
    return unit[:, 1:].flatten(0, 1) @ unit[:, 0].t()


def own_object(objects: int, views: int = 4, device: torch.device | None = None) -> Tensor:
    """Return the unchanged object that every row of ``relations`` comes from: (n (views - 1),)."""
    return torch.arange(objects, device=device).repeat_interleave(views - 1)


def sskd(
    student: tuple[Tensor, Tensor],
    teacher: tuple[Tensor, Tensor],
    y: Tensor,
    *,
    weights: tuple[float, float, float, float] = WEIGHTS,
    temperature: float = 4.0,
    relation_temperature: float = 0.5,
    changed_temperature: float = 4.0,
    relation_ratio: float = 0.75,
    changed_ratio: float = 1.0,
    views: int = 4,
) -> Tensor:
    """Match answers and relations of objects and their changed views: ((n v, C), (n v, d)) each, (n,) -> scalar.

    Rows come in groups of v = ``views``: an object, then its changed views. Each side gives logits and features of its
    self-supervision head. The sum of w_1 CE on the n objects, w_2 T^2 KL on them, w_3 T_r^2 KL of the softened rows of
    ``relations``, w_4 T_c^2 KL on changed views; the last two are means over ``reliable_rows``, with the ratios as the
    shares of wrong rows that are included. The weights are torchdistill's; the authors' script has 0.1, 0.9, 10, 2.7.
    Raises ValueError for other shapes.
    """
    (s, s_features), (t, t_features) = student, teacher
    check_same_shape(s, t)
    if s.size(0) != views * y.size(0):
        raise ValueError(f"'student' must have {views} rows for each of {y.size(0)} objects, got {s.size(0)}")
    (s_plain, s_changed), (t_plain, t_changed) = (_parts(logits, views) for logits in (s, t))
    s_relations, t_relations = relations(s_features, views), relations(t_features, views).detach()
    kept = reliable_rows(t_relations, own_object(y.size(0), views, y.device), relation_ratio)
    sure = reliable_rows(t_changed, y.repeat_interleave(views - 1), changed_ratio)
    terms = (
        cross_entropy(s_plain, y),
        kl(s_plain, t_plain, temperature),
        kl(s_relations[kept], t_relations[kept], relation_temperature),
        kl(s_changed[sure], t_changed[sure], changed_temperature),
    )
    return sum((weight * term for weight, term in zip(weights, terms, strict=True)), start=s.new_zeros(()))


def _parts(rows: Tensor, views: int) -> tuple[Tensor, Tensor]:
    grouped = rows.unflatten(0, (-1, views))
    return grouped[:, 0], grouped[:, 1:].flatten(0, 1)


def head(width: int, out: int = 64) -> nn.Sequential:
    """Make a head of linear, ReLU, linear, which tells changed objects apart, on top of a hidden layer."""
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, out))


CHANGES: tuple[Callable[..., Any], ...] = (drop_edges, mask_features, drop_edges_and_features)


class _Views(Trainable):
    """Changed views of some rows of ``where`` (None: all), drawn anew at every step, and a teacher's answers to them.

    A step takes up to ``max_samples`` rows. changes: batch -> changed batch, one per view; on graphs they drop edges,
    features or both, where the paper rotates images.
    """

    term: ClassVar[str]

    def __init__(
        self,
        teacher: nn.Module | Frozen,
        path: str,
        head: nn.Module,
        *,
        where: str | None,
        changes: Sequence[Change] = CHANGES,
        max_samples: int = 256,
    ) -> None:
        super().__init__()
        self.where, self.changes, self.max_samples, self.teacher_head = where, tuple(changes), max_samples, head
        self._teacher = self.hold(asked_anew(frozen(teacher)))
        self._layer = {"hidden": path}
        self._teacher.attach(self._layer)

    def forward(self, batch: Batch) -> Step:
        """Compute the loss of some rows; 0, differentiable, where there are none."""
        y: Tensor = batch["y"]
        rows = chosen_rows(batch, self.where, y.size(0), y.device).nonzero()[:, 0]
        rows = rows[torch.randperm(rows.numel(), device=rows.device)[: self.max_samples]]
        views = [batch, *(change(batch) for change in self.changes)]
        if not rows.numel():
            return Step(0.0 * torch.stack([p.sum() for p in self.parameters() if p.requires_grad]).sum(), {})
        logits, hidden = _shown([self._teacher(view, self._layer) for view in views], rows)
        loss = self.compare((logits, self.teacher_head(hidden)), views, rows)
        return Step(loss, {self.term: loss.detach()})

    def compare(self, teacher: tuple[Tensor, Tensor], views: Sequence[Any], rows: Tensor) -> Tensor:
        """Compute the loss, given the teacher's logits of the rows in every view and the features of its head."""
        raise NotImplementedError


class TeacherHead(_Views):
    """Head on a constant teacher that learns from which object a changed one comes: the first stage.

    path: of the teacher's hidden layer. head: a module on it. where: name of the batch entry that selects rows (None:
    all). changes: batch -> changed batch, one per view. A step takes up to ``max_samples`` rows. The loss is the
    cross-entropy of the rows' ``relations``, 3n x n, with ``own_object``. ``fit`` returns the head.
    """

    term = "head"

    @property
    def student(self) -> nn.Module:
        """Return the module that ``fit`` trains and gives back."""
        return self.teacher_head

    def compare(self, teacher: tuple[Tensor, Tensor], views: Sequence[Any], rows: Tensor) -> Tensor:
        """Compute the loss of the teacher's head."""
        return cross_entropy(relations(teacher[1], len(views)), own_object(rows.numel(), len(views), rows.device))


class SSKD(_Views):
    """Student that learns a teacher's answers and relations, by ``sskd``; ``fit`` a ``TeacherHead`` before.

    paths: of the hidden layers of student and teacher. heads: modules on these layers, the teacher's constant. where,
    changes, max_samples: as in ``TeacherHead``. settings: options of ``sskd``.
    """

    term = "student"

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module | Frozen,
        paths: tuple[str, str],
        heads: tuple[nn.Module, nn.Module],
        *,
        where: str | None,
        changes: Sequence[Change] = CHANGES,
        max_samples: int = 256,
        call: Call | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(teacher, paths[1], heads[1], where=where, changes=changes, max_samples=max_samples)
        self.student, self.head, self.settings = student, heads[0], settings
        self.teacher_head.requires_grad_(False)
        self._viewer = self.hold(Viewer(student, taps={"hidden": paths[0]}, call=call))

    def compare(self, teacher: tuple[Tensor, Tensor], views: Sequence[Any], rows: Tensor) -> Tensor:
        """Compute the loss of the student."""
        logits, hidden = _shown([self._viewer(view) for view in views], rows)
        return sskd((logits, self.head(hidden)), teacher, views[0]["y"][rows], views=len(views), **self.settings)


def _shown(views: Sequence[View], rows: Tensor) -> list[Tensor]:
    """Compute logits and hidden features of the rows in every view, an object's views together."""
    return [torch.stack([view[name][rows] for view in views], dim=1).flatten(0, 1) for name in ("logits", "hidden")]


@method(
    "sskd",
    family="teachers",
    paper="Xu et al., ECCV 2020",
    arxiv="2006.07114",
    survey=(85,),
    needs=("hidden", "edges"),
    space={"relation_ratio": (0.03, 1.0), "changed_ratio": (0.03, 1.0), "rate": (0.007, 0.9)},
)
def sskd_method(
    problem: Problem,
    *,
    label_weight: float = 1.0,
    soft_weight: float = 0.9,
    relation_weight: float = 10.0,
    changed_weight: float = 2.7,
    temperature: float = 4.0,
    relation_temperature: float = 0.5,
    changed_temperature: float = 4.0,
    relation_ratio: float = 0.75,
    changed_ratio: float = 1.0,
    rate: float = 0.2,
    max_samples: int = 256,
    head_epochs: int = 60,
) -> nn.Module:
    """Match how the teacher relates changed nodes to unchanged ones, besides answers; two stages.

    Choose it where labels are few and changed views of a node are cheap to make; here the three views drop the share
    ``rate`` of the edges, of the features and of both. First a head on the teacher's hidden layer learns which node a
    changed one comes from, for ``head_epochs`` (60 in the authors' code) unless the user gives ``epochs``. Then the
    student learns by ``sskd``, with the given weights, temperatures and ratios, on up to ``max_samples`` labelled nodes
    per step. Costs four forward passes of student and teacher per step.
    """
    heads = head(problem.widths[0]), head(problem.widths[1])
    paths: Any = problem.hidden
    changes = [partial(change, rate=rate) for change in CHANGES]
    about: dict[str, Any] = {"where": problem.labelled, "max_samples": max_samples, "changes": changes}
    learner = TeacherHead(problem.teacher, paths[1], heads[1], **about)
    problem.train(learner, "head", choose=False, epochs=head_epochs, weight_decay=0.0)
    task = SSKD(
        problem.student,
        problem.teacher,
        paths,
        heads,
        call=problem.call_of(problem.student),
        weights=(label_weight, soft_weight, relation_weight, changed_weight),
        temperature=temperature,
        relation_temperature=relation_temperature,
        changed_temperature=changed_temperature,
        relation_ratio=relation_ratio,
        changed_ratio=changed_ratio,
        **about,
    )
    return problem.train(task)
