"""Source rows that are made to look like target rows before a student learns them: CyCADA on features.

Hoffman et al., "CyCADA: Cycle-Consistent Adversarial Domain Adaptation", ICML 2018, arXiv:1711.03213.
"""

from __future__ import annotations

from torch import Tensor, nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.schemes.domains._domains import SOURCE, discriminator, with_domains
from graphkd.schemes.domains._translation import Translator, translate
from graphkd.schemes.domains.adversarial import Adversarial


@method(
    "cycada",
    family="domains",
    paper="Hoffman et al., ICML 2018",
    arxiv="1711.03213",
    needs=("hidden", "domains"),
    cannot={"ensemble": "a translator learns by gradients through its teacher's model"},
)
def cycada(
    problem: Problem,
    *,
    domains: Tensor,
    translation_weight: float = 1.0,
    feature_weight: float = 0.001,
    inner: int = 64,
) -> nn.Module:
    """Translate the source's features into the target's, learn its labels there, and align hidden features.

    Choose it where source and target differ in how features are given (other units, words, encoders of the same thing)
    and not in classes; the teacher is a model trained on the source. The first stage is ``Translation``, with
    ``translation_weight`` of its adversary, to its last epoch; the second aligns the student's hidden layer on the
    translated data, as ``adversarial_features`` does with ``feature_weight``. Feature adversaries and semantic
    consistency alone are taken over of CyCADA. ``domains``: of every node, 0 the source, above it targets, which count
    as one. Costs two trainings; the first passes the teacher twice a step.
    """
    data = with_domains(problem, domains)
    width = problem.features
    players = problem.made(lambda: Translator(width, inner)), problem.made(lambda: discriminator(width, inner))
    judge = problem.made(lambda: discriminator(problem.width_of(problem.student), inner))
    seen = translate(problem, players, problem.teacher, data, weight=translation_weight)
    labels, (tap, _), call = problem.supervised(where=SOURCE), problem.hidden, problem.call_of(problem.student)
    adapting = Adversarial(problem.student, judge, labels, weight=feature_weight, tap=tap, call=call)
    return problem.train(adapting, "student", seen)
