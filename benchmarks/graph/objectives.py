"""Schemes of the GNN benchmark for other conditions, other inputs and other domains, by name.

Where domains are needed, labelled nodes are the source, the others the target.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from benchmarks.graph.ensembles import parts_by_degree
from benchmarks.graph.lessons import LABELS, TEMPERATURE, Lesson, Train, by_loss
from benchmarks.graph.procedures import fresh
from benchmarks.graph.students import NOSMOG, Positioned, Positions, on_positions
from benchmarks.graph.teachers import alone, critic, domains, further_seeds
from graphkd import Distiller, Frozen, fit
from graphkd.losses import CC, KL
from graphkd.schemes import (
    Adversarial,
    CollaborativeExperts,
    DataFreeRegression,
    FakeTurns,
    FeatureAdversary,
    GroupBatches,
    Progressive,
    Translator,
    Translators,
    bidirectional,
    changed,
    cycada,
    function_matching,
    mask_features,
    multimodal_expansion,
    parallel_student,
)

TARGETS = 2


def _function_matching(lesson: Lesson) -> nn.Module:
    return function_matching(lesson.student, lesson.teacher, lesson.data, **lesson.options)


def _parallel(lesson: Lesson) -> nn.Module:
    return parallel_student(lesson.student, lesson.teacher, lesson.data, **lesson.options)


def _expansion(lesson: Lesson) -> nn.Module:
    """A model of the student's kind labels for an MLP on features and the nodes' positions in the graph."""
    data, (seed,) = lesson.data, further_seeds(lesson, 1)
    unimodal = alone(fresh(lesson.student, seed), lesson, seed)
    student = Positioned(*on_positions(lesson, NOSMOG.get(lesson.about[1], Positions()), seed))
    return multimodal_expansion(student, unimodal, data, change=mask_features, **lesson.options)


def _progressive(lesson: Lesson) -> nn.Module:
    """A copy of the teacher adapts while it teaches."""
    teacher = copy.deepcopy(lesson.teacher)
    adapting = Adversarial(teacher, critic(lesson, lesson.classes))
    distilling = Distiller(lesson.student, Frozen(teacher), LABELS + KL(TEMPERATURE))
    return fit(Progressive(adapting, distilling), domains(lesson), **lesson.options)


def _translators(lesson: Lesson) -> Translators:
    width = lesson.data.num_features
    return Translators(lesson.made(lambda: Translator(width)), critic(lesson, width))


def _cycada(lesson: Lesson) -> nn.Module:
    """The teacher says what features mean."""
    players, judge = _translators(lesson), critic(lesson, lesson.widths[0])
    path = lesson.hidden[0]
    return cycada(lesson.student, lesson.teacher, players, judge, domains(lesson), tap=path, **lesson.options)


def _bidirectional(lesson: Lesson) -> nn.Module:
    """Without the teacher."""
    judge, players = critic(lesson, lesson.classes), _translators(lesson)
    return bidirectional(lesson.student, judge, domains(lesson), players=players, **lesson.options)


def _multi_target(lesson: Lesson) -> nn.Module:
    """Without the teacher: targets are the halves of the other nodes by in-degree, experts of the student's kind."""
    labelled = lesson.data["train_mask"]
    domain = torch.where(labelled, 0, 1 + parts_by_degree(lesson, TARGETS))
    experts = [fresh(lesson.student, seed) for seed in further_seeds(lesson, TARGETS)]
    critics = [critic(lesson, lesson.classes) for _ in experts]
    task = CollaborativeExperts(lesson.student, experts, critics)
    return fit(task, changed(lesson.data, domain=domain), **lesson.options)


def _data_free(lesson: Lesson) -> nn.Module:
    """Logits regressed on made-up features of the real nodes and edges."""
    noise, width = 50, lesson.data.num_features
    generator = lesson.made(lambda: nn.Sequential(nn.Linear(noise, 128), nn.ReLU(), nn.Linear(128, width)))
    task = DataFreeRegression(lesson.student, lesson.teacher, generator, noise=noise)
    return fit(task, FakeTurns(lesson.data), **lesson.options)


def _class_uniform(lesson: Lesson) -> nn.Module:
    """Correlation congruence on labelled nodes, drawn class by class."""
    data = lesson.data
    groups = torch.where(data["train_mask"], data["y"], -1)
    rows = int(groups.unique(return_counts=True)[1][1:].min())
    count = int(groups.unique().numel()) - 1
    losses = LABELS + KL(TEMPERATURE) + 0.003 * CC(where="drawn")
    task = Distiller(lesson.student, Frozen(lesson.teacher), losses, taps={"hidden": lesson.hidden})
    return fit(task, GroupBatches(data, groups, count=count, rows=rows), **lesson.options)


METHODS: dict[str, Train] = {
    "function_matching": _function_matching,
    "parallel_data": _parallel,
    "multimodal_expansion": _expansion,
    "progressive_adaptation": _progressive,
    "cycada": _cycada,
    "bidirectional_translated": _bidirectional,
    "multi_target": _multi_target,
    "cc_class_uniform": _class_uniform,
    "data_free_regression": _data_free,
    "feature_adversary": by_loss(lambda lesson: LABELS + KL(TEMPERATURE) + 0.1 * FeatureAdversary(*lesson.widths)),
}
