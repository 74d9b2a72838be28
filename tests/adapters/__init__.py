"""One file of adapters an area of golden cases."""
