"""Measured comparisons: compressing graph neural networks, recommenders, and the kernels themselves."""
