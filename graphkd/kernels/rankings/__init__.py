"""Kernels over ordered lists: how likely an order is, and orders that are drawn."""
