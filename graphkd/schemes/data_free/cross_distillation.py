"""Pruning of a network from few rows, one layer at a time (cross distillation).

Bai, Wu, King and Lyu, "Few Shot Network Compression via Cross Distillation", AAAI 2020, arXiv:1911.09450.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.method import method
from graphkd.core.models import shown
from graphkd.core.problem import Problem
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_same_shape


class CrossTerms(NamedTuple):
    """Loss of one layer, and its two terms before their weights."""

    loss: Tensor
    correction: Tensor
    imitation: Tensor


def cross_distillation(
    student_input: Tensor, teacher_input: Tensor, student: Tensor, teacher: Tensor, mu: float = 0.6
) -> CrossTerms:
    """Regress one layer on rows of both nets: inputs (N, d_in), weights (d_out, d_in) -> loss and terms.

    mu |W_s h_t - W_t h_t|^2 + (1 - mu) |W_t h_s - W_s h_s|^2, each over N d_out. The first term, correction, compares
    the layers on the teacher's inputs; the second, imitation, on the inputs that the student's lower layers really
    give. Choose it to prune with few rows, where errors accumulate from layer to layer; for a graph layer the inputs
    are aggregated rows, A h. Without a constraint on W_s the minimum is W_t: use it with a mask or a rank
    (``fit_masked``).
    """
    check_same_shape(student_input, teacher_input)
    check_same_shape(student, teacher)
    change = student - teacher
    correction, imitation = (_mean_square(F.linear(rows, change)) for rows in (teacher_input, student_input))
    return CrossTerms(mu * correction + (1 - mu) * imitation, correction, imitation)


def soft_cross_distillation(
    student_input: Tensor,
    teacher_input: Tensor,
    student: Tensor,
    teacher: Tensor,
    *,
    alpha: float = 0.9,
    beta: float = 0.9,
) -> Tensor:
    """Compute |W_s (a h_s + (1 - a) h_t) - W_t (b h_t + (1 - b) h_s)|^2 over N d_out, the form of mixed inputs.

    We do not know which of the two the paper calls alpha; alpha = beta = 1 is plain regression of the layer.
    """
    check_same_shape(student_input, teacher_input)
    check_same_shape(student, teacher)
    mixed = alpha * student_input + (1 - alpha) * teacher_input
    wanted = beta * teacher_input + (1 - beta) * student_input
    return _mean_square(F.linear(mixed, student) - F.linear(wanted, teacher))


def _mean_square(x: Tensor) -> Tensor:
    """Compute the mean of squares over all entries; 0 where there are none."""
    return x.to(accumulation_dtype(x)).square().sum() / max(x.numel(), 1)


def fit_masked(student_input: Tensor, teacher_input: Tensor, teacher: Tensor, mask: Tensor, mu: float = 0.6) -> Tensor:
    """Find the exact minimiser of ``cross_distillation`` among weights that are 0 outside ``mask``: -> (d_out, d_in).

    Least squares on the second moments mu h_t^T h_t + (1 - mu) h_s^T h_s, computed once in O(N d_in^2), in float64,
    since sparse features make them nearly singular; then O(d_in^3) per output. mask: (d_out, d_in), or (d_in,) for
    pruned input channels; ``proximal_mask`` finds one. Where the inputs do not determine the weights, the solution has
    the least norm.
    """
    check_same_shape(student_input, teacher_input)
    mask = mask.expand_as(teacher)
    moments = _moments(student_input, teacher_input, mu)
    wanted = teacher.double() @ moments
    found = torch.zeros_like(wanted)
    for row in range(teacher.size(0)):
        kept = mask[row].nonzero()[:, 0]
        if kept.numel():
            inverse = torch.linalg.pinv(moments[kept[:, None], kept], hermitian=True)
            found[row, kept] = inverse @ wanted[row, kept]
    return found.to(teacher.dtype)


def _moments(student_input: Tensor, teacher_input: Tensor, mu: float) -> Tensor:
    """Compute second moments of the rows of both nets, (d_in, d_in) float64."""
    ours, theirs = student_input.double(), teacher_input.double()
    return mu * theirs.t() @ theirs + (1 - mu) * ours.t() @ ours


@torch.no_grad()
def proximal_mask(
    student_input: Tensor,
    teacher_input: Tensor,
    teacher: Tensor,
    kept: float,
    mu: float = 0.6,
    *,
    columns: bool = False,
    steps: int = 300,
    step_size: float = 0.1,
) -> Tensor:
    """Select the weights of a layer to keep by gradient and proximal steps on ``cross_distillation``: -> (d_out, d_in).

    Starts from the teacher's weights. Each of ``steps`` steps of Adam, at a rate of ``step_size`` times their mean
    magnitude, is followed by a hard threshold: all but the largest weights, or with ``columns`` all but the columns of
    largest norm, become 0. The number that stays falls linearly from all to the share ``kept`` over the first third of
    the steps, as in the authors' code. Meanwhile redundant weights shrink, and weights that compensate for others grow;
    0 steps select the largest weights. We chose the step size by the remaining loss of layers with correlated inputs.
    Costs O(steps d_out d_in^2).
    """
    check_same_shape(student_input, teacher_input)
    weight = teacher.detach().to(accumulation_dtype(teacher), copy=True)
    moments = _moments(student_input, teacher_input, mu).to(weight.dtype) / max(student_input.size(0), 1)
    total = weight.size(1) if columns else weight.numel()
    goal, start = max(1, round(kept * total)), weight.clone()
    optimizer = torch.optim.Adam([weight], lr=step_size * float(start.abs().mean()))
    for step in range(steps):
        weight.grad = (weight - start) @ moments
        optimizer.step()
        left = max(0.0, 1 - (step + 1) / max(steps / 3, 1))
        weight *= _largest(weight, goal + int((total - goal) * left), columns=columns)
    return _largest(weight, goal, columns=columns)


def _largest(weight: Tensor, count: int, *, columns: bool) -> Tensor:
    """Make a mask of the ``count`` largest entries, or columns, (d_out, d_in)."""
    size = weight.square().sum(dim=0) if columns else weight.abs().flatten()
    mask = torch.zeros_like(size, dtype=torch.bool)
    mask[size.topk(count).indices] = True
    return mask.expand_as(weight) if columns else mask.view_as(weight)


@method(
    "cross_distillation",
    family="data_free",
    paper="Bai et al., AAAI 2020",
    arxiv="1911.09450",
    survey=(164,),
    cannot={
        "student": "it prunes a copy of its teacher",
        "ensemble": "it prunes a copy of its teacher",
        "sparse": "it fits layers to rows of the features",
    },
    space={"kept": (0.05, 0.95), "mu": (0.02, 0.98), "step_size": (0.01, 0.3)},
)
def prune(
    problem: Problem,
    *,
    kept: float = 0.5,
    mu: float = 0.6,
    columns: bool = False,
    steps: int = 300,
    step_size: float = 0.1,
) -> nn.Module:
    """Prune the teacher and refit the weights that are left, layer by layer; choose it where few rows are at hand.

    Each linear map keeps the share ``kept`` of its weights, or with ``columns`` of its columns: those that
    ``proximal_mask`` selects in ``steps`` steps (0: the largest). ``fit_masked`` then refits them exactly. Both use the
    layer's inputs for the labelled rows, in the teacher (weighted by ``mu``) and in the model as pruned so far; labels
    are not read, and there are no epochs. The result has the teacher's architecture, with zeros among its weights.
    Costs two passes over the data, and O(steps d_out d_in^2), per layer. Raises ValueError unless ``kept`` and ``mu``
    are in (0, 1].
    """
    for name, value in (("kept", kept), ("mu", mu)):
        if not 0 < value <= 1:
            raise ValueError(f"{name!r} must be above 0 and 1 at most, got {value}")
    pruned = problem.teacher_to_train().eval()
    search = {"columns": columns, "steps": steps, "step_size": step_size}
    weights = problem.once("weights", lambda: _refitted(problem, pruned, kept, mu, search))
    with torch.no_grad():
        for path, weight in weights.items():
            pruned.get_parameter(f"{path}.weight").copy_(weight)
    return pruned


@torch.no_grad()
def _refitted(problem: Problem, pruned: nn.Module, kept: float, mu: float, search: dict[str, Any]) -> dict[str, Tensor]:
    """Refit the weights of all linear maps, from the inputs on; ``pruned`` gets them as they are found."""
    model, found = problem.teacher.model, {}
    for path in [path for path, module in pruned.named_modules() if _is_linear(module)]:
        ours, theirs = (_inputs(problem, each, path) for each in (pruned, model))
        weight = model.get_parameter(f"{path}.weight")
        mask = proximal_mask(ours, theirs, weight, kept, mu, **search)
        found[path] = fit_masked(ours, theirs, weight, mask, mu)
        pruned.get_parameter(f"{path}.weight").copy_(found[path])
    return found


def _is_linear(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    return isinstance(weight, Tensor) and weight.dim() == 2 and not isinstance(module, nn.Embedding)


def _inputs(problem: Problem, model: nn.Module, path: str) -> Tensor:
    """Compute a layer's inputs for the labelled rows, (n, d_in)."""
    with shown(model, problem.call_of(problem.teacher), f"{path}:in") as show:
        rows = problem.gather(lambda batch: show(batch)["hidden"])
    return rows[problem.labelled_nodes.to(rows.device)]
