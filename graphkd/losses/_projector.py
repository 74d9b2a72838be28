"""The linear layers of losses."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_widths


def check_width(side: str, x: Tensor, width: int) -> None:
    """Require rows of a side to be as wide as the layer that reads them."""
    if x.size(-1) != width:
        raise ValueError(
            f"'{side}' must be as wide as this loss was made for, {width}, got shape {tuple(x.shape)}: make the loss "
            "with the width of the layer that it reads"
        )


class Linear(nn.Linear):
    """``nn.Linear`` in float32 at least, because losses take norms and roots of its output.

    side: the input's name in the error message for a wrong width.
    """

    def __init__(self, width: int, out: int, *, bias: bool = True, side: str = "student") -> None:
        super().__init__(width, out, bias=bias)
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        check_width(self.side, x, self.in_features)
        wide = torch.promote_types(accumulation_dtype(x), self.weight.dtype)
        return F.linear(x.to(wide), self.weight.to(wide), None if self.bias is None else self.bias.to(wide))


def projector(student_width: int | None, teacher_width: int | None, *, bias: bool = True) -> nn.Module:
    """Make the linear layer from the student's width to the teacher's, or without widths the identity."""
    check_widths(student_width, teacher_width)
    if student_width is None or teacher_width is None:
        return nn.Identity()
    return Linear(student_width, teacher_width, bias=bias)
