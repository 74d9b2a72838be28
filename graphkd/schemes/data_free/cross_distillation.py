"""A pruned network, one layer at a time, from few rows (cross distillation).

Bai, Wu, King and Lyu, "Few Shot Network Compression via Cross Distillation", AAAI 2020, arXiv:1911.09450.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.method import method
from graphkd.core.models import shown
from graphkd.core.problem import Problem
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_same_shape


class CrossTerms(NamedTuple):
    """The loss of one layer, and its two terms before their weights."""

    loss: Tensor
    correction: Tensor
    imitation: Tensor


def cross_distillation(
    student_input: Tensor, teacher_input: Tensor, student: Tensor, teacher: Tensor, mu: float = 0.6
) -> CrossTerms:
    """Regress one layer on rows of both nets: inputs (N, d_in), weights (d_out, d_in) -> loss and terms.

    mu |W_s h_t - W_t h_t|^2 + (1 - mu) |W_t h_s - W_s h_s|^2, each over N d_out. Correction: on the teacher's own rows
    the student's layer is to do as the teacher's. Imitation: on the rows that the student's layers below really give.
    Choose it to prune with few rows, where errors pile up from layer to layer; for a graph layer the inputs are
    aggregated rows, A h. Without a constraint on W_s its minimum is W_t: use it with a mask or a rank (``fit_masked``).
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

    Which of the two the paper calls alpha is not known to us; at alpha = beta = 1 it is plain regression of the layer.
    """
    check_same_shape(student_input, teacher_input)
    check_same_shape(student, teacher)
    mixed = alpha * student_input + (1 - alpha) * teacher_input
    wanted = beta * teacher_input + (1 - beta) * student_input
    return _mean_square(F.linear(mixed, student) - F.linear(wanted, teacher))


def _mean_square(x: Tensor) -> Tensor:
    """Over all entries; 0 where there are none."""
    return x.to(accumulation_dtype(x)).square().sum() / max(x.numel(), 1)


def fit_masked(student_input: Tensor, teacher_input: Tensor, teacher: Tensor, mask: Tensor, mu: float = 0.6) -> Tensor:
    """Find the exact minimiser of ``cross_distillation`` among weights that are 0 outside ``mask``: -> (d_out, d_in).

    Least squares on the second moments mu h_t^T h_t + (1 - mu) h_s^T h_s, which are added up once, in O(N d_in^2), in
    float64, since those of sparse features are nearly singular; mask: (d_out, d_in), or (d_in,) for pruned input
    channels. Inputs that do not determine a weight leave the one of least norm. The authors take gradient and proximal
    steps that find the mask too; here it is given, for example the largest weights of the teacher.
    """
    check_same_shape(student_input, teacher_input)
    mask = mask.expand_as(teacher)
    ours, theirs = student_input.double(), teacher_input.double()
    moments = mu * theirs.t() @ theirs + (1 - mu) * ours.t() @ ours
    wanted = teacher.double() @ moments
    found = torch.zeros_like(wanted)
    for row in range(teacher.size(0)):
        kept = mask[row].nonzero()[:, 0]
        if kept.numel():
            inverse = torch.linalg.pinv(moments[kept[:, None], kept], hermitian=True)
            found[row, kept] = inverse @ wanted[row, kept]
    return found.to(teacher.dtype)


@method(
    "cross_distillation",
    family="data_free",
    paper="Bai et al., AAAI 2020",
    arxiv="1911.09450",
    cannot={"student": "it prunes a copy of its teacher", "ensemble": "it prunes a copy of its teacher"},
    space={"kept": (0.05, 0.95), "mu": (0.02, 0.98)},
)
def prune(problem: Problem, *, kept: float = 0.5, mu: float = 0.6) -> nn.Module:
    """Prune the teacher and refit the weights that are left, layer by layer; choose it where few rows are at hand.

    Of every linear map the share ``kept`` of its largest weights stays; they are refitted by ``fit_masked``, exactly,
    on what the layer sees of the labelled rows in the pruned model so far and in the teacher. No training: no epochs,
    no optimiser, and labels are not read. What comes out is of the teacher's architecture, its zeros among its weights.
    Costs two passes over the data a layer.
    """
    for name, value in (("kept", kept), ("mu", mu)):
        if not 0 < value <= 1:
            raise ValueError(f"{name!r} must be above 0 and 1 at most, got {value}")
    pruned = problem.teacher_to_train().eval()
    weights = problem.once("weights", lambda: _refitted(problem, pruned, kept, mu))
    with torch.no_grad():
        for path, weight in weights.items():
            pruned.get_parameter(f"{path}.weight").copy_(weight)
    return pruned


@torch.no_grad()
def _refitted(problem: Problem, pruned: nn.Module, kept: float, mu: float) -> dict[str, Tensor]:
    """Weights of all linear maps, from the inputs on; ``pruned`` gets them as they are found."""
    model, found = problem.teacher.model, {}
    for path in [path for path, module in pruned.named_modules() if _is_linear(module)]:
        ours, theirs = (_inputs(problem, each, path) for each in (pruned, model))
        weight = model.get_parameter(f"{path}.weight")
        mask = weight.abs() >= weight.abs().flatten().quantile(1 - kept)
        found[path] = fit_masked(ours, theirs, weight, mask, mu)
        pruned.get_parameter(f"{path}.weight").copy_(found[path])
    return found


def _is_linear(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    return isinstance(weight, Tensor) and weight.dim() == 2 and not isinstance(module, nn.Embedding)


def _inputs(problem: Problem, model: nn.Module, path: str) -> Tensor:
    """What a layer sees of the labelled rows, (n, d_in)."""
    with shown(model, problem.call_of(problem.teacher), f"{path}:in") as show:
        rows = problem.gather(lambda batch: show(batch)["hidden"])
    return rows[problem.labelled_nodes.to(rows.device)]
