"""Online and self-distillation in the GNN benchmark, by name.

The teacher has no part in them but in ``kdgan``: peers are models of the student's kind with weights of their own, of
which the first (the leader, the last generation, the model without its exits) is kept, at its own best epoch. What
shares a trunk in its paper does so here: the layer that is tapped.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from benchmarks.graph.lessons import LABELS, Lesson, Train
from benchmarks.graph.procedures import fresh
from graphkd import Distiller, Loss, fit
from graphkd.core.moving import EMA, Snapshot
from graphkd.core.rng import seeded
from graphkd.losses import KL, OSKD, Consistency
from graphkd.schemes import (
    KDGAN,
    Adversaries,
    AttendedFeatures,
    Exits,
    PeerContrast,
    Peers,
    Together,
    born_again,
    dml,
    drop_edges_and_features,
    ffl,
    kdcl,
    okddip,
    one,
    pcl,
    shared_trunk,
)

PEERS = 3
Make = Callable[[Lesson, list[nn.Module]], Peers]


def _models(lesson: Lesson, count: int = PEERS) -> list[nn.Module]:
    """The student and others of its kind."""
    return [lesson.student, *(fresh(lesson.student, lesson.options["seed"] + 1000 * k) for k in range(1, count))]


def _peers(make: Make, *, kept: int = 0, trunk: bool = False) -> Train:
    """Train peers and keep one of them, at the epoch of its best validation."""

    def train(lesson: Lesson) -> nn.Module:
        models = _models(lesson)
        if trunk:
            shared_trunk(models, lesson.hidden[0])
        with seeded(lesson.options["seed"]):
            task = make(lesson, models)
        options = dict(lesson.options)
        measure = options.get("metric")
        if measure is not None:
            options["metric"] = lambda peers: measure(peers[kept])
        peers = fit(task, lesson.data, **options)
        assert isinstance(peers, nn.ModuleList)
        return peers[kept]

    return train


def _widths(lesson: Lesson) -> list[int]:
    return [lesson.widths[0]] * PEERS


def _distorted(batch: Any) -> Any:
    """What each of KDCL's peers sees."""
    return drop_edges_and_features(batch, 0.2) if "edge_index" in batch else batch


def _follow(loss: Callable[[], Loss], follow: Callable[[nn.Module], Any]) -> Train:
    """The student taught by what follows it."""

    def train(lesson: Lesson) -> nn.Module:
        path = lesson.hidden[0]
        task = Distiller(lesson.student, follow(lesson.student), LABELS + loss(), taps={"hidden": path})
        return fit(task, lesson.data, **lesson.options)

    return train


def _generations(lesson: Lesson, *, kind: Any = "kd", together: bool = False) -> nn.Module:
    make = partial(fresh, lesson.student)
    seed = lesson.options["seed"]
    options = {"kind": kind, "label_weight": 1.0, "generations": PEERS, **lesson.options}
    models = born_again(lesson.student, None, lesson.data, lambda k: make(seed + 1000 * k), **options)
    return Together(models) if together else models[-1]


def _exits(lesson: Lesson) -> nn.Module:
    with seeded(lesson.options["seed"]):
        task = Exits(lesson.student, [lesson.hidden[0]], lesson.data)
    return fit(task, lesson.data, **lesson.options)


def _kdgan(lesson: Lesson) -> nn.Module:
    """The lesson's teacher plays on, as a copy."""
    critic = fresh(lesson.student, lesson.options["seed"] + 1000)
    return fit(KDGAN(lesson.student, copy.deepcopy(lesson.teacher), critic), lesson.data, **lesson.options)


ONLINE: dict[str, Train] = {
    "dml": _peers(lambda _, models: dml(models)),
    "one": _peers(lambda lesson, models: one(models, lesson.widths[0], hidden=lesson.hidden[0]), trunk=True),
    "ffl": _peers(lambda lesson, models: ffl(models, _widths(lesson), lesson.classes, hidden=lesson.hidden[0])),
    "pcl": _peers(
        lambda lesson, models: pcl(models, _widths(lesson), lesson.classes, hidden=lesson.hidden[0]), trunk=True
    ),
    "okddip": _peers(lambda lesson, models: okddip(models, lesson.widths[0], hidden=lesson.hidden[0]), kept=PEERS - 1),
    "afikd": _peers(lambda lesson, models: Peers(models, AttendedFeatures(lesson.widths[0]), hidden=lesson.hidden[0])),
    "afd": _peers(lambda lesson, models: Peers(models, Adversaries(PEERS, lesson.widths[0]), hidden=lesson.hidden[0])),
    "mcl_okd": _peers(
        lambda lesson, models: Peers(
            models, PeerContrast(lesson.nodes, _widths(lesson), negatives=1024), hidden=lesson.hidden[0]
        ),
        kept=PEERS - 1,
    ),
    "kdcl_naive": _peers(lambda _, models: kdcl(models, "naive", views=_distorted)),
    "kdcl_linear": _peers(lambda _, models: kdcl(models, "linear", views=_distorted)),
    "kdcl_min_logit": _peers(lambda _, models: kdcl(models, "min_logit", views=_distorted)),
    "kdcl_general": _peers(lambda _, models: kdcl(models, "general", views=_distorted)),
    "kdgan": _kdgan,
}
SELF: dict[str, Train] = {
    "mean_teacher": _follow(lambda: 100 * Consistency(warm_up=5), lambda student: EMA(student, 0.99)),
    "snapshot": _follow(lambda: 1.0 * KL(2.0), partial(Snapshot, every=25)),
    "oskd": _follow(lambda: 0.1 * OSKD(where="train_mask"), partial(EMA, decay=0.0)),
    "byot": _exits,
    "ban": _generations,
    "ban_cwtm": partial(_generations, kind="cwtm"),
    "ban_dkpp": partial(_generations, kind="dkpp"),
    "ban_ensemble": partial(_generations, together=True),
}
METHODS: dict[str, Train] = {**ONLINE, **SELF}
