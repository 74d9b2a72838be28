"""Kernels over all pairs of rows, or over sampled ones, without N x N memory."""
