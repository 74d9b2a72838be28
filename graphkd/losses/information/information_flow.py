"""Information flow: PKT layer by layer, with decaying weights of the earlier layers."""

from typing import Unpack

import torch
from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses.information.pkt import PKT, Density, DensityDivergence, DensityKernel, DensityReduction


class InformationFlow(Loss):
    """Apply PKT layer by layer, earlier layers with a decaying weight. Passalis, Tzelepi and Tefas, CVPR 2020.

    pkt(last layer) + w sum over the other layers of pkt, w = 100 0.7^epoch, so that the first epochs form the
    intermediate layers (the critical period); arXiv:2005.00727. ``on`` names the layers, the last one last; student's
    and teacher's are matched in order. Kernel, divergence, eps and ``reduction`` are the authors': "combined",
    Jeffreys' divergence, 1e-6, a mean over "pairs", which shrinks as 1 / N; "rows" sums over the pairs of a row.
    ``fit`` sets the epoch; in a loop of your own call ``set_epoch``. The authors' teacher is an auxiliary network of
    the student's layout, trained by ``PKT`` on the last layer first. O(L N^2 d) time, memory as ``PKT``.

    Example::

        >>> flow = InformationFlow(initial=100.0, decay=0.5, reduction="rows")
        >>> flow.set_epoch(2, epochs=10)
        >>> float(flow.weight)  # of the hidden layer; that of the logits is 1
        25.0
        >>> loss = graphkd.losses.CE(where="train_mask") + 0.03 * flow
        >>> result = graphkd.distil(loss, student, teacher, data, hidden="convs.0", epochs=2, progress=False)
    """

    on = ("hidden", "logits")
    weight: Tensor

    def __init__(
        self,
        kernel: DensityKernel = "combined",
        divergence: DensityDivergence = "jeffreys",
        *,
        initial: float = 100.0,
        decay: float = 0.7,
        eps: float = 1e-6,
        reduction: DensityReduction = "pairs",
        **reads: Unpack[Reads],
    ) -> None:
        super().__init__(**reads)
        self.layer = PKT(kernel, divergence, eps=eps, reduction=reduction)
        self.initial, self.decay = initial, decay
        self.register_buffer("weight", torch.tensor(initial))

    def set_epoch(self, epoch: int, epochs: int) -> None:  # noqa: ARG002 - the schedule does not depend on the end
        """The weight of all layers but the last."""
        self.weight.fill_(self.initial * self.decay**epoch)

    def digest(self, teacher: tuple[Tensor, ...]) -> tuple[tuple[Density, ...], ...]:
        """The teacher's rows and their sums of each layer."""
        return tuple(self.layer.digest(x) for x in teacher)

    def forward(self, student: tuple[Tensor, ...], teacher: tuple[Tensor | tuple[Density, ...], ...]) -> Tensor:
        *earlier, last = (self.layer(s, t) for s, t in zip(student, teacher, strict=True))
        return last + self.weight * sum(earlier)


@method(
    "information_flow",
    family="information",
    paper="Passalis, Tzelepi and Tefas, CVPR 2020",
    arxiv="2005.00727",
    survey=(31,),
    tasks=("rows",),
    needs=("hidden",),
)
def information_flow_method(
    problem: Problem, *, weight: float = 0.03, initial: float = 100.0, decay: float = 0.7
) -> Loss:
    """Match who is near whom in the hidden layer at first and in the logits to the end, beside the labels.

    Choose it where a deep student's first layers form in the first epochs: the hidden layer's weight, ``initial`` times
    ``decay`` to the power of the epoch, fades out. The weight is of the mean over rows; the authors train on nothing
    else, so that theirs says nothing of one beside labels. This one is 75 times what a weight of 1 is on Cora for their
    mean over pairs, with which the term has 0.2 to 0.9 % of the gradient: it follows from scale, and no validation
    chose it.
    """
    return problem.supervised() + weight * InformationFlow(initial=initial, decay=decay, reduction="rows")
