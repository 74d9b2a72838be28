"""The linear layer between two widths."""

from torch import nn

from graphkd.losses._checks import check_widths


def projector(student_width: int | None, teacher_width: int | None, *, bias: bool = True) -> nn.Module:
    """The linear layer from the student's width to the teacher's, or without widths none."""
    check_widths(student_width, teacher_width)
    if student_width is None or teacher_width is None:
        return nn.Identity()
    return nn.Linear(student_width, teacher_width, bias=bias)
