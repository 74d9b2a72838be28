"""How files of the mirror are built from their public sources: ``python -m datasets.recipes NAME SOURCE FOLDER``."""
