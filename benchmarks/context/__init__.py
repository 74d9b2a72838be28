"""Methods and models of the benchmarks on features: clicks and ratings."""
