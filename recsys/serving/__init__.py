"""Serving of trained recommenders: tables in a file, and indices of them."""
