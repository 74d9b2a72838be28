"""Serving of trained recommenders: tables in a file, and indices over them."""
