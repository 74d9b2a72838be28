"""Rows without labels: noisy students, pseudo-labels, changed and made inputs."""
