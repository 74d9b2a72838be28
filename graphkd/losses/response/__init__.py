"""Losses between answers: labels, soft targets and logits."""
