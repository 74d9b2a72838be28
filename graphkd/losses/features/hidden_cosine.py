"""Directions of hidden states."""

from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.norms import cosines
from graphkd.losses._checks import check_same_shape


def hidden_cosine(student: Tensor, teacher: Tensor) -> Tensor:
    """Average one minus the cosine of features of one width: (N, d), (N, d) -> scalar; see ``HiddenCosine``."""
    check_same_shape(student, teacher)
    return (1 - cosines(student, teacher)).sum() / max(student[..., 0].numel(), 1)


class HiddenCosine(Loss):
    """Match the directions of hidden states. Aguilar et al., AAAI 2020, arXiv:1910.03723; survey eq. 17 and 18.

    mean_i (1 - cos(s_i, t_i)); student, teacher: (N, d). A row of zeros has cosine 0 and no gradient. The paper's
    second loss, the divergence of attention rows, averaged over heads and rows, is ``KL(on="attention")`` on scores
    (heads, N, N) before softmax. The authors train layers one after the other from bottom to top, then the classifier.

    Example::

        >>> s, t = torch.tensor([[4.0, 0.0]]), torch.tensor([[0.0, 2.0]])
        >>> [float(HiddenCosine()(s, other)) for other in (2 * s, t, -s)]  # 1 - cos: lengths do not count
        [0.0, 1.0, 2.0]
        >>> loss = graphkd.losses.CE(where="train_mask") + HiddenCosine()
        >>> result = graphkd.distil(loss, student, teacher, data, hidden="convs.0", epochs=2, progress=False)
    """

    on = "hidden"

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return hidden_cosine(student, teacher)


@method(
    "hidden_cosine",
    family="features",
    paper="Aguilar et al., AAAI 2020",
    arxiv="1910.03723",
    survey=(80,),
    tasks=("rows",),
)
def hidden_cosine_method(problem: Problem, *, weight: float = 1.0, on: str = "logits") -> Loss:
    """Match the directions of the teacher's rows, beside the labels.

    Choose it where lengths of features mean nothing. ``on="hidden"`` compares hidden layers, whose widths must be
    equal; those of logits always are.
    """
    return problem.supervised() + weight * HiddenCosine(on=on)
