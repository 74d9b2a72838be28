"""What leaves training: tables in a file, and indices over them."""
