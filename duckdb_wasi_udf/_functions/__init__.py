"""A user's function over Arrow arrays: its signature, how it is shipped and how it is called."""
