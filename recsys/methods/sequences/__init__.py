"""Methods of sequential recommenders alone."""
