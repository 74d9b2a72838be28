"""Be your own teacher: exits at hidden layers, taught by the model's own last answer (BYOT)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.batches import on_device
from graphkd.core.distiller import Step
from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.modes import evaluating
from graphkd.core.problem import Problem
from graphkd.core.trainable import Trainable
from graphkd.core.view import Batch, Call, View, Viewer
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_same_shape
from graphkd.losses.response.kd import KL
from graphkd.schemes._measured import measured


def exit_hint(student: Tensor, teacher: Tensor) -> Tensor:
    """Sum squared differences where either side is positive, over rows and units: (N, d), (N, d) -> scalar."""
    check_same_shape(student, teacher)
    s, t = (x.to(accumulation_dtype(x)) for x in (student, teacher))
    return ((s - t).square() * ((s > 0) | (t > 0))).sum()


class Exit(nn.Module):
    """Exit with a bottleneck to the width of the deepest features, and a classifier on them."""

    def __init__(self, width: int, deepest: int, classes: int) -> None:
        super().__init__()
        self.bottleneck = nn.Sequential(nn.ReLU(), nn.Linear(width, deepest), nn.ReLU())
        self.classify = nn.Linear(deepest, classes)

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Compute features and logits: (N, d_k) -> (N, d_K), (N, C)."""
        features = self.bottleneck(hidden)
        return features, self.classify(features)


class Exits(Trainable):
    """Train a model with an exit at each of some hidden layers; ``fit`` returns the model alone.

    sum_k [(1 - alpha) CE(z_k) + alpha T^2 KL(p_K || p_k) + beta hint(f_k, f_K)] + CE(z_K): z_K are the model's logits,
    f_K the features at ``deepest``, without which there are no hints; p_K and f_K are constant. Exit k computes f_k
    from layer k by a bottleneck, and z_k from f_k; hint is ``exit_hint``, a mean over rows and units. ``answers``
    returns each exit's logits, so that a shallow exit can be used alone, for anytime prediction. taps, deepest: as
    ``exits`` and ``deepest`` of the method ``byot``. example: a batch from which the widths are read. labels: the
    supervised loss. soft: the loss between an exit's and the last answer (by default KL at T = 3). call: replaces the
    by-name call of the model. The model is run once per step: only the exits cost more. Raises ValueError without
    ``taps`` and for an ``alpha`` outside [0, 1].
    """

    def __init__(
        self,
        model: nn.Module,
        taps: Sequence[str],
        example: Batch,
        *,
        labels: Loss,
        soft: Loss | None = None,
        deepest: str | None = None,
        alpha: float = 0.1,
        beta: float = 0.07,
        call: Call | None = None,
    ) -> None:
        super().__init__()
        if not taps or not 0 <= alpha <= 1:
            raise ValueError(f"'taps' must name one layer at least and 'alpha' be in [0, 1], got {taps} and {alpha}")
        self.student, self.alpha, self.beta, self.deepest = model, alpha, beta, deepest
        self.labels, self.soft = labels, KL(3.0) if soft is None else soft
        self._names = [f"exit_{k}" for k in range(len(taps))]
        paths: Mapping[str, str] = dict(zip(self._names, taps, strict=True))
        watched = paths if deepest is None else {**paths, "deepest": deepest}
        self._viewer = self.hold(Viewer(model, taps=watched, call=call))
        view = self._shown(example)
        classes, widths = view["logits"].size(1), [view[name].size(1) for name in self._names]
        last = widths[-1] if deepest is None else view["deepest"].size(1)
        self.exits = nn.ModuleList(Exit(width, last, classes) for width in widths)

    def forward(self, batch: Batch) -> Step:
        """Sum the losses of all exits; terms ``label``, and ``label_exit_0``, ``soft_exit_0``, ``hint_exit_0``, ..."""
        view = self._viewer(batch)
        constant = {name: tensor.detach() for name, tensor in view.items()}
        values = {"label": (1.0, measured(self.labels, view, {}, batch))}
        for name, leave in zip(self._names, self.exits, strict=True):
            features, logits = leave(view[name])
            shown = {"logits": logits}
            values[f"label_{name}"] = 1 - self.alpha, measured(self.labels, shown, {}, batch)
            values[f"soft_{name}"] = self.alpha, measured(self.soft, shown, constant, batch)
            if self.deepest is not None:
                hint = exit_hint(features, constant["deepest"].relu()) / max(features.numel(), 1)
                values[f"hint_{name}"] = self.beta, hint
        found = {name: (weight, value) for name, (weight, value) in values.items() if value is not None}
        total = self.weighed(found)
        return Step(total, {name: value.detach() for name, (_, value) in found.items()})

    @torch.no_grad()
    def answers(self, batch: Batch) -> list[Tensor]:
        """Compute the logits of every exit, the model's own last, in eval mode: (N, C) each; after ``fit`` too."""
        view = self._shown(batch)
        return [*(leave(view[name])[1] for name, leave in zip(self._names, self.exits, strict=True)), view["logits"]]

    @torch.no_grad()
    def _shown(self, batch: Batch) -> View:
        """Compute the model's view in eval mode; modes are restored."""
        with evaluating(self.student):
            return self._viewer(batch)


@method(
    "byot",
    family="self",
    paper="Zhang et al., ICCV 2019",
    arxiv="1905.08094",
    survey=(79,),
    tasks=("classes",),
    needs=("hidden",),
    teacher=False,
    space={"alpha": (0.003, 0.99)},
)
def byot(
    problem: Problem,
    *,
    alpha: float = 0.1,
    temperature: float = 3.0,
    beta: float = 0.07,
    exits: Sequence[str] | None = None,
    deepest: str | None = None,
) -> nn.Module:
    """Train the student with exits at hidden layers, taught by its own last answer; choose it without a teacher.

    "Be Your Own Teacher: Improve the Performance of Convolutional Neural Networks via Self Distillation", see
    ``Exits``, which also serves for anytime prediction by the exits: this method returns the student without them. The
    paper's alpha, T and lambda (here beta) are not known to us; these are from a third-party implementation, whose KL
    is a cross-entropy without T^2. Its lambda of 1e-6 multiplies a sum over 128 rows of 512 units, which is 0.07 times
    the mean.

    alpha: weight of the last answer as target; labels have 1 - alpha. exits: tap paths of hidden layers before their
    non-linearity, from the first to the last; by default the layer given as ``hidden``. deepest: tap path of the last
    features, which the exits' features are to match with weight ``beta``; by default the same layer. Costs one
    training.
    """
    student = problem.student
    hidden = str(problem.path_of(student))
    taps, last = [hidden] if exits is None else list(exits), hidden if deepest is None else deepest
    example = on_device(problem.first, problem.device)
    losses: dict[str, Any] = {"labels": problem.supervised(), "soft": problem.soft(temperature)}
    options: dict[str, Any] = {"deepest": last, "alpha": alpha, "beta": beta, "call": problem.call_of(student)}
    return problem.train(problem.made(lambda: Exits(student, taps, example, **losses, **options)))
