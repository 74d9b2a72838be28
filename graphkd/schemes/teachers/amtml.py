"""Teachers weighted anew for each row, by weights that are learnt with the student (AMTML-KD)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from graphkd.core.distiller import Step
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.teachers import Frozen, ask, frozen
from graphkd.core.trainable import Trainable
from graphkd.core.view import Batch, Call, Viewer
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses.features.fitnet import FitNet
from graphkd.losses.relations.rkd import rkd_angle, rkd_distance
from graphkd.losses.response.ce import cross_entropy
from graphkd.losses.response.kd import kl
from graphkd.schemes._rows import chosen_rows
from graphkd.schemes.teachers._combine import check_stack, soft_target


class AdaptiveWeights(nn.Module):
    """Weights of each teacher for each row. Liu, Zhang and Wang, Neurocomputing 2020, arXiv:2103.04062 (AMTML-KD).

    w_ki = softmax_k(v . (x_i * f_k)), x_i the student's pooled features (d,), f_k a factor of teacher k; v and f train
    with the student. (N, d) -> (K, N).
    """

    def __init__(self, teachers: int, width: int) -> None:
        super().__init__()
        self.factors = nn.Parameter(nn.init.xavier_uniform_(torch.empty(teachers, width)))
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(1, width))[0])

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        return ((self.factors * self.weight) @ features.t()).softmax(dim=0)

    def penalty(self) -> Tensor:
        """Compute |f|^2 + |v|^2, which the authors' code adds with a factor of 0.1."""
        return self.factors.square().sum() + self.weight.square().sum()


def amtml(
    student: Tensor, teachers: Tensor, y: Tensor, weights: Tensor, temperature: float = 5.0, *, alpha: float = 0.7
) -> Tensor:
    """Compute the sum that AMTML-KD's notebook runs, without its hints: (N, C), (K, N, C), (N,), (K, N) -> scalar.

    With p = log softmax(s / T) and q = sum_k w_k softmax(t_k / T): 2 alpha T^2 KL(q || p) / C + (1 - alpha) CE(p, y) +
    RKD-A(p, q) + RKD-D(p, q). Oddities of the notebook are kept: KL is averaged over all entries, CE takes p in place
    of the logits, and the relational terms compare log-probabilities with probabilities, with q constant. Add
    ``AdaptiveWeights.penalty`` and ``FitNet`` for the rest.
    """
    check_stack(teachers)
    softened = (student.to(accumulation_dtype(student)) / temperature).log_softmax(dim=-1)
    target = soft_target(teachers, temperature, weights=weights) / temperature
    soft = 2 * alpha * temperature**2 * kl(softened, target, reduction="elementmean")
    probabilities = target.exp().detach()
    relations = rkd_angle(softened, probabilities) + rkd_distance(softened, probabilities)
    return soft + (1 - alpha) * cross_entropy(softened, y) + relations


class Hint(NamedTuple):
    """Tap paths of the student's layer that a teacher guides and of the teacher's own, and their widths."""

    student: str
    teacher: str
    widths: tuple[int, int]


