"""Arrow arrays in and out of a guest's memory, with everything that comes out checked."""
