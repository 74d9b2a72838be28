"""Students that reveal little of the data that their teachers saw."""
