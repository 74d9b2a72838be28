"""Losses between hidden features, row by row or channel by channel."""
