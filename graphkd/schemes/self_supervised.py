"""SSKD: a teacher passes on how it relates changed objects to unchanged ones, besides what it answers.

Xu, Liu, Li and Loy, "Knowledge Distillation Meets Self-Supervision", ECCV 2020, arXiv:2006.07114.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.distiller import Step
from graphkd.core.fit import fit
from graphkd.core.rng import seeded
from graphkd.core.teachers import Frozen
from graphkd.core.trainable import Trainable
from graphkd.core.view import Batch, View, Viewer
from graphkd.losses._checks import check_same_shape
from graphkd.losses.response.ce import cross_entropy
from graphkd.losses.response.kd import kl
from graphkd.schemes.augment import Change, drop_edges, drop_edges_and_features, mask_features

CHANGES: tuple[Change, ...] = (drop_edges, mask_features, drop_edges_and_features)


def reliable_rows(scores: Tensor, answers: Tensor, ratio: float) -> Tensor:
    """Rows a teacher gets right, and a share of the others, those nearest to right: (M, C), (M,) -> (M',), in order.

    A row's error is the place of its answer among its sorted scores; ``ratio`` of those not at place 0 are kept. Equal
    errors stay in order (the authors' sort is not stable).
    """
    places = (scores.argsort(dim=1, descending=True, stable=True) == answers[:, None]).int().argmax(dim=1)
    wrong = int((places > 0).sum())
    kept = places.argsort(stable=True)[: places.numel() - wrong + int(wrong * ratio)]
    return kept.sort().values


def relations(features: Tensor, views: int = 4) -> Tensor:
    """Cosines of changed objects with unchanged ones: (n views, d) -> (n (views - 1), n). Rows as in ``sskd``."""
    unit = F.normalize(features, dim=1).unflatten(0, (-1, views))
    return unit[:, 1:].flatten(0, 1) @ unit[:, 0].t()


def own_object(objects: int, views: int = 4, device: torch.device | None = None) -> Tensor:
    """The unchanged object that every row of ``relations`` comes from: (n (views - 1),)."""
    return torch.arange(objects, device=device).repeat_interleave(views - 1)


@dataclass(frozen=True)
class SSKDKnobs:
    """Weights of CE, KL, relations and changed objects, temperatures of the last three, shares of wrong rows kept."""

    weights: tuple[float, float, float, float] = (1.0, 0.9, 10.0, 2.7)
    temperature: float = 4.0
    relation_temperature: float = 0.5
    changed_temperature: float = 4.0
    relation_ratio: float = 0.75
    changed_ratio: float = 1.0
    views: int = 4


def sskd(student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor], y: Tensor, knobs: SSKDKnobs) -> Tensor:
    """Answers and relations of objects and their changed views: ((n v, C), (n v, d)) each, (n,) -> scalar.

    Rows come in groups of v = ``knobs.views``: an object, then its changed views. Each side gives logits and features
    of its self-supervision head. The sum of w_1 CE on the n objects, w_2 T^2 KL on them, w_3 T_r^2 KL of the softened
    rows of ``relations``, w_4 T_c^2 KL on changed views; the last two on ``reliable_rows`` only, each the mean over
    them. The weights are torchdistill's; the authors' script has 0.1, 0.9, 10, 2.7.
    """
    v, (s, s_features), (t, t_features) = knobs.views, student, teacher
    check_same_shape(s, t)
    if s.size(0) != v * y.size(0):
        raise ValueError(f"'student' must have {v} rows for each of {y.size(0)} objects, got {s.size(0)}")
    (s_plain, s_changed), (t_plain, t_changed) = (_parts(logits, v) for logits in (s, t))
    s_relations, t_relations = relations(s_features, v), relations(t_features, v).detach()
    kept = reliable_rows(t_relations, own_object(y.size(0), v, y.device), knobs.relation_ratio)
    sure = reliable_rows(t_changed, y.repeat_interleave(v - 1), knobs.changed_ratio)
    terms = (
        cross_entropy(s_plain, y),
        kl(s_plain, t_plain, knobs.temperature),
        kl(s_relations[kept], t_relations[kept], knobs.relation_temperature),
        kl(s_changed[sure], t_changed[sure], knobs.changed_temperature),
    )
    return sum((weight * term for weight, term in zip(knobs.weights, terms, strict=True)), start=s.new_zeros(()))


def _parts(rows: Tensor, views: int) -> tuple[Tensor, Tensor]:
    grouped = rows.unflatten(0, (-1, views))
    return grouped[:, 0], grouped[:, 1:].flatten(0, 1)


def head(width: int, out: int = 64) -> nn.Sequential:
    """Linear, ReLU, linear: what tells changed objects apart, on top of a hidden layer."""
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, out))


class SSKD(Trainable):
    """A student that learns a teacher's answers and relations; first the teacher's head learns them, then ``teach``.

    taps: hidden layers, (student path, teacher path); widths: of both. changes: that make the changed views, for
    graphs lost edges, lost features and both, where images are turned. A step takes up to ``max_samples`` of the rows
    of ``where``, drawn anew; the relations are 3n x n. While ``self.stage`` is "teacher", the loss is the teacher's
    head's: the cross-entropy of its ``relations`` with ``own_object``, its trunk constant; then it is ``sskd``.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        taps: tuple[str, str],
        widths: tuple[int, int],
        *,
        changes: Sequence[Change] = CHANGES,
        knobs: SSKDKnobs | None = None,
        where: str = "train_mask",
        max_samples: int = 256,
    ) -> None:
        super().__init__()
        self.student, self.stage, self.where, self.max_samples = student, "teacher", where, max_samples
        self.knobs = knobs or SSKDKnobs(views=1 + len(changes))
        if self.knobs.views != 1 + len(changes):
            raise ValueError(f"'changes' must be {self.knobs.views - 1}, a changed view each, got {len(changes)}")
        self.heads = nn.ModuleDict({"student": head(widths[0]), "teacher": head(widths[1])})
        self.changes = tuple(changes)
        self._viewer = self.hold(Viewer(student, taps={"hidden": taps[0]}))
        self._teacher = self.hold(Frozen(teacher))
        self._teacher.attach({"hidden": taps[1]})

    def forward(self, batch: Batch) -> Step:
        """The loss of the teacher's head, or of the student."""
        rows = batch[self.where].nonzero()[:, 0]
        rows = rows[torch.randperm(rows.numel(), device=rows.device)[: self.max_samples]]
        views = [batch, *(change(batch) for change in self.changes)]
        logits, hidden = self._shown([self._teacher(view) for view in views], rows)
        teacher = logits, self.heads["teacher"](hidden)
        if self.stage == "teacher":
            loss = cross_entropy(
                relations(teacher[1], self.knobs.views), own_object(rows.numel(), self.knobs.views, rows.device)
            )
        else:
            logits, hidden = self._shown([self._viewer(view) for view in views], rows)
            loss = sskd((logits, self.heads["student"](hidden)), teacher, batch["y"][rows], self.knobs)
        return Step(loss, {self.stage: loss.detach()})

    def _shown(self, shown: Sequence[View], rows: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and hidden features of the rows in every view, an object's views together."""
        logits, hidden = (
            torch.stack([view[name][rows] for view in shown], dim=1).flatten(0, 1) for name in ("logits", "hidden")
        )
        return logits, hidden

    def teach(self) -> None:
        """From now on the student learns, the teacher's head is constant."""
        self.stage = "student"
        self.heads["teacher"].requires_grad_(False)

    def close(self) -> None:
        """Remove the taps, at the end of the second stage."""
        if self.stage == "student":
            super().close()


def self_supervised(
    student: nn.Module,
    teacher: nn.Module,
    data: Any,
    taps: tuple[str, str],
    widths: tuple[int, int],
    *,
    head_epochs: int = 60,
    knobs: Mapping[str, Any] | None = None,
    **options: Any,
) -> nn.Module:
    """SSKD in its two stages; choose it where labels are few and changed views of an object can be made cheaply.

    head_epochs: of the teacher's head, 60 in the authors' code; knobs: of ``SSKD``; options go to ``fit``.
    """
    with seeded(options.get("seed", 0)):
        task = SSKD(student, teacher, taps, widths, **(knobs or {}))
    fit(task, data, epochs=head_epochs, seed=options.get("seed", 0))
    task.teach()
    return fit(task, data, **options)
