"""Training data of recommenders: interactions, ratings, rows of features, and batches of them.

Names are imported on first access; ``__init__.pyi`` lists them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
