"""Continual learning: students of tasks that come one after another."""
