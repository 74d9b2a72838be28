"""Knowledge points of a student and its teacher: inputs that a hidden layer cannot do without.

Cheng, Rao, Chen and Zhang, "Explaining Knowledge Distillation by Quantifying the Knowledge", CVPR 2020,
arXiv:2003.03622.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.batches import changed, on_device
from graphkd.core.modes import evaluating
from graphkd.core.rng import seeded
from graphkd.core.teachers import Frozen
from graphkd.core.view import Batch, Call, Viewer
from graphkd.losses._checks import check_positive

_NORMAL = 0.5 * math.log(2 * math.pi * math.e)  # entropy of a normal variable of deviation 1, in nats
_SPAN = 10.0  # sigma is clamped to [scale / _SPAN**3, scale * _SPAN], scale the deviation of all features


@dataclass(frozen=True, eq=False)
class KnowledgePoints:
    """Knowledge points of one model: the entropy of every node's features in nats, and which are points, all (N, F).

    background: mask of the features that should not matter.
    """

    entropies: Tensor
    points: Tensor
    background: Tensor

    @property
    def foreground_count(self) -> int:
        """Count the points outside the background."""
        return int((self.points & ~self.background).sum())

    @property
    def background_count(self) -> int:
        """Count the points in the background."""
        return int((self.points & self.background).sum())

    @property
    def share(self) -> float:
        """Compute the share of the points in the foreground (the paper's lambda), NaN without any point."""
        total = int(self.points.sum())
        return self.foreground_count / total if total else math.nan

    def overlap(self, other: KnowledgePoints) -> float:
        """Compute the Jaccard index of the foreground's points with those of another model, 1 where neither has any."""
        own, others = (each.points & ~each.background for each in (self, other))
        union = int((own | others).sum())
        return int((own & others).sum()) / union if union else 1.0


@dataclass(frozen=True, eq=False)
class Knowledge:
    """Knowledge points of a student, of its teacher, and of snapshots of the student at earlier times."""

    student: KnowledgePoints
    teacher: KnowledgePoints
    snapshots: tuple[KnowledgePoints, ...] = ()

    @property
    def overlap(self) -> float:
        """Compute the Jaccard index of the student's points with the teacher's."""
        return self.student.overlap(self.teacher)

    @property
    def stability(self) -> tuple[float, ...]:
        """Compute the Jaccard index of each snapshot's points with the next one's, the last one the final student's."""
        line = [*self.snapshots, self.student]
        return tuple(one.overlap(other) for one, other in pairwise(line))

    @property
    def kept(self) -> float:
        """Compute the share of all points the student ever had that it still has (the paper's rho); 1 without any.

        The lower, the more detours there were.
        """
        line = [each.points & ~each.background for each in (*self.snapshots, self.student)]
        ever = int(torch.stack(line).any(dim=0).sum())
        return self.student.foreground_count / ever if ever else 1.0

    def plot(self) -> Any:
        """Draw the point counts of snapshots, student and teacher, and both models' entropies: a figure of matplotlib.

        ``figure.savefig("knowledge.png")`` saves it. Raises ImportError without matplotlib.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError("plot() draws by matplotlib: pip install matplotlib") from error
        named = {f"{place}": each for place, each in enumerate(self.snapshots, 1)}
        named |= {"student": self.student, "teacher": self.teacher}
        figure = Figure(figsize=(8, 3), layout="constrained")
        counts, entropies = figure.subplots(1, 2)
        fore, back = (
            [getattr(each, f"{part}_count") for each in named.values()] for part in ("foreground", "background")
        )
        counts.bar(list(named), fore, label="foreground")
        counts.bar(list(named), back, bottom=fore, label="background")
        counts.set(ylabel="knowledge points", title=f"overlap with the teacher {self.overlap:.2f}")
        counts.legend()
        for name in ("student", "teacher"):
            entropies.hist(named[name].entropies.flatten().tolist(), bins=40, histtype="step", label=name)
        entropies.set(xlabel="entropy of a feature in nats", ylabel="features of nodes")
        entropies.legend()
        return figure


def quantify_knowledge(
    student: nn.Module,
    teacher: nn.Module | Frozen,
    batch: Batch,
    hidden: str | tuple[str, str],
    *,
    snapshots: Sequence[nn.Module] = (),
    background: Tensor | None = None,
    threshold: float = 0.2,
    call: Call | tuple[Call | None, Call | None] | None = None,
    **search: Any,
) -> Knowledge:
    """Count the knowledge points of a student and its teacher in the features of a graph's nodes.

    A feature i of a node is a point where mean_background(H) - H_i > threshold; H_i, see ``input_entropies``, measures
    how much of the feature may be lost before the hidden layer changes. According to the paper a distilled student has
    more points in the foreground than one trained on labels alone, learns them simultaneously, and forgets fewer;
    ``Knowledge`` has these numbers.

    hidden: tap path of the layer, one for both or (student, teacher); the last layer's path selects the answers.
    snapshots: copies of the student at earlier times, the earliest first. background: mask (N, F) or (F,) of features
    that should not matter, such as noise; by default none, and the mean is over all features. threshold: in nats, the
    paper's b. call: replaces the by-name call, one for both or (student, teacher); a ``Frozen`` teacher has its own.
    search: options of ``input_entropies``.

    In the paper inputs are pixels of images, and the background lies outside of the object's box. The paper also
    measures, over images, at which epoch points appear; here ``stability`` compares snapshots. Costs one call of
    ``input_entropies`` per model. Raises ValueError for a background of another shape or of all features, TypeError for
    a teacher that is not a single model.

    Example::

        found = quantify_knowledge(student, teacher, data, ("lins.0", "convs.0"), background=is_noise)
        found.student.foreground_count, found.teacher.foreground_count, found.overlap
        found.plot().savefig("knowledge.png")
    """
    model = teacher.model if isinstance(teacher, Frozen) and hasattr(teacher, "model") else teacher
    if not isinstance(model, nn.Module):
        raise TypeError(f"'teacher' must be a model to ask for gradients, got {type(teacher).__name__}")
    paths = hidden if isinstance(hidden, tuple) else (hidden, hidden)
    calls = call if isinstance(call, tuple) else (call, call)
    if isinstance(teacher, Frozen):
        calls = calls[0], teacher.call
    shade = _background(batch["x"], background)
    sides = [(each, 0) for each in (*snapshots, student)] + [(model, 1)]
    found = []
    for each, side in sides:
        entropies = input_entropies(each, batch, paths[side], call=calls[side], **search)
        usual = entropies[shade].mean() if bool(shade.any()) else entropies.mean()
        found.append(KnowledgePoints(entropies, usual - entropies > threshold, shade))
    return Knowledge(found[-2], found[-1], tuple(found[:-2]))


def _background(x: Tensor, mask: Tensor | None) -> Tensor:
    """Return the background as a mask (N, F)."""
    if mask is None:
        return torch.zeros(x.shape, dtype=torch.bool)
    if mask.dtype != torch.bool or mask.shape not in (x.shape, x.shape[1:]):
        raise ValueError(
            f"'background' must be a boolean mask of shape {tuple(x.shape)} or {tuple(x.shape[1:])}, got {mask.dtype} "
            f"of shape {tuple(mask.shape)}"
        )
    if bool(mask.all()):
        raise ValueError("'background' must leave some features, got all of them")
    return mask.cpu().expand(x.shape)


def input_entropies(
    model: nn.Module,
    batch: Batch,
    hidden: str,
    *,
    tolerance: float = 0.1,
    steps: int = 300,
    rate: float = 0.1,
    seed: int = 0,
    call: Call | None = None,
) -> Tensor:
    """Measure how much of each input a hidden layer can do without, by the entropy of noise it tolerates: -> (N, F).

    Every feature of every node gets normal noise with a deviation sigma of its own, of entropy H = log sigma + 1/2
    log(2 pi e) nats. H grows while the layer f stays near its unperturbed value: ``steps`` steps of Adam, at a rate
    that falls from ``rate`` to a hundredth of it, minimise

        E ||f(x + sigma z) - f(x)||^2 / V - 2 tolerance mean H, z ~ N(0, 1),

    a mean over nodes, with V the variance of f over nodes, summed over the layer's units. For a linear f the first term
    is ``tolerance`` at the minimum, the share of the layer's variance that may be lost, whatever the model's scale. The
    paper has the variance of f under very small noise in place of V, and alpha = 2 tolerance. Each step draws z and -z.
    sigma is clamped to between 1/1000 and 10 times the deviation of all features, since that of an unread feature would
    grow without bound. The model is in eval mode, and draws depend on ``seed`` alone. Features of all nodes are
    perturbed at once, since layers of a graph read neighbours' features. Costs 2 passes forward and backward per step,
    O(N F) memory. Raises ValueError for a layer whose output is the same for all nodes.
    """
    check_positive("tolerance", tolerance)
    check_positive("steps", steps)
    device = next((parameter.device for parameter in model.parameters()), batch["x"].device)
    batch, viewer = on_device(batch, device), Viewer(model, taps={"hidden": hidden}, call=call)
    x: Tensor = batch["x"]
    scale = float(x.std()) or 1.0
    with evaluating(model), seeded(seed), torch.enable_grad():
        want = viewer(batch)["hidden"].detach()
        spread = (want - want.mean(dim=0)).square().sum()
        if not float(spread) > 0:
            raise ValueError(f"the layer {hidden!r} must tell nodes apart, it shows the same of all of them")
        logs = torch.full_like(x, math.log(scale / _SPAN), requires_grad=True)
        optimizer = torch.optim.Adam([logs], lr=rate)
        falling = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, steps)
        for _ in range(steps):
            noise = logs.exp() * torch.randn_like(x)
            sides = (viewer(changed(batch, x=x + each))["hidden"] for each in (noise, -noise))
            error = torch.stack([(side - want).square().sum() for side in sides]).mean() / spread
            (logs.grad,) = torch.autograd.grad(error - 2 * tolerance * logs.mean(), [logs])
            optimizer.step()
            falling.step()
            logs.data.clamp_(math.log(scale / _SPAN**3), math.log(scale * _SPAN))
    return logs.detach().cpu() + _NORMAL
