"""EWC: tasks learnt one after another, with a penalty on changes of weights that earlier tasks need.

Kirkpatrick et al., "Overcoming Catastrophic Forgetting in Neural Networks", PNAS 2017, arXiv:1612.00796.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.batches import batches, on_device
from graphkd.core.distiller import Distiller, Step
from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.modes import evaluating
from graphkd.core.problem import Problem
from graphkd.core.teachers import Frozen
from graphkd.core.view import Batch, Call, Viewer, names
from graphkd.core.where import Rows, Where
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_positive, choose

Fisher = Literal["empirical", "exact"]
Sequenced = Tensor | Sequence[Any]


class WeightMemory(NamedTuple):
    """Memory of the weights over the tasks so far: their values, and the diagonal of Fisher's information, (P,)."""

    anchor: Tensor
    fisher: Tensor

    def joined(self, other: WeightMemory) -> WeightMemory:
        """Merge with a later task's memory: its quadratic penalty is the sum of both penalties, up to a constant.

        A weight whose Fisher information is 0 in both gets the later anchor.
        """
        total = self.fisher + other.fisher
        share = torch.where(total > 0, other.fisher / total, 1.0)
        return WeightMemory(torch.lerp(self.anchor, other.anchor, share), total)


def ewc_penalty(student: Tensor, anchor: Tensor, fisher: Tensor) -> Tensor:
    """Penalise changes of weights that mattered, 1/2 sum_i F_i (theta_i - a_i)^2: (P,) three times -> scalar."""
    if not student.shape == anchor.shape == fisher.shape:
        shapes = [tuple(each.shape) for each in (student, anchor, fisher)]
        raise ValueError(f"'anchor' and 'fisher' must hold a number for each of the student's weights, got {shapes}")
    return 0.5 * (fisher * (student - anchor).square()).sum()


def trained_weights(model: nn.Module) -> Tensor:
    """Return the trained weights of a model as one vector, in the order of ``parameters()``: (P,)."""
    found = [parameter.flatten() for parameter in model.parameters() if parameter.requires_grad]
    if not found:
        raise ValueError(f"'student' must have parameters to train, {type(model).__name__} has none")
    return torch.cat([each.to(accumulation_dtype(each)) for each in found])


def fisher_diagonal(
    student: nn.Module,
    data: Batch | Iterable[Batch],
    *,
    fisher: Fisher = "exact",
    where: Where | None = None,
    targets: Callable[[Any], Tensor] = lambda batch: batch["y"],
    samples: int | None = None,
    call: Call | None = None,
) -> Tensor:
    """Compute the diagonal of the Fisher information of a classifier's trained weights, the mean over rows, (P,).

    "empirical": F_i = mean_n (d log p(y_n | x_n) / d theta_i)^2 for the labels y_n; near 0 on rows that the model has
    memorised. "exact": its expectation over the model's own predictions, mean_n sum_c p(c | x_n) (d log p(c | x_n) / d
    theta_i)^2, which needs no labels and is the Fisher information, as in the paper. The model is in eval mode.

    where: selects the rows, as in a ``Loss``. targets: batch -> labels, (n,), for "empirical". samples: maximum number
    of rows, drawn at random within each batch until there are enough. call: replaces the by-name call. Costs one
    backward pass per row, times the classes for "exact", since rows of a graph depend on each other; O(P) memory beside
    that of one batch. Raises ValueError where no row is selected.
    """
    choose("fisher", fisher, Fisher)
    viewer = Viewer(student, call=call)
    total, count = torch.zeros_like(trained_weights(student)), 0
    with evaluating(student), torch.enable_grad():
        for batch in batches(data):
            here = on_device(batch, total.device)
            logs = _log_probabilities(viewer(here)["logits"])
            rows = Rows(where, here).of(torch.arange(logs.size(0), device=logs.device))
            left = None if samples is None else samples - count
            rows = rows[torch.randperm(rows.numel()).to(rows.device)][:left]
            total += _squares(student, logs[rows], None if fisher == "exact" else targets(here)[rows])
            count += rows.numel()
            if count == samples:
                break
    if not count:
        raise ValueError(f"Fisher's information is a mean over rows: where={where!r} must select some, got none")
    return total / count


def _log_probabilities(logits: Tensor) -> Tensor:
    return logits.to(accumulation_dtype(logits)).log_softmax(dim=-1)


def _squares(student: nn.Module, logs: Tensor, y: Tensor | None) -> Tensor:
    """Sum squared gradients of log-probabilities over rows, of labels, or of all classes weighted by probability."""
    parameters = [parameter for parameter in student.parameters() if parameter.requires_grad]
    total = torch.zeros_like(trained_weights(student))
    chances = logs.detach().exp() if y is None else F.one_hot(y, logs.size(1))
    for row, place in chances.nonzero().tolist():
        slopes = torch.autograd.grad(logs[row, place], parameters, retain_graph=True, materialize_grads=True)
        total += chances[row, place] * torch.cat([each.flatten().to(total.dtype) for each in slopes]).square()
    return total


class ElasticDistiller(Distiller):
    """Distil with a penalty on changes of weights that earlier tasks need; ``fit`` it.

    Adds ``weight`` times ``ewc_penalty`` between the student's weights and ``memory``, as the term "ewc". The memory is
    stored in buffers of the distiller. Costs O(P) per step. The student's buffers, such as batch norm's statistics, are
    not penalised. The other arguments are those of ``Distiller``.
    """

    anchor: Tensor
    fisher: Tensor

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module | Frozen | None = None,
        losses: Any = None,
        *,
        memory: WeightMemory,
        weight: float = 400.0,
        call: Call | None = None,
    ) -> None:
        super().__init__(student, teacher, losses, call=call)
        self.weight = weight
        self.register_buffer("anchor", memory.anchor)
        self.register_buffer("fisher", memory.fisher)

    def forward(self, batch: Batch) -> Step:
        """Compute the losses of the batch and the penalty."""
        step = super().forward(batch)
        penalty = ewc_penalty(trained_weights(self.student), self.anchor, self.fisher)
        held = self.weight * penalty
        self.note({"ewc": held})
        return Step(step.loss + held, {**step.terms, "ewc": penalty.detach()})


