"""SLMRec: blocks of a deep model's layers taught to those of a shallow one."""

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

    Student and teacher are SASRecs of one width, in the place of the authors' language models, whose layers they put
    into ``blocks``; a smaller side has at most as many blocks as layers. At every row, directions (times ``weight``)
    and distances (times ``weight`` and ``norm_weight``) of states are drawn together, and inner blocks predict the
    next item too, by linear heads that are dropped (times ``head_weight``). weight: times the batch size, since the
    paper's loss is a mean over rows. The authors fall back on the student alone where anything fails, unnoticed. Costs
    a pass of the teacher a step, and blocks - 1 softmaxes more.
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
    """The teacher's model; TypeError or ValueError where the blocks of both cannot be compared."""
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
    return teacher.eval()  # it is asked when a loss reads it
