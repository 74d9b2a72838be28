"""Recommenders and their views of a batch; nets for clicks and for ratings are in ``clicks`` and ``ratings``.

Names are imported on first access; ``__init__.pyi`` lists them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
