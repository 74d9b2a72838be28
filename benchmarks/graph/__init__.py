"""Methods, models and recipes of the graph benchmarks."""
