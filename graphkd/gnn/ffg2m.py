"""FF-G2M: an MLP learns from a graph neural network what neighbours share, and how they differ.

Wu, Lin, Huang, Fan and Li, "Extracting Low-/High-Frequency Knowledge from Graph Neural Networks and Injecting it into
MLPs: An Effective GNN-to-MLP Distillation Framework", AAAI 2023, arXiv:2305.10758.
"""

from __future__ import annotations

from torch import nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.gnn.glnn import check_label_weight, student_or_mlp
from graphkd.losses.graphs.high_frequency import HighFrequency
from graphkd.losses.graphs.low_frequency import LowFrequency


@method(
    "ffg2m",
    family="gnn",
    paper="Wu et al., AAAI 2023",
    arxiv="2305.10758",
    needs=("edges",),
    published={"epochs": 500, "patience": 50},
    student=False,
    space={"label_weight": (0.003, 0.99)},
)
def ffg2m_method(
    problem: Problem,
    *,
    label_weight: float = 0.1,
    temperature: float = 1.5,
    layers: int | None = None,
    width: int | None = None,
    dropout: float | None = None,
) -> nn.Module:
    """Match what neighbours share and how they differ; choose it for an MLP that is to answer as smoothly as a GNN.

    lambda CE(labelled) + (1 - lambda) (low + high frequency), lambda = ``label_weight``. Defaults of lambda and of the
    ``temperature`` of ``HighFrequency`` are those published for a GCN on CiteSeer. Give edges without self-loops:
    ``LowFrequency`` adds them. Edges are read in training alone; an MLP serves new nodes without them. O(E C) a step.
    The authors' loader row-normalises features, and their teacher and student have the same depth and width; both are
    left to the caller. layers, width, dropout: hidden layers of the MLP that is made if no student is given, by default
    1, 256 and 0.5.
    """
    check_label_weight(label_weight)
    student = student_or_mlp(problem, (layers, width, dropout), (1, 256, 0.5))
    losses = {
        "label": label_weight * problem.supervised(),
        "low": (1 - label_weight) * LowFrequency(self_loops=True),
        "high": (1 - label_weight) * HighFrequency(temperature),
    }
    return problem.train(problem.distiller(student, problem.teacher, losses))
