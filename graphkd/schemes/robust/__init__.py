"""Students that withstand changes made against them."""
