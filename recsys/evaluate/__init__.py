"""Evaluation of recommenders' rankings and of predicted clicks.

Names are imported on first access; ``__init__.pyi`` lists them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
