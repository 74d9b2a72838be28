"""Runs that are killed at random moments and resumed until they end: ``python -m tests.kills --kills N``."""
