from . import bridge, evaluate, models, retrieve, serve
from .compress import compress
from .data.interactions import Interactions, Split
from .distil import distil, methods
from .tune import tune

__all__ = [
    "Interactions",
    "Split",
    "bridge",
    "compress",
    "distil",
    "evaluate",
    "methods",
    "models",
    "retrieve",
    "serve",
    "tune",
]
