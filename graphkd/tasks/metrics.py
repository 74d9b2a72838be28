"""Metrics of a model on part of a graph, and its fidelity to its teacher."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.batches import own_rows
from graphkd.core.masks import read_labels, read_mask
from graphkd.core.models import shown
from graphkd.core.teachers import Frozen
from graphkd.core.view import Batch, Call, fill

Metric = Callable[[Tensor, Tensor], float]  # of answers and labels, higher is better


def check_metrics(asked: Sequence[str], known: Mapping[str, Metric]) -> None:
    """Raise ValueError unless the names ``asked`` are among the ``known`` metrics, one at least."""
    if not asked or isinstance(asked, str) or any(name not in known for name in asked):
        raise ValueError(f"'metrics' must be some of {sorted(known)}, got {asked!r}")


def predict(model: nn.Module | Frozen, data: Batch, *, call: Call | None = None) -> Tensor:
    """Predict the class of every row, (N,), from the model's logits in eval mode; modes are restored.

    Example::

        >>> torch.equal(predict(teacher, data), teacher(data.x, data.edge_index).argmax(dim=1))
        True
    """
    return class_scores(model, data, call).argmax(dim=-1)


def accuracy(
    model: nn.Module | Frozen,
    data: Batch,
    mask: str = "test_mask",
    *,
    call: Call | None = None,
    split: int | None = None,
) -> float:
    """Measure the share of the nodes of ``mask`` whose label ``y`` the model gets right, in [0, 1].

    Labels are class ids (N,) or (N, 1), integers or whole floats; the mask is boolean (N,), node ids, or with ``split``
    a column of (N, k). Of a neighbour-sampled batch only the seeds count. Raises ValueError where no node is selected,
    where a selected one has no label, and where the model's answers are not finite.

    Example::

        >>> data.y = predict(teacher, data)
        >>> accuracy(teacher, data, "train_mask"), accuracy(teacher, data)
        (1.0, 1.0)
    """
    scores, labels = judged_rows(data, mask, lambda: class_scores(model, data, call), read_classes, split)
    check_any(len(labels), mask)
    return int((scores.argmax(dim=-1) == labels).sum()) / len(labels)


def read_classes(y: Tensor) -> tuple[Tensor, Tensor]:
    """Read class ids (N,), see ``read_labels``, and a mask (N,) of the rows that have one."""
    labels = read_labels(y)
    return labels, labels >= 0


def judged_rows(
    batch: Batch,
    mask: str,
    ask: Callable[[], Tensor],
    read: Callable[[Tensor], tuple[Tensor, Tensor]],
    split: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Take the answers and the labels of the rows of a mask, on the CPU; of a sampled batch, among its seeds.

    ask: () -> answers of all rows, not called where no row is selected. read: ``y`` -> labels, mask of known ones.
    Raises ValueError where a selected row has no label, and for answers of another number of rows.
    """
    (labels, known), own = read(tensor_of(batch, "y")), own_rows(batch)
    count = labels.size(0)
    rows = selected(batch, mask, count, split)[:own].cpu()
    labels, known = labels[:own].cpu()[rows], known[:own].cpu()[rows]
    if not bool(known.all()):
        raise ValueError(f"{mask!r} selects {int((~known).sum())} rows without a label, of {known.numel()}")
    if not len(labels):
        return labels.new_empty(0), labels
    scores = ask()
    if scores.size(0) != count:
        raise ValueError(f"the model must answer each of the {count} rows of 'y', got {scores.size(0)} rows")
    return scores[:own].cpu()[rows], labels


def check_any(count: int, mask: str, what: str = "node") -> int:
    """Return ``count``, the rows that a mask selects; ValueError where it is 0."""
    if not count:
        raise ValueError(f"{mask!r} must select at least one {what}, it selects none")
    return count


def selected(batch: Batch, mask: str, rows: int, split: int | None = None) -> Tensor:
    """Read a mask of a batch as boolean (rows,); if the batch has ``n_id``, ids in the mask are node ids."""
    ids = tensor_of(batch, "n_id") if "n_id" in batch else None
    return read_mask(tensor_of(batch, mask), rows, mask, split=split, ids=ids)


