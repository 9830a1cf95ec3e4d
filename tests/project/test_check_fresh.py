"""`make check-fresh`: a clone of the last commit, made and removed, with the environment of a fresh machine."""

import os
import shutil
import subprocess
import sys
import tempfile

import pytest

from tests.tools import check_fresh

MAKEFILE = """
demo:
\t@env > "$(SEEN)/env"; git log --format=%s > "$(SEEN)/log"; ls > "$(SEEN)/files"; {demo}
test:
\t@touch "$(SEEN)/tested"
"""


@pytest.fixture
def seen(tmp_path, monkeypatch):
    (tmp_path / "seen").mkdir()
    monkeypatch.setenv("SEEN", str(tmp_path / "seen"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("MAKEFLAGS", "-n")  # as under `make -n`: would run nothing
    return tmp_path / "seen"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the command over a repository whose `make demo` ends with a shell command."""

    def check(demo, *options):
        repository = tmp_path / "repository"
        repository.mkdir()
        (repository / "Makefile").write_text(MAKEFILE.format(demo=demo))
        git = ["git", "-c", "user.name=n", "-c", "user.email=e", "-C", repository]
        for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "the last"]):
            subprocess.run([*git, *command], check=True)
        (repository / "uncommitted").touch()
        monkeypatch.setattr(check_fresh, "ROOT", repository)
        monkeypatch.setattr(sys, "argv", ["check_fresh", *options])
        return check_fresh.main()

    return check


def test_both_commands_run_in_a_clone_of_which_nothing_is_left(run, seen, tmp_path, capfd):
    assert run("true") == 0
    assert (seen / "log").read_text() == "the last\n"
    assert (seen / "files").read_text() == "Makefile\n"
    assert (seen / "tested").exists()
    assert list((tmp_path / "temporary").iterdir()) == []
    told = capfd.readouterr().out
    assert "make demo: passed in 0 min 0" in told
    assert "make test: passed in 0 min 0" in told
    assert "what isn't committed is not checked" in told


def test_a_command_that_fails_ends_it_and_its_clone_is_kept(run, seen, tmp_path, capfd):
    assert run("exit 3") == 1
    assert not (seen / "tested").exists()
    (kept,) = (tmp_path / "temporary").iterdir()
    told = capfd.readouterr()
    assert "make demo: status 2" in told.out
    assert told.err.endswith(f"the clone and its caches are in {kept}\n")


def test_caches_are_new_and_the_environment_is_a_shells(run, seen, monkeypatch):
    monkeypatch.setenv("VIRTUAL_ENV", "/some/env")
    monkeypatch.setenv("PATH", os.pathsep.join(["/some/env/bin", os.environ["PATH"]]))
    monkeypatch.setenv("DUCKDB_WASI_UDF_CACHE", "/some/cache")
    monkeypatch.setenv("PYTHONPATH", "/some/path")
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "99")
    assert run("true") == 0
    environment = (seen / "env").read_text()
    assert "/some/" not in environment
    assert "PIP_DEFAULT_TIMEOUT=99\n" in environment
    assert "DUCKDB_WASI_UDF_CACHE=" in environment


@pytest.mark.skipif(
    not shutil.which("unshare") or subprocess.run(["unshare", "--mount", "true"], check=False).returncode,
    reason="hosts are made unreachable by unshare, which needs Linux and rights",
)
def test_hosts_can_be_made_unreachable(run, seen, capfd):
    look_up = "import socket; print(*{entry[4][0] for entry in socket.getaddrinfo('"
    demo = "; ".join(f'{sys.executable} -c "{look_up}{host}\', 80)}})"' for host in ("www.example.org", "localhost"))
    assert run(demo, "--without", "example.org,www.example.org") == 0
    told = capfd.readouterr().out
    assert "without example.org, www.example.org" in told
    addresses = [set(line.split()) for line in told.splitlines() if line and line[0] in "0:1"]
    assert addresses[0] <= {"0.0.0.0", "::"}
    assert addresses[1] <= {"127.0.0.1", "::1"}
