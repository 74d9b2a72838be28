"""Twelve lessons, each a script to run by itself, such as ``python examples/nodes.py``: seconds, on generated data."""
