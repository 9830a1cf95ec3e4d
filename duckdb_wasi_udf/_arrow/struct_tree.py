"""Structs of the Arrow C data interface that point at each other, laid out one after the other."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

from duckdb_wasi_udf import _abi

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self


class Tree(Protocol):
    """What a struct is made of: an array or a type, with those inside it."""

    @property
    def children(self) -> tuple[Self, ...]:
        """Nodes inside it."""

    @property
    def dictionary(self) -> tuple[Self, ...]:
        """Its dictionary in a tuple of one; an empty tuple if it has none."""


_Tree = TypeVar("_Tree", bound=Tree)


class Numbered(NamedTuple, Generic[_Tree]):
    """A tree with the places of those inside it.

    Attributes:
        tree: the tree.
        children: the numbers of its children's structs.
        dictionary: the number of its dictionary's struct, in a list of one, or an empty one.
    """

    tree: _Tree
    children: list[int]
    dictionary: list[int]


def number(root: _Tree, numbered: list[Numbered[_Tree]]) -> int:
    """Give numbers to a tree and all inside it, each before what is inside it.

    Args:
        root: the tree.
        numbered: receives them in the order of their numbers.

    Returns:
        The tree's number.
    """
    position = len(numbered)
    placed = Numbered(root, [], [])
    numbered.append(placed)
    placed.children.extend([number(child, numbered) for child in root.children])
    placed.dictionary.extend([number(child, numbered) for child in root.dictionary])
    return position


class Pointers:
    """The pointers of structs, written in one piece behind the structs.

    Attributes:
        at: where the next pointer goes.
    """

    def __init__(self, base: int, struct_size: int, n_structs: int) -> None:
        """Begin with none.

        Args:
            base: where in memory the structs start.
            struct_size: the size of each.
            n_structs: the number of them.
        """
        self._base = base
        self._struct_size = struct_size
        self.at = base + struct_size * n_structs
        self._pointers: list[int] = []

    def add(self, pointers: Sequence[int]) -> None:
        """Add pointers."""
        self._pointers += pointers
        self.at += _abi.POINTER.size * len(pointers)

    def add_structs(self, numbers: list[int]) -> int:
        """Add pointers to structs; return where these pointers are, 0 for none."""
        at = self.at if numbers else 0
        self.add([self._base + self._struct_size * number for number in numbers])
        return at

    def struct_at(self, numbers: list[int]) -> int:
        """Return the address of the one struct in a list; 0 if the list is empty."""
        return self._base + self._struct_size * numbers[0] if numbers else 0

    def encode(self) -> bytes:
        """Return the pointers as they lie in memory."""
        return struct.pack(f"<{len(self._pointers)}I", *self._pointers)
