"""Light nets that predict clicks, and who teaches them."""
