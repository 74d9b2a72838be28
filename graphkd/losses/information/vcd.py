"""Variational cross-distillation (VCD): the codes of two views retain what the views share."""

from typing import Unpack

import torch
from torch import Tensor, nn

from graphkd.core.batches import Mapped, changed
from graphkd.core.csr import weigh_columns
from graphkd.core.distiller import Distiller
from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.teachers import Frozen
from graphkd.core.view import Batch, Call, View, Viewer
from graphkd.losses._checks import check_positive
from graphkd.losses.information.vsd import vsd


def vcd(student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor], temperature: float = 1.0) -> Tensor:
    """Sum ``vsd`` of each view's code with the other view's observation; see ``VCD``.

    Example::

        >>> sure, unsure = torch.tensor([[1.0986, 0.0]]), torch.zeros(1, 2)  # (3/4, 1/4) and (1/2, 1/2)
        >>> round(float(vcd((sure, sure), (unsure, unsure))), 3)  # log(2 / sqrt(3)) of each view
        0.288
    """
    return vsd(student[0], teacher[1], temperature) + vsd(student[1], teacher[0], temperature)


class VCD(Loss):
    """Keep in the codes of two views what the views share: cross-distillation. Tian et al., CVPR 2021 (VCD).

    mean_i KL(softmax(v2_i / T) || softmax(z1_i / T)) + mean_i KL(softmax(v1_i / T) || softmax(z2_i / T)); ``on`` names
    the logits of the two views, (N, C) each. The student predicts z1, z2 from the codes, the teacher v1, v2 from the
    observations; the loss detaches the teacher's.

    Example::

        >>> first, second = torch.randn(4, 3), torch.randn(4, 3)
        >>> VCD()((second, first), (first, second))  # each view is compared with the teacher's other one
        tensor(0.)
        >>> settings = {"rate": 0.2, "epochs": 2, "progress": False}
        >>> result = graphkd.distil("vcd", student, teacher, data, **settings)
    """

    answers = "classes"
    on = ("first", "second")

    def __init__(self, temperature: float = 1.0, **reads: Unpack[Reads]) -> None:
        super().__init__(**reads)
        self.temperature = check_positive("temperature", temperature)

    def forward(self, student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor]) -> Tensor:
        return vcd(student, teacher, self.temperature)


def _masked(x: Tensor, rate: float) -> Tensor:
    return weigh_columns(x, torch.rand(x.size(1), device=x.device) >= rate)


def _views(call: Call | None) -> Call:
    """Make a call that answers for a batch's ``x`` and for its masked features ``first`` and ``second``."""

    def show(model: nn.Module, batch: Batch) -> View:
        answer = Viewer(model, call=call)
        masked = {name: answer(changed(batch, x=batch[name]))["logits"] for name in VCD.on}
        return {"logits": answer(batch)["logits"], **masked}

    return show


@method(
    "vcd",
    family="information",
    paper="Tian et al., CVPR 2021",
    arxiv="2104.02862",
    survey=(68,),
    tasks=("classes",),
    cannot={"ensemble": "it asks one model about two views of every node, drawn anew at each step"},
    space={"rate": (0.007, 0.9)},
)
def vcd_method(problem: Problem, *, weight: float = 1.0, temperature: float = 1.0, rate: float = 0.2) -> nn.Module:
    """Bring the student's classes in each of two views to those of the teacher in the other, beside the labels.

    Choose it where a student should not depend on single features: each view masks columns of ``x`` with probability
    ``rate``, drawn anew at each step. The paper's views are visible and infrared images; the weight and the rate are
    ours. Raises ValueError unless 0 <= rate < 1.
    """
    if not 0 <= rate < 1:
        raise ValueError(
            f"'rate' must be at least 0 and below 1, the share of columns of 'x' that is masked, got {rate}"
        )
    teacher = Frozen(problem.teacher.model, call=_views(problem.call_of(problem.teacher)))
    losses = problem.supervised() + weight * VCD(temperature)
    trainable = Distiller(problem.student, teacher, losses, call=_views(problem.call_of(problem.student)))
    data = Mapped(problem.data, lambda batch: changed(batch, **{name: _masked(batch["x"], rate) for name in VCD.on}))
    return problem.train(trainable, data=data)
