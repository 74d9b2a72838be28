"""MetaDistil: a teacher that learns to teach, from how well a pilot of the student does on a quiz.

Zhou, Xu and McAuley, "BERT Learns to Teach: Knowledge Distillation with Meta Learning", ACL 2022, arXiv:2106.04570.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.func import functional_call

from graphkd.core.distiller import Step
from graphkd.core.fit import fit
from graphkd.core.view import Batch, fill, required
from graphkd.losses._checks import check_same_shape, choose
from graphkd.losses.response.ce import cross_entropy
from graphkd.losses.response.kd import kl
from graphkd.schemes.augment import changed

Soft = Literal["kl", "mse"]


def metadistil_loss(
    student: Tensor, teacher: Tensor, y: Tensor, temperature: float = 5.0, *, alpha: float = 0.5, soft: Soft = "mse"
) -> Tensor:
    """The sum alpha soft + (1 - alpha) CE, differentiable in the teacher too: (N, C), (N, C), (N,) -> scalar.

    soft: "kl", T^2 mean_i KL(teacher || student); "mse", as in the authors' code for text, T^2 times the mean over all
    entries of (softmax(t / T) - softmax(s / T))^2.
    """
    check_same_shape(student, teacher)
    if choose("soft", soft, get_args(Soft)) == "kl":
        match = kl(student, teacher, temperature)
    else:
        s, t = ((logits / temperature).softmax(dim=-1) for logits in (student, teacher))
        match = temperature**2 * (s - t).square().sum() / max(s.numel(), 1)
    return alpha * match + (1 - alpha) * cross_entropy(student, y)


def pilot_step(loss: Tensor, parameters: Mapping[str, Tensor], rate: float) -> dict[str, Tensor]:
    """Parameters after one step of gradient descent, p - rate dloss/dp, differentiable in all that the loss reads."""
    slopes = torch.autograd.grad(loss, list(parameters.values()), create_graph=True, allow_unused=True)
    pairs = zip(parameters.items(), slopes, strict=True)
    return {name: value if slope is None else value - rate * slope for (name, value), slope in pairs}


class Turn(NamedTuple):
    """A batch, and whether the teacher learns from it or the student."""

    batch: Any
    for_teacher: bool


class Turns:
    """A batch twice an epoch: for the teacher, by a quiz of the pilot, then for the student."""

    def __init__(self, data: Batch) -> None:
        self.data = data

    def __iter__(self) -> Iterator[Any]:
        for for_teacher in (True, False):
            yield Turn(copy.copy(self.data), for_teacher)  # moving PyG's Data to a device changes it


class MetaDistil(nn.Module):
    """A student and the teacher that learns with it; ``fit`` it on ``Turns(data)``.

    For the teacher: the student takes ``pilot_step``s of ``rate`` on ``metadistil_loss`` over ``train_mask``, which are
    forgotten again; the cross-entropy of that pilot on ``quiz_mask`` goes back through them to the teacher, by second
    derivatives. For the student: a step on ``metadistil_loss`` with the new teacher, constant. steps: of the pilot;
    one keeps the memory of the inner graph to one more forward. The teacher is in eval mode throughout, the student
    is not. The models' operations must have second derivatives; their logits are filled from the batch by name.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        *,
        temperature: float = 5.0,
        alpha: float = 0.5,
        soft: Soft = "mse",
        rate: float = 0.05,
        steps: int = 1,
    ) -> None:
        super().__init__()
        if steps < 1:
            raise ValueError(f"'steps' must be at least 1, got {steps}")
        self.student, self.teacher = student, teacher
        self.knobs: dict[str, Any] = {"temperature": temperature, "alpha": alpha, "soft": soft}
        self.rate, self.steps = rate, steps

    def forward(self, turn: Turn) -> Step:
        """The teacher's loss by the quiz, or the student's."""
        self.teacher.eval()
        batch = turn.batch
        loss = self._quiz(batch) if turn.for_teacher else self._taught(batch)
        return Step(loss, {"quiz" if turn.for_teacher else "student": loss.detach()})

    def _taught(self, batch: Batch) -> Tensor:
        with torch.no_grad():
            teacher = logits_with(self.teacher, batch)
        return self._distil(logits_with(self.student, batch), teacher, batch)

    def _quiz(self, batch: Batch) -> Tensor:
        """The loss of the pilot on the quiz; the student's own weights get no gradient."""
        teacher = logits_with(self.teacher, batch)
        pilot: dict[str, Tensor] = {
            name: value.detach().requires_grad_() for name, value in self.student.named_parameters()
        }
        for _ in range(self.steps):
            pilot = pilot_step(self._distil(logits_with(self.student, batch, pilot), teacher, batch), pilot, self.rate)
        rows = batch["quiz_mask"]
        return cross_entropy(logits_with(self.student, batch, pilot)[rows], batch["y"][rows])

    def _distil(self, student: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
        rows = batch["train_mask"]
        return metadistil_loss(student[rows], teacher[rows], batch["y"][rows], **self.knobs)


def logits_with(model: nn.Module, batch: Batch, parameters: Mapping[str, Tensor] | None = None) -> Tensor:
    """A model's logits with other parameters than its own, (N, C): gradients go to those."""
    inputs = fill(required(model.forward), batch, f"{type(model).__name__}.forward")
    shown: Tensor | Mapping[str, Tensor] = functional_call(model, dict(parameters or {}), kwargs=inputs)
    return shown if isinstance(shown, Tensor) else shown["logits"]


def constant_logits(model: nn.Module, batch: Batch) -> Tensor:
    """Logits whose gradient goes to the batch alone, not to the model: (N, C)."""
    return logits_with(model, batch, {name: value.detach() for name, value in model.named_parameters()})


def quizzed(data: Batch, share: float = 0.2, seed: int = 0) -> Any:
    """``data`` with a random share of ``train_mask``, one row at least, moved to ``quiz_mask``."""
    rows = data["train_mask"].nonzero()[:, 0]
    held = max(1, round(share * rows.numel()))
    if not 0 < share < 1 or held >= rows.numel():
        raise ValueError(f"'share' must leave some of {rows.numel()} rows on both sides, got {share}")
    order = torch.randperm(rows.numel(), generator=torch.Generator().manual_seed(seed)).to(rows.device)
    quiz = torch.zeros_like(data["train_mask"])
    quiz[rows[order[:held]]] = True
    return changed(data, train_mask=data["train_mask"] & ~quiz, quiz_mask=quiz)


def metadistil(
    student: nn.Module,
    teacher: nn.Module,
    data: Batch,
    *,
    share: float = 0.2,
    lr: float = 0.01,
    teacher_lr: float = 0.001,
    knobs: Mapping[str, Any] | None = None,
    **options: Any,
) -> nn.Module:
    """Teach a student by a copy of the teacher that learns to teach it; the ``teacher`` itself stays as it is.

    Choose it where the teacher's best answers are not what the student can learn, and a quiz can be spared: ``share``
    of the labelled rows. lr: of Adam, the student's; teacher_lr: the teacher's. knobs: of ``MetaDistil``. options go to
    ``fit`` (an ``optimizer`` there takes the place of both rates).
    """
    task = MetaDistil(student, copy.deepcopy(teacher).requires_grad_(), **(knobs or {}))
    groups = [{"params": list(task.student.parameters()), "lr": lr}]
    groups += [{"params": list(task.teacher.parameters()), "lr": teacher_lr}]
    options.setdefault("optimizer", lambda _: torch.optim.Adam(groups))
    return fit(task, Turns(quizzed(data, share, options.get("seed", 0))), **options)
