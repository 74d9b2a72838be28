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
    intermediate layers (the critical period); arXiv:2005.00727. ``on`` names the layers, the last one last; layers of
    student and teacher are paired in order. The defaults are the authors': kernel "combined", Jeffreys' divergence, eps
    1e-6 and a mean over "pairs", which shrinks as 1 / N; ``reduction="rows"`` sums over the pairs of a row. ``fit``
    calls ``set_epoch``; in your own loop call it before every epoch. The authors' teacher is an auxiliary network of
    the student's layout, first trained by ``PKT`` on the last layer. O(L N^2 d) time, memory as ``PKT``.

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
        """Set the weight of all layers but the last, initial decay^epoch."""
        self.weight.fill_(self.initial * self.decay**epoch)

    def digest(self, teacher: tuple[Tensor, ...]) -> tuple[tuple[Density, ...], ...]:
        """Compute the teacher's densities of each layer once."""
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
    ``decay`` to the power of the epoch, fades out. ``weight`` multiplies the mean over rows. The authors train on this
    loss alone, so that the paper gives no weight beside labels. Ours equals a weight of 75 on their mean over pairs on
    Cora, where a weight of 1 gives the term 0.2 to 0.9 % of the gradient; we set it by scale, not by validation.
    """
    return problem.supervised() + weight * InformationFlow(initial=initial, decay=decay, reduction="rows")
