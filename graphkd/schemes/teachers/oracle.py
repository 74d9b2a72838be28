"""Oracle distillation: only the members of an ensemble that are right about a row teach it.

Kang, Mun and Han, "Towards Oracle Knowledge Distillation with Neural Architecture Search", AAAI 2020, arXiv:1911.13019.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses._checks import check_positive
from graphkd.schemes.augment import told
from graphkd.schemes.teachers._combine import oracle_weights, soft_target

Train = Callable[..., nn.Module]


@method(
    "oracle", family="teachers", paper="Kang et al., AAAI 2020", arxiv="1911.13019", survey=(197,), needs=("teachers",)
)
def oracle(
    problem: Problem,
    *,
    temperature: float = 3.0,
    weight: float = 1.0,
    candidates: Sequence[nn.Module] | None = None,
    budget: int | None = None,
    trials: int = 12,
    early: int = 20,
    rate: float = 10.0,
) -> nn.Module:
    """Learn the labels, and from the teachers that are right about a labelled row; choose it where errors differ.

    The loss is ``oracle_kd``. Rows without a label are not used, since it is unknown which teachers are right about
    them; a row that no teacher gets right has its label alone (our reading). The paper searches the student too, since
    one that is to know what an ensemble knows may need more capacity than a member. With ``candidates`` the student is
    chosen among itself and these models, which are called as it is, of at most ``budget`` bytes of parameters (None:
    any). In each of ``trials`` trials a policy draws one and trains it for ``early`` more epochs (unless the user gives
    ``epochs``); its accuracy on validation rows is the reward, from which the policy learns at ``rate``. Last, the
    model that the policy prefers is trained. The paper's controller composes operations that share weights, ours draws
    whole models; the numbers of search and loss are ours, the paper's are not known to us. See also ``guided_search``.
    Raises ValueError where ``budget`` excludes all models, and for ``candidates`` without validation rows.
    """
    data, share = _told(problem, temperature)
    losses = {"labels": problem.supervised(), "oracle": weight * share * problem.soft(temperature, where="right")}

    def train(model: nn.Module, name: str, **options: Any) -> nn.Module:
        found: nn.Module = problem.train(problem.distiller(model, told("told"), losses), name, data, **options)
        return found

    if candidates is None:
        return train(problem.student, "student")
    models = _within(budget, [problem.student, *candidates])
    return train(_liked_best(problem, models, train, trials, early, check_positive("rate", rate)), "student")


def _told(problem: Problem, temperature: float) -> tuple[Any, float]:
    """Add the right teachers' mean to the data, and which labelled rows have one; also return the share of these."""
    answers = torch.stack([problem.view_of(teacher) for teacher in problem.teachers])
    labels = problem.targets.to(answers.device)
    labelled, weights = problem.values_of(problem.labelled).to(answers.device), oracle_weights(answers, labels)
    right = labelled & weights.any(dim=0)
    target = torch.zeros_like(answers[0])
    target[right] = soft_target(answers[:, right], temperature, weights=weights[:, right]).to(target.dtype)
    return problem.with_values(told=target, right=right), float(right.sum() / labelled.sum())


def _within(budget: int | None, models: Sequence[nn.Module]) -> list[nn.Module]:
    """Select the models whose parameters take so many bytes at most."""
    sizes = [sum(p.numel() * p.element_size() for p in model.parameters()) for model in models]
    found = [model for model, size in zip(models, sizes, strict=True) if budget is None or size <= budget]
    if not found:
        raise ValueError(f"'budget' must hold one of the models, of {sizes} bytes, got {budget}")
    return found


def _liked_best(
    problem: Problem, models: Sequence[nn.Module], train: Train, trials: int, early: int, rate: float
) -> nn.Module:
    """Draw models, train them a little, and learn from their scores by REINFORCE, less the mean of those before."""
    if trials < 1 or early < 1:
        raise ValueError(f"'trials' and 'early' must be at least 1, got {trials} and {early}")
    if not problem.task.has("val", problem.data):
        raise ValueError("'candidates' must be None where the data have no validation rows to choose by")
    draws = problem.once("draws", partial(torch.rand, trials, dtype=torch.float64))
    liking, rewards = torch.zeros(len(models), dtype=torch.float64), []
    for number, draw in enumerate(draws.tolist(), 1):
        chances = liking.softmax(dim=0)
        place = int((chances.cumsum(dim=0) < draw).sum().clamp(max=len(models) - 1))
        model = train(models[place], f"trial-{number}", epochs=early, patience=None, choose=False)
        rewards.append(problem.score(model))
        gain = rewards[-1] - sum(rewards) / number
        liking = liking + rate * gain * (F.one_hot(torch.tensor(place), len(models)) - chances)
    return models[int(liking.argmax())]
