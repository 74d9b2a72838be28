"""Schemes of the GNN benchmark with several teachers, a teacher that adapts, or another objective, by name.

Further teachers are models of the teacher's kind trained on labels with the student's options; a scheme's seconds
include them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.graph.lessons import LABELS, TEMPERATURE, Lesson, Train, plain_losses
from benchmarks.graph.models import resized
from benchmarks.graph.procedures import fresh
from graphkd import Cached, Distiller, fit
from graphkd.core.ensemble import Ensemble, mean_logits
from graphkd.core.rng import seeded
from graphkd.losses import KL
from graphkd.schemes import (
    Adversarial,
    Curriculum,
    TeacherChoice,
    bidirectional,
    changed,
    consistent_student,
    drop_edges_and_features,
    guided_search,
    hallucination,
    metadistil,
    noisy_student,
    oracle_student,
    phased_student,
    self_supervised,
    soft_target,
    student_friendly,
    supervision_transfer,
    takd,
    tri_training,
)
from graphkd.tasks import predict

TEACHERS, TASKS, PROBES = 3, 4, 500


def alone(model: nn.Module, lesson: Lesson, seed: int) -> nn.Module:
    """A model trained on the labels."""
    return fit(Distiller(model, losses=LABELS), lesson.data, **{**lesson.options, "seed": seed})


def further_seeds(lesson: Lesson, count: int) -> list[int]:
    """Of further models, apart from those of other runs."""
    return [lesson.options["seed"] + 1000 * number for number in range(1, count + 1)]


def teachers_of(lesson: Lesson, count: int = TEACHERS) -> list[nn.Module]:
    """The teacher and others of its kind."""
    others = [alone(fresh(lesson.teacher, seed), lesson, seed) for seed in further_seeds(lesson, count - 1)]
    return [lesson.teacher, *others]


def known_teachers(lesson: Lesson) -> list[Cached]:
    """``teachers_of`` with their views of the graph."""
    return [Cached(model, lesson.data) for model in teachers_of(lesson)]


def _ensemble(combine: Callable[..., Tensor]) -> Train:
    def train(lesson: Lesson) -> nn.Module:
        ensemble = Ensemble(known_teachers(lesson), combine)
        return fit(Distiller(lesson.student, ensemble, plain_losses()), lesson.data, **lesson.options)

    return train


def _takd(lesson: Lesson) -> nn.Module:
    """Assistants: a model of the teacher's kind, and one of the student's."""
    one, other = further_seeds(lesson, 2)
    assistants = [fresh(lesson.teacher, one), fresh(lesson.student, other)]
    losses = plain_losses()
    return takd(lesson.student, lesson.teacher, assistants, lesson.data, losses=losses, **lesson.options).student


def _oracle(lesson: Lesson) -> nn.Module:
    return oracle_student(lesson.student, teachers_of(lesson), lesson.data, **lesson.options)


def _guided_search(lesson: Lesson) -> nn.Module:
    """Six students: half the width, the width and twice the width of the given one, of two and three layers."""
    width, seed = lesson.widths[0], lesson.options["seed"]
    shapes = [(hidden, layers) for hidden in (max(width // 2, 1), width, 2 * width) for layers in (2, 3)]
    sizes = (lesson.data.num_features, lesson.classes)
    with seeded(seed):
        candidates = [resized(lesson.student, *sizes, hidden=hidden, layers=layers) for hidden, layers in shapes]
        probes = torch.randperm(lesson.nodes)[:PROBES]
    paths = ([lesson.hidden[0]] * len(candidates), lesson.hidden[1])
    return guided_search(candidates, lesson.teacher, lesson.data, hidden=paths, probes=probes, **lesson.options).student


def _teacher_choice(lesson: Lesson) -> nn.Module:
    teachers = known_teachers(lesson)
    with seeded(lesson.options["seed"]):
        task = TeacherChoice(lesson.student, teachers, lesson.classes)
    return fit(task, lesson.data, **lesson.options)


def _noisy_student(lesson: Lesson) -> nn.Module:
    """Two students, one after the other."""
    first = fresh(lesson.student, *further_seeds(lesson, 1))
    return noisy_student(
        lesson.teacher, [first, lesson.student], lesson.data, noise=drop_edges_and_features, **lesson.options
    )


def _consistent(lesson: Lesson) -> nn.Module:
    noise = drop_edges_and_features
    return consistent_student(lesson.student, lesson.teacher, lesson.data, noise=noise, **lesson.options)


def _phased(lesson: Lesson) -> nn.Module:
    return phased_student(lesson.student, lesson.teacher, lesson.data, **lesson.options)


def _tri_training(lesson: Lesson) -> nn.Module:
    """Without the teacher; the student is one of the three."""
    options = dict(lesson.options)
    seed = options.pop("seed")
    students = [lesson.student, *(fresh(lesson.student, other) for other in further_seeds(lesson, 2))]
    return tri_training(students, lesson.data, seed=seed, **options)[0]


def _metadistil(lesson: Lesson) -> nn.Module:
    options = {name: value for name, value in lesson.options.items() if name != "optimizer"}
    return metadistil(lesson.student, lesson.teacher, lesson.data, **options)


def _student_friendly(lesson: Lesson) -> nn.Module:
    """A teacher with a branch of the student's width, then its soft targets."""
    width, wide = lesson.widths
    teacher = fresh(lesson.teacher, *further_seeds(lesson, 1))
    with seeded(lesson.options["seed"]):
        rest = nn.Linear(width, lesson.classes)
        branch = nn.Sequential(nn.ReLU(), nn.Linear(wide, width), nn.ReLU(), rest)
    teacher = student_friendly(teacher, {"branch": (lesson.hidden[1], branch)}, lesson.data, **lesson.options)
    return fit(Distiller(lesson.student, Cached(teacher), plain_losses()), lesson.data, **lesson.options)


