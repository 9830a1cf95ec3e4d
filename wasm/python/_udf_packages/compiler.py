"""What a guest runs that compiles the modules of packages, and nothing else."""

import marshal


def compile_module(source, path):
    """Return the marshalled code of a module; None if it doesn't compile.

    The guest that imports such a module compiles it again, for the error.

    Args:
        source: the module's bytes.
        path: its file, for tracebacks.
    """
    try:
        return marshal.dumps(compile(source, path, "exec", dont_inherit=True))
    except Exception as error:
        if isinstance(error, MemoryError) and not error.args:  # with some, the parser's own limit
            raise
        return None
