"""Rankings learnt while the student itself is pruned."""