class AMTML(Trainable):
    """Student of several teachers that are weighted row by row, by learnt weights; ``fit`` it. Liu et al., 2020.

    Rows of ``where`` (None: all), with labels ``targets(batch)``, (N,), minimise ``amtml`` with ``AdaptiveWeights`` of
    the student's features at ``pooled``, a tap path of width ``width``. On all rows each teacher adds ``beta`` times
    ``FitNet`` at its ``Hint`` (teacher k guides its own layer of the student). ``penalty`` times
    ``AdaptiveWeights.penalty`` is added. Rows outside ``where``, of which the paper has none, learn from the weighted
    soft target alone. The weights have the student's optimiser; the authors have a separate SGD for them. call:
    replaces the by-name call of the student. The angles cost O(n^3) time and memory in the n rows of ``where``. Raises
    ValueError unless ``hints`` are none or one per teacher.
    """

    def __init__(
        self,
        student: nn.Module,
        teachers: Sequence[nn.Module | Frozen],
        pooled: str,
        width: int,
        *,
        where: str | None,
        targets: Callable[[Any], Tensor],
        hints: Sequence[Hint] = (),
        temperature: float = 5.0,
        alpha: float = 0.7,
        beta: float = 1.0,
        penalty: float = 0.1,
        call: Call | None = None,
    ) -> None:
        super().__init__()
        if hints and len(hints) != len(teachers):
            raise ValueError(f"'hints' must be none or one of each of {len(teachers)} teachers, got {len(hints)}")
        self.student, self.weights = student, AdaptiveWeights(len(teachers), width)
        self.hints = nn.ModuleList(FitNet(*hint.widths) for hint in hints)
        self.temperature, self.alpha, self.beta, self.penalty = temperature, alpha, beta, penalty
        self.where, self.targets = where, targets
        taps = {"pooled": pooled} | {f"hint_{k}": hint.student for k, hint in enumerate(hints)}
        self._viewer = self.hold(Viewer(student, taps=taps, call=call))
        self._teachers = [self.hold(frozen(teacher)) for teacher in teachers]
        self._layers = [{"hidden": hint.teacher} for hint in hints] or [{}] * len(teachers)
        for teacher, layers in zip(self._teachers, self._layers, strict=True):
            teacher.attach(layers)

    def forward(self, batch: Batch) -> Step:
        """Compute the sum, and terms ``labelled``, ``others``, ``hints``, ``penalty``."""
        view = self._viewer(batch)
        rows = chosen_rows(batch, self.where, view["logits"].size(0), view["logits"].device)
        views = [ask(teacher, batch, layers) for teacher, layers in zip(self._teachers, self._layers, strict=True)]
        answers, weights = torch.stack([shown["logits"] for shown in views]), self.weights(view["pooled"])
        s, y, temperature = view["logits"], self.targets(batch)[rows], self.temperature
        labelled = amtml(s[rows], answers[:, rows], y, weights[:, rows], temperature, alpha=self.alpha)
        target = soft_target(answers[:, ~rows], temperature, weights=weights[:, ~rows])
        others = 2 * self.alpha * kl(s[~rows], target, temperature, reduction="elementmean")
        each = (hint(view[f"hint_{k}"], views[k]["hidden"]) for k, hint in enumerate(self.hints))
        terms = {"labelled": labelled, "others": others, "hints": sum(each, start=s.new_zeros(()))}
        terms["penalty"] = self.weights.penalty()
        weights = {"labelled": 1.0, "others": 1.0, "hints": self.beta, "penalty": self.penalty}
        total = self.weighed({name: (weights[name], term) for name, term in terms.items()})
        return Step(total, {name: term.detach() for name, term in terms.items()})


@method(
    "amtml",
    family="teachers",
    paper="Liu et al., Neurocomputing 2020",
    arxiv="2103.04062",
    survey=(81,),
    needs=("teachers", "hidden"),
    space={"alpha": (0.05, 0.95)},
)
def amtml_method(
    problem: Problem, *, temperature: float = 5.0, alpha: float = 0.7, beta: float = 1.0, penalty: float = 0.1
) -> nn.Module:
    """Learn a weight of each teacher for each row with the student; choose it where each excels on other rows.

    It needs enough labels to learn the weights, which depend on the student's hidden layer; "rl_kd" learns by trial
    instead. Labelled rows learn ``alpha`` times the weighted soft target at ``temperature``, (1 - ``alpha``) times
    their labels, and distances and angles of softened answers; other rows learn the weighted soft target alone. Every
    teacher guides the student's hidden layer by ``FitNet``, with weight ``beta``. ``penalty``: weight of the squares of
    the parameters of the teachers' weights. A step costs O(n^3) in the n labelled rows of a batch; see ``amtml`` for
    the oddities of the authors' notebook that are kept.
    """
    student = problem.student
    path, width = problem.path_of(student) or "", problem.width_of(student)
    hints = [Hint(path, problem.path_of(each) or "", (width, problem.width_of(each))) for each in problem.teachers]
    rows: dict[str, Any] = {"where": problem.labelled, "targets": problem.task.targets}
    weights: dict[str, Any] = {"temperature": temperature, "alpha": alpha, "beta": beta, "penalty": penalty}
    call = problem.call_of(student)
    return problem.train(AMTML(student, problem.teachers, path, width, hints=hints, call=call, **rows, **weights))
