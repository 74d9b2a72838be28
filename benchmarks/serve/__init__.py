"""Parts of ``benchmarks.serving``: graphs and models, ways to answer, the protocol, memory, recommenders."""
