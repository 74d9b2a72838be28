"""The kernels, and every way to compute them, for ``benchmarks.kernels``."""
