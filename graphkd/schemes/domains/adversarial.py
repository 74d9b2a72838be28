"""Students of one domain that are to work in another: adversaries on answers or features, and weights that move."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.func import functional_call

from graphkd.core.distiller import Distiller, Step
from graphkd.core.trainable import Trainable
from graphkd.core.view import Batch, Viewer
from graphkd.losses._adversarial import discrimination, fooling
from graphkd.losses.response.ce import cross_entropy


class Adaptation(NamedTuple):
    """What the student minimises, and what the discriminator does."""

    student: Tensor
    discriminator: Tensor


def adversarial_adaptation(
    logits: Tensor,
    y: Tensor,
    shown: tuple[Tensor, Tensor],
    discriminator: nn.Module,
    *,
    weight: float = 1e-3,
    source_label: int = 0,
) -> Adaptation:
    """Labels of the source, and target rows that are taken for source: (N, C), (N,), ((N, d), (M, d)) -> two scalars.

    ``shown``: what the ``discriminator`` (rows -> a logit each) sees of source and target, class probabilities for
    output-space adaptation. Student: CE + weight mean BCE(D(target), source_label), D constant; discriminator: the mean
    of BCE(D(source), source_label) and BCE(D(target), 1 - source_label), the rows constant.
    """
    if source_label not in (0, 1):
        raise ValueError(f"'source_label' must be 0 or 1, got {source_label}")
    sign = 2 * source_label - 1  # +1 where a large logit says "source"
    constant = {name: value.detach() for name, value in discriminator.named_parameters()}
    fooled = functional_call(discriminator, constant, (shown[1],)).flatten()
    source, target = (sign * discriminator(rows.detach()).flatten() for rows in shown)
    return Adaptation(cross_entropy(logits, y) + weight * fooling(sign * fooled), discrimination(target, source) / 2)


class Adversarial(Trainable):
    """A student whose target rows look like source rows to a discriminator. Tsai et al., CVPR 2018, arXiv:1802.10349.

    Choose it where the target domain has no labels and the classes are the same: output space (``tap=None``: the
    discriminator sees class probabilities, so what is aligned is how answers are distributed), or a hidden layer
    (``tap``: feature alignment). The batch names labelled source rows ``source_mask`` and target rows ``target_mask``.
    Both sides learn from one backward pass, see ``adversarial_adaptation``; an optimiser with two groups gives the
    discriminator a rate of its own. weight: 0.001 in the paper for the last layer, 0.0002 for an earlier one. The
    paper's discriminator of pixel maps becomes one of rows.
    """

    def __init__(
        self, student: nn.Module, discriminator: nn.Module, *, weight: float = 1e-3, tap: str | None = None
    ) -> None:
        super().__init__()
        self.student, self.discriminator, self.weight, self.tap = student, discriminator, weight, tap
        self._viewer = self.hold(Viewer(student, taps={} if tap is None else {"hidden": tap}))

    def forward(self, batch: Batch) -> Step:
        """The sum of both losses."""
        view, source, target = self._viewer(batch), batch["source_mask"], batch["target_mask"]
        shown = view["logits"].softmax(dim=-1) if self.tap is None else view["hidden"]
        student, discriminator = adversarial_adaptation(
            view["logits"][source],
            batch["y"][source],
            (shown[source], shown[target]),
            self.discriminator,
            weight=self.weight,
        )
        return Step(student + discriminator, {"student": student.detach(), "discriminator": discriminator.detach()})


class Progressive(nn.Module):
    """Adaptation of the teacher first, distillation later. Nguyen-Meidine et al., WACV 2021.

    (1 - b) times ``adapting``'s loss plus b times ``distilling``'s, b = start (end / start)^(e / (E - 1)): exponential
    over the epochs. Choose it where the teacher has to be carried to the target too. ``adapting`` is any task whose
    ``forward(batch)`` gives a ``Step``; the student of ``distilling`` is what ``fit`` measures. The teacher of
    ``distilling`` may be ``Frozen(adapting.student)``, which shows the weights of the moment, and puts them into eval
    mode: for a teacher with dropout, give one batch an epoch. Which loss gets which share is our reading.
    """

    def __init__(self, adapting: nn.Module, distilling: Distiller, *, start: float = 0.1, end: float = 0.9) -> None:
        super().__init__()
        for name, value in (("start", start), ("end", end)):
            if not 0 < value <= 1:
                raise ValueError(f"{name!r} must be above 0 and 1 at most, got {value}")
        self.adapting, self.distilling, self.start, self.end = adapting, distilling, start, end
        self.student = distilling.student
        self.share = start

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Called by ``fit`` before every epoch."""
        self.share = self.start * (self.end / self.start) ** (epoch / max(epochs - 1, 1))
        self.distilling.set_epoch(epoch, epochs)

    def forward(self, batch: Batch) -> Step:
        """The weighted sum."""
        first, second = self.adapting(batch), self.distilling(batch)
        terms = {f"adapting.{name}": term for name, term in first.terms.items()}
        terms |= {f"distilling.{name}": term for name, term in second.terms.items()}
        return Step((1 - self.share) * first.loss + self.share * second.loss, terms)

    def close(self) -> None:
        """Remove all taps."""
        for task in (self.adapting, self.distilling):
            close: Any = getattr(task, "close", None)
            if close is not None:
                close()
