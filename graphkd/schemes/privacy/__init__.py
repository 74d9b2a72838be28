"""Students that tell little of the data that their teachers saw."""
