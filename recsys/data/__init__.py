"""What recommenders are trained on: interactions, ratings, rows of features, and batches of them."""
