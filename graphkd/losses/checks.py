"""Checks that losses share: each names the argument, what was expected and what came."""

from __future__ import annotations

import torch
from torch import Tensor


def check_rows(student: Tensor, teacher: Tensor) -> None:
    """Student and teacher must be matrices about the same nodes."""
    for name, tensor in (("student", student), ("teacher", teacher)):
        if tensor.dim() < 2:
            raise ValueError(f"'{name}' must have shape (N, width), got {tuple(tensor.shape)}")
    if student.shape[:-1] != teacher.shape[:-1]:
        raise ValueError(
            f"'teacher' must have the rows of 'student', {tuple(student.shape[:-1])}, got {tuple(teacher.shape[:-1])}"
        )


def check_same_shape(student: Tensor, teacher: Tensor, remedy: str = "") -> None:
    """Student and teacher must agree in rows and in width."""
    check_rows(student, teacher)
    if student.size(-1) != teacher.size(-1):
        raise ValueError(f"'teacher' must be as wide as 'student' ({student.size(-1)}), got {teacher.size(-1)}{remedy}")


def check_widths(student_width: int | None, teacher_width: int | None) -> None:
    """Layers between two widths need both; without them there are none."""
    if (student_width is None) != (teacher_width is None):
        raise ValueError(f"give both widths or none, got {student_width} and {teacher_width}")


def check_labels(y: Tensor, rows: int, classes: int) -> None:
    """Labels must be one integer a row inside ``range(classes)``."""
    if y.is_floating_point() or y.dim() != 1 or y.size(0) != rows:
        raise ValueError(f"'y' must hold {rows} integer labels, got {y.dtype} of shape {tuple(y.shape)}")
    if y.numel() == 0 or torch.compiler.is_compiling():
        return
    low, high = (int(bound) for bound in y.aminmax())
    if low < 0 or high >= classes:
        raise ValueError(f"'y' must hold labels in [0, {classes}), got labels from {low} to {high}")


def choose(name: str, value: str, choices: tuple[str, ...]) -> str:
    """``value`` if it is one of the choices."""
    if value not in choices:
        raise ValueError(f"'{name}' must be one of {choices}, got {value!r}")
    return value
