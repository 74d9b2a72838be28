"""Methods for light nets that predict clicks."""
