"""Distillation without the data that the teacher was trained on."""
