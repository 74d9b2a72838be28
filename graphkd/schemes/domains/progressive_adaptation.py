"""Progressive adaptation: a teacher is adapted to the target while it teaches.

Nguyen-Meidine et al., "Unsupervised Multi-Target Domain Adaptation Through Knowledge Distillation", WACV 2021.
"""

from __future__ import annotations

from torch import Tensor, nn

from graphkd.core.distiller import Distiller, Step
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.teachers import Frozen
from graphkd.core.view import Batch
from graphkd.schemes.domains.adversarial import SOURCE, aligning, discriminator, with_domains


class Progressive(nn.Module):
    """Adaptation of the teacher first, distillation later.

    The loss is (1 - b) times ``adapting``'s plus b times ``distilling``'s, b = start (end / start)^(e / (E - 1)),
    exponential over the epochs. ``adapting`` is any trainable whose ``forward(batch)`` gives a ``Step``; ``fit``
    measures the student of ``distilling``. The teacher of ``distilling`` may be ``Frozen(adapting.student)``, which
    evaluates the current weights in eval mode. Which loss gets which share is our reading. Raises ValueError unless
    ``start`` and ``end`` are in (0, 1].
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
        """Set the weight of distillation; ``fit`` calls this before every epoch."""
        self.share = self.start * (self.end / self.start) ** (epoch / max(epochs - 1, 1))
        self.distilling.set_epoch(epoch, epochs)

    def forward(self, batch: Batch) -> Step:
        """Compute the weighted sum."""
        first, second = self.adapting(batch), self.distilling(batch)
        terms = {f"adapting.{name}": term for name, term in first.terms.items()}
        terms |= {f"distilling.{name}": term for name, term in second.terms.items()}
        return Step((1 - self.share) * first.loss + self.share * second.loss, terms)

    def close(self) -> None:
        """Remove all taps."""
        for part in (self.adapting, self.distilling):
            getattr(part, "close", lambda: None)()


@method(
    "progressive_adaptation",
    family="domains",
    paper="Nguyen-Meidine et al., WACV 2021",
    survey=(142,),
    needs=("domains",),
    cannot={"ensemble": "a copy of its teacher adapts while it teaches"},
    space={"start": (0.01, 0.5), "end": (0.5, 1.0)},
)
def progressive_adaptation(
    problem: Problem,
    *,
    domains: Tensor,
    weight: float = 0.001,
    temperature: float = 4.0,
    start: float = 0.1,
    end: float = 0.9,
    inner: int = 64,
) -> nn.Module:
    """Adapt a copy of the teacher while it teaches; choose it where the teacher must be adapted to the target too.

    The copy adapts as in ``adversarial_output``, with its adversary weighted by ``weight``; the student learns the
    source's labels and the copy's current answers on all rows, softened by ``temperature``. The student's share of the
    loss grows from ``start`` to ``end``, see ``Progressive``. ``domains``, inner: as in ``adversarial_output``; the
    paper adapts to several targets in turn. Costs a training of the teacher beside the student's.
    """
    teacher = problem.teacher_to_train()
    judge = problem.made(lambda: discriminator(problem.classes, inner))
    losses = problem.supervised(where=SOURCE) + problem.soft(temperature)
    distilling = problem.distiller(problem.student, Frozen(teacher, call=problem.call_of(teacher)), losses)
    both = Progressive(aligning(problem, teacher, judge, weight), distilling, start=start, end=end)
    return problem.train(both, data=with_domains(problem, domains))
