"""Knowledge distillation on graphs: make a small model as good as a large one.

Sub-packages, ``graphkd.losses``, ``graphkd.tasks`` and so on, are imported on first use.
"""

import lazy_loader

from graphkd.compress import Budget, compress
from graphkd.core.cached import Cached
from graphkd.core.checkpoint import load, save
from graphkd.core.clients import Clients
from graphkd.core.distilled import Distilled
from graphkd.core.distiller import Distiller, Step
from graphkd.core.ensemble import Ensemble
from graphkd.core.fit import fit
from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.moving import EMA, Snapshot
from graphkd.core.problem import Problem
from graphkd.core.teachers import Frozen
from graphkd.core.tuned import Tuned
from graphkd.core.view import Batch, View
from graphkd.distil import distil, methods
from graphkd.tune import tune

_ROOMS = ("gnn", "kernels", "loaders", "losses", "schemes", "serving", "tasks")
__getattr__, _, _ = lazy_loader.attach(__name__, submodules=_ROOMS)

__version__ = "0.2.0"
__all__ = [
    "EMA",
    "Batch",
    "Budget",
    "Cached",
    "Clients",
    "Distilled",
    "Distiller",
    "Ensemble",
    "Frozen",
    "Loss",
    "Problem",
    "Snapshot",
    "Step",
    "Tuned",
    "View",
    "compress",
    "distil",
    "fit",
    "load",
    "method",
    "methods",
    "save",
    "tune",
]


def __dir__() -> list[str]:
    return sorted([*__all__, *_ROOMS])
