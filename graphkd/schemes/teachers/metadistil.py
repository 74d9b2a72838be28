"""MetaDistil: a teacher that learns to teach, from how well a pilot of the student does on a quiz.

Zhou, Xu and McAuley, "BERT Learns to Teach: Knowledge Distillation with Meta Learning", ACL 2022, arXiv:2106.04570.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from graphkd.core.distiller import Step
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.view import Batch, Call
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_same_shape, choose
from graphkd.losses.response.ce import cross_entropy
from graphkd.losses.response.kd import kl
from graphkd.schemes._functional import logits_with
from graphkd.schemes._rows import chosen_rows
from graphkd.schemes.teachers._several import Expanded

Soft = Literal["kl", "mse"]


def metadistil_loss(
    student: Tensor, teacher: Tensor, y: Tensor, temperature: float = 5.0, *, alpha: float = 0.5, soft: Soft = "mse"
) -> Tensor:
    """Compute alpha soft + (1 - alpha) CE, differentiable in the teacher too: (N, C), (N, C), (N,) -> scalar.

    soft: "kl", T^2 mean_i KL(teacher || student); "mse", as in the authors' code for text, T^2 times the mean over all
    entries of (softmax(t / T) - softmax(s / T))^2.
    """
    return alpha * _match(student, teacher, temperature, soft) + (1 - alpha) * cross_entropy(student, y)


def _match(student: Tensor, teacher: Tensor, temperature: float, soft: Soft) -> Tensor:
    check_same_shape(student, teacher)
    if choose("soft", soft, get_args(Soft)) == "kl":
        return kl(student, teacher, temperature)
    wide = (logits.to(accumulation_dtype(logits)) / temperature for logits in (student, teacher))
    s, t = (logits.softmax(dim=-1) for logits in wide)
    return temperature**2 * (s - t).square().sum() / max(s.numel(), 1)


def pilot_step(loss: Tensor, parameters: Mapping[str, Tensor], rate: float) -> dict[str, Tensor]:
    """Take one step of gradient descent, p - rate dloss/dp, differentiable in all that the loss reads."""
    slopes = torch.autograd.grad(loss, list(parameters.values()), create_graph=True, allow_unused=True)
    pairs = zip(parameters.items(), slopes, strict=True)
    return {name: value if slope is None else value - rate * slope for (name, value), slope in pairs}


class Turn(NamedTuple):
    """Batch, and whether the teacher learns from it or the student."""

    batch: Any
    for_teacher: bool


class Turns(Expanded):
    """Every batch twice per epoch: for the teacher, by a quiz of the pilot, then for the student."""

    def __init__(self, data: Batch | Iterable[Batch]) -> None:
        # copies, since moving PyG's Data to a device changes it
        super().__init__(data, lambda batch: (Turn(copy.copy(batch), teacher) for teacher in (True, False)), 2)


class MetaDistil(nn.Module):
    """A student and the teacher that learns with it; ``fit`` it on ``Turns(data)``.

    In the teacher's turn a temporary copy of the student, the pilot, takes ``steps`` times a ``pilot_step`` of ``rate``
    on ``metadistil_loss`` over the rows of ``where``; the gradient of its cross-entropy on the rows of ``quiz`` goes
    back through these steps to the teacher, by second derivatives. In the student's turn the student learns by
    ``metadistil_loss`` from the new teacher, constant. Rows of neither, of which the paper has none, add alpha times
    their soft match, for pilot and student. Each of ``steps`` adds the memory of one more forward pass to the inner
    graph. calls: replace the by-name calls of student and teacher. temperature, alpha, soft: of ``metadistil_loss``.
    where, quiz: names of the entries of a batch that select rows. The teacher is always in eval mode, the student is
    not. Give the optimiser a separate parameter group for the teacher, at a tenth of the student's rate or less: at the
    same rate a trained teacher unlearns from the quizzes of an untrained student, the more so from quizzes of few rows.
    The models' operations must have second derivatives. Raises ValueError for fewer than one step.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        *,
        where: str,
        quiz: str,
        rate: float = 0.05,
        steps: int = 1,
        calls: Sequence[Call | None] = (None, None),
        temperature: float = 5.0,
        alpha: float = 0.5,
        soft: Soft = "mse",
    ) -> None:
        super().__init__()
        if steps < 1:
            raise ValueError(f"'steps' must be at least 1, got {steps}")
        self.student, self.teacher, self.where, self.quiz = student, teacher, where, quiz
        self.rate, self.steps, self.calls = rate, steps, tuple(calls)
        self.temperature, self.alpha, self.soft = temperature, alpha, choose("soft", soft, get_args(Soft))

    def forward(self, turn: Turn) -> Step:
        """Compute the teacher's loss by the quiz, or the student's."""
        self.teacher.eval()
        with torch.set_grad_enabled(turn.for_teacher):
            teacher = logits_with(self.teacher, turn.batch, call=self.calls[1])
        loss = (self._quiz if turn.for_teacher else self._distil)(turn.batch, teacher)
        return Step(loss, {"quiz" if turn.for_teacher else "student": loss.detach()})

    def _quiz(self, batch: Batch, teacher: Tensor) -> Tensor:
        """Compute the loss of the pilot on the quiz; the student's own weights get no gradient."""
        pilot: dict[str, Tensor] = {n: value.detach().requires_grad_() for n, value in self.student.named_parameters()}
        for _ in range(self.steps):
            pilot = pilot_step(self._distil(batch, teacher, pilot), pilot, self.rate)
        logits = logits_with(self.student, batch, pilot, call=self.calls[0])
        rows = chosen_rows(batch, self.quiz, logits.size(0), logits.device)
        return cross_entropy(logits[rows], batch["y"][rows])

    def _distil(self, batch: Batch, teacher: Tensor, pilot: Mapping[str, Tensor] | None = None) -> Tensor:
        student = logits_with(self.student, batch, pilot, call=self.calls[0])
        rows, quiz = (chosen_rows(batch, name, student.size(0), student.device) for name in (self.where, self.quiz))
        others = ~(rows | quiz)
        how: dict[str, Any] = {"temperature": self.temperature, "soft": self.soft}
        known = metadistil_loss(student[rows], teacher[rows], batch["y"][rows], alpha=self.alpha, **how)
        return known + self.alpha * _match(student[others], teacher[others], **how)


