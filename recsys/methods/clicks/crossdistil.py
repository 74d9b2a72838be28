"""CrossDistil: two click tasks on the same rows teach each other by rankings that see both labels."""

from __future__ import annotations

from torch import Tensor, nn

from graphkd.core.method import method
from recsys.losses.crossdistil import CrossDistil
from recsys.methods._clicks import ClickProblem
from recsys.methods.clicks._two_tasks import learn_two


@method(
    "crossdistil",
    family="clicks",
    paper="Yang et al., AAAI 2022",
    arxiv="2202.09852",
    survey=(11,),
    tasks=("clicks",),
    needs=("second",),
    teacher=False,
)
def cross_task_distillation(
    problem: ClickProblem,
    *,
    second: Tensor | str,
    alpha: float = 0.3,
    margin: float = 0.0,
    temperature: float = 1.0,
    ranking_weight: float = 0.05,
    start_epoch: int = 3,
) -> nn.Module:
    """Let two tasks teach each other what order both labels imply; choose it where a related label is known.

    Each task has an own teacher head, which ranks rows by both labels, is calibrated, and teaches the task's student
    head from epoch ``start_epoch`` on, with weight ``alpha``. margin: the least distance of corrected teacher logits
    from 0. second: labels of the second task, (N,), or the name of their column; the head of the first task serves. The
    default weights are ours; ``recsys.losses.CrossDistil`` lists what is unknown of the authors' settings.
    """
    loss = CrossDistil(
        alpha=alpha, margin=margin, temperature=temperature, ranking_weight=ranking_weight, start_epoch=start_epoch
    )
    return learn_two(problem, second, 1.0 * loss)