@method(
    "ewc",
    family="continual",
    paper="Kirkpatrick et al., PNAS 2017",
    arxiv="1612.00796",
    survey=(26,),
    needs=("sequence",),
    teacher=False,
)
def ewc(
    problem: Problem, *, sequence: Sequenced, weight: float = 400.0, fisher: Fisher = "exact", samples: int = 200
) -> nn.Module:
    """Learn tasks one after another, and keep weights that earlier ones need; choose it where labels come task by task.

    Labels of earlier tasks need not be stored: the student that has learnt the last task should still know the first. A
    task's loss is that of its labels plus ``weight`` times sum_k 1/2 sum_i F_ki (theta_i - a_ki)^2 over the earlier
    tasks k; a_k are the weights at the end of task k, F_k their ``fisher_diagonal`` on ``samples`` of its rows. The sum
    is stored as one quadratic (``WeightMemory``), in O(P) memory for any number of tasks. 400 is the paper's weight for
    Atari games, whose losses have another scale: tune it.

    sequence: the tasks in order. Either a tensor (N,) with each node's task, 0, 1 ... or -1 for none, of which the
    labelled nodes are learnt; or a list whose items are names of entries of ``data`` that select the nodes to learn (a
    mask or node ids), or graphs or loaders. fisher: "exact" takes the expectation over predictions, where the paper
    draws them; "empirical" takes the labels, and is near 0, so without effect, on rows that the student has memorised.
    Every task is trained to its last epoch, since validation rows belong to past and future tasks too;
    ``result.scores`` are measured on ``data``, over all tasks in it. Costs one training per task and, except for the
    last task, ``samples`` backward passes, times the classes for "exact".

    Raises ValueError for a ``sequence`` of the wrong length or values, for names that the data do not have, and for a
    task without labelled rows; TypeError for any other type of ``sequence``.

    Example::

        graphkd.distil("ewc", student, None, data, sequence=["train_mask_1", "train_mask_2"], weight=1000.0)
    """
    check_positive("samples", samples)
    student, memory = problem.student, None
    tasks = _tasks(problem, sequence)
    for number, (data, where) in enumerate(tasks, 1):
        losses, call = problem.supervised(where), problem.call_of(student)
        trainable = problem.distiller(student, None, losses)
        if memory is not None:
            trainable = ElasticDistiller(student, None, losses, memory=memory, weight=weight, call=call)
        problem.train(trainable, f"task-{number}", data, choose=False)
        if number < len(tasks):
            found = _learnt(problem, data, losses, f"fisher-{number}", fisher, samples)
            memory = found if memory is None else memory.joined(found)
    return student


def _learnt(problem: Problem, data: Any, losses: Loss, name: str, fisher: Fisher, samples: int) -> WeightMemory:
    """Compute the memory of the task that the student has just learnt."""
    student, targets, call = problem.student, problem.task.targets, problem.call_of(problem.student)

    def made() -> Tensor:
        where = losses.where
        return fisher_diagonal(student, data, fisher=fisher, where=where, targets=targets, samples=samples, call=call)

    anchor = trained_weights(student).detach().clone()
    found: Tensor = problem.once(name, made)
    return WeightMemory(anchor, found.to(anchor.device))


def _tasks(problem: Problem, sequence: Sequenced) -> list[tuple[Any, str]]:
    """List each task's data and the name of its entry that selects the rows whose labels are learnt."""
    if isinstance(sequence, Tensor):
        return [(problem.with_values(learnt=mask), "learnt") for mask in _masks(problem, sequence)]
    if not isinstance(sequence, (list, tuple)) or any(isinstance(each, Tensor) for each in sequence):
        kind = "a list of tensors" if isinstance(sequence, (list, tuple)) else type(sequence).__name__
        raise TypeError(f"'sequence' must be a tensor (N,), or a list of names of masks, graphs or loaders, got {kind}")
    found: list[tuple[Any, str]] = []
    for each in sequence:
        if not isinstance(each, str):
            found.append((problem.task.prepare(each), problem.labelled))
        elif each in problem.first:
            found.append((problem.data, each))
        else:
            raise ValueError(f"'sequence' must name entries of the data, {names(problem.first)}, got {each!r}")
    if not found:
        raise ValueError("'sequence' must hold one task at least, got none")
    return found


def _masks(problem: Problem, sequence: Tensor) -> list[Tensor]:
    """Return the labelled nodes of each task, (N,)."""
    if sequence.dim() != 1 or sequence.is_floating_point() or sequence.size(0) < problem.nodes:
        raise ValueError(
            f"'sequence' must hold an integer for each of {problem.nodes} nodes, 0 for the first task, 1, 2 ... for "
            f"those after it and -1 for none, got {sequence.dtype} of shape {tuple(sequence.shape)}"
        )
    labelled = problem.values_of(problem.labelled)
    place = sequence[: problem.nodes].to(labelled.device)
    masks = [labelled & (place == number) for number in range(int(place.max()) + 1 if place.numel() else 0)]
    counts = [int(mask.sum()) for mask in masks]
    if not counts or min(counts) == 0:
        raise ValueError(f"'sequence' must give each task from 0 on labelled nodes, got {counts} of them")
    return masks
