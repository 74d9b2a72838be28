"""The cases of ``benchmarks.ranking_costs``: every ranking method with a bar, ours and as its authors compute it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import chain, islice
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks.measure import timed
from benchmarks.ranking.plain_forms import PlainDE, PlainHTD, ftd_all_pairs, rrd_lists, uninteresting_mask, unkd_pairs
from graphkd import Distiller, Loss, fit
from graphkd.core.method import Metadata
from recsys import Interactions, Split
from recsys.data.batches import RankingBatches
from recsys.distil import CATALOGUE
from recsys.losses import BPR, DE, HTD
from recsys.losses._tables import Triplets
from recsys.losses.ftd import ftd
from recsys.methods._ranking import RankingProblem
from recsys.methods.lists._rrd import lists_of_items
from recsys.models import MF, Tables, tables_of
from recsys.models import show as view
from recsys.sources import UnKDLists
from recsys.tasks import Ranking

BATCH_SIZE = 1024
STUDENT, TEACHER = 20, 200  # widths
EXPERTS = 30
_LOOP_USERS = 200  # that the loop over users visits


@dataclass(frozen=True)
class Setup:
    """What is measured on: training pairs, a teacher, how many batches of an epoch; and the clock."""

    train: Interactions
    teacher: Tables
    batches: int
    clock: Callable[[], float] = time.perf_counter

    def problem(self) -> RankingProblem:
        """A new student, and what its methods need."""
        return problem(self.train, self.teacher)

    def seconds(self, function: Callable[[], Any], times: float = 1.0) -> Callable[[], float]:
        """A function that calls another and returns the seconds that this took, as many ``times``."""
        return lambda: times * timed(function, clock=self.clock)[0]


class Case(NamedTuple):
    """Two ways to do one thing, each a function that returns the seconds it took; what the plain one needs."""

    op: str
    setting: str
    bar: float | None
    ours: Callable[[], float]
    plain: Callable[[], float]
    floats: float = 0.0
    note: str = ""

    def refusal(self, limit_gb: float) -> str:
        """Why it is not run; empty if it is."""
        needed = 4 * self.floats / 1e9
        return f"not run: needs about {needed:,.3g} GB, --limit-gb is {limit_gb:g}" if needed > limit_gb else ""


# ---------------------------------------------------------------- cases
def rrd_sampling(setup: Setup) -> Iterator[Case]:
    """The lists of one epoch of RRD; the dense mask is made before."""
    lists, sizes = lists_of_items(setup.problem(), 40, 40, 500, 10.0), (setup.train.num_users, setup.train.num_items)
    mask = cache(partial(uninteresting_mask, lists.top, setup.train))
    plain = setup.seconds(lambda: rrd_lists(lists.top, mask(), lists.k, lists.l, lists.scale))
    yield Case("rrd_sampling", "", 20.0, setup.seconds(lists.resample), plain, 2.0 * sizes[0] * sizes[1])


def ftd_gradient(setup: Setup) -> Iterator[Case]:
    """Value and gradient of FTD on the users and items of one batch."""
    batch = next(iter(RankingBatches(setup.train, batch_size=BATCH_SIZE)))
    chosen = Triplets(*(batch[name] for name in Triplets._fields)).entities()
    student, teacher = (
        torch.cat([table[ids] for table, ids in zip(model.tables(), chosen, strict=True)]).detach()
        for model in (setup.problem().student, setup.teacher)
    )
    student.requires_grad_()
    floats, note = 6.0 * student.size(0) ** 2, f"{len(chosen[0])} users, {len(chosen[1])} items"

    def gradient(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        torch.autograd.grad(loss(student, teacher), student)

    for teacher_term in (True, False):
        ours = setup.seconds(partial(gradient, partial(ftd, teacher_term=teacher_term)))
        plain = setup.seconds(partial(gradient, ftd_all_pairs))
        yield Case("ftd_gradient", f"teacher_term={teacher_term}", 10.0, ours, plain, floats, note)


def _epochs(
    op: str, weight: float, ours: Callable[..., Loss], plain: Callable[..., Loss], setup: Setup
) -> Iterator[Case]:
    """Whole epochs while gates are soft, halfway, and once they are one-hot; the bars are for the authors' layout."""
    rows = 3 * BATCH_SIZE
    for layout, temperature, bar in (
        ("(B, d, M)", 1.0, 1.8),
        ("(B, d, M)", 0.1, None),
        ("(B, d, M)", 1e-10, 6.0),
        ("(B, M, d)", 1.0, None),
        ("(B, M, d)", 1e-10, None),
    ):
        trainings = []
        for form in (ours, partial(plain, experts_last=layout == "(B, d, M)")):
            made = setup.problem()
            losses = BPR() + weight * form(*made.widths, EXPERTS, temperature=temperature)
            distiller = made.distiller(made.student, made.teacher, losses)
            trainings.append(BriefTraining(distiller, made.batches(), setup.clock))
        total, count = len(trainings[0].batches), min(setup.batches, len(trainings[0].batches))
        yield Case(
            op,
            f"{layout}, temperature {temperature:g}",
            bar,
            *(partial(training.whole_epoch, count) for training in trainings),
            floats=6.0 * rows * (EXPERTS * TEACHER + rows),
            note=f"from {count} of {total} batches, sampling in proportion",
        )


