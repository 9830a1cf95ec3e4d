"""One kernel for all cells of this folder."""

import pytest

BEGIN = """
for name in [*globals()]:
    if not name.startswith('_') and name not in ('In', 'Out', 'get_ipython', 'exit', 'quit', 'open'):
        del globals()[name]
import duckdb, duckdb_wasi_udf as wasi_udf
con = duckdb.connect(config={'threads': 1})
del name
"""


@pytest.fixture(scope="session")
def shared_kernel(tmp_path_factory):
    pytest.importorskip("ipykernel", reason="ipykernel is not installed: pip install 'duckdb-wasi-udf[dev]'")
    pytest.importorskip("nbclient", reason="nbclient is not installed: pip install 'duckdb-wasi-udf[dev]'")
    from tests.support.kernel import Kernel  # noqa: PLC0415 - it imports these

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        with Kernel().running() as kernel:
            kernel.run("%load_ext duckdb_wasi_udf")
            yield kernel


@pytest.fixture
def kernel(shared_kernel):
    """The kernel with no variables but a new connection, and the extension loaded."""
    shared_kernel.run(BEGIN)
    return shared_kernel