def _layers(scheme: Callable[..., nn.Module]) -> Train:
    """A scheme that needs the hidden layers of both."""
    return lambda lesson: scheme(
        lesson.student, lesson.teacher, lesson.data, lesson.hidden, lesson.widths, **lesson.options
    )


def _curriculum(lesson: Lesson) -> nn.Module:
    """Soft targets; tasks are quarters of the nodes by the teacher's certainty, scores the agreement with it."""
    data, known = lesson.data, Cached(lesson.teacher, lesson.data)
    logits = known(data)["logits"]
    place = logits.softmax(dim=1).amax(dim=1).argsort().argsort()
    quarter = place * TASKS // place.numel()
    tasks = [changed(data, task=quarter == k) for k in range(TASKS)]

    def score() -> Tensor:
        agree = (predict(lesson.student, data) == logits.argmax(dim=1)).double()
        return torch.stack([agree[quarter == k].mean() for k in range(TASKS)])

    task = Distiller(lesson.student, known, KL(where="task"))
    return fit(task, Curriculum(tasks, score), **lesson.options)


def domains(lesson: Lesson) -> Any:
    """Labelled nodes as the source, the others as the target."""
    return changed(lesson.data, source_mask=lesson.data["train_mask"], target_mask=~lesson.data["train_mask"])


def critic(lesson: Lesson, width: int) -> nn.Module:
    """A discriminator of rows of this width."""
    return lesson.made(lambda: nn.Sequential(nn.Linear(width, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1)))


def _adversarial(lesson: Lesson) -> nn.Module:
    """Without the teacher."""
    task = Adversarial(lesson.student, critic(lesson, lesson.classes))
    return fit(task, domains(lesson), **lesson.options)


def _adversarial_features(lesson: Lesson) -> nn.Module:
    """Without the teacher."""
    discriminator = critic(lesson, lesson.widths[0])
    task = Adversarial(lesson.student, discriminator, weight=0.01, tap=lesson.hidden[0])
    return fit(task, domains(lesson), **lesson.options)


def _bidirectional(lesson: Lesson) -> nn.Module:
    """Without the teacher."""
    discriminator = critic(lesson, lesson.classes)
    return bidirectional(lesson.student, discriminator, domains(lesson), **lesson.options)


METHODS: dict[str, Train] = {
    "ensemble": _ensemble(partial(soft_target, temperature=TEMPERATURE)),
    "ensemble_logits": _ensemble(mean_logits),
    "takd": _takd,
    "oracle": _oracle,
    "guided_search": _guided_search,
    "rl_kd": _teacher_choice,
    "noisy_student": _noisy_student,
    "stac": _consistent,
    "phased_labels": _phased,
    "tri_training": _tri_training,
    "metadistil": _metadistil,
    "sftn": _student_friendly,
    "sskd": _layers(self_supervised),
    "supervision_transfer": _layers(supervision_transfer),
    "hallucination": _layers(hallucination),
    "tscl": _curriculum,
    "adversarial_output": _adversarial,
    "adversarial_features": _adversarial_features,
    "bidirectional": _bidirectional,
}
