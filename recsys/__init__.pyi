from . import bridge, evaluate, models, retrieve, serve
from .data.interactions import Interactions, Split
from .distil import distil, methods
from .tune import tune

__all__ = [
    "Interactions",
    "Split",
    "bridge",
    "distil",
    "evaluate",
    "methods",
    "models",
    "retrieve",
    "serve",
    "tune",
]
