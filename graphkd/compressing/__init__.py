"""The parts of ``graphkd.compress``: what students cost, how trials are spent on them, and the front that is left."""
