"""A function on every connection: its SQL name is the file's."""

import re

SPACES = re.compile(r"\s+")


def title_name(name: str) -> str:
    """Return a name with one space between its words, each with a capital."""
    return SPACES.sub(" ", name.strip()).title()
