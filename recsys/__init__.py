"""Ranking distillation for recommenders."""
