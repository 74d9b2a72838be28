"""Methods, models and protocols of ``benchmarks.recsys``, and what its methods cost."""
