"""What the site makes of metadata, docstrings and measured rows when it is built: ``make docs``."""
