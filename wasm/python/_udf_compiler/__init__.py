"""The compiler: row functions of Python to WebAssembly, with the results that the interpreter would have.

A function is translated for the types that it is bound with. What the compiler can't translate, or can't compute
exactly, is left to the interpreter: the whole function, or single rows of a batch, for which compiled code returns
early.
"""

from _udf_compiler.translation import translate
from _udf_compiler.warm_up import warm_up

__all__ = ["translate"]

warm_up()
