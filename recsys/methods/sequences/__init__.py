"""Methods for sequential recommenders only."""
