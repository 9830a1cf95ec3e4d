"""What a guest may call of the host: described, checked, counted and recorded."""
