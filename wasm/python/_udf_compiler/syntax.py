"""From a function to its syntax tree, checked to be what its bytecode was compiled from."""

import __future__

import ast
import types

from _udf_guest.shipped import function_tree
from _udf_guest.sources import sources

from _udf_compiler.errors import NotCompiledError


class Sources:
    """Syntax trees by file, each parsed once."""

    def __init__(self):
        self._files = {}

    def find(self, function):
        """Return the FunctionDef or Lambda that made a function.

        Raises:
            NotCompiledError: Its source isn't known.
        """
        code = function.__code__
        trees = [tree for tree, codes in self._file(code.co_filename) if code in codes]
        if not trees:  # made by exec, or exchanged
            raise NotCompiledError("its source text is not known")
        tree = trees[0]
        wanted = [node for node in _functions(tree) if _first_line(node) == code.co_firstlineno]
        wanted = [node for node in wanted if getattr(node, "name", "<lambda>") == code.co_name]
        if len(wanted) > 1:
            wanted = [node for node in wanted if _is_at(node, code)]
        if len(wanted) != 1:
            raise NotCompiledError("which of several lambdas it is can't be told", code.co_firstlineno)
        return wanted[0]

    def _file(self, name):
        """Return the syntax tree and the code objects of each source text with a file name."""
        if name not in self._files:
            self._files[name] = [_parsed(source, name) for source in sources.get(name, ())]
        return self._files[name]


def _parsed(source, name):
    """Return the syntax tree and all code objects of a source, a text or a unit, compiled as definitions are."""
    flags = __future__.annotations.compiler_flag
    try:
        if isinstance(source, str):
            tree = compile(source, name, "exec", ast.PyCF_ONLY_AST | flags, dont_inherit=True)
        else:
            tree = function_tree(source, name)
        codes = set(_nested(compile(tree, name, "exec", flags, dont_inherit=True)))
        if tree.body and isinstance(tree.body[-1], ast.Expr):  # compiled apart, which makes other bytecode
            last = ast.Expression(tree.body[-1].value)
            codes.update(_nested(compile(last, name, "eval", flags, dont_inherit=True)))
    except (SyntaxError, RecursionError, MemoryError, ValueError):
        raise NotCompiledError("its source text is not known") from None
    return tree, codes


def _functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.Lambda))]


def _first_line(node):
    decorators = getattr(node, "decorator_list", [])
    return min([node.lineno, *[decorator.lineno for decorator in decorators]])


def _nested(code):
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield constant
            yield from _nested(constant)


def _is_at(node, code):
    """Return whether a lambda's body is where the code returns its value."""
    if not isinstance(node, ast.Lambda):
        return False
    body = node.body
    *_, last = code.co_positions()
    return last == (body.lineno, body.end_lineno, body.col_offset, body.end_col_offset)
