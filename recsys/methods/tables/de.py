"""DE: a teacher's tables reconstructed from the student's by routed experts."""

from __future__ import annotations

from torch import nn

from graphkd.core.method import method
from recsys.losses.de import DE
from recsys.methods._ranking import RankingProblem


@method(
    "de",
    family="tables",
    paper="Kang et al., CIKM 2020",
    arxiv="2012.04357",
    survey=(189,),
    tasks=("ranking", "sequential"),
    needs=("student_tables", "teacher_tables"),
)
def distillation_experts(problem: RankingProblem, *, weight: float = 0.01, experts: int = 30) -> nn.Module:
    """Reconstruct the teacher's embeddings by experts that a gate chooses; choose it where its tables are at hand.

    Each of the ``experts`` small networks learns the users or items that the gate assigns to it; they train with the
    student and are dropped afterwards. The gate's choice hardens as the temperature falls from 1 to 1e-10 over the run,
    in the authors' code over 1000 epochs. See ``recsys.losses.DE``.
    """
    return problem.learn(problem.supervised() + weight * DE(*problem.widths, experts))
