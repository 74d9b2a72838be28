"""The ranking-distillation methods of the recommender benchmark, by name: one literal table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphkd import Loss
from recsys import Interactions
from recsys.data.batches import Source
from recsys.losses import BPR, CD, DCD, DE, FTD, HTD, RCEKD, RD, RRD, HetComp, ItemRRD, LogLoss, UnKD
from recsys.models import Recommender
from recsys.models.rankings import top_items, top_users
from recsys.sources import CDLists, DCDLists, HetCompLists, IRRRDLists, RCEKDLists, RDLists, RRDLists, UnKDLists

Teachers = list[list[Recommender]]  # each at successive stages of its training


@dataclass
class Lesson:
    """A student to train on a fixed teacher, as a rule its tables; ``top`` lists are made once, for all methods.

    trajectories: trains HetComp's teachers and gives the stages of each; without it, the one teacher has one stage.
    """

    student: Recommender
    teacher: Recommender
    train: Interactions
    shared: dict[str, Any] = field(default_factory=dict)
    trajectories: Callable[[], Teachers] | None = None

    @property
    def base(self) -> Loss:
        """The student's own loss."""
        return base_loss(self.student)

    @property
    def widths(self) -> tuple[int, int]:
        """Widths of the student's and of the teacher's tables."""
        return self.student.tables()[0].size(1), self.teacher.tables()[0].size(1)

    def items(self) -> RRDLists:
        """RRD's lists of items for users, from the teacher's top 500."""
        length = min(500, self.train.num_items // 4)
        top = self._once(f"items {length}", lambda: top_items(self.teacher, self.train, length))
        return RRDLists(top, self.train)

    def users(self) -> RRDLists:
        """IR-RRD's lists of users for items."""
        length = min(500, self.train.num_users // 4)
        top = self._once(f"users {length}", lambda: top_users(self.teacher, self.train, length))
        return RRDLists(top, self.train.transpose(), k=20, l=20)

    def best(self, k: int) -> Any:
        """The teacher's first k items of every user, training items left out."""
        return self._once(f"items {k}", lambda: top_items(self.teacher, self.train, k))

    def stages(self) -> HetCompLists:
        """HetComp's lists, from the stages of its teachers."""
        k = min(100, self.train.num_items // 4)
        teachers = self.trajectories() if self.trajectories else [[self.teacher]]
        return HetCompLists.of_teachers(self.student, teachers, self.train, k=k)

    def _once(self, key: str, make: Callable[[], Any]) -> Any:
        if key not in self.shared:
            self.shared[key] = make()
        return self.shared[key]


def base_loss(model: Recommender) -> Loss:
    """What a model is trained by, summed over the batch: NeuMF by its authors' log loss, all others by BPR."""
    kind = type(getattr(model, "model", model)).__name__
    return LogLoss(reduction="sum") if kind == "NeuMF" else BPR()


Plan = tuple[Loss, Mapping[str, Source]]

BATCH_SIZE = 1024

# Weights stand beside a loss summed over the batch, as in the codes of DE, RRD, FTD, HTD. Where a paper averages over
# rows on both sides (RD, CD, UnKD), the batch size keeps the balance. DCD's weight is unknown: RRD's. RCE-KD's is ours.
# HetComp stands alone, as in its code.
METHODS: dict[str, Callable[[Lesson], Plan]] = {
    "none": lambda lesson: (1.0 * lesson.base, {}),
    "rd": lambda lesson: (
        lesson.base + 1.0 * BATCH_SIZE * RD(lesson.train.num_items),
        {"rd": RDLists(lesson.best(11), lesson.train)},
    ),
    "cd": lambda lesson: (
        lesson.base + 0.5 * BATCH_SIZE * CD(),
        {"cd": CDLists(lesson.teacher, lesson.train, k=10)},
    ),
    "cd_student": lambda lesson: (
        lesson.base + 0.5 * BATCH_SIZE * CD(),
        {"cd": CDLists(lesson.student, lesson.train, k=10, rerank=5)},
    ),
    "de": lambda lesson: (lesson.base + 0.01 * DE(*lesson.widths), {}),
    "rrd": lambda lesson: (lesson.base + 1e-3 * RRD(), {"rrd": lesson.items()}),
    "irrrd": lambda lesson: (
        lesson.base + 1e-3 * RRD() + 5e-4 * ItemRRD(),
        {"irrrd": IRRRDLists(lesson.items(), lesson.users())},
    ),
    "ftd": lambda lesson: (lesson.base + 1e-3 * FTD(), {}),
    "htd": lambda lesson: (lesson.base + 1e-3 * HTD.authors(*lesson.widths), {}),
    "unkd": lambda lesson: (
        lesson.base + 1.0 * BATCH_SIZE * UnKD(),
        {"unkd": UnKDLists.of_teacher(lesson.teacher, lesson.train)},
    ),
    "dcd": lambda lesson: (
        lesson.base + 1e-3 * DCD(),
        {"dcd": DCDLists(lesson.student, lesson.best(100))},
    ),
    "rcekd": lambda lesson: (
        lesson.base + 0.1 * RCEKD(),
        {"rcekd": RCEKDLists(lesson.student, lesson.best(50), lesson.train)},
    ),
    "hetcomp": lambda lesson: (0.01 * HetComp(lesson.train), {"hetcomp": lesson.stages()}),
}
# Whose tables a method compares or multiplies; all others take scores.
TABLES = {
    "de": ("student", "teacher"),
    "ftd": ("student", "teacher"),
    "htd": ("student", "teacher"),
    "hetcomp": ("student",),
}


def check_tables(names: Sequence[str], **models: Recommender) -> None:
    """ValueError that names the methods which a ``student`` or ``teacher`` without tables cannot do."""
    for side, model in models.items():
        lacking = [name for name in names if side in TABLES.get(name, ())]
        if lacking and not model.has_tables:
            kind = type(getattr(model, "model", model)).__name__
            raise ValueError(
                f"{lacking} need the {side}'s tables of users and items, but {kind} scores without tables; methods "
                f"that take scores: {[name for name in METHODS if side not in TABLES.get(name, ())]}"
            )


def method(name: str) -> Callable[[Lesson], Plan]:
    """The method of that name; ValueError that lists the names where there is none."""
    if name not in METHODS:
        raise ValueError(f"'methods' must be among {list(METHODS)} or 'all', got {name!r}")
    return METHODS[name]
