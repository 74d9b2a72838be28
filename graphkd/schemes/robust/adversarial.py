"""Adversarial training: a student learns labels on features that are changed to raise its loss.

Madry, Makelov, Schmidt, Tsipras and Vladu, "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR 2018,
arXiv:1706.06083.
"""

from __future__ import annotations

from torch import nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.schemes.robust.ard import RobustDistiller, attack_of


@method(
    "adversarial",
    family="robust",
    paper="Madry et al., ICLR 2018",
    arxiv="1706.06083",
    tasks=("classes",),
    cannot={
        "sparse": "it changes the features adversarially",
        "heterogeneous": "it changes the features 'x' of nodes of one type",
    },
    teacher=False,
)
def adversarial(
    problem: Problem, *, epsilon: float = 0.03137254901960784, steps: int = 3, step_share: float = 0.5
) -> nn.Module:
    """Train on labels of features that are changed to raise the student's loss; choose it to train robust teachers.

    At every step each entry of ``x`` is changed by at most ``epsilon`` (8/255 in ARD's paper, for images), in ``steps``
    steps of ``step_share`` times ``epsilon``, see ``RobustDistiller``. Runs to the last epoch: accuracy on unchanged
    validation nodes says little about changed ones. Costs ``steps`` more passes forward and backward per step.
    """
    attack, call = attack_of(epsilon, steps, step_share), problem.call_of(problem.student)
    trainable = RobustDistiller(problem.student, labels=problem.supervised(), call=call, **attack)
    return problem.train(trainable, choose=False)
