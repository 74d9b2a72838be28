"""Pages that are made from the library itself."""
