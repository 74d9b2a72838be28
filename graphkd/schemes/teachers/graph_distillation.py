"""Graph distillation: the logits graph and the representation graph of several teachers."""

from __future__ import annotations

from torch import nn

from graphkd.core.ensemble import stacked
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses.graphs.logits_graph import LogitsGraph
from graphkd.losses.graphs.representation_graph import RepresentationGraph
from graphkd.schemes.teachers._several import tapped


@method(
    "graph_distillation",
    family="teachers",
    paper="Zhang and Peng, IJCAI 2018",
    arxiv="1804.10069",
    needs=("teachers", "hidden"),
)
def graph_distillation(
    problem: Problem,
    *,
    logits_weight: float = 1.0,
    representation_weight: float = 1.0,
    temperature: float = 2.0,
    dimension: int = 512,
) -> nn.Module:
    """Learn the labels and two graphs of several teachers; choose it where teachers differ in what they represent.

    The logits graph brings the student's classes near to each teacher's in earth mover's distance, at ``temperature``;
    the representation graph compares its hidden layer with those of every pair of teachers, pooled to ``dimension``
    numbers, so that widths may differ. The weights are 1 each: there is no code of the authors. A step costs
    O(N K^2 d log d) for K teachers and d = ``dimension``; see ``LogitsGraph`` and ``RepresentationGraph``.
    """
    widths = [problem.width_of(teacher) for teacher in problem.teachers]
    representation = RepresentationGraph(problem.width_of(problem.student), widths, dimension)
    graphs = logits_weight * LogitsGraph(temperature=temperature) + representation_weight * representation
    losses = problem.supervised() + graphs
    return problem.train(problem.distiller(problem.student, tapped(problem, stacked), losses))
