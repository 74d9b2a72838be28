"""Kernels over ordered lists: probabilities of orders, and random orders."""
