"""Kernels over all pairs of rows, or over sampled ones, which never hold N x N."""
