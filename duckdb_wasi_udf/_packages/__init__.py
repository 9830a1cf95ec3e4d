"""Pure-Python packages for guests, collected on the host."""
