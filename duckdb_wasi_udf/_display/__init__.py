"""HTML for notebooks and tables for terminals, of text that may be anybody's."""
