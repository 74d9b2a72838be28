"""Methods whose one loss fits every task."""
