"""SLMRec: states after blocks of a deep model's layers, distilled to a shallow one."""

from __future__ import annotations

from typing import Any

from torch import nn

from graphkd.core.distiller import Distiller
from graphkd.core.method import method
from graphkd.core.teachers import Frozen
from recsys.losses.slmrec import InnerHeads, SLMRec
from recsys.methods._sequential import SequentialProblem
from recsys.models.layer_view import show_layers
from recsys.models.sasrec import SASRec


@method(
    "slmrec",
    family="sequences",
    paper="Xu et al., ICLR 2025",
    arxiv="2405.17890",
    tasks=("sequential",),
    needs=("blocks",),
    cannot={"ensemble": "it reads the blocks of one teacher, which several do not have in common"},
)
def block_distillation(
    problem: SequentialProblem,
    *,
    weight: float = 1.0,
    blocks: int = 4,
    norm_weight: float = 0.1,
    head_weight: float = 1.0,
) -> nn.Module:
    """Match a deep model's states after blocks of layers; choose it where the student is shallower, not narrower.

    Student and teacher are SASRecs of one width, which stand for the authors' language models. The layers of each are
    divided into ``blocks``, at most as many as the smaller model has layers. At every row, directions of states (times
    ``weight``) and distances (times ``weight`` and ``norm_weight``) are drawn together, and inner blocks also predict
    the next item, by linear heads that are dropped later (times ``head_weight``). weight: multiplied by the batch size,
    since the paper's loss is a mean over rows. The authors' code silently falls back on the student alone where
    anything fails. Costs a pass of the teacher a step, and blocks - 1 more softmaxes.
    """
    teacher = _checked(problem)
    layers = min(len(problem.student.blocks), len(teacher.blocks))
    blocks = problem.at_most("blocks", blocks, layers)
    width = problem.width_of(problem.student)
    objective = problem.supervised() + weight * problem.batch_size * SLMRec(blocks, norm_weight=norm_weight)
    if head_weight and blocks > 1:
        objective += head_weight * InnerHeads(width, blocks).to(problem.device)
    asked = Frozen(teacher, call=show_layers)
    served: nn.Module = problem.train(Distiller(problem.student, asked, objective, call=show_layers))
    return served


def _checked(problem: SequentialProblem) -> Any:
    """Return the teacher's model; TypeError or ValueError where the blocks of both models cannot be compared."""
    teacher = problem.teacher_to_train()
    for name, model in (("student", problem.student), ("teacher", teacher)):
        if not isinstance(model, SASRec):
            raise TypeError(
                f"'slmrec' reads the blocks of SASRec: give '{name}' as recsys.models.SASRec(...), got "
                f"{type(model).__name__}"
            )
    widths = [int(model.items().size(1)) for model in (problem.student, teacher)]
    if widths[0] != widths[1]:
        raise ValueError(
            f"'slmrec' compares states as they are: the student must have the teacher's width {widths[1]}, and fewer "
            f"layers, got {widths[0]}"
        )
    return teacher.eval()  # the loss runs it when it is needed
