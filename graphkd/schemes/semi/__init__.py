"""Semi-supervised schemes: noisy students, pseudo-labels, changed and synthetic inputs."""
