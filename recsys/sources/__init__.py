"""Sources of each method's lists: drawn for all users at the beginning of an epoch, looked up for a batch.

Names are imported when they are first asked for; ``__init__.pyi`` lists them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
