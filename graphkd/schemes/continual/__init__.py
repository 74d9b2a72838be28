"""Students of tasks that come one after another."""
