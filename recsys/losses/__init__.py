"""Losses between recommenders: each a function on scores or embedding tables and a class with its hyper-parameters.

Each file holds one method and has its name: classes are exported here, functions are in the files, as
``recsys.losses.rrd.rrd``.

Names are imported on first access; ``__init__.pyi`` lists them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
