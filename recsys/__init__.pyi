from . import bridge, evaluate, models, retrieve
from .data.interactions import Interactions, Split
from .distil import distil, methods

__all__ = [
    "Interactions",
    "Split",
    "bridge",
    "distil",
    "evaluate",
    "methods",
    "models",
    "retrieve",
]
