"""Losses by probability and information: densities, contrast, bounds on mutual information, correlations."""