def unkd_epoch_pairs(setup: Setup) -> Iterator[Case]:
    """The pairs of one epoch of UnKD for all users; the bar is for the authors' loop, pair by pair."""
    lists = UnKDLists.of_teacher(setup.teacher, setup.train)
    everyone = setup.train.num_users
    users = torch.randperm(everyone)[:_LOOP_USERS].tolist()
    note = f"the loop over {len(users)} users, scaled to {everyone:,}"
    for one_by_one, setting, bar in ((True, "loop: pair by pair", 100.0), (False, "loop: group by group", None)):
        loop = partial(unkd_pairs, lists.grouped, lists.numbers, users, lists.scale, one_by_one=one_by_one)
        plain = setup.seconds(loop, everyone / len(users))
        yield Case("unkd_pairs", setting, bar, setup.seconds(lists.resample), plain, note=note)


OPS: dict[str, Callable[[Setup], Iterator[Case]]] = {
    "rrd_sampling": rrd_sampling,
    "ftd_gradient": ftd_gradient,
    "de_epoch": partial(_epochs, "de_epoch", 0.01, DE, PlainDE),
    "htd_epoch": partial(_epochs, "htd_epoch", 1e-3, HTD.authors, PlainHTD),
    "unkd_pairs": unkd_epoch_pairs,
}


# ---------------------------------------------------------------- training
class _Untrained:
    """A runner that takes down what a method of one stage would train, and on what."""

    method = Metadata("untrained")

    def __init__(self) -> None:
        self.found: tuple[Any, Any] = (None, None)

    def train(self, trainable: Any, _: str, data: Any, **__: Any) -> Any:
        """Take down."""
        self.found = trainable, data
        return trainable.student

    def once(self, _: str, make: Callable[[], Any]) -> Any:
        """Make."""
        return make()

    def rounds(self, count: int, _: Any) -> Iterator[int]:
        """Count."""
        yield from range(count)


def problem(train: Interactions, teacher: Any, width: int = STUDENT) -> RankingProblem:
    """A new student on training pairs alone; what is asked for once is made, nothing is trained."""
    none = torch.zeros(0, dtype=torch.long)
    nobody = Interactions.from_pairs(none, none, train.num_users, train.num_items, padding=train.padding)
    student = MF(train.num_users, train.num_items, width)
    task = replace(Ranking(), batch_size=BATCH_SIZE)
    made = RankingProblem(student, [teacher], Split(train, nobody, nobody), task, calls=(view, view))
    made.run = _Untrained()
    return made


def planned(made: RankingProblem, name: str, **settings: Any) -> tuple[Distiller, Any]:
    """What a method would train, and its batches."""
    found = CATALOGUE.find(name)(made, **settings)
    if isinstance(found, Loss):
        return made.distiller(made.student, made.teacher, found), made.batches()
    taken: Any = made.run
    distiller, batches = taken.found
    return distiller, batches


class BriefTraining:
    """A student in training as by ``fit``, a few batches at a time."""

    def __init__(self, distiller: Distiller, batches: Any, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock, self.batches, self.task = clock, batches, distiller
        self.optimizer = torch.optim.Adam(self.task.parameters(), lr=1e-3, weight_decay=1e-3, fused=True)
        for part in (self.batches, self.task):
            part.set_epoch(0, 1)

    def begin_epoch(self, count: int) -> tuple[float, float]:
        """Train on the first batches of an epoch: seconds until the first is there, and of one batch on average."""
        started = self.clock()
        batches = iter(self.batches)
        first = next(batches)
        drawn = self.clock()
        for batch in chain([first], islice(batches, count - 1)):
            loss, _ = self.task(batch)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        return drawn - started, (self.clock() - drawn) / count

    def whole_epoch(self, count: int) -> float:
        """Seconds of an epoch, judged by its first batches."""
        sampling, batch = self.begin_epoch(count)
        return sampling + batch * len(self.batches)


def briefly_trained(train: Interactions, width: int = TEACHER) -> Tables:
    """A BPR teacher: three epochs at ten times the usual rate give the norms, and so the gates' groups, of 200."""
    model = MF(train.num_users, train.num_items, width)
    batches = RankingBatches(train, batch_size=BATCH_SIZE)
    adam = partial(torch.optim.Adam, lr=1e-2, weight_decay=1e-3, fused=True)
    fit(Distiller(model, None, 1.0 * BPR(), call=view), batches, epochs=3, optimizer=adam)
    return tables_of(model)
