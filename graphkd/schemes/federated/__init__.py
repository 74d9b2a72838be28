"""Distillation between clients that keep their data: one method a file, and the two sides that they are made of.

Every method's file has its ``rule(...)``, for a ``Server`` and ``Participant``s of your own (see ``flower``). Names are
imported on first use; ``__init__.pyi`` lists them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
