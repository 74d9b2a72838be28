"""Checks that losses share: each message names the argument, what was expected and what was given."""

from typing import Any, TypeVar, get_args

import torch
from torch import Tensor

from graphkd.core.masks import read_labels

Value = TypeVar("Value", bound=str)


def check_matrix(name: str, x: Tensor) -> None:
    """Require rows and a width: (..., N, width)."""
    if x.dim() < 2:
        raise ValueError(f"'{name}' must have shape (N, width), got {tuple(x.shape)}")


def check_rows(student: Tensor, teacher: Tensor) -> None:
    """Require matrices of student and teacher with equally many rows."""
    for name, tensor in (("student", student), ("teacher", teacher)):
        check_matrix(name, tensor)
    if student.shape[:-1] != teacher.shape[:-1]:
        raise ValueError(
            f"'teacher' must have the rows of 'student', {tuple(student.shape[:-1])}, got {tuple(teacher.shape[:-1])}"
        )


def check_same_shape(student: Tensor, teacher: Tensor, remedy: str = "") -> None:
    """Require equal rows and widths of student and teacher."""
    check_rows(student, teacher)
    if student.size(-1) != teacher.size(-1):
        raise ValueError(f"'teacher' must be as wide as 'student' ({student.size(-1)}), got {teacher.size(-1)}{remedy}")


def check_widths(student_width: int | None, teacher_width: int | None) -> None:
    """Require both widths of a connecting layer, or neither."""
    if (student_width is None) != (teacher_width is None):
        raise ValueError(f"give both widths or none, got {student_width} and {teacher_width}")


def class_ids(y: Tensor, rows: int, classes: int | None = None, name: str = "y") -> Tensor:
    """Read labels as class ids, int64 (N,); see ``read_labels``.

    Raises ValueError where their number is not ``rows``, a row is unlabelled, or an id is outside ``range(classes)``.
    """
    ids = read_labels(y, name)
    if ids.size(0) != rows:
        raise ValueError(f"{name!r} must hold {rows} integer labels, got {y.dtype} of shape {tuple(y.shape)}")
    if not ids.numel() or torch.compiler.is_compiling():
        return ids
    low, high = (int(bound) for bound in ids.aminmax())
    if low < 0 or (classes is not None and high >= classes):
        unlabelled = int((ids < 0).sum())
        advice = f": {unlabelled} of the {rows} rows that are read are unlabelled, -1 or NaN, give where= other rows"
        raise ValueError(
            f"{name!r} must hold labels in [0, {classes or '...'}), got labels from {low} to {high}"
            f"{advice if unlabelled else ''}"
        )
    return ids


def class_ids_of(student: Tensor, y: Tensor) -> Tensor:
    """Read labels as class ids of logits: (N, C), (N,) -> int64 (N,) in range(C)."""
    check_matrix("student", student)
    return class_ids(y, student.size(0), student.size(-1))


def beside(y: Tensor, student: Tensor) -> Tensor:
    """Shape targets as outputs: (N,) becomes (N, 1) where ``student`` is (N, 1)."""
    return y[:, None] if y.dim() == 1 and student.dim() == 2 and student.size(1) == 1 else y


def check_positive(name: str, value: float) -> float:
    """Return ``value``; raise ValueError unless it is above 0."""
    if not value > 0:  # refuses NaN too
        raise ValueError(f"{name!r} must be positive, got {value}")
    return value


def choose(name: str, value: Value, choices: Any) -> Value:
    """Return ``value``; raise ValueError unless it is among the choices, a tuple or a ``Literal`` type."""
    choices = get_args(choices) or choices
    if value not in choices:
        raise ValueError(f"'{name}' must be one of {choices}, got {value!r}")
    return value


def row_ids(n_id: Tensor | None, rows: int, held: int, device: torch.device) -> Tensor:
    """Return the node id of each row, int64: ``n_id``, or without it all ``held`` nodes in order."""
    if n_id is None and rows != held:
        raise ValueError(f"'n_id' must say which of the {held} nodes the {rows} rows are, got None")
    if n_id is not None and n_id.shape != (rows,):
        raise ValueError(f"'n_id' must hold the node of each of the {rows} rows, got shape {tuple(n_id.shape)}")
    return torch.arange(rows, device=device) if n_id is None else n_id.long()
