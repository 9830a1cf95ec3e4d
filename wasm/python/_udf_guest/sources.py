"""What functions were made of."""

# By the file name of their code: source texts of modules, and the units of functions that were shipped alone
# (`shipped.function_tree`). The compiler translates them, and compares them with the code that runs.
sources = {}
