"""Ranking distillation for recommenders: ``recsys.distil`` runs a method by name, ``recsys.methods()`` lists them.

Names are imported on first access; ``__init__.pyi`` lists them.
"""

import sys
from types import ModuleType
from typing import Any

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


class _Face(ModuleType):
    """Keep the package's functions bound to their names when sub-modules of the same names are imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in ("compress", "distil", "methods", "tune") and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Face
