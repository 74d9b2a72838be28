"""Build files of the mirror from their public sources: ``python -m datasets.recipes NAME SOURCE FOLDER``."""
