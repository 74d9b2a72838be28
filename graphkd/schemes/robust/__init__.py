"""Students that withstand adversarial changes of their inputs."""
