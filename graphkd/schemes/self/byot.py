"""Be your own teacher: exits at hidden layers, taught by the model's own last answer.

Zhang, Song, Gao, Chen, Bao and Ma, "Be Your Own Teacher: Improve the Performance of Convolutional Neural Networks via
Self Distillation", ICCV 2019, arXiv:1905.08094.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.distiller import Step
from graphkd.core.trainable import Trainable
from graphkd.core.view import Batch, Call, Viewer
from graphkd.losses._checks import check_same_shape
from graphkd.losses.response.ce import CE
from graphkd.losses.response.kd import KL


def exit_hint(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared difference where either side is positive, summed over rows and units: (N, d), (N, d) -> scalar."""
    check_same_shape(student, teacher)
    return ((student - teacher).square() * ((student > 0) | (teacher > 0))).sum()


class Exit(nn.Module):
    """A bottleneck to the width of the deepest features, and a classifier on them."""

    def __init__(self, width: int, deepest: int, classes: int) -> None:
        super().__init__()
        self.bottleneck = nn.Sequential(nn.ReLU(), nn.Linear(width, deepest), nn.ReLU())
        self.classify = nn.Linear(deepest, classes)

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """(N, d_k) -> features (N, d_K) and logits (N, C)."""
        features = self.bottleneck(hidden)
        return features, self.classify(features)


class Exits(Trainable):
    """A model with an exit at each of some hidden layers; ``fit`` it, and it gives back the model, without its exits.

    sum_k [(1 - alpha) CE(z_k) + alpha T^2 KL(p_K || p_k) + beta hint(f_k, f_K)] + CE(z_K): z_K the model's logits,
    p_K and f_K constant; z_k from f_k, of layer k by a bottleneck (``exit_hint``). Choose it where no teacher is at
    hand, or for anytime prediction: ``answers`` gives what each exit says, so that a shallow one can be used alone.

    taps: paths of hidden layers before their non-linearity, from the first to the last. deepest: that of f_K; without
    it there is no hint. example: a batch, to learn the widths from. where: the labelled rows. The paper's alpha, T and
    lambda (here beta) are not known to us; 0.1, 3 and 1e-6 are those of a code of others, whose KL is a cross-entropy
    without T^2. Costs the exits alone: the model is run once.
    """

    def __init__(
        self,
        model: nn.Module,
        taps: Sequence[str],
        example: Batch,
        *,
        deepest: str | None = None,
        alpha: float = 0.1,
        temperature: float = 3.0,
        beta: float = 1e-6,
        where: str | None = "train_mask",
        call: Call | None = None,
    ) -> None:
        super().__init__()
        if not taps or not 0 <= alpha <= 1:
            raise ValueError(f"'taps' must name one layer at least and 'alpha' be in [0, 1], got {taps} and {alpha}")
        self.student, self.alpha, self.beta, self.deepest = model, alpha, beta, deepest
        self.labels, self.soft = CE(where=where), KL(temperature)
        self._names = [f"exit_{k}" for k in range(len(taps))]
        paths: Mapping[str, str] = dict(zip(self._names, taps, strict=True))
        self._taps, self._call = (paths if deepest is None else {**paths, "deepest": deepest}), call
        self._viewer = self.hold(Viewer(model, taps=self._taps, call=call))
        with torch.no_grad():
            view = self._viewer(example)
        classes, widths = view["logits"].size(1), [view[name].size(1) for name in self._names]
        last = widths[-1] if deepest is None else view["deepest"].size(1)
        self.exits = nn.ModuleList(Exit(width, last, classes) for width in widths)

    def forward(self, batch: Batch) -> Step:
        """The losses of all exits; terms ``label``, and ``label_exit_0``, ``soft_exit_0``, ``hint_exit_0``, ..."""
        view = self._viewer(batch)
        constant = {name: tensor.detach() for name, tensor in view.items()}
        values = {"label": (1.0, self.labels.measure(view, None, batch))}
        for name, leave in zip(self._names, self.exits, strict=True):
            features, logits = leave(view[name])
            shown = {"logits": logits}
            values[f"label_{name}"] = 1 - self.alpha, self.labels.measure(shown, None, batch)
            values[f"soft_{name}"] = self.alpha, self.soft.measure(shown, constant["logits"], batch)
            if self.deepest is not None:
                values[f"hint_{name}"] = self.beta, exit_hint(features, constant["deepest"].relu())
        found = {name: (weight, value) for name, (weight, value) in values.items() if value is not None}
        total: Any = sum(weight * value for weight, value in found.values())
        return Step(total, {name: value.detach() for name, (_, value) in found.items()})

    @torch.no_grad()
    def answers(self, batch: Batch) -> list[Tensor]:
        """The logits of every exit, the model's own last, in eval mode: (N, C) each; after ``fit`` too."""
        training, viewer = self.training, Viewer(self.student, taps=self._taps, call=self._call)
        self.eval()
        try:
            view = viewer(batch)
            early = [leave(view[name])[1] for name, leave in zip(self._names, self.exits, strict=True)]
            return [*early, view["logits"]]
        finally:
            viewer.close()
            self.train(training)
