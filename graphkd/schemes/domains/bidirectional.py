"""BDL: alignment and self-training in turn, and translated source features.

Li, Yuan and Vasconcelos, "Bidirectional Learning for Domain Adaptation of Semantic Segmentation", CVPR 2019,
arXiv:1904.10620.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from graphkd.core.cached import Cached
from graphkd.core.door import refuse_sparse
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.teachers import Frozen
from graphkd.core.view import names
from graphkd.losses.response.pseudo_label import PseudoLabel
from graphkd.schemes.domains.adversarial import SOURCE, TARGET, aligning, discriminator, with_domains
from graphkd.schemes.domains.cycada import Translator, translate


@method("bidirectional_translated", preset={"translated": True})
@method(
    "bidirectional",
    family="domains",
    paper="Li et al., CVPR 2019",
    arxiv="1904.10620",
    survey=(9,),
    needs=("domains",),
    teacher=False,
    space={"threshold": (0.3, 0.99)},
)
def bidirectional(
    problem: Problem,
    *,
    domains: Tensor,
    rounds: int = 2,
    threshold: float = 0.9,
    weight: float = 0.001,
    translated: bool = False,
    inner: int = 64,
) -> nn.Module:
    """Alternate alignment and confident self-training; choose it where one adversarial round is not enough.

    Each round aligns answers as ``adversarial_output`` does, with ``weight``. It then learns the source's labels, and
    the pseudo-labels that the aligned model gives target rows with a confidence of at least ``threshold``. translated:
    also the paper's other direction: from the second round on, ``Translation`` with the previous round's student trains
    a translator of source features further. ``domains``, inner: as in ``adversarial_output``. Costs two trainings per
    round, three with a translator. Raises ValueError for fewer than one round.
    """
    if rounds < 1:
        raise ValueError(f"'rounds' must be at least 1, got {rounds}")
    if translated:
        refuse_sparse("bidirectional_translated", problem.first, "it translates features from one domain to another")
    student, data, width = problem.student, with_domains(problem, domains), problem.features
    judge = problem.made(lambda: discriminator(problem.classes, inner))
    if translated:
        players = problem.made(lambda: Translator(width, inner)), problem.made(lambda: discriminator(width, inner))
    losses, seen = problem.supervised(where=SOURCE) + PseudoLabel(threshold, where=TARGET), data
    for number in range(1, rounds + 1):
        if translated and number > 1:
            seen = translate(problem, players, _teacher_of(problem, student, data), data, name=f"translator-{number}")
        problem.train(aligning(problem, student, judge, weight), f"aligned-{number}", seen)
        learning = problem.distiller(student, _teacher_of(problem, student, seen), losses)
        problem.train(learning, f"self-trained-{number}", seen)
    return student


def _teacher_of(problem: Problem, model: nn.Module, data: Any) -> Frozen:
    """Make a teacher of a copy of a model; for a single graph it answers about ``data``, not the run's own data."""
    twin, call = problem.twin(model), problem.call_of(model)
    return Frozen(twin, call=call) if names(data) is None else Cached(twin, data, call=call)
