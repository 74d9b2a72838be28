"""Schemes of the GNN benchmark that weigh, keep apart or make up several teachers, by name.

Further teachers are trained as in ``teachers``; a scheme's seconds include them.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.graph.lessons import LABELS, TEMPERATURE, Lesson, Train, plain_losses
from benchmarks.graph.procedures import fresh
from benchmarks.graph.teachers import TEACHERS, alone, further_seeds, known_teachers, teachers_of
from graphkd import Cached, Distiller, Loss, fit
from graphkd.core.ensemble import Ensemble, stacked
from graphkd.core.rng import seeded
from graphkd.losses import KL, LogEuclidean, LogitsGraph, RepresentationGraph, SoftCE
from graphkd.schemes import (
    Hint,
    TaskHeads,
    amtml_student,
    changed,
    compressed_student,
    domain_similarity,
    must,
    shared_trunk,
    soft_target,
    stochastic_ensemble,
    tmkd,
    validated_student,
    voted_student,
)

DOMAIN_TEMPERATURE = 5.0  # the paper's


def in_degree(lesson: Lesson) -> Tensor:
    """Of every node."""
    return lesson.data["edge_index"][1].bincount(minlength=lesson.nodes)


def parts_by_degree(lesson: Lesson, parts: int) -> Tensor:
    """The number of the part of every node, equally many in each, from the lowest in-degrees to the highest."""
    return in_degree(lesson).argsort(stable=True).argsort() * parts // lesson.nodes


def graph_distillation(lesson: Lesson) -> nn.Module:
    """The logits graph and the representation graph of the teacher and two others, beside the labels."""
    student, teacher = lesson.widths
    with seeded(lesson.options["seed"]):
        losses = LABELS + LogitsGraph() + RepresentationGraph(student, [teacher] * TEACHERS)
    several = Ensemble(known_teachers(lesson), stacked)
    task = Distiller(lesson.student, several, losses, taps={"hidden": lesson.hidden})
    return fit(task, lesson.data, **lesson.options)


def _amtml(lesson: Lesson) -> nn.Module:
    """Each teacher guides the student's hidden layer."""
    hint = Hint(*lesson.hidden, lesson.widths)
    path, width, hints = lesson.hidden[0], lesson.widths[0], [hint] * TEACHERS
    return amtml_student(lesson.student, teachers_of(lesson), lesson.data, path, width, hints=hints, **lesson.options)


def _voted(lesson: Lesson) -> nn.Module:
    taps, widths = (lesson.hidden[0], [lesson.hidden[1]] * TEACHERS), [lesson.widths[1]] * TEACHERS
    return voted_student(lesson.student, teachers_of(lesson), lesson.data, taps, widths, **lesson.options)


def _validated(lesson: Lesson, loss: Loss | None = None) -> nn.Module:
    """By soft targets, or by another loss of the hidden layer."""
    taps = None if loss is None else {"hidden": (lesson.hidden[0], [lesson.hidden[1]] * TEACHERS)}
    compared = KL(TEMPERATURE) if loss is None else lesson.nodes**-2 * loss
    return validated_student(lesson.student, teachers_of(lesson), lesson.data, compared, taps=taps, **lesson.options)


def _tmkd(lesson: Lesson) -> nn.Module:
    """A head a teacher on the student's hidden layer."""
    heads = [lesson.student, *(fresh(lesson.student, seed) for seed in further_seeds(lesson, TEACHERS - 1))]
    return tmkd(shared_trunk(heads, lesson.hidden[0]), teachers_of(lesson), lesson.data, **lesson.options)


def _stochastic(lesson: Lesson) -> nn.Module:
    """The sub-networks that dropout and sampling leave of the teacher."""
    ensemble = stochastic_ensemble(lesson.teacher, temperature=TEMPERATURE)
    return fit(Distiller(lesson.student, ensemble, plain_losses()), lesson.data, **lesson.options)


def _compressed(lesson: Lesson) -> nn.Module:
    return compressed_student(lesson.student, teachers_of(lesson), lesson.data, **lesson.options)


def _by_domain(lesson: Lesson) -> nn.Module:
    """Without the teacher: sources are thirds of the labelled nodes by in-degree, with a teacher of its kind each.

    Their weights are how alike the words of their nodes are to those of the nodes without a label.
    """
    data, part = lesson.data, parts_by_degree(lesson, TEACHERS)
    labelled, words = data["train_mask"], data["x"].clamp_min(0)
    masks = [labelled & (part == k) for k in range(TEACHERS)]
    counts = torch.stack([words[mask].sum(dim=0) for mask in (*masks, ~labelled)])
    shares = counts / counts.sum(dim=1, keepdim=True).clamp_min(torch.finfo(counts.dtype).tiny)
    sources = []
    for mask, seed in zip(masks, further_seeds(lesson, TEACHERS), strict=True):
        source = Lesson(lesson.student, lesson.teacher, changed(data, train_mask=mask), lesson.hidden, lesson.options)
        sources.append(Cached(alone(fresh(lesson.teacher, seed), source, seed), data))
    combine = partial(soft_target, temperature=DOMAIN_TEMPERATURE)
    ensemble = Ensemble(sources, combine, weights=domain_similarity(shares[:-1], shares[-1]))
    return fit(Distiller(lesson.student, ensemble, SoftCE(DOMAIN_TEMPERATURE)), data, **lesson.options)


def _must(lesson: Lesson) -> nn.Module:
    """Two tasks: the classes, and which part of the nodes by in-degree, of as many, a node is in."""
    data, seed = lesson.data, lesson.options["seed"]
    other = changed(data, y=parts_by_degree(lesson, lesson.classes))
    lesson_of_degrees = Lesson(lesson.student, lesson.teacher, other, lesson.hidden, lesson.options)
    (place,) = further_seeds(lesson, 1)
    specialist = alone(fresh(lesson.teacher, place), lesson_of_degrees, place)
    with seeded(seed):
        heads = {task: nn.Linear(lesson.widths[0], lesson.classes) for task in ("classes", "degrees")}
    student = TaskHeads(lesson.student, lesson.hidden[0], heads)
    must(student, {"classes": lesson.teacher, "degrees": specialist}, data, **lesson.options)
    return lesson.student.eval()


METHODS: dict[str, Train] = {
    "amtml": _amtml,
    "voted_triplets": _voted,
    "validation_weights": _validated,
    "validation_weights_log": partial(_validated, loss=LogEuclidean()),
    "tmkd": _tmkd,
    "stochastic": _stochastic,
    "munge": _compressed,
    "domain_weights": _by_domain,
    "must": _must,
}
