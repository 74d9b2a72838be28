"""The ranking-distillation methods of the recommender benchmark, by name: one literal table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphkd import Loss
from recsys.batches import Source
from recsys.interactions import Interactions
from recsys.losses import BPR, CD, DCD, DE, FTD, HTD, RD, RRD, UnKD
from recsys.models import Recommender, Tables
from recsys.rankings import top_items, top_users
from recsys.sources import CDLists, DCDLists, IRRRDLists, RDLists, RRDLists, UnKDLists


@dataclass
class Lesson:
    """A student to train on a teacher's fixed tables; ``top`` lists are made once and shared by all methods."""

    student: Recommender
    teacher: Tables
    train: Interactions
    shared: dict[str, Any] = field(default_factory=dict)

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

    def _once(self, key: str, make: Callable[[], Any]) -> Any:
        if key not in self.shared:
            self.shared[key] = make()
        return self.shared[key]


Plan = tuple[Loss, Mapping[str, Source]]

BATCH_SIZE = 1024

# Weights stand beside a BPR summed over the batch, as in the codes of DE, RRD, FTD and HTD. Where a paper averages over
# rows on both sides (RD, CD, UnKD), the batch size keeps the balance. DCD's weight is unknown: RRD's.
METHODS: dict[str, Callable[[Lesson], Plan]] = {
    "none": lambda _: (1.0 * BPR(), {}),
    "rd": lambda lesson: (
        BPR() + 1.0 * BATCH_SIZE * RD(lesson.train.num_items),
        {"rd": RDLists(lesson.best(11), lesson.train)},
    ),
    "cd": lambda lesson: (
        BPR() + 0.5 * BATCH_SIZE * CD(),
        {"cd": CDLists(lesson.teacher, lesson.train, k=10)},
    ),
    "cd_student": lambda lesson: (
        BPR() + 0.5 * BATCH_SIZE * CD(),
        {"cd": CDLists(lesson.student, lesson.train, k=10, rerank=5)},
    ),
    "de": lambda lesson: (BPR() + 0.01 * DE(*lesson.widths), {}),
    "rrd": lambda lesson: (BPR() + 1e-3 * RRD(), {"rrd": lesson.items()}),
    "irrrd": lambda lesson: (
        BPR() + 1e-3 * RRD() + 5e-4 * RRD.items(),
        {"irrrd": IRRRDLists(lesson.items(), lesson.users())},
    ),
    "ftd": lambda _: (BPR() + 1e-3 * FTD(), {}),
    "htd": lambda lesson: (BPR() + 1e-3 * HTD.authors(*lesson.widths), {}),
    "unkd": lambda lesson: (
        BPR() + 1.0 * BATCH_SIZE * UnKD(),
        {"unkd": UnKDLists.of_teacher(lesson.teacher, lesson.train)},
    ),
    "dcd": lambda lesson: (
        BPR() + 1e-3 * DCD(),
        {"dcd": DCDLists(lesson.student, lesson.best(100))},
    ),
}


def method(name: str) -> Callable[[Lesson], Plan]:
    """The method of that name; ValueError that lists the names where there is none."""
    if name not in METHODS:
        raise ValueError(f"'methods' must be among {list(METHODS)} or 'all', got {name!r}")
    return METHODS[name]