@method(
    "metadistil",
    family="teachers",
    paper="Zhou et al., ACL 2022",
    arxiv="2106.04570",
    survey=(83,),
    cannot={"ensemble": "it trains a copy of its teacher"},
    space={"alpha": (0.02, 0.98), "share": (0.05, 0.5)},
)
def metadistil(
    problem: Problem,
    *,
    share: float = 0.2,
    lr: float = 0.01,
    teacher_lr: float = 0.001,
    temperature: float = 5.0,
    alpha: float = 0.5,
    soft: Soft = "mse",
    rate: float = 0.05,
    steps: int = 1,
) -> nn.Module:
    """Teach a student by a copy of the teacher that learns to teach it, from the quiz of a pilot of the student.

    Choose it where the teacher's best answers are not what the student can learn, and ``share`` of the labelled rows
    can be spared for the quiz. lr: of Adam, the student's; teacher_lr: the teacher's, lower, so that it keeps what it
    knows; an ``optimizer`` given by the user replaces both. temperature, alpha and soft: of ``metadistil_loss``; rate
    and steps: of the pilot. Costs about six forward passes of the student a step, and second derivatives. Rows without
    a label, of which the paper has none, learn soft targets alone. The authors clip the teacher's gradient: ``clip``,
    an option of ``fit``, does so in both turns.
    """
    learnt, quiz = problem.split(share)
    teacher = problem.teacher_to_train()
    calls = [problem.call_of(problem.student), problem.call_of(teacher)]
    pilot: dict[str, Any] = {"where": "learnt", "quiz": "quiz", "rate": rate, "steps": steps, "calls": calls}
    task = MetaDistil(problem.student, teacher, temperature=temperature, alpha=alpha, soft=soft, **pilot)
    rates = [(task.student, lr), (task.teacher, teacher_lr)]
    groups = [{"params": list(model.parameters()), "lr": own} for model, own in rates]
    data = Turns(problem.with_values(learnt=learnt, quiz=quiz))
    return problem.train(task, data=data, optimizer=lambda _: torch.optim.Adam(groups))
