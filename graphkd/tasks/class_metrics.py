"""Scores of classes and of labels apart, by torchmetrics: answers (n, C) beside labels, higher is better."""

from __future__ import annotations

import torch
from torch import Tensor


def share_right(scores: Tensor, labels: Tensor) -> float:
    """Compute the share of rows whose class scores highest: (n, C), (n,)."""
    return int((scores.argmax(dim=-1) == labels).sum()) / len(labels)


def macro_f1(scores: Tensor, labels: Tensor) -> float:
    """Compute the mean F1 of the classes that occur in labels or answers: (n, C), (n,)."""
    from torchmetrics.functional.classification import multiclass_f1_score

    return float(multiclass_f1_score(scores.argmax(dim=-1), labels, num_classes=scores.size(1), average="macro"))


def class_roc_auc(scores: Tensor, labels: Tensor) -> float:
    """Compute the area under the ROC curve: (n, C), (n,); of two classes the second's, of more the mean over all.

    Raises ValueError where the labels have one class only.
    """
    from torchmetrics.functional.classification import binary_auroc, multiclass_auroc

    present = labels.unique()
    if len(present) < 2:
        raise ValueError(f"an area under the curve needs two classes among the labels, got {present.tolist()}")
    if scores.size(1) == 2:
        return float(binary_auroc(scores[:, 1].double() - scores[:, 0].double(), labels, validate_args=False))
    shares = scores.double().softmax(dim=1)
    each = multiclass_auroc(shares, labels, num_classes=scores.size(1), average=None)
    return float(each[present].mean())


def label_micro_f1(scores: Tensor, labels: Tensor) -> float:
    """Compute F1 over all entries, a logit above 0 being a yes: (n, L), (n, L) of 0, 1 and NaN for unknown."""
    return _f1(scores, labels, "micro")


def label_macro_f1(scores: Tensor, labels: Tensor) -> float:
    """Compute the mean F1 of the labels; see ``label_micro_f1``."""
    return _f1(scores, labels, "macro")


def label_roc_auc(scores: Tensor, labels: Tensor) -> float:
    """Compute the mean area under the ROC curve of labels that some rows have and others lack: (n, L), (n, L)."""
    from torchmetrics.functional.classification import binary_auroc

    return _mean_over_labels(scores, labels, lambda s, y: binary_auroc(s, y, validate_args=False))


def label_average_precision(scores: Tensor, labels: Tensor) -> float:
    """Compute the mean average precision of labels that some rows have and others lack: (n, L), (n, L)."""
    from torchmetrics.functional.classification import binary_average_precision

    return _mean_over_labels(scores, labels, lambda s, y: binary_average_precision(s, y, validate_args=False))


def _f1(scores: Tensor, labels: Tensor, average: str) -> float:
    from torchmetrics.functional.classification import multilabel_f1_score

    known = torch.where(labels.isnan(), -1, labels.nan_to_num()).long()
    guesses = (scores > 0).long()
    return float(
        multilabel_f1_score(guesses, known, num_labels=labels.size(1), average=average, ignore_index=-1)  # type: ignore[arg-type]
    )


def _mean_over_labels(scores: Tensor, labels: Tensor, measure: object) -> float:
    found = []
    for column in range(labels.size(1)):
        known = ~labels[:, column].isnan()
        s, y = scores[known, column].double(), labels[known, column].long()
        if bool((y == 0).any()) and bool((y == 1).any()):
            found.append(float(measure(s, y)))  # type: ignore[operator]
    if not found:
        raise ValueError("no label stands for some of the judged rows and not for others, nothing can be measured")
    return sum(found) / len(found)
