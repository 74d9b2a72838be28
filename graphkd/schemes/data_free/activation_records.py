"""Records of activations, and inputs synthesised from them in place of the teacher's training data.

Lopes, Fenu and Starner, "Data-Free Knowledge Distillation for Deep Neural Networks", 2017, arXiv:1710.07535.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.batches import count_rows
from graphkd.core.cached import Cached
from graphkd.core.method import method
from graphkd.core.modes import evaluating
from graphkd.core.problem import Problem
from graphkd.core.view import Call, Viewer
from graphkd.losses._checks import check_positive


@dataclass(frozen=True)
class Record:
    """Mean (d,) and a factor L (d, d) of the covariance L L^T of a layer's activations on the training data.

    Store it with a teacher whose data you must not store. It is no guarantee of privacy: statistics leak too.
    """

    mean: Tensor
    factor: Tensor

    @classmethod
    def of(cls, activations: Tensor) -> Record:
        """Record activations (N, d); the factor is the covariance's symmetric root, of any rank."""
        if activations.dim() != 2 or activations.size(0) < 2:
            raise ValueError(f"'activations' must be (N, d), N from 2, got {tuple(activations.shape)}")
        width = activations.size(1)
        values, vectors = torch.linalg.eigh(activations.t().cov().reshape(width, width))  # of one column it is a number
        return cls(activations.mean(dim=0), vectors * values.clamp_min(0).sqrt() @ vectors.t())

    def sample(self, noise: Tensor) -> Tensor:
        """Compute target activations mean + L n of normal noise n, (N, d); the authors' code has L L^T for L."""
        return self.mean + noise @ self.factor.t()


def activation_loss(activations: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor:
    """Compute mean (relu(target) - relu(activation))^2 over all entries of a layer, summed over layers: (N, d) each."""
    missing = sorted(set(targets) - set(activations))
    if missing:
        raise ValueError(f"'activations' must have the layers {sorted(targets)}, {missing} are missing")
    errors = [(target.relu() - activations[name].relu()).square().mean() for name, target in targets.items()]
    return torch.stack(errors).sum()


def reconstruct(
    teacher: nn.Module,
    records: Mapping[str, Record],
    taps: Mapping[str, str],
    shape: tuple[int, ...],
    *,
    steps: int = 200,
    lr: float = 0.05,
    seed: int = 0,
    edge_index: Tensor | None = None,
    call: Call | None = None,
    mean: float | Tensor = 0.0,
    deviation: float | Tensor = 1.0,
    bound: float = 3.0,
) -> Tensor:
    """Synthesise inputs ``x`` whose activations resemble the records of the training data, by Adam from Gaussian noise.

    taps: name of a record -> tap path of the layer in the teacher; "logits" needs none. shape: of ``x``, (N, F). steps,
    lr: of Adam. edge_index: edges between the rows, for a teacher whose ``forward`` takes them; by default none. call:
    replaces the by-name call of the teacher, which is evaluated in eval mode and restored. mean, deviation: of the
    data's features, of all (a number) or of each, (d,), by default those of standardised ones. Rows start from this
    normal distribution and stay within ``bound`` deviations of the mean, since features that the records do not
    determine would diverge. Returns ``x``. Raises ValueError unless ``bound`` is above 0.
    """
    check_positive("bound", bound)
    generator = torch.Generator().manual_seed(seed)
    like = next(iter(records.values())).mean
    middle, spread = (torch.as_tensor(value, dtype=like.dtype, device=like.device) for value in (mean, deviation))

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator, dtype=like.dtype).to(like.device)

    x = middle + spread * normal(*shape)
    least, most = middle - bound * spread, middle + bound * spread
    targets = {name: record.sample(normal(shape[0], record.mean.numel())) for name, record in records.items()}
    viewer, batch = Viewer(teacher, taps=taps, call=call), _rows(x, edge_index)
    x.requires_grad_()
    optimizer = torch.optim.Adam([x], lr=lr)
    with evaluating(teacher):
        for _ in range(steps):
            loss = activation_loss(viewer(batch), targets)
            (x.grad,) = torch.autograd.grad(loss, [x])
            optimizer.step()
            x.data.clamp_(least, most)
    return x.detach()


def _rows(x: Tensor, edge_index: Tensor | None = None) -> dict[str, Tensor]:
    """Make a batch of synthetic rows, by default without edges."""
    edges = torch.empty(2, 0, dtype=torch.long, device=x.device) if edge_index is None else edge_index
    return {"x": x, "edge_index": edges}


@method(
    "activation_records",
    family="data_free",
    paper="Lopes, Fenu and Starner, 2017",
    arxiv="1710.07535",
    survey=(165, 166),
    tasks=("node_classification", "regression"),
    needs=("hidden",),
    cannot={
        "sparse": "it keeps single rows of the features",
        "ensemble": "inputs are made by gradients through its teacher's model",
        "heterogeneous": "it makes features 'x' of nodes of one type",
    },
)
def activation_records(
    problem: Problem, *, rows: int = 500, steps: int = 200, step_size: float = 0.05, temperature: float = 4.0
) -> nn.Module:
    """Learn a teacher's answers to inputs made from records of its activations; choose it where its data are gone.

    The teacher's owner stores a ``Record`` (mean and covariance over the data) of the logits and of the hidden layer,
    and mean and deviation of each feature; nothing else of the data is read. From these ``reconstruct`` makes ``rows``
    inputs without edges, on the scale of the features, in ``steps`` steps of Adam; ``step_size`` is its rate as a share
    of the features' mean deviation. The student learns the teacher's soft targets on these inputs, to the last epoch.
    Labels are not used. Costs two passes over the data, ``steps`` through the teacher, and a training on ``rows`` rows.
    """
    teacher, path = problem.teacher, problem.path_of(problem.teacher)
    model, call = teacher.model, problem.call_of(teacher)

    def make() -> Tensor:
        seen = problem.gather(lambda batch: torch.ones(count_rows(batch), dtype=torch.bool))
        views = {name: problem.view_of(teacher, name) for name in ("logits", "hidden")}
        records = {name: Record.of(view[seen.to(view.device)]) for name, view in views.items()}
        x = problem.values_of("x")[seen]
        shape, taps = (rows, problem.features), {"hidden": str(path)}
        scale: dict[str, Any] = {"mean": x.mean(dim=0), "deviation": x.std(dim=0, correction=0)}
        scale["lr"] = step_size * float(scale["deviation"].mean())
        return reconstruct(model, records, taps, shape, steps=steps, seed=problem.seed, call=call, **scale)

    made = _rows(problem.once("made", make))
    distiller = problem.distiller(problem.student, Cached(model, made, call=call), problem.soft(temperature))
    return problem.train(distiller, data=made, choose=False)
