from .data.interactions import Interactions, Split

__all__ = [
    "Interactions",
    "Split",
]
