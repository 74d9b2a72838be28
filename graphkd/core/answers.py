"""Kinds of outputs: logits of classes that exclude each other, or logits of independent labels; not probabilities."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from graphkd.core.identity import Once

# What a loss softens: logits that a softmax turns into class probabilities, or a sigmoid into label probabilities.
Answers = Literal["classes", "labels"]
_TELLING = 8  # fewest numbers to decide by: so many logits are all in [0, 1] once in several thousand times
_once = Once()


def check_width(loss: str, logits: Tensor, side: str, least: int = 2) -> None:
    """Raise ValueError where logits have fewer classes than the loss needs."""
    width = logits.size(-1) if logits.dim() > 1 else 1
    if width < least:
        raise ValueError(
            f"{loss}: {side!r} must have {least} classes at least, got width {width}: for one logit a row, yes or no, "
            "use SoftBCE, and BCE for labels"
        )


@torch.no_grad()
def check_logits(loss: str, answers: Answers, logits: Tensor, side: str) -> bool:
    """Check that answers are logits, and tell whether there were enough numbers to be sure.

    Raises ValueError where they are probabilities: "classes" the output of a softmax, "labels" that of a sigmoid.
    """
    if not logits.is_floating_point():
        return True
    if answers == "classes" and is_softmax(logits):
        raise ValueError(
            f"{loss}: {side!r} must be logits, got probabilities, rows that sum to 1: give their .log(), which is as "
            "good as logits, or leave out the softmax at the end of the model"
        )
    if answers == "labels" and is_sigmoid(logits):
        raise ValueError(
            f"{loss}: {side!r} must be logits, got numbers that are all in [0, 1], as a sigmoid gives them: leave it "
            "out, or give their .logit()"
        )
    return logits.numel() >= (1 if answers == "classes" else _TELLING)


def is_softmax(rows: Tensor) -> bool:
    """Tell whether rows are probabilities of two classes or more: not below 0, each row with sum 1 up to rounding."""
    if rows.dim() < 2 or rows.size(-1) < 2 or not rows.numel() or bool((rows < 0).any()):
        return False
    wide = rows.float() if rows.element_size() < 4 else rows
    return bool(((wide.sum(dim=-1) - 1).abs() <= max(1e-4, 4 * torch.finfo(rows.dtype).eps)).all())


def is_sigmoid(numbers: Tensor) -> bool:
    """Tell whether all numbers are in [0, 1] and some strictly inside; False for too few numbers to be sure."""
    if numbers.numel() < _TELLING:
        return False
    inside = (numbers > 0) & (numbers < 1)
    return bool(inside.any()) and bool((inside | (numbers == 0) | (numbers == 1)).all())


def check_exclusive(loss: str, y: Any, logits: Tensor, remedy: str) -> None:
    """Raise ValueError where labels allow a row to have several classes, or none."""
    if not isinstance(y, Tensor) or y.dim() < 2 or y.shape != logits.shape or y.size(-1) < 2:
        return
    if _once(y, "multi-label", lambda: _is_multi_label(y)):
        raise ValueError(
            f"{loss} is for classes that exclude each other, got labels 'y' of shape {tuple(y.shape)} that are 0 and 1 "
            f"for each class apart: use {remedy}"
        )


@torch.no_grad()
def _is_multi_label(y: Tensor) -> bool:
    """Tell whether labels are 0 or 1, or NaN for unknown, and no row of them is one class alone."""
    known = y.nan_to_num() if y.is_floating_point() else y
    if not bool(((known == 0) | (known == 1)).all()):
        return False
    return not bool((known.sum(dim=-1) == 1).all())
