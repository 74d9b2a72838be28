"""Loss of a generator of inputs on which a regression student and its teacher disagree."""

from torch import Tensor

from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_rows, check_same_shape
from graphkd.losses.regression._errors import row_mean


def disagreement(student: Tensor, teacher: Tensor, made: Tensor, *, size: float = 1e-5, output: float = 1e-5) -> Tensor:
    """Compute the loss of a generator of inputs: (N, k), (N, k), (N, d) -> scalar. Kang and Kang, ESWA 2021.

    -mean (t - s)^2 + size mean_i |x_i|^2 + output mean s^2; made: (N, d) generated inputs x, on which a regression
    student and its teacher should differ, student, teacher: (N, k) their outputs on x. The gradient reaches the
    generator through x, s and t. The authors' code ignores the last two terms, which stand in a statement of their own.
    The student minimises f (t - s)^2 on made inputs plus 1 - f times the same on Gaussian noise, f falling from 1 to 0:
    ``f * FitNet(on="made") + (1 - f) * FitNet(on="noise")``.

    Example::

        >>> s, t, made = torch.zeros(1, 1), torch.tensor([[2.0]]), torch.tensor([[3.0, 4.0]])
        >>> disagreement(s, t, made, size=0.0)  # -(2 - 0)^2: lower where they differ more
        tensor(-4.)
        >>> round(float(disagreement(s, t, made, size=0.1)), 3)  # + 0.1 * 5^2
        -1.5
    """
    check_same_shape(student, teacher)
    check_rows(student, made)
    s, t, x = (rows.to(accumulation_dtype(rows)) for rows in (student, teacher, made))
    answers = (output * s.square() - (t - s).square()).sum() / max(s.numel(), 1)
    return answers + size * row_mean(x.square().sum(dim=-1))
