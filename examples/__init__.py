"""Twelve lessons, each a script of its own: ``python examples/nodes.py``. All run in seconds on generated data."""
