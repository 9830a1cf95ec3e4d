"""Runs cells as IPython does.

`python -m tests.support.notebook` reads {name: [cells]} and writes {name: error or null}, both as JSON. Each name is a
notebook of its own, whose variables begin empty.
"""

import contextlib
import json
import os
import subprocess
import sys
import traceback


def run(notebooks, folder, cwd):
    """Run notebooks in one IPython process; {name: the traceback of the first cell that failed, or None}.

    Args:
        notebooks: the cells of each, by name.
        folder: where IPython may write.
        cwd: the working directory of the cells.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.notebook"],
        input=json.dumps(notebooks),
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ | {"IPYTHONDIR": str(folder)},
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _run(cells):
    from IPython.core.interactiveshell import InteractiveShell  # noqa: PLC0415 - needed in the subprocess only

    shell = InteractiveShell.instance()
    shell.reset(new_session=False)
    for cell in cells:
        result = shell.run_cell(cell, store_history=True)
        error = result.error_before_exec or result.error_in_exec
        if error is not None:
            return f"{cell}\n{''.join(traceback.format_exception(error))}"
    return None


if __name__ == "__main__":
    notebooks = json.load(sys.stdin)
    with contextlib.redirect_stdout(sys.stderr):
        failures = {name: _run(cells) for name, cells in notebooks.items()}
    print(json.dumps(failures))
