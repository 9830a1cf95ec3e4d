"""What wraps a function that is called for groups or returns rows."""
