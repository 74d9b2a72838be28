"""Self-distillation: a student is taught by itself, by what it was, or by a generation before it."""
