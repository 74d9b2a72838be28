"""Several teachers from one: the sub-networks that dropout, skipped blocks or dropped edges leave of it."""

from __future__ import annotations

from functools import partial

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from graphkd.core.ensemble import Ensemble
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.teachers import Frozen
from graphkd.core.view import Batch, Call, View, Viewer
from graphkd.schemes.augment import Change
from graphkd.schemes.teachers._combine import soft_target


def _drawn(model: nn.Module, batch: Batch, *, viewer: Viewer, change: Change | None) -> View:
    """Compute a model's view in training mode, such as with dropout; normalisation layers stay in eval mode."""
    for module in model.modules():
        module.training = not isinstance(module, _NormBase)
    try:
        return viewer(batch if change is None else change(batch))
    finally:
        model.eval()


class Stochastic(Frozen):
    """Teacher that is another sub-network of one model at every call: dropout is on, and ``change`` drawn anew.

    Nguyen, Lee and Shim, "Stochasticity and Skip Connection Improve Knowledge Transfer", EUSIPCO 2020, draw teachers by
    stochastic blocks and skipped connections. Their details are not known to us: here sub-networks come from the
    model's own randomness in training mode, and from ``change``, batch -> changed batch (``drop_edges``). Batch norm
    uses its statistics and does not update them. Draws come from torch's generator, which ``fit`` seeds and a resumed
    run restores.
    """

    def __init__(self, model: nn.Module, *, change: Change | None = None, call: Call | None = None) -> None:
        super().__init__(model, call=partial(_drawn, viewer=Viewer(model, call=call), change=change))


@method(
    "stochastic",
    family="teachers",
    paper="Nguyen et al., EUSIPCO 2020",
    survey=(88,),
    tasks=("classes",),
    cannot={"ensemble": "it draws sub-networks of a single model"},
    space={"label_weight": (0.003, 0.97)},
)
def stochastic(problem: Problem, *, members: int = 5, label_weight: float = 0.1, temperature: float = 4.0) -> nn.Module:
    """Learn the labels and the mean answer of sub-networks of the teacher; choose it where it has dropout.

    It gives the softer, steadier targets of an ensemble without training one: at every step ``members`` sub-networks
    are drawn by the teacher's own randomness in training mode, and their answers, softened by ``temperature``, are
    averaged. The loss is ``label_weight`` CE + (1 - ``label_weight``) KL at that temperature. A step costs ``members``
    forward passes of the teacher. In loops of your own ``Stochastic`` can also drop edges. Raises ValueError for fewer
    than one member.
    """
    if members < 1:
        raise ValueError(f"'members' must be at least 1, got {members}")
    teacher = problem.teacher
    drawn = [Stochastic(teacher.model, call=teacher.call) for _ in range(members)]
    several = Ensemble(drawn, partial(soft_target, temperature=temperature))
    losses = label_weight * problem.supervised() + (1 - label_weight) * problem.soft(temperature)
    return problem.train(problem.distiller(problem.student, several, losses))
