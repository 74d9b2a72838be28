"""Graph students: methods that bring their own student, data or schedule.

Names are imported at their first use; ``__init__.pyi`` lists them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
