"""Runs cells in a real Jupyter kernel."""

import contextlib
import re

import nbformat
from nbclient import NotebookClient

from tests.support.repository import ROOT


class Kernel:
    """A kernel that runs one cell after the other."""

    def __init__(self):
        self._notebook = nbformat.v4.new_notebook()
        self._client = NotebookClient(self._notebook, timeout=60, allow_errors=True, resources={})
        self._client.resources["metadata"] = {"path": str(ROOT)}

    @contextlib.contextmanager
    def running(self):
        with self._client.setup_kernel():
            yield self

    def run(self, *cells):
        """The outputs of the last cell. An error of another one is raised."""
        for number, text in enumerate(cells, 1):
            cell = nbformat.v4.new_code_cell(text.strip("\n"))
            self._notebook.cells.append(cell)
            self._client.execute_cell(cell, len(self._notebook.cells) - 1)
            outputs = Outputs(cell.outputs)
            assert number == len(cells) or outputs.error is None, f"{text}\n{outputs.error}\n{outputs.printed}"
        return outputs

    def value(self, expression):
        """The text of a Python expression's value."""
        outputs = self.run(expression)
        assert outputs.error is None, outputs.error
        return outputs.data("text/plain")


class Outputs:
    """What a cell shows."""

    def __init__(self, outputs):
        self.outputs = outputs

    def data(self, kind):
        """The last thing that was displayed, as one kind; None without one."""
        found = [each.data.get(kind) for each in self.outputs if each.output_type in ("display_data", "execute_result")]
        return found[-1] if found else None

    @property
    def displayed(self):
        """The number of things displayed."""
        return sum(each.output_type in ("display_data", "execute_result") for each in self.outputs)

    @property
    def printed(self):
        return "".join(each.text for each in self.outputs if each.output_type == "stream")

    @property
    def error(self):
        """The text of the traceback, without colours; None if nothing was raised."""
        found = [each for each in self.outputs if each.output_type == "error"]
        assert len(found) <= 1
        return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(found[0].traceback)) if found else None
