"""Losses between recommenders: each a function on scores or embedding tables and a class with its hyper-parameters.

One method a file, which has its name: the classes are here, the functions in their files, ``recsys.losses.rrd.rrd``.

Names are imported when they are first asked for; ``__init__.pyi`` lists them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
