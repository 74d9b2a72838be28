"""TMKD: one student head for each teacher, each with its teacher's answers, which serve together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from graphkd.core.distiller import Step
from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.teachers import Frozen, frozen
from graphkd.core.trainable import Trainable
from graphkd.core.view import Batch, Call, Viewer
from graphkd.losses.response.logit_mse import LogitMSE
from graphkd.schemes._together import Together
from graphkd.schemes.online.peers import shared_trunk
from graphkd.schemes.teachers._several import compared


class TMKD(Trainable):
    """Heads of one student, each taught by its own teacher; ``fit`` it. Yang et al., WSDM 2020, arXiv:1910.08381.

    sum_k [(1 - alpha) labels(head_k) + alpha soft(head_k, teacher_k)]; with ``alpha`` 1 labels are not read. calls:
    replace the by-name calls of the heads. ``student`` is the heads as one model, ``Together``, which answers the
    logarithm of their mean probabilities. Raises ValueError unless there is one head per teacher and ``alpha`` is in
    [0, 1].
    """

    def __init__(
        self,
        heads: Sequence[nn.Module],
        teachers: Sequence[nn.Module | Frozen],
        labels: Loss,
        soft: Loss,
        *,
        alpha: float = 0.5,
        calls: Sequence[Call | None] | None = None,
    ) -> None:
        super().__init__()
        if len(heads) != len(teachers):
            raise ValueError(f"'heads' must be as many as the {len(teachers)} teachers, got {len(heads)}")
        if not 0 <= alpha <= 1:
            raise ValueError(f"'alpha' must be in [0, 1], got {alpha}")
        self.student, self.labels, self.soft, self.alpha = Together(heads), labels, soft, alpha
        pairs = zip(heads, [None] * len(heads) if calls is None else calls, strict=True)
        self._viewers = [self.hold(Viewer(head, call=call)) for head, call in pairs]
        self._teachers = [self.hold(frozen(teacher)) for teacher in teachers]

    def forward(self, batch: Batch) -> Step:
        """Compute the sum, and terms ``label_0``, ``soft_0``, ``label_1`` ..."""
        views = [viewer(batch) for viewer in self._viewers]
        total: Tensor = views[0]["logits"].new_zeros(())
        terms: dict[str, Tensor] = {}
        for k, (view, teacher) in enumerate(zip(views, self._teachers, strict=True)):
            if self.alpha < 1:
                terms[f"label_{k}"] = compared(self.labels, view, batch)
                total = total + self.weighed({f"label_{k}": (1 - self.alpha, terms[f"label_{k}"])})
            terms[f"soft_{k}"] = compared(self.soft, view, batch, teacher)
            total = total + self.weighed({f"soft_{k}": (self.alpha, terms[f"soft_{k}"])})
        return Step(total, {name: term.detach() for name, term in terms.items()})


@method(
    "tmkd",
    family="teachers",
    paper="Yang et al., WSDM 2020",
    arxiv="1910.08381",
    survey=(89,),
    needs=("teachers", "hidden"),
    space={"alpha": (0.02, 0.98)},
)
def tmkd(problem: Problem, *, alpha: float = 0.5, heads: Sequence[nn.Module] | None = None) -> nn.Module:
    """Train one student head per teacher on a shared trunk, and average them; choose it where good teachers disagree.

    A student of the teachers' mean loses what each knows, and heads cost little beside their shared trunk. Head k
    learns from teacher k in two stages: first it regresses the teacher's logits (``LogitMSE``) on all rows, labels
    unused, to the last epoch; then it minimises (1 - ``alpha``) CE + ``alpha`` times that regression. By default the
    heads are the student, with its weights, and new ones of its architecture, which share its hidden layer; ``heads``:
    models of your own in their place, one per teacher, called as the student is. Returns the heads as one,
    ``Together``, whose answer is the logarithm of their mean probabilities. A step costs as many forward and backward
    passes as there are teachers. The paper's data are texts, and its weights are others.
    """
    if heads is None:
        fresh = (problem.fresh_student(number) for number in range(1, len(problem.teachers)))
        heads = shared_trunk([problem.student, *fresh], problem.path_of(problem.student) or "")
    calls = [problem.call_of(head) for head in heads]
    stage = partial(TMKD, heads, problem.teachers, problem.supervised(), LogitMSE(), calls=calls)
    problem.train(stage(alpha=1.0), "answers", choose=False)
    return problem.train(stage(alpha=alpha), "answers-and-labels")
