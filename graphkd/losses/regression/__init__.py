"""Losses of real-valued targets with a teacher that may be wrong about them."""
