"""Losses on relations of nodes: distances, angles, orders, similarities, affinities."""
