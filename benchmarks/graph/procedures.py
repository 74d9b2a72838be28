"""Procedures of the GNN benchmark that train more than the student, by name."""

from __future__ import annotations

import copy

from torch import nn

from benchmarks.graph.lessons import Lesson, Train
from graphkd.core.rng import seeded
from graphkd.gnn import FreeKD, freekd


def fresh(model: nn.Module, seed: int) -> nn.Module:
    """A model like this one with weights of its own."""
    twin = copy.deepcopy(model)
    with seeded(seed):
        for module in twin.modules():
            reset = getattr(module, "reset_parameters", None)
            if reset is not None:
                reset()
    return twin


def _freekd(lesson: Lesson) -> nn.Module:
    """The student and a peer of its kind, which the teacher has no part in; the epoch is the student's best."""
    seed = lesson.options["seed"]
    peer = fresh(lesson.student, seed + 1000)
    with seeded(seed):
        task = FreeKD(lesson.student, peer, lesson.data, hidden=lesson.hidden[0], standardise=True)
    options = dict(lesson.options)
    measure = options.get("metric")
    if measure is not None:
        options["metric"] = lambda peers: measure(peers[0])
    return freekd(task, lesson.data, **options)[0]


METHODS: dict[str, Train] = {"freekd": _freekd}
