"""Oracle distillation: only the members of an ensemble that are right about a row teach it.

Kang, Mun and Han, "Towards Oracle Knowledge Distillation with Neural Architecture Search", AAAI 2020, arXiv:1911.13019.
"""

from __future__ import annotations

import torch
from torch import nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.schemes.augment import told
from graphkd.schemes.teachers._combine import oracle_weights, soft_target


@method("oracle", family="teachers", paper="Kang et al., AAAI 2020", arxiv="1911.13019", needs=("teachers",))
def oracle(problem: Problem, *, temperature: float = 3.0, weight: float = 1.0) -> nn.Module:
    """Learn the labels, and from the teachers that are right about a labelled row; choose it where they err apart.

    ``oracle_kd`` is its loss. Rows without a label teach nothing here, since nobody knows who is right about them; a
    row that no teacher gets right has its label alone (our reading). Together with ``guided_search`` over widths and
    depths it stands for the paper's search by a learnt controller.
    """
    answers = torch.stack([problem.view_of(teacher) for teacher in problem.teachers])
    labels = problem.targets.to(answers.device)
    labelled, weights = problem.values_of(problem.labelled).to(answers.device), oracle_weights(answers, labels)
    right = labelled & weights.any(dim=0)
    target = torch.zeros_like(answers[0])
    target[right] = soft_target(answers[:, right], temperature, weights=weights[:, right]).to(target.dtype)
    share = float(right.sum() / labelled.sum())
    losses = {"labels": problem.supervised(), "oracle": weight * share * problem.soft(temperature, where="right")}
    data = problem.with_values(told=target, right=right)
    return problem.train(problem.distiller(problem.student, told("told"), losses), data=data)
