"""Students that are to be better than their teacher: noise, pseudo-labels and unlabelled rows (expansion)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.distiller import Distiller
from graphkd.core.fit import fit
from graphkd.core.loss import Loss
from graphkd.core.teachers import Cached
from graphkd.core.view import Batch
from graphkd.losses.response.ce import CE
from graphkd.losses.response.pseudo_label import PseudoLabel
from graphkd.losses.response.soft_ce import SoftCE
from graphkd.schemes.augment import Change, Changed, changed, drop_edges, with_ids
from graphkd.schemes.pseudo_labels import select_pseudo_labels


def noisy_student(
    teacher: nn.Module,
    students: Sequence[nn.Module],
    data: Batch,
    *,
    threshold: float = 0.3,
    per_class: int | None = None,
    soft: bool = True,
    noise: Change = drop_edges,
    **options: Any,
) -> nn.Module:
    """Each student learns from noise what the model before it says without. Xie et al., CVPR 2020, arXiv:1911.04252.

    Choose it where labels are few, other rows many, and accuracy counts more than size: ``students`` should be as
    large as the teacher or larger, one an iteration (3 in the paper), and have dropout. The teacher labels all rows
    outside ``train_mask``; ``select_pseudo_labels`` keeps the confident ones, as many of each class where ``per_class``
    is given; the student minimises the mean cross-entropy over labelled and chosen rows, on a graph that ``noise``
    changes at every step, then it is the teacher. Pseudo-labels are ``soft`` (probabilities) or hard. Images have
    RandAugment and stochastic depth where we drop edges; batches of 14 or 28 times as many unlabelled rows become one
    batch of all. options go to ``fit``; the last student is returned.
    """
    if not students:
        raise ValueError("'students' must hold one at least, got none")
    labelled = data["train_mask"]
    for student in students:
        known = Cached(teacher, data)
        unlabelled = (~labelled).nonzero()[:, 0]
        chosen, _, _ = select_pseudo_labels(known(data)["logits"][unlabelled], threshold, per_class)
        count, others = int(labelled.sum()), chosen.numel()
        taught: Loss = SoftCE(where="pseudo") if soft else PseudoLabel(0.0, where="pseudo")
        losses = {"labels": count / (count + others) * CE(where="train_mask")}
        losses |= {"pseudo": others / (count + others) * taught}
        batches = Changed(changed(data, pseudo=unlabelled[chosen]), noise)
        teacher = fit(Distiller(student, known, losses), batches, **options)
    return teacher


def consistent_student(
    student: nn.Module,
    teacher: nn.Module,
    data: Batch,
    *,
    threshold: float = 0.9,
    weight: float = 2.0,
    noise: Change = drop_edges,
    **options: Any,
) -> nn.Module:
    """Labels, and the teacher's confident decisions about a perturbed graph. Sohn et al., 2020, arXiv:2005.04757.

    Choose it for one round of self-training, where the teacher is sure about much: STAC's
    CE(labels) + weight ``PseudoLabel(threshold)``. options go to ``fit``.
    """
    losses = {"labels": CE(where="train_mask"), "pseudo": weight * PseudoLabel(threshold, where="~train_mask")}
    return fit(Distiller(student, Cached(teacher, data), losses), Changed(data, noise), **options)


def relative_entropy(logits: Tensor) -> Tensor:
    """Entropy of every row's softmax over its largest value, log C: (N, C) -> (N,), in [0, 1]."""
    logs = logits.log_softmax(dim=-1)
    return -(logs.exp() * logs).sum(dim=-1) / math.log(logits.size(-1))


def phased_student(
    student: nn.Module, teacher: nn.Module, data: Batch, *, phases: int = 3, **options: Any
) -> nn.Module:
    """Pseudo-labels from easy to hard, in phases; choose it where the teacher is unsure about many rows.

    Phase k of K adds to the labels the k / K of the other rows of which the teacher's ``relative_entropy`` H is lowest,
    by cross-entropy with the teacher's probabilities, times the mean of 1 - H over them. A restatement of multi-phase
    pseudo-labelling: which share a phase takes and how it is weighted are ours; a weight a row would need the loss to
    know it, the mean over the phase does not. Each of the K calls of ``fit`` gets ``options`` and goes on from the
    weights of the one before, all at the first's seed.
    """
    if phases < 1:
        raise ValueError(f"'phases' must be at least 1, got {phases}")
    known = Cached(teacher, data)
    unlabelled = (~data["train_mask"]).nonzero()[:, 0]
    entropy = relative_entropy(known(data)["logits"])[unlabelled]
    order = entropy.argsort(stable=True)
    for phase in range(1, phases + 1):
        easy = order[: math.ceil(order.numel() * phase / phases)]
        weight = float((1 - entropy[easy]).mean()) if easy.numel() else 0.0
        losses = {"labels": CE(where="train_mask"), "pseudo": weight * SoftCE(where="pseudo")}
        fit(Distiller(student, known, losses), with_ids(changed(data, pseudo=unlabelled[easy])), **options)
    return student


@torch.no_grad()
def agreed_labels(logits: Tensor, rows: Tensor) -> list[tuple[Tensor, Tensor]]:
    """For each of three models the rows on which the other two agree, and the label: (3, N, C), (M,) -> 3 pairs."""
    if logits.dim() != 3 or logits.size(0) != 3:
        raise ValueError(f"'logits' must have shape (3, N, C), got {tuple(logits.shape)}")
    votes = logits[:, rows].argmax(dim=-1)
    pairs = [(votes[(k + 1) % 3], votes[(k + 2) % 3]) for k in range(3)]
    return [(rows[one == other], one[one == other]) for one, other in pairs]


def tri_training(
    students: Sequence[nn.Module], data: Batch, *, rounds: int = 3, seed: int = 0, **options: Any
) -> list[nn.Module]:
    """Three models label for each other what two of them agree on. Zhou and Li, TKDE 2005; Ruder and Plank, ACL 2018.

    Choose it to adapt without a teacher: unlabelled rows may be another domain's. Each model starts on a bootstrap
    sample of the labelled rows; then, ``rounds`` times or until no set of agreed rows changes, it goes on with all
    labelled rows and those outside ``train_mask`` on which the two others agree. The paper's test of the error estimate
    is left out. options go to ``fit``; predict by ``Ensemble(students)``.
    """
    if len(students) != 3:
        raise ValueError(f"'students' must be three, got {len(students)}")
    labelled, y = data["train_mask"].nonzero()[:, 0], data["y"]
    unlabelled = (~data["train_mask"]).nonzero()[:, 0]
    generator = torch.Generator().manual_seed(seed)
    loss = CE(where="taught")
    for k, student in enumerate(students):
        draw = torch.randint(labelled.numel(), (labelled.numel(),), generator=generator).to(labelled.device)
        fit(Distiller(student, losses=loss), changed(data, taught=labelled[draw]), seed=seed + k, **options)
    before: list[Tensor] = []
    for _ in range(rounds):
        logits = torch.stack([Cached(student, data)(data)["logits"] for student in students])
        agreed = agreed_labels(logits, unlabelled)
        if before and all(torch.equal(rows, old) for (rows, _), old in zip(agreed, before, strict=True)):
            break
        before = [rows for rows, _ in agreed]
        for k, (student, (rows, labels)) in enumerate(zip(students, agreed, strict=True)):
            batch = changed(data, taught=torch.cat([labelled, rows]), y=y.index_copy(0, rows, labels))
            fit(Distiller(student, losses=loss), batch, seed=seed + k, **options)
    return list(students)
