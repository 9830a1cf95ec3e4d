"""The IPython extension: magics, errors and progress in notebooks."""
