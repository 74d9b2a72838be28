"""Methods on a small graph: what they are given, and short runs of them."""

from __future__ import annotations

import graphkd
from graphkd.core.problem import Problem
from graphkd.tasks import NodeClassification
from tests.core.models import gcn, graph

HIDDEN = "convs.0"


def problem(name=HIDDEN):
    """A student and a teacher of other widths, whose hidden layer is ``name``."""
    return Problem(gcn(1, width=8), [gcn(2, width=16)], graph(), NodeClassification(), hidden=(name, name))


def trained(method, *, teacher=True, hidden=HIDDEN, **settings):
    """The result of two epochs a stage; the student is as wide as its teacher."""
    models = gcn(1, width=16), gcn(2, width=16) if teacher is True else teacher
    return graphkd.distil(method, *models, graph(), hidden=hidden, epochs=2, progress=False, **settings)


def stages(result):
    """Names of the stages, in their order."""
    return list(dict.fromkeys(report["stage"] for report in result.history))
