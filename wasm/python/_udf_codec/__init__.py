"""What the codec, which is C, has in Python: the cases that are rare."""
