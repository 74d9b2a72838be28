"""Tasks: labels, splits, losses and the metric of each kind of answer."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