def area_under_curve(scores: Tensor, y: Tensor) -> float:
    """Measure the chance that a row with ``y`` 1 scores above one with 0, ties counting half: (N,), (N,) -> float.

    Exact, by mean ranks, O(N log N). Raises ValueError where ``y`` lacks 1 or 0, and for scores that are not finite.

    Example::

        >>> area_under_curve(torch.tensor([0.9, 0.2, 0.9]), torch.tensor([1, 0, 0]))  # a win and a tie
        0.75
    """
    if scores.shape != y.shape or scores.dim() != 1:
        raise ValueError(
            f"'scores' and 'y' must hold a number each for the same rows, (N,), got {tuple(scores.shape)} and "
            f"{tuple(y.shape)}"
        )
    chosen = y.bool()
    positives, negatives = int(chosen.sum()), int((~chosen).sum())
    if not positives or not negatives:
        raise ValueError(f"'y' must hold both 1 and 0, for the area under the curve; {positives} of {len(y)} are 1")
    _check_finite(scores, "'scores'")
    _, place, counts = scores.double().unique(return_inverse=True, return_counts=True)
    ranks = counts.cumsum(0).double() - (counts - 1) / 2
    above = ranks[place][chosen].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


class Fidelity(NamedTuple):
    """Record a student's fidelity: the share of equal decisions, and the mean KL(teacher || student) in nats.

    Example::

        >>> agreement, divergence = fidelity(student, teacher, data, "val_mask")
        >>> 0 <= agreement < 1 and divergence > 0
        True
    """

    agreement: float
    kl: float


def fidelity(
    student: nn.Module | Frozen,
    teacher: nn.Module | Frozen,
    data: Batch,
    mask: str = "test_mask",
    *,
    call: Call | tuple[Call | None, Call | None] | None = None,
    split: int | None = None,
) -> Fidelity:
    """Measure fidelity on the nodes of ``mask``, both in eval mode; Stanton et al., NeurIPS 2021, arXiv:2106.05945.

    A student may be accurate without being faithful, and the other way round: report both. call: one for both models,
    or a pair (student's, teacher's); a teacher such as ``Frozen(model, call=...)`` has its own. Raises ValueError where
    no node is selected, and where the two do not answer class logits (N, C) of one shape.

    Example::

        >>> fidelity(teacher, teacher, data)
        Fidelity(agreement=1.0, kl=0.0)
    """
    calls = call if isinstance(call, tuple) else (call, call)
    s, t = (class_scores(model, data, each) for model, each in zip((student, teacher), calls, strict=True))
    if s.shape != t.shape:
        raise ValueError(f"the teacher must answer as the student, {tuple(s.shape)}, got {tuple(t.shape)}")
    rows = selected(data, mask, s.size(0), split).to(s.device)
    check_any(int(rows.sum()), mask)
    s, t = (each[rows].double().log_softmax(dim=-1) for each in (s, t.to(s.device)))
    agreement = (s.argmax(dim=-1) == t.argmax(dim=-1)).double().mean()
    return Fidelity(float(agreement), float(F.kl_div(s, t, reduction="batchmean", log_target=True)))


def answers(model: nn.Module | Frozen, data: Batch, call: Call | None = None) -> Tensor:
    """Compute a model's ``logits`` of a batch in eval mode; modes are restored. ValueError for NaN or infinity."""
    with shown(model, call) as show:
        view = show(data)
    if "logits" not in view:
        raise ValueError(f"to be measured, a model must show 'logits', it shows {sorted(view)}: give call=")
    _check_finite(view["logits"], "the model's answers")
    return view["logits"]


def class_scores(model: nn.Module | Frozen, data: Batch, call: Call | None = None) -> Tensor:
    """Compute a model's score of every class for every row, (N, C); ValueError for fewer than two classes."""
    found = answers(model, data, call)
    if found.dim() != 2 or found.size(1) < 2:
        raise ValueError(
            f"the model must answer a score for each of two classes at least, (N, C), got {tuple(found.shape)}: for "
            "one logit a row compare it with 0 yourself, or give the model two outputs"
        )
    return found


def tensor_of(batch: Batch, name: str) -> Tensor:
    """Look a tensor up in a batch; KeyError where it is missing, TypeError where it is no tensor."""
    entry = fill([name], batch, "the task")[name]
    if not isinstance(entry, Tensor):
        raise TypeError(
            f"{name!r} must be a tensor in the data, got {type(entry).__name__}: of heterogeneous data give one node "
            "type's entries, for example a Data with its x, y and masks"
        )
    return entry


def _check_finite(values: Tensor, what: str) -> None:
    wrong = values.numel() - int(torch.isfinite(values).sum())
    if wrong:
        raise ValueError(f"{what} must be finite, got {wrong} NaN or infinite of {values.numel()}")
