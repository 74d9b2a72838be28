"""Knowledge distillation: the labels, and the soft answers of a teacher."""

from __future__ import annotations

from graphkd.core.loss import Loss
from graphkd.core.method import method
from recsys.methods._problem import RecommenderProblem


@method(
    "kd", family="response", paper="Hinton et al., 2015", arxiv="1503.02531", tasks=("ranking", "clicks", "sequential")
)
def kd(problem: RecommenderProblem, *, weight: float = 1.0, temperature: float = 1.0) -> Loss:
    """Add the teacher's soft answers to the labels; choose it first, it is the baseline of all others.

    Clicks: cross-entropy with the teacher's click probabilities, as in the ensembles of Zhu et al. (CIKM 2020) but with
    one teacher. Rankings: the same for the scores of the batch's observed and drawn items; methods that draw lists by
    the teacher's ranking transfer more. temperature: of the teacher's logits; for clicks, of the student's too.
    """
    return problem.supervised() + weight * problem.soft(temperature)
