"""Several teachers, teachers that adapt, assistants and other ways to choose who teaches what."""
